//! What a person can ask of a job.

use clearfleet_tests::{Answer, id_of};
use serde_json::{Value, json};

use super::{Setting, assert_same, lossless};

fn done_batches(job: &Value) -> u64 {
    job["progress"]["batches_done"].as_u64().expect("a number of batches")
}

/// Submits the film and waits until some of its ten batches are finished.
fn half_done(setting: &Setting) -> String {
    let job = setting.submit_film();
    setting.server.client().until(&job, |job| done_batches(job) >= 2);
    job
}

fn conflict(answer: &Answer, state: &str) {
    assert_eq!(answer.refusal(409), "state_conflict");
    assert_eq!(answer.json()["details"]["state"], state);
}

#[test]
fn a_paused_film_waits_and_goes_on() {
    let setting = Setting::slow(30);
    let client = setting.server.client();
    let film = half_done(&setting);
    assert_eq!(client.command(&film, "pause")["state"], "paused");
    // It is accepted twice, and changes nothing then.
    client.command(&film, "pause");
    // The worker does other things meanwhile: a photo and another film come and go.
    client.done(&setting.submit_photo());
    let other = client.submit(&setting.film(), &json!({ "settings": lossless(), "range": [0, 0.2] }));
    client.done(&other);
    let paused = client.job(&film);
    assert_eq!(paused["state"], "paused");
    assert!((2..10).contains(&done_batches(&paused)), "{paused:#}");
    client.command(&film, "resume");
    let done = client.done(&film);
    assert_eq!(done["result"]["frames"], 50);
    setting.assert_film(&film);
}

#[test]
fn a_cancelled_film_keeps_what_is_finished_for_a_retry() {
    let setting = Setting::slow(30);
    let client = setting.server.client();
    let film = half_done(&setting);
    assert_eq!(client.command(&film, "cancel")["state"], "cancelled");
    let cancelled = client.ended(&film);
    assert_eq!(
        (&cancelled["state"], &cancelled["result"]),
        (&json!("cancelled"), &Value::Null)
    );
    let result = client.get(&format!("/v1/jobs/{film}/result"));
    assert_eq!(result.refusal(404), "not_ready");
    client.command(&film, "retry");
    // Nothing less than before is finished, from its first batches on.
    let running = client.until(&film, |job| job["state"] == "running" && done_batches(job) > 0);
    assert!(done_batches(&running) >= 2, "{running:#}");
    client.done(&film);
    setting.assert_film(&film);
}

#[test]
fn a_command_must_go_with_the_state() {
    let setting = Setting::new();
    let client = setting.server.client();
    let photo = setting.submit_photo();
    client.done(&photo);
    let ask = |command: &str| client.post(&format!("/v1/jobs/{photo}/{command}"));
    for command in ["cancel", "pause", "resume", "retry"] {
        conflict(&ask(command), "done");
    }
    let patch = client.json(
        "PATCH",
        &format!("/v1/jobs/{photo}"),
        &json!({ "settings": { "target": 3 } }),
    );
    conflict(&patch, "done");
    let running = id_of(
        &client
            .json(
                "POST",
                "/v1/jobs",
                &json!({ "source": { "job": photo }, "start": false }),
            )
            .json(),
    );
    conflict(
        &client.json("POST", &format!("/v1/jobs/{running}/redo"), &json!({})),
        "paused",
    );
    conflict(&client.post(&format!("/v1/jobs/{running}/retry")), "paused");
}

#[test]
fn a_job_may_be_changed_until_it_is_planned() {
    let setting = Setting::new();
    let client = setting.server.client();
    let job = client.submit(&setting.film(), &json!({ "settings": lossless(), "start": false }));
    assert_eq!(client.job(&job)["state"], "paused");
    let path = format!("/v1/jobs/{job}");
    let settings = json!({ "target": 3, "format": "mkv", "codec": "ffv1" });
    let changed = client.json(
        "PATCH",
        &path,
        &json!({ "settings": settings, "range": [1, null], "priority": "high" }),
    );
    let changed = changed.expect(200).json();
    assert_eq!(
        (&changed["settings"]["target"], &changed["priority"]),
        (&json!("3"), &json!("high"))
    );
    client.command(&job, "resume");
    let done = client.done(&job);
    let result = &done["result"];
    assert_eq!((&result["width"], &result["frames"]), (&json!(192), &json!(25)));
    assert_same(
        &setting.result(&job),
        &setting.expected(&["--scale", "3", "--start", "1"]),
    );
    // Who comes first may be said at any time.
    let late = client
        .json("PATCH", &path, &json!({ "priority": "low" }))
        .expect(200)
        .json();
    assert_eq!(late["priority"], "low");
}

/// The old result is there until the new one is.
#[test]
fn a_redo_replaces_the_result_once_it_is_there() {
    let setting = Setting::slow(30);
    let client = setting.server.client();
    let film = setting.submit_film();
    client.done(&film);
    let first = client.get(&format!("/v1/jobs/{film}/result"));
    let redo = json!({ "settings": { "target": 3, "format": "mkv", "codec": "ffv1" } });
    let accepted = client.json("POST", &format!("/v1/jobs/{film}/redo"), &redo).expect(202);
    assert_eq!(accepted.json()["state"], "queued");
    let running = client.until(&film, |job| done_batches(job) >= 2 && job["state"] == "running");
    assert_eq!(running["result"]["width"], 128, "{running:#}");
    let meanwhile = client.get(&format!("/v1/jobs/{film}/result")).expect(200);
    assert!(meanwhile.body == first.body, "the old result is not there any more");
    let done = client.done(&film);
    assert_eq!(
        (&done["result"]["width"], &done["result"]["name"]),
        (&json!(192), &json!("film-3x.mkv"))
    );
    let second = client.get(&format!("/v1/jobs/{film}/result")).expect(200);
    assert_ne!(second.header("etag"), first.header("etag"));
    assert_same(&setting.result(&film), &setting.expected(&["--scale", "3"]));
    client.assert_verified(&film);
}

#[test]
fn a_deleted_job_is_gone_at_once_also_while_it_runs() {
    let setting = Setting::slow(30);
    let client = setting.server.client();
    let film = half_done(&setting);
    let path = format!("/v1/jobs/{film}");
    client.send("DELETE", &path, &[], b"").expect(204);
    for route in ["", "/result", "/source", "/events", "/verification"] {
        assert_eq!(
            client.get(&format!("{path}{route}")).refusal(404),
            "not_found",
            "{route}"
        );
    }
    assert_eq!(client.send("DELETE", &path, &[], b"").refusal(404), "not_found");
    assert_eq!(client.get("/v1/jobs").json()["jobs"], json!([]));
    // The worker is free again.
    client.done(&setting.submit_photo());
    let asked = client.json("POST", "/v1/jobs", &json!({ "source": { "job": film } }));
    assert_eq!(asked.refusal(404), "not_found");
}

#[test]
fn a_failed_job_says_why_and_fails_again() {
    let setting = Setting::new();
    let client = setting.server.client();
    let film = std::fs::read(setting.film()).expect("the film");
    let half = setting.world.file("half.mp4", &film[..film.len() / 2]);
    let job = client.submit_with(&half, &json!({}));
    for _ in 0..2 {
        let failed = client.ended(&job);
        assert_eq!(
            (&failed["state"], &failed["failure"]["code"]),
            (&json!("failed"), &json!("input_damaged"))
        );
        assert!(
            failed["failure"]["message"]
                .as_str()
                .is_some_and(|said| said.len() > 10),
            "{failed:#}"
        );
        client.command(&job, "retry");
    }
    assert_eq!(client.ended(&job)["state"], "failed");
}
