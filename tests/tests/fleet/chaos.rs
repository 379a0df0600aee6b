//! `make chaos`: a fleet under load, struck by one fault after another, in an order that a seed decides.

use std::time::{Duration, Instant};

use clearfleet_tests::{Server, Signal, id_of};
use serde_json::Value;

use super::{FRAMES, Fleet, Worker};

/// Frames of a batch.
const BATCH: u64 = 5;
const WORKERS: usize = 3;
/// Jobs that are in work or wait at any time.
const LOAD: usize = 4;
/// From one fault to the next, in milliseconds.
const PAUSES: std::ops::Range<u64> = 500..4000;

/// What can happen to a fleet.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillWorker,
    KillAllWorkers,
    StopWorker,
    KillServer,
    StopServer,
    KillBroker,
    WipeBroker,
    KillStore,
    Cut,
    Delay,
    Hang,
}

impl Fault {
    /// Each as often as it is here.
    const ALL: [Self; 14] = [
        Self::KillWorker,
        Self::KillWorker,
        Self::KillAllWorkers,
        Self::StopWorker,
        Self::KillServer,
        Self::KillServer,
        Self::StopServer,
        Self::KillBroker,
        Self::WipeBroker,
        Self::KillStore,
        Self::Cut,
        Self::Cut,
        Self::Delay,
        Self::Hang,
    ];
}

/// A fleet that goes on while it is struck.
struct Struck {
    fleet: Fleet,
    servers: Vec<Server>,
    workers: Vec<Worker>,
    random: fastrand::Rng,
    /// Jobs that were taken and not seen to end.
    open: Vec<String>,
    ended: Vec<String>,
    submitted: u64,
    /// Batches that a fault may have cut off.
    cut_off: u64,
    /// Frames that were counted at workers which are gone.
    frames: f64,
}

impl Struck {
    fn new(fleet: Fleet, seed: u64) -> Self {
        let mut struck = Self {
            fleet,
            servers: Vec::new(),
            workers: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
            open: Vec::new(),
            ended: Vec::new(),
            submitted: 0,
            cut_off: 0,
            frames: 0.0,
        };
        struck.fleet.network();
        struck.servers = vec![struck.fleet.server(), struck.fleet.server()];
        struck.workers = (0..WORKERS).map(|_| struck.worker()).collect();
        struck
    }

    fn worker(&self) -> Worker {
        let args = format!("--engine wait --wait 30 --batch-frames {BATCH} --grace 2");
        self.fleet.worker(&args)
    }

    /// Asks for one more film, of whichever server answers, until it is taken.
    fn submit(&mut self) {
        let film = std::fs::read(self.fleet.world.path("film.mp4")).expect("a film");
        let key = format!("film-{}", self.submitted);
        let headers = [
            ("content-type", "application/octet-stream"),
            ("idempotency-key", &key),
            ("x-clearfleet-name", "film.mp4"),
        ];
        self.submitted += 1;
        let id = self.fleet.until(|| {
            let server = &self.servers[self.submitted as usize % self.servers.len()];
            let answer = server
                .client()
                .try_send("POST", "/v1/jobs?format=mkv&codec=ffv1", &headers, &film)
                .ok()?;
            matches!(answer.status, 200 | 201).then(|| id_of(&answer.json()))
        });
        self.open.push(id);
    }

    /// Keeps up the load, and looks what has ended.
    fn look(&mut self) {
        let server = &self.servers[0];
        let has_ended = |job: &String| {
            let answer = server.client().try_send("GET", &format!("/v1/jobs/{job}"), &[], b"");
            // A server without its store or broker may not know.
            answer.is_ok_and(|answer| answer.status == 200 && !answer.json()["ended"].is_null())
        };
        let (ended, open) = std::mem::take(&mut self.open).into_iter().partition(has_ended);
        self.open = open;
        self.ended.extend::<Vec<_>>(ended);
        while self.open.len() < LOAD {
            self.submit();
        }
    }

