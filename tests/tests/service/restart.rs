//! What a server keeps when it ends, however it ends.

use std::net::TcpListener;

use clearfleet_tests::{Call, Client, Server, World, photo};
use serde_json::json;

use super::Setting;

#[test]
fn a_restart_keeps_everything() {
    let mut setting = Setting::new();
    let client = setting.server.client().clone();
    let photo = setting.submit_photo();
    let film = setting.submit_film();
    client.done(&photo);
    client.done(&film);
    let waiting = client.submit(&setting.photo(), &json!({ "start": false, "priority": "low" }));
    let cancelled = client.submit(&setting.photo(), &json!({ "start": false }));
    client.command(&cancelled, "cancel");
    // Until the scheduler has seen to it: what is wanted shows at once.
    client.until(&cancelled, |job| !job["ended"].is_null());
    let jobs = client.get("/v1/jobs").json();
    let paths = ["source", "result", "thumbnail"].map(|what| format!("/v1/jobs/{photo}/{what}"));
    let before = paths.each_ref().map(|path| client.get(path).expect(200));
    setting.server.restart();
    let client = setting.server.client();
    assert_eq!(client.get("/v1/jobs").json(), jobs);
    for (path, before) in paths.iter().zip(before) {
        let after = client.get(path).expect(200);
        assert!(after.body == before.body, "{path}");
        assert_eq!(after.header("etag"), before.header("etag"));
    }
    setting.assert_film(&film);
    client.command(&waiting, "resume");
    client.done(&waiting);
}

/// SIGTERM gives back what takes too long; after the next start it goes on.
#[test]
fn a_stopped_server_goes_on_where_it_was() {
    let mut setting = Setting::slow(50);
    let film = setting.submit_film();
    let client = setting.server.client();
    client.until(&film, |job| job["progress"]["batches_done"].as_u64() >= Some(3));
    setting.server.restart();
    let client = setting.server.client();
    let going_on = client.until(&film, |job| job["progress"]["batches_done"].as_u64() > Some(0));
    assert!(going_on["progress"]["batches_done"].as_u64() >= Some(3), "{going_on:#}");
    client.done(&film);
    setting.assert_film(&film);
}

/// While it drains it takes no more requests, and what it has told is true.
#[test]
fn a_stopping_server_ends_streams_and_takes_no_more() {
    let mut setting = Setting::slow(50);
    let film = setting.submit_film();
    let client = setting.server.client().clone();
    client.until(&film, |job| job["state"] == "running");
    let events = client.events("/v1/events", None);
    let stopped = setting.server.stop();
    assert!(
        events.last().is_none_or(|event| event.name == "job"),
        "the stream has ended"
    );
    assert!(client.try_send("GET", "/healthz", &[], b"").is_err());
    assert!(stopped.took.as_secs() < 60);
}

#[test]
fn one_data_folder_is_of_one_server() {
    let setting = Setting::new();
    let data = setting.server.data();
    let second = Call::new()
        .args(["serve", "--listen", "127.0.0.1:0", "--json", "--data-dir"])
        .arg(data);
    let refused = second.args(["--engine", "bicubic"]).run();
    let failed = refused.event("failed");
    assert_eq!(
        (refused.code(), &failed["code"]),
        (Some(4), &json!("output_unwritable")),
        "{refused:#?}"
    );
    let told = failed.to_string();
    assert!(told.contains("process") || told.contains("use"), "{told}");
    setting.server.client().done(&setting.submit_photo());
}

#[test]
fn a_port_that_is_taken_is_named() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let call = Call::new().args(["serve", "--json", "--listen", &address, "--data-dir"]);
    let refused = call.arg(world.path("data")).args(["--engine", "bicubic"]).run();
    let failed = refused.event("failed");
    assert_eq!(
        (refused.code(), &failed["code"]),
        (Some(4), &json!("settings_invalid")),
        "{refused:#?}"
    );
    assert!(
        failed["message"].as_str().is_some_and(|said| said.contains(&address)),
        "{failed}"
    );
    assert_eq!(world.names(), Vec::<String>::new());
}

/// Nothing is written beside the data folder.
#[test]
fn files_go_only_into_the_data_folder() {
    let world = World::new();
    photo(&world.path("photo.png"));
    let home = world.inner("home");
    let elsewhere = world.inner("elsewhere");
    let mut running = Call::new()
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--json",
            "--engine",
            "bicubic",
            "--data-dir",
            "data",
        ])
        .env("HOME", &home)
        .env("TMPDIR", &elsewhere)
        .within(world.folder())
        .start();
    let listening = running.until(|event| event["event"] == "listening");
    let client = Client::new(listening["url"].as_str().expect("an address"));
    client.done(&client.submit_with(&world.path("photo.png"), &json!({})));
    drop(running);
    let names = world.names();
    let outside: Vec<&String> = names.iter().filter(|name| !name.starts_with("data/")).collect();
    assert_eq!(outside, ["elsewhere/", "home/", "photo.png"]);
    // And it is nobody else's business.
    let rights = std::fs::metadata(world.path("data/store"))
        .expect("the store")
        .permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&rights) & 0o077,
        0,
        "others may look into the store"
    );
}

/// Where others than this machine can reach it, a key is asked for; only on purpose is none.
#[test]
fn a_server_for_others_asks_for_keys() {
    let world = World::new();
    let mut server = Server::with(&world.path("data"), "--engine bicubic --require-keys");
    assert_eq!(server.client().get("/v1/jobs").refusal(401), "unauthorized");
    server.client().get("/healthz").expect(200);
    server.stop();
    for (args, status) in [("", 401), ("--no-auth", 200)] {
        let call = Call::new().args(["serve", "--listen", "0.0.0.0:0", "--json", "--engine", "bicubic"]);
        let call = call
            .args(args.split_whitespace())
            .arg("--data-dir")
            .arg(world.path("data"));
        let mut running = call.start();
        let listening = running.until(|event| event["event"] == "listening");
        let url = listening["url"]
            .as_str()
            .expect("an address")
            .replace("0.0.0.0", "127.0.0.1");
        let client = Client::new(&url);
        client.get("/v1/jobs").expect(status);
    }
}
