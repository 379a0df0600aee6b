//! Runs that are stopped or killed midway, and go on from there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clearfleet_tests::{Call, DEADLINE, Ended, Frames, Running, Signal, World, decoded, film, film_of, photo};

const FRAMES: u64 = 60;
const BATCHES: usize = 12;

/// What Ctrl-C may take.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A film, its result, and what the result would be without any disturbance.
struct Setting {
    world: World,
    film: PathBuf,
    result: PathBuf,
    undisturbed: Frames,
}

impl Setting {
    fn new() -> Self {
        let world = World::new();
        let film_path = world.path("film.mp4");
        film(&film_path, FRAMES, &[]);
        let undisturbed = world.path("undisturbed.mkv");
        let call = Call::new().args(["upscale", "--engine", "wait", "--wait", "0", "--codec", "ffv1"]);
        call.arg(&film_path).arg(&undisturbed).succeed();
        Self {
            film: film_path,
            result: world.path("result.mkv"),
            undisturbed: decoded(&undisturbed, 0),
            world,
        }
    }

    /// A call that takes 3 s, 0.25 s a batch.
    fn call(&self) -> Call {
        let call = Call::new().args(["upscale", "--engine", "wait", "--wait", "50", "--batch-frames", "5"]);
        let call = call.args(["--codec", "ffv1", "--json"]);
        call.arg(&self.film).arg(&self.result)
    }

    /// No result, and the state beside it.
    fn assert_unfinished(&self) {
        assert!(!self.result.exists());
        let names = self.world.names();
        assert!(names.contains(&"result.mkv.clearfleet/".to_owned()), "{names:#?}");
    }

    /// The result is the undisturbed one, and nothing else is left.
    fn assert_finished(&self, ended: &Ended) {
        assert_eq!(ended.code(), Some(0), "{ended:#?}");
        assert_eq!(ended.event("finished")["frames"], FRAMES);
        let found = decoded(&self.result, 0);
        assert_eq!(found.pts, self.undisturbed.pts);
        assert_eq!(found.sums, self.undisturbed.sums);
        assert_eq!(self.world.names(), ["film.mp4", "result.mkv", "undisturbed.mkv"]);
    }

    fn assert_state_exists(&self, call: Call, says: &str) {
        let refused = call.run();
        assert_eq!(refused.code(), Some(4), "{refused:#?}");
        let failed = refused.event("failed");
        assert_eq!(failed["code"], "state_exists");
        let message = failed["message"].as_str().expect("a message");
        assert!(message.contains(says), "{message}");
    }
}

/// Batches that a run has made, by its own account.
fn made(ended: &Ended) -> BTreeSet<u64> {
    let done = ended.named("batch_done");
    let batches: BTreeSet<u64> = done.iter().filter_map(|event| event["batch"].as_u64()).collect();
    assert_eq!(batches.len(), done.len(), "no batch is made twice");
    assert!(done.iter().all(|event| event["frames"] == 5), "{done:?}");
    batches
}

/// The runs together made every batch once. One that was finished at the moment of a kill may not have been told.
fn assert_made_once(runs: &[BTreeSet<u64>]) {
    let told: usize = runs.iter().map(BTreeSet::len).sum();
    let all: BTreeSet<u64> = runs.iter().flatten().copied().collect();
    assert_eq!(all.len(), told, "no batch is made again: {runs:?}");
    let untold = BATCHES - told;
    assert!(untold < runs.len(), "{untold} batches were made by nobody: {runs:?}");
}

/// Kills a run; the ffmpegs that it had at work go with it.
fn kill(running: Running) -> Ended {
    let children = running.children();
    running.signal(Signal::KILL);
    let ended = running.end();
    assert_eq!(ended.signal(), Some(Signal::KILL.as_raw()));
    for child in children {
        assert!(
            child.goes_within(Duration::from_secs(10)),
            "{:?} lives on",
            child.arguments
        );
    }
    ended
}

#[test]
fn ctrl_c_keeps_what_is_finished() {
    let setting = Setting::new();
    let mut running = setting.call().start();
    running.until_event("batch_done", 2);
    let since = Instant::now();
    running.signal(Signal::INT);
    let stopped = running.end();
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    assert_eq!(stopped.code(), Some(130), "{stopped:#?}");
    setting.assert_unfinished();
    let first = made(&stopped);
    assert!((2..6).contains(&first.len()), "{first:?}");

    let resumed = setting.call().arg("--resume").run();
    assert_made_once(&[first, made(&resumed)]);
    setting.assert_finished(&resumed);
}

#[test]
fn sigterm_is_ctrl_c() {
    let setting = Setting::new();
    let mut running = setting.call().start();
    running.until_event("batch_done", 1);
    running.signal(Signal::TERM);
    let stopped = running.end();
    assert_eq!(stopped.code(), Some(130), "{stopped:#?}");
    setting.assert_unfinished();
    setting.assert_finished(&setting.call().arg("--resume").run());
}

