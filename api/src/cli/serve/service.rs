//! The parts of the service, started in the order in which they need each other, and closed in the other.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::Lane;
use clearfleet_common::queue::{BrokerMetrics, MemoryQueue, Queue, StartLog};
use clearfleet_common::schedule::Rules;
use clearfleet_common::storage::Storage;
use clearfleet_common::storage::embedded::{EmbeddedError, EmbeddedServer, EmbeddedStore};
use clearfleet_common::telemetry::ProcessMetrics;
use clearfleet_common::telemetry::trace::Tracing;
use clearfleet_worker::media::codec::Ffmpeg;
use clearfleet_worker::service::{Worker, WorkerConfig, WorkerHandle, WorkerMetrics};
use clearfleet_worker::{Error, Result};
use futures::future::join_all;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ServeArgs;
use crate::backup::{Backup, STORE_FOLDER};
use crate::http::{self, AppState, Authenticator, ConnectionLimits, HttpConfig, NoKeys};
use crate::owners::{Bootstrap, Counted, Keys, Quotas};
use crate::records::Records;
use crate::retention::sweep_daily;
use crate::scheduler::Shell;
use crate::webhooks::{HookCounts, HookSecrets, Webhooks};
use clearfleet_worker::cli::Devices;

/// How long reading all records may take before requests are taken anyway.
const RECORDS: Duration = Duration::from_secs(60);
/// How long a scheduler that has just begun listens to workers. They are all in this process, and say at once what they
/// hold.
const LISTEN: Duration = Duration::from_millis(500);

/// Where in it results are made before they are stored.
const SCRATCH: &str = "scratch";

/// Where in it is written which tasks were begun.
const STARTS: &str = "starts.jsonl";
/// Pixels of a frame of a usual result, 1080p: what a rate is guessed for.
const USUAL_PIXELS: f64 = 1920.0 * 1080.0;

/// What the parts are made of.
#[derive(Clone, Copy)]
struct Parts<'a> {
    args: &'a ServeArgs,
    data_dir: &'a Path,
    address: SocketAddr,
    storage: &'a Storage,
    queue: &'a Arc<dyn Queue>,
    records: &'a Arc<Records>,
}

/// Everything that runs.
pub(super) struct Service {
    state: AppState,
    workers: Vec<WorkerHandle>,
    tasks: TaskTracker,
    /// Ends streams of events, which would go on as long as their clients.
    streams: CancellationToken,
    /// Ends what runs beside the workers.
    stop: CancellationToken,
    /// The store in the data folder, unless everything is kept elsewhere.
    embedded: Option<EmbeddedServer>,
}

impl Service {
    /// Starts all of it but the server itself. Where `address` is reached by others than this machine, keys are needed.
    ///
    /// # Errors
    /// `SettingsInvalid`, `WeightsInvalid`, `EngineFailed`, `FfmpegMissing`; `OutputUnwritable` for a data folder that
    /// cannot be used; `Internal`.
    pub(super) async fn start(
        args: &ServeArgs,
        data_dir: &Path,
        address: SocketAddr,
        tracing: Option<&Tracing>,
    ) -> Result<Self> {
        let (storage, embedded) = open_store(args, data_dir).await?;
        let Opened { queue, broker } = queue(args)?;
        let (stop, streams) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();

        let records = Records::new(storage.clone());
        tasks.spawn(Arc::clone(&records).follow(Arc::clone(&queue), stop.clone()));
        let parts = Parts {
            args,
            data_dir,
            address,
            storage: &storage,
            queue: &queue,
            records: &records,
        };
        let state = state(&parts, &streams).await?;
        let shell = Shell::new(storage.clone(), Arc::clone(&queue), Arc::clone(&records), rules(args));
        let mut state = state
            .with_scheduler(Arc::new(shell.view()))
            .with_metrics(shell.metrics(args.classes()))
            .with_metrics(Arc::clone(storage.metrics()) as _)
            .with_metrics(Arc::new(ProcessMetrics::new()));
        if let Some(broker) = broker {
            state = state.with_metrics(broker);
        }
        if let Some(tracing) = tracing {
            state = state.with_metrics(tracing.metrics());
        }
        tasks.spawn(shell.run(stop.clone()));
        tasks.spawn(sweep_daily(storage.clone(), args.retention.into(), stop.clone()));
        let (secrets, webhooks) = webhooks(&parts, &state)?;
        let state = state.with_webhooks(secrets);
        let (mut state, embedded) = match embedded {
            Some((store, served)) => (state.with_backup(Backup::new(store, data_dir.to_owned())), Some(served)),
            None => (state, None),
        };
        tasks.spawn(webhooks.run(stop.clone()));
        let workers = if args.broker.is_named() {
            // They are processes of their own.
            Vec::new()
        } else {
            let metrics = Arc::new(WorkerMetrics::of_class(args.own_class()));
            state = state.with_metrics(Arc::clone(&metrics) as _);
            workers(&parts, &metrics).await?
        };
        if !records.wait_loaded(RECORDS).await {
            tracing::warn!("not all records are read yet; lists are not whole until they are");
        }
        Ok(Self {
            state,
            workers,
            tasks,
            streams,
            stop,
            embedded,
        })
    }

