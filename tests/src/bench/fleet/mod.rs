//! A fleet: a server, workers, a RabbitMQ and a MinIO, all of them real and on this machine.
//!
//! Most figures are of workers without ffmpeg, many in one process (`worker/examples/fleet_workers.rs`): the whole way of a
//! batch but for its pixels.

mod orchestration;
mod processes;
mod sharing;
mod throughput;

#[path = "../../../../common/tests/queue/node.rs"]
#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "as in the queue's own tests, which use all of it"
)]
mod node;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clearfleet_tests::{Call, Client, Minio, Running, Server};
use node::{Node, Vhost};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::machine::Cores;
use super::{Bench, Benchmark, interrupt};

/// All there is of a fleet, in the order it is measured in.
pub(crate) const BENCHMARKS: [Benchmark; 6] = [
    Benchmark {
        name: "throughput_64",
        measure: throughput::of_64_workers,
    },
    Benchmark {
        name: "throughput_256",
        measure: throughput::of_256_workers,
    },
    Benchmark {
        name: "orchestration",
        measure: orchestration::alone,
    },
    Benchmark {
        name: "fairness",
        measure: sharing::fairness,
    },
    Benchmark {
        name: "photos",
        measure: sharing::photos,
    },
    Benchmark {
        name: "processes",
        measure: processes::scaling,
    },
];

/// Edge in pixels of the films whose frames nobody looks at.
const EDGE: u32 = 32;
/// How often is asked what cannot be waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long anything may take, on a machine that others use too.
const SOON: Duration = Duration::from_secs(600);

/// The broker and the store of a run.
pub(crate) struct Ground {
    node: Node,
    store: Minio,
    runtime: Runtime,
}

impl Ground {
    fn start() -> Result<Self> {
        Ok(Self {
            node: Node::alone().context("there is no RabbitMQ")?,
            store: Minio::start().context("there is no MinIO")?,
            runtime: Runtime::new()?,
        })
    }

    /// The one that a run's benchmarks share.
    fn of(bench: &Bench) -> Result<&Self> {
        if bench.ground.get().is_none() {
            eprintln!("bench: a RabbitMQ and a MinIO are started");
            // It is empty.
            let _ = bench.ground.set(Self::start()?);
        }
        bench.ground.get().context("a broker and a store")
    }
}

/// A server, with a vhost and a bucket of its own, and who works for it.
pub(super) struct Fleet<'a> {
    bench: &'a Bench,
    server: Server,
    options: String,
    folder: PathBuf,
    _vhost: Vhost,
}

impl<'a> Fleet<'a> {
    /// A fleet without workers.
    pub(super) fn start(bench: &'a Bench, name: &str, args: &str) -> Result<Self> {
        let ground = Ground::of(bench)?;
        let vhost = ground.runtime.block_on(Vhost::on(&ground.node.address));
        let options = format!(
            "{} --s3-bucket bench-{name} --amqp-url amqp://guest:guest@127.0.0.1:{}/{}",
            ground.store.options(),
            vhost.address.amqp,
            vhost.name
        );
        let folder = bench.folder.path().join(name);
        let server = Server::of_program(&bench.program, &folder, &format!("{options} {args}"));
        Ok(Self {
            bench,
            server,
            options,
            folder,
            _vhost: vhost,
        })
    }

    pub(super) fn client(&self) -> &Client {
        self.server.client()
    }

    /// A real worker, once it takes work.
    pub(super) fn worker(&self, args: &str) -> Result<Member> {
        let program = self.bench.program.with_file_name("clearfleet-worker");
        let call = Call::of(&program).args(["run", "--json", "--monitor", "127.0.0.1:0", "--scratch"]);
        Member::start(call.arg(&self.folder), &format!("{} {args}", self.options), "monitor")
    }

    /// One that plans, and upscales nothing.
    fn planner(&self, batch_frames: u32) -> Result<Member> {
        self.worker(&format!("--media-only --engine wait --batch-frames {batch_frames}"))
    }

    /// Workers without ffmpeg in one process, whose engines take so long for a frame.
    fn stubs(&self, workers: u32, wait_ms: u32) -> Result<Member> {
        let program = self.bench.program.with_file_name("examples").join("fleet_workers");
        ensure!(
            program.is_file(),
            "{} does not exist: run `cargo build --release -p clearfleet-worker --example fleet_workers` first",
            program.display()
        );
        let pixels = 4 * EDGE * EDGE;
        let args = format!(
            "--workers {workers} --wait {wait_ms} --pixels {pixels} {}",
            self.options
        );
        Member::start(Call::of(&program), &args, "counts")
    }

    /// Plans a film of so many frames for workers without ffmpeg; the job, which runs by then.
    fn planned(&self, frames: u32, batch_frames: u32) -> Result<String> {
        let film = self.bench.sources.clip((EDGE, EDGE), frames)?;
        let _planner = self.planner(batch_frames)?;
        let job = self.client().submit(&film, &json!({}));
        self.until_running(self.client(), &job)?;
        Ok(job)
    }

    fn until_running(&self, client: &Client, job: &str) -> Result<()> {
        until("the plan", || {
            let job = client.job(job);
            let state = job["state"].as_str().unwrap_or_default();
            ensure!(state != "failed", "the job failed: {job}");
            Ok((state == "running").then_some(()))
        })
    }
}

/// A process of the fleet. Dropped, it is killed.
pub(super) struct Member {
    _running: Running,
    /// Asks it how it is.
    monitor: Client,
}

impl Member {
    fn start(call: Call, args: &str, monitor: &str) -> Result<Self> {
        let mut running = call.args(args.split_whitespace()).start();
        let ready = running.until(|event| event["event"] == "ready");
        let url = ready[monitor].as_str().context("an address")?;
        Ok(Self {
            monitor: Client::new(url),
            _running: running,
        })
    }

    /// What workers without ffmpeg have done so far.
    fn counts(&self) -> Result<Counts> {
        let said = self.monitor.get("/counts").expect(200).json();
        let number = |name: &str| said[name].as_f64().with_context(|| format!("no {name} in {said}"));
        Ok(Counts {
            seconds: number("seconds")?,
            frames: number("frames")?,
            batches: number("batches")?,
        })
    }
}

/// What workers have done by a moment of their own clock.
#[derive(Clone, Copy, Debug)]
struct Counts {
    seconds: f64,
    frames: f64,
    batches: f64,
}

/// Batches of a job that are done.
fn batches_done(job: &Value) -> Result<f64> {
    let done = job["progress"]["batches_done"].as_f64();
    done.with_context(|| format!("no batches in {job}"))
}

/// Asks again and again until there is an answer.
fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let since = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if since.elapsed() > SOON {
            bail!("{what} took longer than {SOON:?}");
        }
        pause(LOOK_EVERY)?;
    }
}

/// Sleeps, unless there is a signal.
fn pause(time: Duration) -> Result<()> {
    const LONGEST: Duration = Duration::from_millis(200);
    let until = Instant::now() + time;
    loop {
        interrupt::check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LONGEST));
    }
}
