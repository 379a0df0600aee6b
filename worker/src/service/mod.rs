//! A worker of the fleet: takes tasks from queues, does them with the [`steps`](crate::steps), settles them.
//!
//! * `receive` takes deliveries, `dispatch` judges them and starts their step, `settle` reports and acknowledges.
//! * `audit`, `film`, `media`, `picture` and `preview` are the steps as tasks; `deliver`, `store` and `source` are their way to S3.
//! * `turns` and `engine` share one engine between lanes, a frame at a time.
//! * `traced` makes the spans of tasks, where spans are collected.
//! * `announce`, `beat` and `watch` tell what the worker does, and hear what it should do no more.
//!
//! Async code decides; decoding, engine and encoding run on threads of their own.

mod announce;
mod audit;
mod beat;
mod core;
mod deliver;
mod dispatch;
mod engine;
mod failure;
mod film;
mod holdings;
mod media;
mod metrics;
mod picture;
mod preview;
mod products;
mod receive;
mod self_test;
mod settle;
mod source;
mod starts;
mod store;
mod traced;
mod turns;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clearfleet_common::ErrorCode;
use clearfleet_common::config::Limits;
use clearfleet_common::job::{ClassName, Lane, Serves, WorkerId};
use clearfleet_common::queue::{Queue, QueueName, StartLog};
use clearfleet_common::storage::Storage;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch as watched};
use tokio::task::JoinSet;
use uuid::Uuid;
use vdsr::Weights;

use self::core::{Core, Phase, on_thread};
pub use self::engine::EngineBuilder;
use self::engine::SharedEngine;
use self::film::BulkThread;
use self::holdings::{Holdings, Why};
pub use self::metrics::WorkerMetrics;
use self::receive::{Bulk, Inlet, receive};
pub use self::source::ObjectSource;
use self::store::ObjectStore;
use crate::media::codec::Codec;
use crate::media::process::ffmpeg_version;
use crate::media::serve::SourceServer;
use crate::{Error, Result};

/// How long tasks that are ended have to unwind before they are let go of.
const UNWIND: Duration = Duration::from_secs(10);
/// The largest share of a drain's deadline that is kept for unwinding.
const UNWIND_SHARE: u32 = 4;

/// What a worker is.
#[derive(Clone)]
pub struct WorkerConfig {
    /// Its pool: which queues it serves.
    pub class: ClassName,
    /// The lanes that it serves with its engine; none for one that only plans and assembles.
    pub lanes: Vec<Lane>,
    /// Whether it plans, assembles and writes the sound of streams.
    pub media: bool,
    /// Makes its engine.
    pub engine: EngineBuilder,
    /// What decodes and encodes batches.
    pub codec: Arc<dyn Codec>,
    /// The network's weights, which the engine has: their digest is part of the fingerprint.
    pub weights: Weights,
    /// The device that the engine runs on, for people.
    pub device: String,
    /// Pixels of results that the engine makes in a second, until it is measured.
    pub pixels_per_second: f64,
    /// Frames in a batch of the plans that it makes, in place of what the engine's rate suggests.
    pub batch_frames: Option<u64>,
    /// What a source may be at most.
    pub limits: Limits,
    /// Counts the starts of tasks, where the queue does not outlive this process.
    pub starts: Option<Arc<StartLog>>,
    /// A folder for finished results before they are stored.
    pub scratch: PathBuf,
    /// Where it counts what it does.
    pub metrics: Arc<WorkerMetrics>,
}

/// Starts workers.
pub struct Worker;

/// A worker at work. Dropped without [`drain`](Self::drain), it lets go of everything at once, as a process that dies
/// does: its tasks come again to others.
pub struct WorkerHandle {
    core: Arc<Core>,
    /// Dropped, they end.
    _receivers: JoinSet<()>,
    others: JoinSet<()>,
}

impl Worker {
    /// Tests the engine and, if it is sound, starts to take tasks. Called on a tokio runtime, which drives all of it.
    ///
    /// # Errors
    /// `EngineFailed` if the engine cannot be built or makes other pictures than it must; `FfmpegMissing`; `Internal` if
    /// there is no port or thread to be had.
    pub async fn start(config: WorkerConfig, storage: Storage, queue: Arc<dyn Queue>) -> Result<WorkerHandle> {
        let (build, weights, rate, metrics) = (
            Arc::clone(&config.engine),
            config.weights.clone(),
            config.pixels_per_second,
            Arc::clone(&config.metrics),
        );
        let (engine, server, encoder) = on_thread("self-test", move || {
            let cannot = |e| Error::new(ErrorCode::EngineFailed, "the engine cannot be built").because(e);
            let engine = SharedEngine::new(build, rate, metrics).map_err(cannot)?;
            self_test::run(&*engine.current().map_err(cannot)?, &weights)?;
            Ok((engine, SourceServer::start()?, ffmpeg_version()?))
        })
        .await?;
        let fingerprint = fingerprint(&engine, &config.weights, encoder);
        config.metrics.is(&config.device, &fingerprint);
        let core = Arc::new(Core {
            id: worker_id(&config.device),
            class: config.class,
            serves: Serves {
                media: config.media,
                interactive: config.lanes.contains(&Lane::Interactive),
                bulk: config.lanes.contains(&Lane::Bulk),
            },
            device: config.device,
            fingerprint,
            limits: config.limits,
            batch_frames: config.batch_frames,
            scratch: config.scratch,
            store: Arc::new(ObjectStore::new(
                storage.clone(),
                Handle::current(),
                Arc::clone(&config.metrics),
            )),
            metrics: config.metrics,
            starts: config.starts,
            engine,
            storage,
            queue,
            runtime: Handle::current(),
            codec: config.codec,
            server,
            holdings: Holdings::new(),
            phase: watched::Sender::new(Phase::Open),
            alone: tokio::sync::Mutex::default(),
            plans: Mutex::default(),
        });
        let receivers = start_receivers(&core, &config.lanes, config.media)?;
        let mut others = JoinSet::new();
        others.spawn(announce::announce(Arc::clone(&core)));
        others.spawn(beat::beat(Arc::clone(&core)));
        others.spawn(watch::watch(Arc::clone(&core)));
        tracing::info!(worker = %core.id, fingerprint = core.fingerprint, "a worker takes tasks");
        Ok(WorkerHandle {
            core,
            _receivers: receivers,
            others,
        })
    }
}