    /// Serves until `stop`.
    pub(super) async fn run(&self, listener: TcpListener, stop: &CancellationToken) {
        let streams = self.streams.clone();
        let ended = stop.clone();
        let end_streams = async move {
            ended.cancelled().await;
            streams.cancel();
        };
        let router = http::router(self.state.clone());
        let server = http::serve(listener, router, ConnectionLimits::default(), stop.clone());
        tokio::join!(server, end_streams);
    }

    /// Lets work end for as long as `grace`, gives the rest back, and closes everything.
    pub(super) async fn close(self, grace: Duration) {
        join_all(self.workers.into_iter().map(|worker| worker.drain(grace))).await;
        self.state.hints_given().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(embedded) = self.embedded {
            embedded.shutdown().await;
        }
    }
}

/// The store that the options name; else that of the data folder, and what serves it.
async fn open_store(
    args: &ServeArgs,
    data_dir: &Path,
) -> Result<(Storage, Option<(Arc<EmbeddedStore>, EmbeddedServer)>)> {
    if let Some(config) = args.storage.config() {
        let refused = |e| {
            let message = format!("the store at {} cannot be used", config.endpoint);
            Error::new(ErrorCode::SettingsInvalid, message).because(e)
        };
        let storage = Storage::connect(&config).await.map_err(refused)?;
        storage.must_honour_conditions().await.map_err(refused)?;
        std::fs::create_dir_all(data_dir).map_err(|e| Error::write(data_dir.display(), e))?;
        return Ok((storage, None));
    }
    let folder = data_dir.to_owned();
    let store =
        blocking(move || EmbeddedStore::open(&folder.join(STORE_FOLDER)).map_err(|e| unusable(&folder, e))).await?;
    let served = store.serve().await.map_err(|e| unusable(data_dir, e))?;
    let storage = Storage::connect(&served.config())
        .await
        .map_err(|e| Error::internal("the store in this process does not answer").because(e))?;
    Ok((storage, Some((store, served))))
}

fn unusable(data_dir: &Path, cause: EmbeddedError) -> Error {
    let message = format!("the data folder {} cannot be used", data_dir.display());
    Error::new(ErrorCode::OutputUnwritable, message).because(cause)
}

/// Runs what waits for a disk beside the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|e| Err(Error::internal("a thread panicked").because(e)))
}

/// A queue, and what is counted of its broker if it has one.
struct Opened {
    queue: Arc<dyn Queue>,
    broker: Option<Arc<BrokerMetrics>>,
}

/// The broker that the options name; else a queue in this process.
fn queue(args: &ServeArgs) -> Result<Opened> {
    let Some(broker) = args.broker.queue(&format!("clearfleet {}", std::process::id())) else {
        return Ok(Opened {
            queue: Arc::new(MemoryQueue::new()),
            broker: None,
        });
    };
    if args.storage.config().is_none() {
        let message = "a broker is for a fleet, which needs a store that all of it reaches: --s3-endpoint";
        return Err(Error::new(ErrorCode::SettingsInvalid, message));
    }
    Ok(Opened {
        broker: Some(broker.metrics()),
        queue: Arc::new(broker),
    })
}

/// What schedules in one process need not listen for long: nothing that an earlier process published can be with anybody.
fn rules(args: &ServeArgs) -> Rules {
    let usual = Rules::default();
    Rules {
        listen: if args.broker.is_named() { usual.listen } else { LISTEN },
        audit_share: args.audit_share,
        fallback_rates: args.rates(args.engine.pixels_per_second(USUAL_PIXELS)),
        ..usual
    }
}

