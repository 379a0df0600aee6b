use clearfleet_common::job::{Command, Denoise, Record, SourceKind, State};
use clearfleet_common::storage::ObjectKey;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::plan;
use super::{ALICE, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_judged_by_the_state_and_written_into_the_record() {
    let world = World::new().await;
    let job = world.upload(ALICE, "a.png").await;
    let path = |command: &str| format!("/v1/jobs/{job}/{command}");
    let serial = async || {
        world
            .record(ALICE, job)
            .await
            .unwrap()
            .wanted
            .map(|wanted| (wanted.serial, wanted.command))
    };
    for (command, state, expected) in [
        ("pause", "paused", (1, Command::Pause)),
        ("resume", "queued", (2, Command::Resume)),
        ("cancel", "cancelled", (3, Command::Cancel)),
        ("retry", "queued", (4, Command::Retry)),
    ] {
        let answer = world.post(ALICE, &path(command)).await;
        assert_eq!(
            (answer.status, &answer.json()["state"]),
            (StatusCode::ACCEPTED, &json!(state)),
            "{command}"
        );
        assert_eq!(serial().await, Some(expected));
    }
    let refused = world.post(ALICE, &path("retry")).await;
    assert_eq!(refused.refusal(), (409, "state_conflict".to_owned()));
    assert_eq!(refused.json()["details"]["state"], "queued");
    let refused = world.send(ALICE, Method::POST, &path("redo"), &json!({})).await;
    assert_eq!(refused.refusal(), (409, "state_conflict".to_owned()));
    assert_eq!(
        serial().await,
        Some((4, Command::Retry)),
        "what is refused is not written"
    );
    assert_eq!(
        world.get(ALICE, &format!("/v1/jobs/{job}")).await.json()["state"],
        "queued"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_on_an_ended_job_makes_it_active_again() {
    let world = World::new().await;
    for command in ["redo", "retry", "delete"] {
        let job = world.done(ALICE, "a.png", b"result").await;
        let state = if command == "retry" { State::Failed } else { State::Done };
        world.schedule(ALICE, job, |record| record.state = state).await;
        let active = ObjectKey::Active(job);
        world.storage.delete(&active.to_string()).await.unwrap();
        let answer = match command {
            "delete" => {
                world
                    .send(ALICE, Method::DELETE, &format!("/v1/jobs/{job}"), &json!({}))
                    .await
            }
            _ => {
                world
                    .send(ALICE, Method::POST, &format!("/v1/jobs/{job}/{command}"), &json!({}))
                    .await
            }
        };
        assert!(answer.status.is_success(), "{command}: {answer:?}");
        assert_eq!(
            &world.storage.get(active).await.unwrap().unwrap().body[..],
            b"alice",
            "{command}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redo_takes_other_settings_and_keeps_the_result() {
    let world = World::new().await;
    let job = world.done(ALICE, "a.png", b"result").await;
    let other = json!({"settings": {"target": "3", "format": "webp"}, "range": [0, 1]});
    let answer = world
        .send(ALICE, Method::POST, &format!("/v1/jobs/{job}/redo"), &other)
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let view = answer.json();
    assert_eq!(
        (&view["state"], &view["settings"]["target"]),
        (&json!("queued"), &json!("3"))
    );
    assert_eq!(
        (&view["range"], &view["result"]["bytes"]),
        (&json!([0.0, 1.0]), &json!(6))
    );
    let record = world.record(ALICE, job).await.unwrap();
    assert_eq!((record.pending(), record.state), (Some(Command::Redo), State::Done));
    assert_eq!(
        world.get(ALICE, &format!("/v1/jobs/{job}/result")).await.body,
        b"result"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_change_before_planning_and_the_priority_at_any_time() {
    let world = World::new().await;
    let job = world.upload(ALICE, "a.png").await;
    let path = format!("/v1/jobs/{job}");
    let patch = async |body| world.send(ALICE, Method::PATCH, &path, &body).await;
    let changed = patch(json!({"settings": {"target": 4}, "range": [null, 2], "priority": "low"})).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let view = changed.json();
    assert_eq!(
        (&view["settings"]["target"], &view["range"], &view["priority"]),
        (&json!("4"), &json!([null, 2.0]), &json!("low"))
    );
    assert_eq!(patch(json!({"range": [null, null]})).await.json()["range"], json!(null));
    let before = world.record(ALICE, job).await;
    assert_eq!(patch(json!({})).await.json()["priority"], "low");
    assert_eq!(world.record(ALICE, job).await, before);
    assert_eq!(patch(json!({"name": "b"})).await.refusal().1, "field_unknown");
    assert_eq!(
        patch(json!({"settings": {"target": 0}})).await.refusal().1,
        "target_invalid"
    );

    for planned in [false, true] {
        world
            .schedule(ALICE, job, |record| {
                record.state = if planned { State::Paused } else { State::Planning };
                record.plan = planned.then(plan);
            })
            .await;
        let refused = patch(json!({"settings": {"target": 2}, "priority": "high"})).await;
        assert_eq!(refused.refusal(), (409, "state_conflict".to_owned()));
    }
    assert_eq!(patch(json!({"priority": "high"})).await.json()["priority"], "high");
    let record = world.record(ALICE, job).await.unwrap();
    assert_eq!(record.request.settings.target.to_string(), "4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_job_is_not_there_at_once() {
    let world = World::new().await;
    let job = world.done(ALICE, "a.png", b"result").await;
    let path = format!("/v1/jobs/{job}");
    let deleted = world.send(ALICE, Method::DELETE, &path, &json!({})).await;
    assert_eq!((deleted.status, deleted.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(world.record(ALICE, job).await.unwrap().pending(), Some(Command::Delete));
    for gone in [
        &path,
        &format!("{path}/source"),
        &format!("{path}/result"),
        &format!("{path}/events"),
    ] {
        assert_eq!(
            world.get(ALICE, gone).await.refusal(),
            (404, "not_found".to_owned()),
            "{gone}"
        );
    }
    assert_eq!(world.post(ALICE, &format!("{path}/cancel")).await.refusal().0, 404);
    assert_eq!(
        world.send(ALICE, Method::DELETE, &path, &json!({})).await.refusal().0,
        404
    );
    assert_eq!(world.get(ALICE, "/v1/jobs").await.json()["jobs"], json!([]));
    let again = json!({"source": {"job": job}});
    assert_eq!(
        world.send(ALICE, Method::POST, "/v1/jobs", &again).await.refusal().0,
        404
    );
}

/// Commands race with a scheduler that writes all the time: each is judged by what is there, and none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_and_a_busy_scheduler_lose_nothing_of_each_other() {
    let world = World::new().await;
    let job = world.upload(ALICE, "a.mkv").await;
    let scheduler = async {
        for n in 1..=20 {
            world
                .schedule(ALICE, job, |record| {
                    record.generation = n;
                    record.request.kind = SourceKind::Video;
                })
                .await;
        }
    };
    let commands = async {
        for n in 0..10 {
            let command = if n % 2 == 0 { "pause" } else { "resume" };
            let answer = world.post(ALICE, &format!("/v1/jobs/{job}/{command}")).await;
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        }
    };
    tokio::join!(scheduler, commands);
    let record = world.record(ALICE, job).await.unwrap();
    assert_eq!((record.generation, record.wanted.unwrap().serial), (20, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redo_of_a_part_keeps_what_was_asked_of_the_rest() {
    let world = World::new().await;
    let job = world.done(ALICE, "a.mp4", b"result").await;
    let set_kind = async |kind| {
        let change = |record: &mut Record| record.plan.as_mut().unwrap().kind = kind;
        world.schedule(ALICE, job, change).await;
    };
    set_kind(SourceKind::Video).await;
    let redo = async |body: Value| {
        world
            .send(ALICE, Method::POST, &format!("/v1/jobs/{job}/redo"), &body)
            .await
    };
    for refused in [
        json!({"only": [1, 2]}),
        json!({"only": [1, 2], "settings": {"target": 3, "denoise": "light"}}),
        json!({"only": [1, 2], "range": [0, 3], "settings": {"denoise": "light"}}),
        json!({"only": [2, 1], "settings": {"denoise": "light"}}),
        json!({"only": [1, 2], "settings": {"sharpen": 1.5}}),
    ] {
        let answer = redo(refused.clone()).await;
        assert_eq!(answer.refusal(), (422, "settings_invalid".to_owned()), "{refused}");
    }
    set_kind(SourceKind::Picture).await;
    let of_a_picture = redo(json!({"only": [1, 2], "settings": {"denoise": "light"}})).await;
    assert_eq!(of_a_picture.refusal(), (422, "settings_invalid".to_owned()));
    set_kind(SourceKind::Video).await;
    let accepted = redo(json!({"only": [1, 2.5], "settings": {"denoise": "strong", "sharpen": 0.25}})).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{accepted:?}");
    let view = accepted.json();
    let part = json!({"range": [1.0, 2.5], "denoise": "strong", "sharpen": 0.25});
    assert_eq!((&view["retouches"], &view["range"]), (&json!([part]), &Value::Null));
    assert_eq!(
        (&view["settings"]["denoise"], &view["settings"]["sharpen"]),
        (&json!("off"), &json!(0.0))
    );
    let record = world.record(ALICE, job).await.unwrap();
    assert_eq!(record.request.retouches[0].filters.denoise, Denoise::Strong);
}
