//! Workers and servers that die, and what is lost of it: nothing.

use clearfleet_tests::Signal;

use super::{Fleet, batches_done, lossless};

/// A worker and the server that schedules are killed in the middle of a film. Others go on, and what was finished is not
/// done again.
#[test]
fn nothing_is_lost_with_a_worker_and_a_scheduler() {
    let Some(mut fleet) = Fleet::start() else { return };
    let args = "--engine wait --wait 150 --batch-frames 5";
    let mut first = fleet.server();
    let (one, other) = (fleet.worker(args), fleet.worker(args));
    let film = first.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    first.client().until(&film, |job| batches_done(job) >= 2);
    // From now on there is another that can take over.
    let second = fleet.server();
    drop(one);
    first.kill();
    let third = fleet.worker(args);
    second.client().done(&film);
    fleet.assert_film(&second, &film);
    let frames = [&other, &third].map(super::Worker::frames);
    // What the dead one had finished and nobody does again: a batch at least, for it had half of two.
    assert!(frames.iter().sum::<f64>() <= 50.0, "{frames:?}");
}

/// Any server takes any request, whoever schedules.
#[test]
fn servers_tell_the_same() {
    let Some(mut fleet) = Fleet::start() else { return };
    let (one, other) = (fleet.server(), fleet.server());
    // Shorter than the second in which workers tell how far they are.
    let _worker = fleet.worker("--engine wait --wait 100 --batch-frames 5");
    let film = one.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    // At once: who does not know an id reads the record before it says that there is none.
    assert_eq!(other.client().job(&film)["name"], "film.mp4");
    other.client().until(&film, |job| batches_done(job) >= 2);
    other.client().command(&film, "pause");
    one.client().until(&film, |job| job["state"] == "paused");
    one.client().command(&film, "resume");
    other.client().done(&film);
    let result =
        |server: &clearfleet_tests::Server| server.client().get(&format!("/v1/jobs/{film}/result")).expect(200);
    assert!(result(&one).body == result(&other).body);
    let listed = |server: &clearfleet_tests::Server| server.client().get("/v1/jobs").expect(200).json();
    assert_eq!(listed(&one)["jobs"][0]["id"], listed(&other)["jobs"][0]["id"]);
    let gone = format!("/v1/jobs/{film}");
    one.client().send("DELETE", &gone, &[], b"").expect(204);
    let since = std::time::Instant::now();
    while other.client().get(&gone).status != 404 {
        assert!(since.elapsed() < clearfleet_tests::DEADLINE, "the other still shows it");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// All workers are killed at the same moment. Who comes next goes on where they were.
#[test]
fn nothing_finished_is_lost_with_all_workers() {
    let Some(mut fleet) = Fleet::start() else { return };
    let args = "--engine wait --wait 100 --batch-frames 5";
    let server = fleet.server();
    let workers = [(); 3].map(|()| fleet.worker(args));
    let film = server.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    let half = server.client().until(&film, |job| batches_done(job) >= 3);
    for worker in &workers {
        worker.running.signal(Signal::KILL);
    }
    drop(workers);
    let next = fleet.worker(args);
    server.client().done(&film);
    fleet.assert_film(&server, &film);
    let left = (super::FRAMES - 5 * batches_done(&half)) as f64;
    let frames = next.frames();
    assert!(frames <= left, "{frames} frames where {left} were left");
}

/// A batch that kills whoever takes it fails its job, which says so, and holds up nobody else.
#[test]
fn a_batch_that_kills_every_worker_fails_its_job() {
    let Some(mut fleet) = Fleet::start() else { return };
    let server = fleet.server();
    // A minute and more for the one batch: nobody ends it.
    let deadly = "--engine wait --wait 2000 --batch-frames 50";
    let film = server.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    let mut killed = 0;
    loop {
        let worker = fleet.worker(deadly);
        let failed = fleet.until(|| {
            let ended = !server.client().job(&film)["ended"].is_null();
            let busy = worker.frames() > 0.0;
            (ended || busy).then_some(ended)
        });
        if failed {
            break;
        }
        killed += 1;
    }
    // As often as it is delivered, and as often again with nothing else in hand of who takes it.
    assert_eq!(killed, 2 * clearfleet_common::queue::DELIVERY_LIMIT);
    let job = server.client().job(&film);
    assert_eq!(job["state"], "failed", "{job:#}");
    let worker = fleet.worker("--engine bicubic");
    let photo = server
        .client()
        .submit_with(&fleet.world.path("photo.png"), &serde_json::json!({}));
    server.client().done(&photo);
    drop(worker);
}

/// A server dies in the middle of an upload. Nothing of it is a job, and another takes it from the start.
#[test]
fn an_upload_is_made_again_elsewhere() {
    let Some(mut fleet) = Fleet::start() else { return };
    let (mut first, second) = (fleet.server(), fleet.server());
    let _worker = fleet.worker("--engine bicubic");
    let mut upload = clearfleet_tests::Raw::connect(first.client().host());
    let head = "POST /v1/jobs HTTP/1.1\r\nhost: a\r\nx-clearfleet-name: film.mp4\r\n\
                content-type: application/octet-stream\r\ncontent-length: 90000000\r\n\r\n";
    assert!(upload.send(head));
    assert!(upload.send(std::fs::read(fleet.world.path("film.mp4")).expect("a film")));
    // More than a server keeps in memory before it stores some of it.
    for _ in 0..24 {
        assert!(upload.send(vec![7; 1 << 20]));
    }
    first.kill();
    let listed = second.client().get("/v1/jobs").expect(200).json();
    assert_eq!(listed["jobs"], serde_json::json!([]));
    let film = second.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    second.client().done(&film);
    fleet.assert_film(&second, &film);
}

/// The server that schedules hangs, connected and silent. Another takes over within half a minute; and when the first comes
/// to again, it harms nothing.
#[test]
fn a_scheduler_that_hangs_is_replaced() {
    let Some(mut fleet) = Fleet::start() else { return };
    let first = fleet.server();
    let _worker = fleet.worker("--engine wait --wait 500 --batch-frames 2");
    let film = first.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    first.client().until(&film, |job| batches_done(job) >= 2);
    let second = fleet.server();
    first.running().signal(Signal::STOP);
    let since = std::time::Instant::now();
    let photo = second
        .client()
        .submit_with(&fleet.world.path("photo.png"), &serde_json::json!({}));
    second.client().done(&photo);
    let took = since.elapsed();
    assert!(took < std::time::Duration::from_secs(30), "the photo took {took:?}");
    first.running().signal(Signal::CONT);
    second.client().done(&film);
    fleet.assert_film(&second, &film);
    first.client().done(&film);
}