/// What requests share; callers are known by their keys where others than this machine reach the server.
async fn state(parts: &Parts<'_>, streams: &CancellationToken) -> Result<AppState> {
    let Parts {
        args,
        data_dir,
        storage,
        queue,
        records,
        ..
    } = *parts;
    let keys = Arc::new(Keys::new(storage.clone(), args.admin_key.as_ref()));
    let folder = args.storage.config().is_none().then(|| data_dir.join(STORE_FOLDER));
    let quotas = Quotas::new(args.quotas.quota(), args.quotas.space(folder), Arc::clone(records) as _);
    let authenticator: Arc<dyn Authenticator> = if args.policy().requires_keys(&[parts.address]) {
        let bootstrap = keys.bootstrap(Some(data_dir)).await.map_err(|e| {
            let message = "there is no key of an admin, and none can be made";
            Error::new(ErrorCode::OutputUnwritable, message).because(e)
        })?;
        if let Bootstrap::Made(file) = bootstrap {
            tracing::warn!("made a first key, of an admin; it is in {}", file.display());
        }
        Arc::clone(&keys) as _
    } else {
        Arc::new(NoKeys)
    };
    let config = HttpConfig {
        limits: args.limits.into(),
        classes: args.classes(),
        webhooks: args.reach(),
        places: args.storage.places(storage.bucket())?,
        upload_ttl: args.retention.uploads_ttl,
        ..HttpConfig::default()
    };
    let counted = Arc::new(Counted::new(authenticator, Arc::clone(&quotas)));
    let state = AppState::new(
        storage.clone(),
        Arc::clone(queue),
        Arc::clone(records),
        counted,
        config,
        streams.clone(),
    );
    Ok(state.with_keys(keys).with_quotas(quotas))
}

fn webhooks(parts: &Parts<'_>, state: &AppState) -> Result<(HookSecrets, Webhooks)> {
    let chosen = parts.args.webhook_secret.clone();
    let secrets = HookSecrets::load(chosen, Some(parts.data_dir))
        .map_err(|e| Error::new(ErrorCode::SettingsInvalid, "webhooks cannot be signed").because(e))?;
    let cannot = |e: Box<dyn std::error::Error + Send + Sync>| Error::internal("webhooks cannot be sent").because(e);
    let counts = HookCounts::new(state.metrics().registry()).map_err(|e| cannot(e.into()))?;
    let webhooks = Webhooks::new(
        parts.storage.clone(),
        Arc::clone(parts.queue),
        Arc::clone(parts.records),
        secrets.clone(),
        parts.args.reach(),
        counts,
    );
    Ok((secrets, webhooks.map_err(|e| cannot(e.into()))?))
}

/// One worker a device; the first also plans and assembles. `metrics` are of all of them together.
async fn workers(parts: &Parts<'_>, metrics: &Arc<WorkerMetrics>) -> Result<Vec<WorkerHandle>> {
    let args = parts.args;
    let scratch = parts.data_dir.join(SCRATCH);
    let (folder, log) = (scratch.clone(), parts.data_dir.join(STARTS));
    let opened = move || {
        fresh_folder(&folder)?;
        StartLog::open(log).map_err(|e| Error::new(ErrorCode::OutputUnwritable, e.to_string()).because(e))
    };
    let starts = Arc::new(blocking(opened).await?);
    let Devices { first, others, weights } = args.engine.devices()?;
    let mut workers = Vec::new();
    for (n, device) in std::iter::once(first).chain(others).enumerate() {
        let config = WorkerConfig {
            class: args.own_class(),
            lanes: vec![Lane::Interactive, Lane::Bulk],
            media: n == 0,
            engine: device.builder,
            codec: Arc::new(Ffmpeg),
            weights: weights.clone(),
            device: device.name,
            pixels_per_second: args.engine.pixels_per_second(USUAL_PIXELS),
            batch_frames: args.batch_frames,
            limits: args.limits.into(),
            scratch: scratch.clone(),
            metrics: Arc::clone(metrics),
            starts: Some(Arc::clone(&starts)),
        };
        workers.push(Worker::start(config, parts.storage.clone(), Arc::clone(parts.queue)).await?);
    }
    Ok(workers)
}

/// An empty folder, whatever a process that died left there.
fn fresh_folder(folder: &Path) -> Result<()> {
    let cannot = |e| Error::write(folder.display(), e);
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(cannot(e)),
        _ => {}
    }
    std::fs::create_dir_all(folder).map_err(cannot)
}
