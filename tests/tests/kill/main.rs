//! `kill -9` of `clearfleet serve` at any moment, and what is found when it is started again.

mod account;
mod mixed;

use std::io::Write;
use std::net::TcpStream;

use clearfleet_tests::{Client, Server, World, decoded, film, photo};
use serde_json::{Value, json};

use account::Account;

/// What the program logs of tasks; [`Account`] reads it.
const LOG: &str = "warn,clearfleet_worker::service=debug";

/// A server whose engine takes this long for a frame, in batches of so many frames.
fn server(world: &World, milliseconds: u32, batch_frames: u32) -> Server {
    let args = format!("--engine wait --wait {milliseconds} --batch-frames {batch_frames}");
    let mut server = Server::prepared(&world.path("data"), &args).logging(LOG);
    server.start_again();
    server
}

fn lossless() -> Value {
    json!({ "format": "mkv", "codec": "ffv1" })
}

fn batches_done(job: &Value) -> u64 {
    job["progress"]["batches_done"].as_u64().expect("a number of batches")
}

/// A film in work, of which some batches are finished.
fn half_done(world: &World, client: &Client) -> String {
    let path = world.path("film.mp4");
    film(&path, 60, &["-preset", "ultrafast"]);
    let job = client.submit_with(&path, &lossless());
    client.until(&job, |job| batches_done(job) >= 2);
    job
}

/// A command is written down before it is answered: it does not need the process that took it.
#[test]
fn a_cancel_that_was_accepted_is_carried_out() {
    let world = World::new();
    let mut server = server(&world, 40, 5);
    let job = half_done(&world, server.client());
    server.client().command(&job, "cancel");
    let mut account = Account::default();
    account.run(&server.kill());
    server.start_again();
    // The scheduler has seen to it, not only the view of what is wanted.
    let cancelled = server.client().until(&job, |job| !job["ended"].is_null());
    assert_eq!(
        (&cancelled["state"], &cancelled["result"]),
        (&json!("cancelled"), &Value::Null)
    );
    // The worker is free, and nothing more of the film is begun.
    photo(&world.path("photo.png"));
    let other = server.client().submit_with(&world.path("photo.png"), &json!({}));
    server.client().done(&other);
    assert_eq!(server.client().job(&job)["state"], "cancelled");
    let last = Account::of(&server.stop());
    assert_eq!(last.begun_of(&job), 0, "{last:#?}");
    assert!(account.begun_of(&job) >= 3);
    // What was finished is kept: a retry begins only what is missing.
    server.start_again();
    server.client().command(&job, "retry");
    server.client().done(&job);
    server.client().assert_verified(&job);
    account.run(&server.stop());
    account.assert_no_finished_batch_again();
}

#[test]
fn a_pause_and_a_delete_that_were_accepted_are_carried_out() {
    let world = World::new();
    let mut server = server(&world, 40, 5);
    let paused = half_done(&world, server.client());
    let deleted = server.client().submit_with(&world.path("film.mp4"), &lossless());
    server.client().command(&paused, "pause");
    server
        .client()
        .send("DELETE", &format!("/v1/jobs/{deleted}"), &[], b"")
        .expect(204);
    server.kill();
    server.start_again();
    let client = server.client();
    photo(&world.path("photo.png"));
    client.done(&client.submit_with(&world.path("photo.png"), &json!({})));
    assert_eq!(client.get(&format!("/v1/jobs/{deleted}")).refusal(404), "not_found");
    let job = client.job(&paused);
    assert_eq!(job["state"], "paused");
    client.command(&paused, "resume");
    client.done(&paused);
    client.assert_verified(&paused);
    let account = Account::of(&server.stop());
    assert_eq!(account.begun_of(&deleted), 0, "{account:#?}");
}

/// Neither a job nor a source, and the data folder is as usable as before.
#[test]
fn an_upload_that_a_kill_cuts_off_leaves_nothing_visible() {
    let world = World::new();
    let mut server = server(&world, 0, 5);
    // Within the first bytes, within a part, and after parts have gone to the store.
    for sent in [1_000, 5 << 20, 40 << 20] {
        let mut stream = TcpStream::connect(server.client().host()).expect("the server listens");
        let head = format!(
            "POST /v1/jobs?name=a.png HTTP/1.1\r\nhost: {}\r\nidempotency-key: {sent}\r\ncontent-length: {}\r\n\r\n",
            server.client().host(),
            64 << 20
        );
        stream.write_all(head.as_bytes()).expect("the server reads");
        let mut content = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        content.resize(sent, 7);
        stream.write_all(&content).expect("the server reads");
        server.kill();
        drop(stream);
        server.start_again();
        assert_eq!(
            server.client().get("/v1/jobs").expect(200).json()["jobs"],
            json!([]),
            "{sent}"
        );
    }
    // The same key makes a job after all, of what is sent then.
    photo(&world.path("photo.png"));
    let photo = std::fs::read(world.path("photo.png")).expect("the photo");
    let headers = [("idempotency-key", "1000")];
    let made = server
        .client()
        .send("POST", "/v1/jobs?name=a.png", &headers, &photo)
        .expect(201);
    let job = made.json()["id"].as_str().expect("an id").to_owned();
    server.client().done(&job);
    let source = server.client().get(&format!("/v1/jobs/{job}/source")).expect(200);
    assert!(source.body == photo, "another source");
}

/// At the end of a film: between its last batch, the result, and the record that says so.
#[test]
fn a_kill_while_the_result_is_put_together() {
    let world = World::new();
    let mut server = server(&world, 0, 5);
    let path = world.path("film.mp4");
    film(&path, 30, &["-preset", "ultrafast"]);
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let job = server.client().submit_with(&path, &lossless());
        server
            .client()
            .until(&job, |job| job["state"] == "assembling" || batches_done(job) == 6);
        server.kill();
        server.start_again();
        jobs.push(job);
    }
    for job in jobs {
        assert_eq!(server.client().done(&job)["result"]["frames"], 30);
        server.client().assert_verified(&job);
        let result = world.path("result.mkv");
        server.client().download(&format!("/v1/jobs/{job}/result"), &result);
        assert_eq!(decoded(&result, 0).pts.len(), 30);
    }
}
