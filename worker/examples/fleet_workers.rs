//! Many workers in one process, each with its own connections to the broker, which upscale films without ffmpeg: in place
//! of decoded frames they take empty ones, and every segment is 1 KiB of nothing. All else is what workers do: taking
//! deliveries, markers, reports, settling. `make bench-fleet` measures what is around ffmpeg with it.
//!
//! What they make is no film: it is never put together.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::routing::get;
use axum::{Json, Router};
use clap::Parser;
use clearfleet_common::ErrorCode;
use clearfleet_common::args::{BrokerArgs, S3Args};
use clearfleet_common::config::Limits;
use clearfleet_common::job::{ClassName, Lane};
use clearfleet_common::queue::Queue;
use clearfleet_common::storage::Storage;
use clearfleet_common::telemetry::log_to_stderr;
use clearfleet_worker::media::codec::{Codec, Decode, DecodeOrder, Encode, EncodeOrder};
use clearfleet_worker::service::{Worker, WorkerConfig, WorkerHandle, WorkerMetrics};
use clearfleet_worker::steps::ObjectWriter;
use clearfleet_worker::{Error, Result};
use futures::future::try_join_all;
use serde_json::json;
use tokio::net::TcpListener;
use vdsr::{EngineKind, EngineOptions, Weights};

/// What is stored as a segment.
const SEGMENT: [u8; 1024] = [0; 1024];
/// Workers that start at a time.
const STARTING: usize = 16;

/// Workers that do all but decode and encode, until they are killed.
#[derive(Debug, Parser)]
struct Args {
    /// How many.
    #[arg(long)]
    workers: usize,
    /// What the engine takes for a frame, in milliseconds.
    #[arg(long)]
    wait: u64,
    /// Pixels of a frame of the result: what their rate is told by.
    #[arg(long)]
    pixels: u32,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    store: S3Args,
}

/// Counts what goes through.
#[derive(Debug, Default)]
struct Stub {
    frames: AtomicU64,
    batches: AtomicU64,
}

/// The two halves of the stub at work.
struct StubCodec(Arc<Stub>);

struct EmptyFrames {
    order: DecodeOrder,
    left: u64,
    stub: Arc<Stub>,
}

struct EmptySegment {
    segment: Box<dyn ObjectWriter>,
    stub: Arc<Stub>,
}

impl Codec for StubCodec {
    fn decode(&self, order: DecodeOrder) -> Result<Box<dyn Decode>> {
        Ok(Box::new(EmptyFrames {
            left: order.frames(),
            order,
            stub: Arc::clone(&self.0),
        }))
    }

    fn encode(&self, _: EncodeOrder, segment: Box<dyn ObjectWriter>) -> Result<Box<dyn Encode>> {
        let stub = Arc::clone(&self.0);
        Ok(Box::new(EmptySegment { segment, stub }))
    }
}

impl Decode for EmptyFrames {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.stub.frames.fetch_add(1, Ordering::Relaxed);
        Ok(Some(self.order.buffer()))
    }

    fn take_busy(&self) -> Duration {
        Duration::ZERO
    }

    fn is_decoded(&self) -> bool {
        self.left <= self.order.ahead() as u64
    }
}

impl Encode for EmptySegment {
    fn frame(self: Box<Self>, _: &[u8]) -> Result<Box<dyn Encode>> {
        Ok(self)
    }

    fn finish(mut self: Box<Self>) -> Result<Box<dyn ObjectWriter>> {
        let written = self.segment.write_all(&SEGMENT);
        written.map_err(|e| Error::internal("a segment cannot be written").because(e))?;
        self.stub.batches.fetch_add(1, Ordering::Relaxed);
        Ok(self.segment)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    log_to_stderr("warn");
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "no workers");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let missing = || Error::new(ErrorCode::SettingsInvalid, "a store and a broker are needed");
    let refused = |e| Error::internal("the store cannot be used").because(e);
    let config = args.store.config().ok_or_else(missing)?;
    let storage = Storage::connect(&config).await.map_err(refused)?;
    let stub = Arc::new(Stub::default());
    let mut workers: Vec<WorkerHandle> = Vec::new();
    while workers.len() < args.workers {
        let some = workers.len()..args.workers.min(workers.len() + STARTING);
        workers.extend(try_join_all(some.map(|n| start(args, n, &storage, &stub))).await?);
    }
    let unusable = |e| Error::internal("there is no port to be had").because(e);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    println!("{}", json!({ "event": "ready", "counts": format!("http://{address}") }));
    let since = Instant::now();
    let counts = move || async move {
        Json(json!({
            "seconds": since.elapsed().as_secs_f64(),
            "frames": stub.frames.load(Ordering::Relaxed),
            "batches": stub.batches.load(Ordering::Relaxed),
        }))
    };
    let served = axum::serve(listener, Router::new().route("/counts", get(counts)));
    served.await.map_err(unusable)
}

async fn start(args: &Args, number: usize, storage: &Storage, stub: &Arc<Stub>) -> Result<WorkerHandle> {
    let failed = |e| Error::new(ErrorCode::WeightsInvalid, "there are no weights").because(e);
    let missing = || Error::new(ErrorCode::SettingsInvalid, "a store and a broker are needed");
    let weights = Weights::embedded().map_err(failed)?;
    let options = EngineOptions {
        kind: EngineKind::Wait,
        wait: Duration::from_millis(args.wait),
        ..EngineOptions::default()
    };
    let of_engine = weights.clone();
    let config = WorkerConfig {
        class: ClassName::default(),
        lanes: vec![Lane::Interactive, Lane::Bulk],
        media: false,
        engine: Arc::new(move || vdsr::build_engine(&options, &of_engine)),
        codec: Arc::new(StubCodec(Arc::clone(stub))),
        weights,
        device: format!("wait:{number}"),
        pixels_per_second: f64::from(args.pixels) * 1000.0 / (args.wait.max(1) as f64),
        batch_frames: None,
        limits: Limits::default(),
        starts: None,
        scratch: std::env::temp_dir(),
        metrics: Arc::new(WorkerMetrics::of_class(ClassName::default())),
    };
    let queue = args.broker.queue(&format!("worker {number}")).ok_or_else(missing)?;
    let queue: Arc<dyn Queue> = Arc::new(queue);
    Worker::start(config, storage.clone(), queue).await
}
