//! `clearfleet-worker run`: one device, which takes work from a broker until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clearfleet_common::ErrorCode;
use clearfleet_common::args::{BrokerArgs, S3Args};
use clearfleet_common::job::{ClassName, Lane};
use clearfleet_common::queue::Queue;
use clearfleet_common::storage::Storage;
use clearfleet_common::telemetry::trace::{self, Tracing};
use strum::VariantArray as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::engine::{Devices, EngineArgs};
use super::limits::LimitArgs;
use super::monitor::{Monitor, serve};
use super::process::stop_on_signals;
use crate::media::codec::Ffmpeg;
use crate::service::{Worker, WorkerConfig, WorkerMetrics};
use crate::{Error, Result};

/// Pixels of a frame of a usual result, 1080p: what a rate is guessed for.
const USUAL_PIXELS: f64 = 1920.0 * 1080.0;
/// Exit code of a process that was told twice to stop.
const STOPPED: u8 = 130;
/// What ending may take beyond the grace period of the work, its last spans included.
const CLOSING: Duration = Duration::from_secs(15);

/// Take work from a broker until SIGTERM.
#[derive(Debug, Args)]
#[command(
    after_help = "One process is one device. SIGTERM lets work end within --grace; what is not finished by then is \
    given back, and others go on with it. A second SIGTERM ends at once."
)]
pub(super) struct RunArgs {
    /// Name of the pool that it belongs to: which queues it serves.
    #[arg(long, env = "CLEARFLEET_CLASS", value_name = "NAME", default_value_t)]
    class: ClassName,
    /// What it does with its engine: photos and previews, batches of films, or both.
    #[arg(
        long,
        env = "CLEARFLEET_LANES",
        value_name = "LANE,…",
        value_delimiter = ',',
        value_parser = lane,
        default_value = "interactive,bulk"
    )]
    lanes: Vec<Lane>,
    /// Leave planning and putting together to other workers.
    #[arg(long, env = "CLEARFLEET_NO_MEDIA")]
    no_media: bool,
    /// Only plan and put together: no engine of its class waits for it, and it counts for no lane.
    #[arg(long, env = "CLEARFLEET_MEDIA_ONLY", conflicts_with_all = ["no_media", "lanes"])]
    media_only: bool,
    /// Where it says how it is: /healthz, /readyz, /metrics; port 0 takes a free one.
    #[arg(
        long,
        env = "CLEARFLEET_MONITOR",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9464"
    )]
    monitor: SocketAddr,
    /// A folder for finished results before they are stored [default: the system's own].
    #[arg(long, env = "CLEARFLEET_SCRATCH", value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// How long work may go on after SIGTERM, in seconds.
    #[arg(long, env = "CLEARFLEET_GRACE", value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    grace: Duration,
    /// Frames of a batch in place of about half a minute's work.
    #[arg(long, env = "CLEARFLEET_BATCH_FRAMES", value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..=1000))]
    batch_frames: Option<u64>,
    /// Make one sample of each frame wrong: what audits are tested with.
    #[cfg(debug_assertions)]
    #[arg(long, hide = true)]
    wrong_pixel: bool,
    /// Print when it is ready as JSON, for scripts.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    store: S3Args,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

fn lane(text: &str) -> Result<Lane, String> {
    let found = Lane::VARIANTS.iter().find(|lane| <&str>::from(**lane) == text);
    found
        .copied()
        .ok_or_else(|| "there are interactive and bulk".to_owned())
}

