//! Workers and servers that die, and what is lost of it: nothing.

use super::{Fleet, lossless};

/// A worker and the server that schedules are killed in the middle of a film. Others go on, and what was finished is not
/// done again.
#[test]
fn nothing_is_lost_with_a_worker_and_a_scheduler() {
    let Some(mut fleet) = Fleet::start() else { return };
    let args = "--engine wait --wait 150 --batch-frames 5";
    let mut first = fleet.server();
    let (one, other) = (fleet.worker(args), fleet.worker(args));
    let film = first.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    let done = |job: &serde_json::Value| job["progress"]["batches_done"].as_u64();
    first.client().until(&film, |job| done(job) >= Some(2));
    // From now on there is another that can take over.
    let second = fleet.server();
    drop(one);
    first.kill();
    let third = fleet.worker(args);
    second.client().done(&film);
    fleet.assert_film(&second, &film);
    let frames = [&other, &third].map(|worker| worker.metric("clearfleet_worker_frames_total"));
    // What the dead one had finished and nobody does again: a batch at least, for it had half of two.
    assert!(frames.iter().sum::<f64>() <= 50.0, "{frames:?}");
}

/// Any server takes any request, whoever schedules.
#[test]
fn servers_tell_the_same() {
    let Some(mut fleet) = Fleet::start() else { return };
    let (one, other) = (fleet.server(), fleet.server());
    // Batches of 5 s: a server that does not schedule knows of frames what workers tell once a second.
    let _worker = fleet.worker("--engine wait --wait 200 --batch-frames 25");
    let film = one.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    // At once: who does not know an id reads the record before it says that there is none.
    assert_eq!(other.client().job(&film)["name"], "film.mp4");
    other
        .client()
        .until(&film, |job| job["progress"]["done"].as_u64() >= Some(10));
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
