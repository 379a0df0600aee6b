//! Brokers and stores that die, networks that fail: jobs go on when these are back, and nothing is lost of them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FRAMES, Fleet, Worker, batches_done, lossless};

/// Frames of a batch in these tests.
const BATCH: u64 = 5;

impl Fleet {
    /// A server, two workers that take 100 ms for a frame, and a film of which they have done two batches.
    fn at_work(&mut self) -> (clearfleet_tests::Server, [Worker; 2], String) {
        let server = self.server();
        let workers = [(); 2].map(|()| self.worker(&format!("--engine wait --wait 100 --batch-frames {BATCH}")));
        let film = self.half_done(&server);
        (server, workers, film)
    }

    /// A film of which some batches are done.
    fn half_done(&self, server: &clearfleet_tests::Server) -> String {
        let film = server.client().submit_with(&self.world.path("film.mp4"), &lossless());
        server.client().until(&film, |job| batches_done(job) >= 2);
        film
    }
}

/// Frames that these have done, all together.
fn frames<'a>(workers: impl IntoIterator<Item = &'a Worker>) -> f64 {
    workers.into_iter().map(Worker::frames).sum()
}

/// Waits until all are without the broker.
fn until_apart<'a>(workers: impl IntoIterator<Item = &'a Worker>) {
    for worker in workers {
        worker.until("clearfleet_broker_connected", |connected| connected == 0.0);
    }
}

/// The broker crashes and comes back with its queues, then without them. What was in hand meanwhile counts.
#[test]
fn the_broker_dies_and_comes_back_and_comes_back_empty() {
    let Some(mut fleet) = Fleet::with_a_broker_of_its_own() else {
        return;
    };
    let (server, workers, first) = fleet.at_work();
    fleet.kill_broker();
    until_apart(&workers);
    // What needs no broker goes on.
    assert_eq!(server.client().job(&first)["name"], "film.mp4");
    fleet.revive_broker(false);
    server.client().done(&first);
    fleet.assert_film(&server, &first);
    assert_eq!(frames(&workers), FRAMES as f64, "a batch was done twice");

    let second = fleet.half_done(&server);
    fleet.kill_broker();
    fleet.revive_broker(true);
    server.client().done(&second);
    fleet.assert_film(&server, &second);
    assert_eq!(frames(&workers), 2.0 * FRAMES as f64, "a batch was done twice");
}

/// The store crashes and comes back. Batches that end meanwhile wait for it, or are done again; what it has stays done.
#[test]
fn the_store_dies_and_comes_back() {
    let Some(mut fleet) = Fleet::start() else { return };
    let (server, workers, film) = fleet.at_work();
    let done = batches_done(&server.client().job(&film));
    fleet.store.kill();
    // Nobody has a result to keep for a while, then both have.
    std::thread::sleep(Duration::from_millis(1500));
    fleet.store.revive();
    server.client().done(&film);
    fleet.assert_film(&server, &film);
    let most = (FRAMES + 2 * BATCH) as f64;
    assert!(
        frames(&workers) <= most,
        "{} frames, {done} batches were done",
        frames(&workers)
    );
}

/// Connections break, are slow, and hang with nobody told. None of it fails a job, or has what is finished done again.
#[test]
fn connections_are_cut_and_slow_and_hang() {
    let Some(mut fleet) = Fleet::start() else { return };
    fleet.network();
    let (server, workers, film) = fleet.at_work();
    let network = fleet.between();
    network.cut();
    let two_more = |so_far: u64| move |job: &Value| batches_done(job) >= (so_far + 2).min(FRAMES / BATCH);
    let now = || batches_done(&server.client().job(&film));
    server.client().until(&film, two_more(now()));
    network.delay(Duration::from_millis(50));
    server.client().until(&film, two_more(now()));
    network.pass();
    server.client().done(&film);
    fleet.assert_film(&server, &film);
    assert!(frames(&workers) <= (FRAMES + 2 * BATCH) as f64, "{}", frames(&workers));

    let film = fleet.half_done(&server);
    network.broker.swallow();
    until_apart(&workers);
    network.broker.pass();
    server.client().done(&film);
    fleet.assert_film(&server, &film);

    let film = fleet.half_done(&server);
    network.store.swallow();
    // Longer than an attempt is given.
    std::thread::sleep(Duration::from_secs(17));
    network.store.pass();
    server.client().done(&film);
    fleet.assert_film(&server, &film);
}

/// A photo that is asked for while there is no broker is made when there is one.
#[test]
fn a_job_of_a_time_without_a_broker_is_done() {
    let Some(mut fleet) = Fleet::start() else { return };
    fleet.network();
    let server = fleet.server();
    let worker = fleet.worker("--engine bicubic");
    let network = fleet.between();
    network.broker.swallow();
    until_apart([&worker]);
    let photo = server.client().submit_with(&fleet.world.path("photo.png"), &json!({}));
    network.broker.pass();
    server.client().done(&photo);
    server.client().assert_verified(&photo);
}