/// Runs the command.
pub(super) fn run(args: &RunArgs) -> ExitCode {
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::internal("the worker's threads cannot be started").because(e))
        .and_then(|runtime| {
            let ended = runtime.block_on(work(args));
            // What still blocks a thread by now does not keep the process.
            runtime.shutdown_timeout(Duration::from_secs(5));
            ended
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| cause as &dyn std::error::Error);
            tracing::error!(code = %error.code(), cause, "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn work(args: &RunArgs) -> Result<()> {
    let stop = stop_on_signals(STOPPED)?;
    let tracing = Tracing::start("clearfleet-worker");
    let worked = work_until(args, &stop, tracing.as_ref()).await;
    if let Some(tracing) = tracing {
        tracing.end().await;
    }
    worked
}

async fn work_until(args: &RunArgs, stop: &CancellationToken, tracing: Option<&Tracing>) -> Result<()> {
    // First of all: a port that is taken is said before anything is opened.
    let refused = |e| Error::new(ErrorCode::SettingsInvalid, format!("cannot listen on {}", args.monitor)).because(e);
    let listener = TcpListener::bind(args.monitor).await.map_err(refused)?;
    let address = listener.local_addr().unwrap_or(args.monitor);
    let metrics = Arc::new(WorkerMetrics::of_class(args.class));
    let monitor = Arc::new(Monitor::new(Arc::clone(&metrics)));
    tokio::spawn(serve(listener, Arc::clone(&monitor)));
    if let Some(tracing) = tracing {
        monitor.traces(tracing.metrics());
    }

    let config = config(args, metrics)?;
    let storage = store(args).await?;
    let queue = args.broker.queue(&format!("clearfleet-worker {}", std::process::id()));
    let queue = queue.ok_or_else(no_broker)?;
    monitor.consumes(queue.metrics());
    let queue: Arc<dyn Queue> = Arc::new(queue);
    let (class, device) = (config.class, config.device.clone());
    let worker = tokio::select! {
        worker = Worker::start(config, storage.clone(), Arc::clone(&queue)) => worker?,
        () = stop.cancelled() => return Ok(()),
    };
    monitor.works(storage);
    tracing::info!(%class, device, monitor = %address, "a worker is ready");
    if args.json {
        let ready =
            serde_json::json!({ "event": "ready", "worker": worker.id(), "monitor": format!("http://{address}") });
        println!("{ready}");
    }
    tokio::select! {
        () = stop.cancelled() => {}
        () = worker.distrusted() => {
            monitor.is_distrusted();
            // It stays to be looked at.
            stop.cancelled().await;
        }
    }
    tracing::info!(seconds = args.grace.as_secs(), "stopping; SIGTERM again ends at once");
    monitor.drains();
    let patience = args.grace + CLOSING.saturating_sub(trace::CLOSING);
    if tokio::time::timeout(patience, worker.drain(args.grace)).await.is_err() {
        tracing::warn!("the worker did not end in time; others go on with what it had");
    }
    Ok(())
}

async fn store(args: &RunArgs) -> Result<Storage> {
    let config = args.store.config().ok_or_else(|| {
        let message = "a worker needs the store that the API has: --s3-endpoint, --s3-access-key, --s3-secret-key";
        Error::new(ErrorCode::SettingsInvalid, message)
    })?;
    let refused = |e| {
        let message = format!("the store at {} cannot be used", config.endpoint);
        Error::new(ErrorCode::SettingsInvalid, message).because(e)
    };
    let storage = Storage::connect(&config).await.map_err(refused)?;
    storage.must_honour_conditions().await.map_err(refused)?;
    Ok(storage)
}

fn no_broker() -> Error {
    let message = "a worker needs the broker that the API has: --amqp-url";
    Error::new(ErrorCode::SettingsInvalid, message)
}

fn config(args: &RunArgs, metrics: Arc<WorkerMetrics>) -> Result<WorkerConfig> {
    let Devices { first, others, weights } = args.engine.devices()?;
    if !others.is_empty() {
        let message = "a worker process is one device: start one for each";
        return Err(Error::new(ErrorCode::SettingsInvalid, message));
    }
    Ok(WorkerConfig {
        class: args.class,
        lanes: if args.media_only {
            Vec::new()
        } else {
            args.lanes.clone()
        },
        media: !args.no_media,
        engine: match () {
            #[cfg(debug_assertions)]
            () if args.wrong_pixel => super::fault::wrong_pixel(first.builder),
            () => first.builder,
        },
        codec: Arc::new(Ffmpeg),
        weights,
        device: first.name,
        pixels_per_second: args.engine.pixels_per_second(USUAL_PIXELS),
        batch_frames: args.batch_frames,
        limits: args.limits.into(),
        // The broker counts.
        starts: None,
        scratch: args.scratch.clone().unwrap_or_else(std::env::temp_dir),
        metrics,
    })
}