#[test]
fn a_killed_run_goes_on_from_wherever_it_was() {
    let setting = Setting::new();
    let mut runs = Vec::new();
    let moments = [
        ("started", 1),
        ("progress", 1),
        ("batch_done", 1),
        ("batch_done", 4),
        ("assembling", 1),
    ];
    for (event, count) in moments {
        let mut running = setting.call().arg("--resume").start();
        running.until_event(event, count);
        let killed = kill(running);
        setting.assert_unfinished();
        let batches = made(&killed);
        let at_least = if event == "batch_done" { count } else { 0 };
        assert!(batches.len() >= at_least, "{killed:#?}");
        runs.push(batches);
    }
    let resumed = setting.call().arg("--resume").run();
    runs.push(made(&resumed));
    assert_made_once(&runs);
    setting.assert_finished(&resumed);
}

/// A film of which more is decoded than the pipes hold, so that its decoder is still there after a frame is done.
fn long_at_work(world: &World) -> Running {
    let film = world.path("film.mp4");
    film_of(&film, "640x480", 40, &["-preset", "ultrafast"]);
    let call = Call::new().args(["upscale", "--engine", "wait", "--wait", "60", "--scale", "1", "--json"]);
    let call = call.args(["--batch-frames", "60", "--preset", "ultrafast"]);
    let mut running = call.arg(&film).arg(world.path("out.mp4")).start();
    running.until_event("progress", 1);
    running
}

/// Decoder and encoder are there while the engine works, and are gone after a kill.
#[test]
fn no_ffmpeg_outlives_a_killed_run() {
    let world = World::new();
    let running = long_at_work(&world);
    let at_work = running.children().iter().filter(|child| child.is("ffmpeg")).count();
    assert_eq!(at_work, 2, "a decoder and an encoder");
    kill(running);
}

/// Every frame is there, once, though the decoder was killed midway.
#[test]
fn a_killed_decoder_is_replaced() {
    let world = World::new();
    let running = long_at_work(&world);
    running.child("rawvideo").signal(Signal::KILL);
    let ended = running.end();
    assert_eq!(ended.code(), Some(0), "{ended:#?}");
    let (source, result) = (decoded(&world.path("film.mp4"), 0), decoded(&world.path("out.mp4"), 0));
    assert_eq!(source.pts.len(), 40);
    assert!((0..40).all(|n| (source.seconds(n) - result.seconds(n)).abs() <= source.tick));
    let verified = Call::new()
        .arg("verify")
        .arg(world.path("film.mp4"))
        .arg(world.path("out.mp4"))
        .run();
    assert_eq!(verified.code(), Some(0), "{verified:#?}");
}

#[test]
fn what_an_interrupted_run_left_is_kept_until_somebody_decides() {
    let setting = Setting::new();
    let mut running = setting.call().start();
    running.until_event("batch_done", 2);
    kill(running);
    setting.assert_state_exists(setting.call(), "--resume goes on, --overwrite begins anew");
    let others = setting.call().args(["--resume", "--scale", "3"]);
    setting.assert_state_exists(others, "other settings");
    setting.assert_unfinished();
    let anew = setting.call().arg("--overwrite").run();
    assert_eq!(made(&anew).len(), BATCHES, "from the beginning");
    setting.assert_finished(&anew);
}

#[test]
fn a_changed_source_is_not_gone_on_with() {
    let setting = Setting::new();
    let mut running = setting.call().start();
    running.until_event("batch_done", 1);
    kill(running);
    film(&setting.film, FRAMES, &["-crf", "40"]);
    setting.assert_state_exists(setting.call().arg("--resume"), "another source");
}

#[test]
fn a_state_in_use_is_left_alone() {
    let setting = Setting::new();
    let mut running = setting.call().start();
    running.until_event("batch_done", 1);
    for args in [None, Some("--resume"), Some("--overwrite")] {
        setting.assert_state_exists(setting.call().args(args), "in use");
    }
    let first = running.end();
    assert_eq!(made(&first).len(), BATCHES);
    setting.assert_finished(&first);
}

fn assert_stops_without_a_trace(world: &World, mut running: Running, event: &str, before: &[String]) {
    running.until_event(event, 1);
    let since = Instant::now();
    running.signal(Signal::INT);
    let stopped = running.end();
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    assert_eq!(stopped.code(), Some(130), "{stopped:#?}");
    assert!(stopped.took < DEADLINE);
    assert_eq!(world.names(), before);
}

#[test]
fn a_stopped_photo_leaves_nothing() {
    let world = World::new();
    photo(&world.path("photo.png"));
    let before = world.names();
    let call = Call::new().args(["upscale", "--engine", "wait", "--wait", "60000", "--json"]);
    let running = call.arg(world.path("photo.png")).arg(world.path("out.png")).start();
    assert_stops_without_a_trace(&world, running, "progress", &before);
}

/// A tile of the network takes longer than anybody waits.
#[test]
fn a_photo_stopped_within_the_network_leaves_nothing() {
    let world = World::new();
    film_of(&world.path("photo.png"), "400x300", 1, &["-update", "1"]);
    let before = world.names();
    let call = Call::new().args(["upscale", "--engine", "reference", "--json"]);
    let running = call.arg(world.path("photo.png")).arg(world.path("out.png")).start();
    assert_stops_without_a_trace(&world, running, "started", &before);
}