/// Everything that must be equal for equal bits: engine, model, encoders.
fn fingerprint(engine: &SharedEngine, weights: &Weights, (major, minor): (u32, u32)) -> String {
    format!("{} {} ffmpeg-{major}.{minor}", engine.fingerprint(), weights.digest())
}

/// A name that no other worker ever had.
fn worker_id(device: &str) -> WorkerId {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let start = Uuid::new_v4().simple().to_string();
    WorkerId::new(format!("{host}:{}:{device}:{}", std::process::id(), &start[..8]))
}

fn start_receivers(core: &Arc<Core>, lanes: &[Lane], media: bool) -> Result<JoinSet<()>> {
    let mut receivers = JoinSet::new();
    let mut start = |queue, inlet| {
        receivers.spawn(receive(Arc::clone(core), queue, inlet));
    };
    if lanes.contains(&Lane::Interactive) {
        start(
            QueueName::Work(Lane::Interactive, core.class),
            Inlet::Own(Lane::Interactive),
        );
    }
    if lanes.contains(&Lane::Bulk) {
        let (batches, coming) = mpsc::channel(2);
        let asks = Arc::new(Semaphore::new(0));
        let thread = BulkThread::new(Arc::clone(core), coming, Arc::clone(&asks));
        let started = std::thread::Builder::new()
            .name("bulk".to_owned())
            .spawn(move || thread.run());
        started.map_err(|e| Error::internal("a thread cannot be started").because(e))?;
        // While one holds the batch at the engine, the other takes the next.
        for _ in 0..2 {
            let bulk = Bulk {
                batches: batches.clone(),
                asks: Arc::clone(&asks),
            };
            start(QueueName::Work(Lane::Bulk, core.class), Inlet::Bulk(bulk));
        }
    }
    if media {
        start(QueueName::Media, Inlet::Own(Lane::Bulk));
        start(QueueName::Sound, Inlet::Own(Lane::Bulk));
    }
    Ok(receivers)
}

impl WorkerHandle {
    /// Who it is.
    pub fn id(&self) -> &WorkerId {
        &self.core.id
    }

    /// Engine, model and encoder: what its announcements say, and what plans for its class are made for.
    pub fn fingerprint(&self) -> &str {
        &self.core.fingerprint
    }

    /// Waits until audits have shown that it makes wrong pictures. It takes nothing more then, and says so until it is
    /// drained.
    pub async fn distrusted(&self) {
        let mut phase = self.core.phase.subscribe();
        // The sender is ours, so the channel is open.
        let _ = phase.wait_for(|phase| *phase == Phase::Distrusted).await;
    }

    /// Ends the worker: it takes nothing more, finishes what it can within `deadline`, and gives the rest back. Returns
    /// when everything is settled, at the latest at the deadline.
    pub async fn drain(mut self, deadline: Duration) {
        self.core.phase.send_replace(Phase::Draining);
        let unwind = UNWIND.min(deadline / UNWIND_SHARE);
        let empty = || self.core.holdings.until(Vec::is_empty);
        if tokio::time::timeout(deadline - unwind, empty()).await.is_err() {
            let left = self.core.holdings.all().len();
            tracing::info!(left, "tasks that cannot be finished in time are given back");
            self.core.recall_all(Why::Drain);
            if tokio::time::timeout(unwind, empty()).await.is_err() {
                tracing::warn!("tasks did not end in time; they come again to others when they are missed");
            }
        }
        self.core.phase.send_replace(Phase::Ended);
        let last_word = async {
            while let Some(ended) = self.others.join_next().await {
                // The announcer ends by itself; the others never do.
                if ended.is_ok() {
                    return;
                }
            }
        };
        if tokio::time::timeout(Duration::from_secs(1), last_word).await.is_err() {
            tracing::debug!("the worker's last word was not heard");
        }
        tracing::info!(worker = %self.core.id, "a worker has ended");
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        // After a drain nothing is left to let go of.
        self.core.phase.send_replace(Phase::Ended);
        self.core.abandon();
    }
}
