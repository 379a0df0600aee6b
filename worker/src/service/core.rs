//! What the parts of one worker share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clearfleet_common::config::Limits;
use clearfleet_common::job::{ClassName, Plan, Record, Serves, WorkerId};
use clearfleet_common::queue::{Queue, StartLog};
use clearfleet_common::storage::{ObjectKey, PlanKey, Storage};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::engine::{SharedEngine, panic_message};
use super::holdings::{Held, Holdings, Why};
use super::metrics::WorkerMetrics;
use super::source::ObjectSource;
use super::store::{self, ObjectStore};
use crate::media::codec::Codec;
use crate::media::serve::{SourceBytes, SourceServer};
use crate::steps::{JobContext, Meter, read_json};
use crate::{Error, Result};

/// Plans that are kept: a film's in work, and the next one's.
const PLANS: usize = 4;

/// Whether the worker takes tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It does.
    Open,
    /// It makes wrong pictures, and was told so: it gives back what it has.
    Distrusted,
    /// It finishes what it has.
    Draining,
    /// It has nothing any more, or was dropped.
    Ended,
}

/// What the parts of one worker share.
pub(super) struct Core {
    pub(super) id: WorkerId,
    pub(super) class: ClassName,
    pub(super) serves: Serves,
    pub(super) device: String,
    /// Engine, model and encoder.
    pub(super) fingerprint: String,
    pub(super) limits: Limits,
    pub(super) batch_frames: Option<u64>,
    pub(super) scratch: PathBuf,
    pub(super) metrics: Arc<WorkerMetrics>,
    pub(super) starts: Option<Arc<StartLog>>,
    pub(super) engine: Arc<SharedEngine>,
    pub(super) storage: Storage,
    pub(super) store: Arc<ObjectStore>,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) runtime: Handle,
    pub(super) codec: Arc<dyn Codec>,
    pub(super) server: Arc<SourceServer>,
    pub(super) holdings: Holdings,
    pub(super) phase: watch::Sender<Phase>,
    /// Held while a task runs that wants nothing beside it.
    pub(super) alone: tokio::sync::Mutex<()>,
    /// Plans do not change once they are written.
    pub(super) plans: Mutex<Vec<(PlanKey, Arc<Plan>)>>,
}

impl Core {
    /// Whether tasks are taken.
    pub(super) fn is_open(&self) -> bool {
        *self.phase.borrow() == Phase::Open
    }

    /// Waits until tasks are taken no more.
    pub(super) async fn until_closed(&self) {
        // The sender is ours, so the channel is open.
        let _ = self.phase.subscribe().wait_for(|phase| *phase != Phase::Open).await;
    }

    /// Ends the work on everything that is held.
    pub(super) fn recall_all(&self, why: Why) {
        for held in self.holdings.all() {
            held.recall.now(why);
        }
        self.engine.wake();
    }

    /// A stored plan; nothing where there is none.
    pub(super) async fn plan(&self, key: PlanKey) -> Result<Option<Arc<Plan>>> {
        let known = |plans: &[(PlanKey, Arc<Plan>)]| plans.iter().find(|(k, _)| *k == key).map(|(_, p)| Arc::clone(p));
        if let Some(plan) = known(&self.plans.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(Some(plan));
        }
        let Some(stored) = self.storage.get(ObjectKey::Plan(key)).await.map_err(store::failed)? else {
            return Ok(None);
        };
        let plan: Arc<Plan> = Arc::new(read_json(&stored.body, "plan")?);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() == PLANS {
            plans.remove(0);
        }
        plans.push((key, Arc::clone(&plan)));
        Ok(Some(plan))
    }

    /// A job's source as bytes, whose reads `meter` is told of beside the metrics.
    fn source(&self, record: &Record, meter: Option<Arc<dyn Meter>>) -> Arc<dyn SourceBytes> {
        let source = ObjectSource::new(&self.storage, self.runtime.clone(), &record.source);
        Arc::new(source.counted(Arc::clone(&self.metrics), meter))
    }

    /// What the steps of a task share.
    pub(super) fn context(&self, record: &Record, held: &Held) -> JobContext {
        self.context_of(record, held, held.meter(&self.metrics))
    }

    /// The same with another meter, which counts for the metrics; without one they count alone.
    pub(super) fn context_of(&self, record: &Record, held: &Held, meter: Option<Arc<dyn Meter>>) -> JobContext {
        let source = self.server.register(self.source(record, meter.clone()));
        let plan = held.task.step.plan();
        JobContext {
            store: Arc::new(self.store.metered(meter.clone())),
            key: PlanKey { job: record.id, plan },
            server: Arc::clone(&self.server),
            codec: Arc::clone(&self.codec),
            source: Arc::new(source),
            limits: self.limits,
            stop: held.recall.stop().clone(),
            worker: self.id.to_string(),
            meter: meter.unwrap_or_else(|| Arc::clone(&self.metrics) as Arc<dyn Meter>),
        }
    }
}

/// Runs blocking work on a thread of its own; a panic becomes an error.
pub(super) async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (done, result) = oneshot::channel();
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Nobody waits any more where the worker was dropped.
        let _ = done.send(caught(work));
    });
    started.map_err(|e| Error::internal("a thread cannot be started").because(e))?;
    let ended = |_| Err(Error::internal("a thread ended without a word"));
    result.await.unwrap_or_else(ended)
}

/// Runs a step; a panic becomes an error.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a step shares with others is behind locks that outlive a panic, or is thrown away with the step.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic_message(&*panic);
        tracing::error!(message, "a step panicked");
        Err(Error::internal(format!("the step panicked: {message}")))
    })
}
