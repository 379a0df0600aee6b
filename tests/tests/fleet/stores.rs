//! Stores that die, hang, are slow and are full: jobs go on when these are back, and nothing is lost of them.

use std::time::Duration;

use clearfleet_tests::Minio;

use super::faults::{BATCH, frames};
use super::odds::Small;
use super::{FRAMES, Fleet, Worker, batches_done, lossless};

/// Waits until each of them was in want of the store.
fn until_refused(workers: &[Worker]) {
    for worker in workers {
        worker.until(r#"clearfleet_storage_requests_total{outcome="failed"}"#, |failed| {
            failed > 0.0
        });
    }
}

/// The store crashes and comes back. Batches that end meanwhile wait for it, or are done again; what it has stays done.
#[test]
fn the_store_dies_and_comes_back() {
    let Some(mut fleet) = Fleet::start() else { return };
    let (server, workers, film) = fleet.at_work();
    let done = batches_done(&server.client().job(&film));
    fleet.store.kill();
    until_refused(&workers);
    fleet.store.revive();
    server.client().done(&film);
    fleet.assert_film(&server, &film);
    // Each of two workers holds two batches, and may lose both.
    let most = (FRAMES + 4 * BATCH) as f64;
    assert!(
        frames(&workers) <= most,
        "{} frames, {done} batches were done",
        frames(&workers)
    );
}

/// The way to the store hangs for longer than an attempt is given, with nobody told.
#[test]
fn the_way_to_the_store_hangs() {
    let Some(mut fleet) = Fleet::start() else { return };
    fleet.network();
    let (server, workers, film) = fleet.at_work();
    let network = fleet.between();
    network.store.swallow();
    until_refused(&workers);
    network.store.pass();
    server.client().done(&film);
    fleet.assert_film(&server, &film);
}

/// Every answer of the store takes half a second. It is waited for, and nothing is done twice for that.
#[test]
fn the_store_is_slow() {
    let Some(mut fleet) = Fleet::start() else { return };
    fleet.network();
    let server = fleet.server();
    let workers = [(); 2].map(|()| fleet.worker(&format!("--engine bicubic --batch-frames {BATCH}")));
    fleet.between().store.delay(Duration::from_millis(250));
    let film = server.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    server.client().done(&film);
    fleet.assert_film(&server, &film);
    assert_eq!(frames(&workers), FRAMES as f64, "a batch was done twice");
}

/// A store without space takes nothing, not even a word that it is so. When it has some, the job is paused, says why, and
/// goes on when it is told to, with what was finished before.
#[test]
fn the_store_is_full() {
    let Some(mut fleet) = Fleet::start() else { return };
    let Some(small) = Small::mount(fleet.world.path("store"), 64 << 10) else {
        return;
    };
    let Some(store) = Minio::start_in(&small.0) else {
        return;
    };
    fleet.store = store;
    let (server, workers, film) = fleet.at_work();
    let filler = small.fill();
    let has_failed = |worker: &Worker| worker.metric(r#"clearfleet_worker_tasks_total{outcome="failed"}"#) > 0.0;
    fleet.until(|| workers.iter().any(has_failed).then_some(()));
    std::fs::remove_file(filler).expect("the test's own file");
    let client = server.client();
    let paused = client.until(&film, |job| job["state"] == "paused");
    assert!(paused["notes"].to_string().contains("no space"), "{paused:#}");
    let (before, finished) = (frames(&workers), batches_done(&paused));
    client.command(&film, "resume");
    client.done(&film);
    fleet.assert_film(&server, &film);
    // Both workers may have been amid a batch.
    let most = (FRAMES + 2 * BATCH - finished * BATCH) as f64;
    let since = frames(&workers) - before;
    assert!(
        since <= most,
        "{since} frames after the pause, {finished} batches were done"
    );
    // It is unmounted after those who use it are gone.
    drop((server, workers, fleet));
}
