//! What a fleet makes is what one machine makes.

use clearfleet_tests::{Call, Signal};
use serde_json::json;

use super::{Fleet, lossless};

#[test]
fn workers_share_a_film() {
    let Some(mut fleet) = Fleet::start() else { return };
    let server = fleet.server();
    let workers = [(); 2].map(|()| fleet.worker("--engine wait --wait 40 --batch-frames 5"));
    for worker in &workers {
        assert_eq!(worker.ask("/healthz"), (200, "ok\n".to_owned()));
        assert_eq!(worker.ask("/readyz"), (200, "ok\n".to_owned()));
    }
    let client = server.client();
    let film = client.submit_with(&fleet.world.path("film.mp4"), &lossless());
    let photo = client.submit_with(&fleet.world.path("photo.png"), &json!({}));
    client.done(&photo);
    let done = client.done(&film);
    assert_eq!(
        (&done["plan"]["batches"], &done["result"]["frames"]),
        (&json!(10), &json!(50))
    );
    fleet.assert_film(&server, &film);
    let frames = workers.each_ref().map(super::Worker::frames);
    assert!(frames.iter().all(|frames| *frames >= 5.0), "one did it all: {frames:?}");
    assert_eq!(frames.iter().sum::<f64>(), 50.0, "{frames:?}");
    let read: f64 = workers
        .iter()
        .map(|worker| worker.metric("clearfleet_worker_source_read_bytes_total"))
        .sum();
    assert!(read > 0.0);
}

/// Workers of two pools live side by side: jobs go to the pool that they ask for.
#[test]
fn pools_do_their_own_jobs() {
    let Some(mut fleet) = Fleet::start() else { return };
    let data = fleet.world.path("server");
    let args = format!("{} --class slow=1000,fast=1e6", fleet.options());
    let server = clearfleet_tests::Server::with(&data, &args);
    fleet.servers += 1;
    let slow = fleet.worker("--engine bicubic --class slow");
    let fast = fleet.worker("--engine bicubic --class fast --lanes interactive --no-media");
    let client = server.client();
    let photo = fleet.world.path("photo.png");
    let tasks = |worker: &super::Worker| worker.metric("clearfleet_worker_tasks_total");
    client.done(&client.submit(&photo, &json!({ "class": "fast" })));
    assert_eq!((tasks(&slow), tasks(&fast)), (0.0, 1.0));
    client.done(&client.submit(&photo, &json!({})));
    assert_eq!((tasks(&slow), tasks(&fast)), (1.0, 1.0));
    let refused = client.json("POST", "/v1/jobs", &json!({ "class": "gpu", "source": "s3://a/b" }));
    assert_eq!(refused.refusal(422), "settings_invalid");
}

/// One that only plans and puts together leaves every frame to the others, and counts for no lane.
#[test]
fn one_worker_plans_and_another_upscales() {
    let Some(mut fleet) = Fleet::start() else { return };
    let server = fleet.server();
    let plans = fleet.worker("--engine bicubic --media-only");
    let upscales = fleet.worker("--engine bicubic --no-media --batch-frames 10");
    let client = server.client();
    let film = client.submit_with(&fleet.world.path("film.mp4"), &lossless());
    client.done(&film);
    fleet.assert_film(&server, &film);
    let told = |name: &str| [plans.metric(name), upscales.metric(name)];
    assert_eq!(told("clearfleet_worker_frames_total"), [0.0, 50.0]);
    assert_eq!(told("clearfleet_worker_tasks_total{step=\"plan\"}"), [1.0, 0.0]);
    assert_eq!(told("clearfleet_worker_tasks_total{step=\"assemble\"}"), [1.0, 0.0]);
    assert_eq!(told("clearfleet_broker_connected"), [1.0, 1.0]);
    assert_eq!(client.metric("clearfleet_workers{class=\"default\"}"), Some(1.0));
    assert_eq!(client.metric("clearfleet_broker_connected"), Some(1.0));
}

/// SIGTERM ends a worker when it has given back what it cannot finish, and others go on with it.
#[test]
fn a_worker_that_is_asked_to_stop_gives_its_work_back() {
    let Some(mut fleet) = Fleet::start() else { return };
    let server = fleet.server();
    let worker = fleet.worker("--engine wait --wait 400 --batch-frames 10 --grace 1");
    let client = server.client();
    let film = client.submit_with(&fleet.world.path("film.mp4"), &lossless());
    client.until(&film, |job| job["progress"]["done"].as_u64() >= Some(1));
    worker.running.signal(Signal::TERM);
    let ended = worker.running.end();
    assert_eq!(ended.code(), Some(0), "{ended:#?}");
    fleet.worker_done(&server, &film);
}

impl Fleet {
    /// Another worker does the rest of a film.
    fn worker_done(&self, server: &clearfleet_tests::Server, film: &str) {
        let _worker = self.worker("--engine wait --wait 1 --batch-frames 10");
        server.client().done(film);
        self.assert_film(server, film);
    }
}

#[test]
fn what_a_worker_lacks_is_named() {
    for (args, named) in [
        ("", "--s3-endpoint"),
        (
            "--s3-endpoint http://127.0.0.1:1 --s3-access-key a --s3-secret-key b",
            "127.0.0.1:1",
        ),
        ("--devices 3", "--devices"),
    ] {
        let call = Call::worker().args(["run", "--monitor", "127.0.0.1:0"]);
        let ended = call.args(args.split_whitespace()).run();
        assert_eq!(ended.code(), Some(1), "{ended:#?}");
        assert!(ended.stderr.contains(named), "{args}: {}", ended.stderr);
    }
}

/// A worker that upscales reads the part of a long film that its batches need, wherever the film's index lies.
#[test]
fn workers_read_what_they_need_of_a_long_film() {
    let Some(mut fleet) = Fleet::start() else { return };
    let server = fleet.server();
    let _plans = fleet.worker("--engine bicubic --media-only");
    let upscales = fleet.worker("--engine bicubic --no-media --batch-frames 10");
    let path = fleet.world.path("long.mp4");
    // Noise, which is large: the index of this file is at its end.
    let encoding = [
        "-vf",
        "noise=alls=100:allf=t",
        "-preset",
        "ultrafast",
        "-qp",
        "12",
        "-g",
        "25",
    ];
    clearfleet_tests::film_of(&path, "320x180", 1500, &encoding);
    let size = std::fs::metadata(&path).expect("a film").len();
    assert!(size > 60 << 20, "{size} bytes");
    let request =
        json!({ "settings": { "format": "mkv", "codec": "ffv1", "target": "320x180" }, "range": [40.0, 42.0] });
    let job = server.client().submit(&path, &request);
    let done = server.client().done(&job);
    assert_eq!(done["result"]["frames"], 50);
    let read = upscales.metric("clearfleet_worker_source_read_bytes_total");
    println!("{read} of {size} bytes were read");
    assert!(
        read > 0.0 && read < size as f64 / 3.0,
        "{read} of {size} bytes were read"
    );
}
