//! A card that fails silently is found.

use std::time::{Duration, Instant};

use clearfleet_tests::{DEADLINE, Server, Signal};

use super::{Fleet, lossless};

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < DEADLINE, "not in {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One of three workers makes one sample of each frame wrong, and announces the same fingerprint.
#[test]
fn a_worker_that_makes_wrong_pixels_is_stopped_and_named() {
    const ARGS: &str = "--engine wait --wait 10 --batch-frames 5";
    let Some(mut fleet) = Fleet::start() else { return };
    let data = fleet.world.path("server");
    let server = Server::with(&data, &format!("{} --audit-share 1", fleet.options()));
    fleet.servers += 1;
    let sound = [(); 2].map(|()| fleet.worker(ARGS));
    let wrong = fleet.worker(&format!("{ARGS} --wrong-pixel"));
    let client = server.client();
    let told = |name: &str| client.metric(name).unwrap_or(0.0);
    until("three workers are heard", || {
        told("clearfleet_workers{class=\"default\"}") == 3.0
    });
    let film = fleet.world.path("film.mp4");
    client.done(&client.submit_with(&film, &lossless()));
    until("the worker is distrusted", || {
        told("clearfleet_workers_distrusted") == 1.0
    });
    until("it has stopped", || wrong.ask("/readyz").0 == 503);
    assert_eq!(wrong.ask("/healthz").0, 200);
    assert!(told("clearfleet_audits_total{class=\"default\",outcome=\"different\"}") >= 2.0);
    until("it counts no more", || {
        told("clearfleet_workers{class=\"default\"}") == 2.0
    });

    let frames = wrong.frames();
    let job = client.submit_with(&film, &lossless());
    client.done(&job);
    fleet.assert_film(&server, &job);
    assert_eq!(wrong.frames(), frames);
    assert_eq!(told("clearfleet_workers_distrusted"), 1.0);
    for worker in &sound {
        assert_eq!(worker.ask("/readyz").0, 200);
    }
    wrong.running.signal(Signal::TERM);
    let ended = wrong.running.end();
    assert_eq!(ended.code(), Some(0), "{ended:#?}");
    assert!(
        ended.stderr.contains("this worker makes wrong pictures"),
        "{}",
        ended.stderr
    );
    // One that is started in its place is another.
    until("nobody is distrusted", || told("clearfleet_workers_distrusted") == 0.0);
}
