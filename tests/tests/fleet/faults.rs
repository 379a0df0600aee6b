//! Brokers that die, networks that fail: jobs go on when these are back, and nothing is lost of them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FRAMES, Fleet, Worker, batches_done, lossless};

/// Frames of a batch in these tests.
pub(super) const BATCH: u64 = 5;

impl Fleet {
    /// A server, two workers that take 100 ms for a frame, and a film of which they have done two batches.
    pub(super) fn at_work(&mut self) -> (clearfleet_tests::Server, [Worker; 2], String) {
        let server = self.server();
        let workers = [(); 2].map(|()| self.worker(&format!("--engine wait --wait 100 --batch-frames {BATCH}")));
        let film = self.half_done(&server);
        (server, workers, film)
    }

    /// A film of which some batches are done.
    pub(super) fn half_done(&self, server: &clearfleet_tests::Server) -> String {
        let film = server.client().submit_with(&self.world.path("film.mp4"), &lossless());
        server.client().until(&film, |job| batches_done(job) >= 2);
        film
    }
}

/// Frames that these have done, all together.
pub(super) fn frames<'a>(workers: impl IntoIterator<Item = &'a Worker>) -> f64 {
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

/// Connections break and are slow. Neither fails a job, or has what is finished done again.
#[test]
fn connections_are_cut_and_slow() {
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
}

/// The way to the broker hangs, with nobody told: all notice, and go on when it is open again.
#[test]
fn the_way_to_the_broker_hangs() {
    let Some(mut fleet) = Fleet::start() else { return };
    fleet.network();
    let (server, workers, film) = fleet.at_work();
    let network = fleet.between();
    network.broker.swallow();
    until_apart(&workers);
    network.broker.pass();
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