    fn strike(&mut self, fault: Fault) {
        let (worker, server) = (
            self.random.usize(..self.workers.len()),
            self.random.usize(..self.servers.len()),
        );
        let hung = Duration::from_millis(self.random.u64(200..12_000));
        match fault {
            Fault::KillWorker => self.lose(worker, Signal::KILL),
            Fault::StopWorker => self.lose(worker, Signal::TERM),
            Fault::KillAllWorkers => (0..WORKERS).for_each(|worker| self.lose(worker, Signal::KILL)),
            Fault::KillServer => {
                self.servers[server].kill();
                self.servers[server].start_again();
            }
            Fault::StopServer => self.servers[server].restart(),
            Fault::KillBroker | Fault::WipeBroker => {
                // What is in hand meanwhile counts.
                self.fleet.kill_broker();
                self.fleet.revive_broker(matches!(fault, Fault::WipeBroker));
            }
            Fault::KillStore => {
                self.cut_off += 2 * WORKERS as u64;
                self.fleet.store.kill();
                std::thread::sleep(hung / 4);
                self.fleet.store.revive();
            }
            Fault::Cut | Fault::Delay | Fault::Hang => {
                self.cut_off += 2 * WORKERS as u64;
                let network = self.fleet.between();
                match fault {
                    Fault::Cut => network.cut(),
                    Fault::Delay => network.delay(Duration::from_millis(40)),
                    _ => network.swallow(),
                }
                if !matches!(fault, Fault::Cut) {
                    std::thread::sleep(hung);
                }
                network.pass();
            }
        }
    }

    /// Ends a worker, with another in its place.
    fn lose(&mut self, at: usize, signal: Signal) {
        self.cut_off += 2;
        self.frames += self.workers[at].frames();
        self.workers[at].running.signal(signal);
        let next = self.worker();
        let Worker { running, .. } = std::mem::replace(&mut self.workers[at], next);
        let ended = running.end_within(clearfleet_tests::DEADLINE);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }

    /// Every job ends as it would have without a fault, and what was finished was not done again.
    fn assert_unharmed(mut self) {
        let jobs: Vec<String> = self.ended.drain(..).chain(self.open.drain(..)).collect();
        for job in &jobs {
            let job: Value = self.servers[0].client().done(job);
            assert_eq!(job["result"]["frames"], FRAMES, "{job:#}");
        }
        for job in &jobs {
            self.fleet.assert_film(&self.servers[0], job);
        }
        let running = self.workers.iter().map(Worker::frames);
        let frames = self.frames + running.sum::<f64>();
        let most = (jobs.len() as u64 * FRAMES + self.cut_off * BATCH) as f64;
        println!(
            "{} films of {FRAMES} frames; {frames} frames were done, {most} at most",
            jobs.len()
        );
        assert!(frames <= most, "{frames} frames, {most} at most");
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// `CLEARFLEET_CHAOS_SEED` decides which faults, `CLEARFLEET_CHAOS_SECONDS` for how long.
#[test]
#[ignore = "it takes minutes: make chaos"]
fn chaos() {
    let seed = number("CLEARFLEET_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    let seconds = number("CLEARFLEET_CHAOS_SECONDS").unwrap_or(240);
    println!("SEED={seed} SECONDS={seconds}");
    let Some(fleet) = Fleet::with_a_broker_of_its_own() else {
        return;
    };
    let mut struck = Struck::new(fleet, seed);
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(seconds) {
        struck.look();
        std::thread::sleep(Duration::from_millis(struck.random.u64(PAUSES)));
        let fault = struck.random.choice(Fault::ALL).expect("there are some");
        println!(
            "{:>5.1} s {fault:?}; {} films ended",
            since.elapsed().as_secs_f64(),
            struck.ended.len()
        );
        struck.strike(fault);
    }
    struck.assert_unharmed();
}
