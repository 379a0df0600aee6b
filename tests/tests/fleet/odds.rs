//! Odd circumstances: messages in disorder, clocks that are wrong, disks that are full, everything started anew.

use std::path::{Path, PathBuf};

use clearfleet_common::job::{ClassName, Lane};
use clearfleet_common::queue::{Delivery, Queue, QueueName};
use clearfleet_tests::{Call, Server, Signal, is_root};
use serde_json::json;

use super::{FRAMES, Fleet, Worker, batches_done, lossless};

impl Fleet {
    /// Takes what waits in a queue and puts it back twice, the last first; how many messages that were.
    fn disorder(&self, name: QueueName) -> usize {
        self.runtime.block_on(async {
            let queue = self.vhost.queue();
            let (mut consumers, mut taken): (Vec<_>, Vec<Delivery>) = (Vec::new(), Vec::new());
            // Each consumer holds one.
            loop {
                let mut consumer = queue.consume(name).await.expect("a consumer");
                let next = tokio::time::timeout(std::time::Duration::from_secs(1), consumer.next());
                let Ok(delivery) = next.await else { break };
                taken.push(delivery.expect("a delivery"));
                consumers.push(consumer);
            }
            let count = taken.len();
            // Not one beside its like: a worker that has both in hand does them together.
            for _ in 0..2 {
                for delivery in taken.iter().rev() {
                    queue.publish(name, delivery.body.clone()).await.expect("a broker");
                }
            }
            for delivery in taken {
                delivery.acknowledge().await.expect("a broker");
            }
            count
        })
    }
}

/// Tasks come twice and the last first, and so do reports: every batch is done once all the same.
#[test]
fn messages_come_twice_and_in_another_order() {
    let Some(mut fleet) = Fleet::start() else { return };
    let mut server = fleet.server();
    let plans = fleet.worker("--engine wait --wait 10 --media-only --batch-frames 5");
    let film = server.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    server.client().until(&film, |job| job["state"] == "running");
    let work = QueueName::Work(Lane::Bulk, ClassName::default());
    let tasks = fleet.until(|| Some(fleet.disorder(work)).filter(|tasks| *tasks > 1));
    server.kill();
    // With two, each may take one of two alike at the same moment.
    let worker = fleet.worker("--engine wait --wait 10");
    worker.until("clearfleet_worker_tasks_total{outcome=\"done\"}", |done| {
        done >= 2.0 * tasks as f64
    });
    // Control is read by one at a time.
    assert!(fleet.disorder(QueueName::Control) >= 1);
    server.start_again();
    server.client().done(&film);
    fleet.assert_film(&server, &film);
    drop(plans);
    let frames = worker.frames();
    assert_eq!(frames, FRAMES as f64, "a batch was done twice");
}

/// A program with the clock of a machine that is some minutes ahead (`+7m`) or behind (`-7m`).
fn with_a_clock(call: Call, offset: &str) -> Option<Call> {
    let libraries =
        ["x86_64", "aarch64"].map(|machine| format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketimeMT.so.1"));
    let Some(library) = libraries.iter().find(|library| Path::new(library).exists()) else {
        println!("skipped: no libfaketime");
        return None;
    };
    let call = call.env("LD_PRELOAD", library).env("FAKETIME", offset);
    Some(call.env("DONT_FAKE_MONOTONIC", "1"))
}

/// Clocks are minutes apart: a film is done by two workers all the same, and none is taken for dead.
#[test]
fn clocks_are_minutes_apart() {
    let Some(mut fleet) = Fleet::start() else { return };
    let server = fleet.server();
    let args = "--engine wait --wait 50 --batch-frames 5";
    let mut workers = Vec::new();
    for offset in ["+7m", "-7m"] {
        let call = Call::worker().args(["run", "--scratch"]).arg(fleet.world.folder());
        let Some(call) = with_a_clock(call, offset) else { return };
        workers.push(fleet.worker_of(call, args));
    }
    let film = server.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    server.client().done(&film);
    fleet.assert_film(&server, &film);
    let frames = workers.iter().map(Worker::frames);
    let frames: Vec<f64> = frames.collect();
    assert_eq!(frames.iter().sum::<f64>(), FRAMES as f64, "{frames:?}");
    assert!(frames.iter().all(|frames| *frames > 0.0), "{frames:?}");
}

/// A file system of so many kilobytes, mounted as long as this lives.
pub(super) struct Small(pub(super) PathBuf);

impl Small {
    pub(super) fn mount(folder: PathBuf, kilobytes: u32) -> Option<Self> {
        std::fs::create_dir(&folder).expect("a folder of the test's own");
        let size = format!("size={kilobytes}k");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .status();
        if is_root() && mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: only who may mount a file system can have a small one");
        None
    }

    /// Fills it to the last byte with one file.
    pub(super) fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).expect("room for a name");
        let piece = [1; 4096];
        while std::io::Write::write_all(&mut file, &piece).is_ok() {}
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.0.display()
        );
    }
}

/// A disk without space pauses the job, which says so, and goes on where there is space.
#[test]
fn a_full_disk_pauses_the_job() {
    let Some(mut fleet) = Fleet::start() else { return };
    let Some(small) = Small::mount(fleet.world.path("small"), 32) else {
        return;
    };
    let server = fleet.server();
    let full = fleet.worker_of(
        Call::worker().args(["run", "--scratch"]).arg(&small.0),
        "--engine bicubic",
    );
    let film = server.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    let paused = server.client().until(&film, |job| job["state"] == "paused");
    assert!(paused["notes"].to_string().contains("no space"), "{paused:#}");
    drop(full);
    let _worker = fleet.worker("--engine bicubic");
    server.client().command(&film, "resume");
    server.client().done(&film);
    fleet.assert_film(&server, &film);
}

/// Every process is replaced by another, one after the other and with work in hand. Nobody who uses it sees anything of
/// that but another address.
#[test]
fn everything_is_started_anew_under_load() {
    let Some(mut fleet) = Fleet::start() else { return };
    let args = "--engine wait --wait 60 --batch-frames 5 --grace 5";
    let mut servers = [(); 2].map(|()| fleet.server());
    let mut workers = [(); 2].map(|()| fleet.worker(args));
    let submit = |server: &Server| server.client().submit_with(&fleet.world.path("film.mp4"), &lossless());
    let mut films = vec![submit(&servers[0])];
    servers[0].client().until(&films[0], |job| batches_done(job) >= 2);
    for turn in 0..2 {
        let old = std::mem::replace(&mut workers[turn], fleet.worker(args));
        let Worker { running, .. } = old;
        running.signal(Signal::TERM);
        assert_eq!(running.end().code(), Some(0));
        servers[turn].restart();
        films.push(submit(&servers[turn]));
    }
    let photo = servers[1]
        .client()
        .submit_with(&fleet.world.path("photo.png"), &json!({}));
    servers[0].client().done(&photo);
    for film in &films {
        servers[1].client().done(film);
        fleet.assert_film(&servers[1], film);
    }
}
