//! The shell of the scheduler: feeds [`Scheduler`] with what happens, and carries out what it decides.
//!
//! Every API process runs one; the control queue makes one of them active. All that happens goes through one loop, one
//! thing after the other; what the scheduler wants done is done beside it, and comes back as an input.

mod classes;
mod control;
mod effects;
mod hear;
mod metrics;
#[cfg(test)]
mod tests;
mod traced;
mod view;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clearfleet_common::job::ClassName;
use clearfleet_common::queue::Queue;
use clearfleet_common::schedule::{Input, Millis, Rules, Scheduler};
use clearfleet_common::storage::Storage;
use clearfleet_common::telemetry::Families;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use control::Control;
use effects::Hands;
use metrics::{SchedulerMetrics, Shown};
pub use view::SchedulerView;

use crate::records::Records;

/// How often the scheduler looks at its timers.
const TICK: Duration = Duration::from_millis(250);
/// How long effects may go on after the end was asked for.
const LAST_EFFECTS: Duration = Duration::from_secs(5);
/// Inputs that may wait for the loop; whoever brings more waits.
const WAITING: usize = 1024;

/// The scheduler of this process.
#[derive(Debug)]
pub struct Shell {
    storage: Storage,
    queue: Arc<dyn Queue>,
    records: Arc<Records>,
    scheduler: Arc<Mutex<Scheduler>>,
    clock: Clock,
    turned: Arc<Turned>,
    metrics: Arc<SchedulerMetrics>,
}

impl Shell {
    /// A scheduler that is not active before it [`run`](Self::run)s. `records` say which sources are used by whom.
    pub fn new(storage: Storage, queue: Arc<dyn Queue>, records: Arc<Records>, rules: Rules) -> Self {
        Self {
            storage,
            queue,
            records,
            scheduler: Arc::new(Mutex::new(Scheduler::new(rules))),
            clock: Clock::new(),
            turned: Arc::new(Turned::new()),
            metrics: Arc::default(),
        }
    }

    /// What it can be asked.
    pub fn view(&self) -> SchedulerView {
        SchedulerView::new(Arc::clone(&self.scheduler))
    }

    /// What it tells Prometheus. `classes` are shown also where there is nothing of them.
    pub fn metrics(&self, classes: Vec<ClassName>) -> Arc<dyn Families> {
        Arc::new(Shown {
            metrics: Arc::clone(&self.metrics),
            view: self.view(),
            classes,
        })
    }

    /// Schedules until `stop`, then lets what it has begun come to an end.
    pub async fn run(self, stop: CancellationToken) {
        let (inputs, mut coming) = mpsc::channel(WAITING);
        let tasks = TaskTracker::new();
        tasks.spawn(hear::hear(Arc::clone(&self.queue), inputs.clone(), stop.clone()));
        let control = Control {
            queue: Arc::clone(&self.queue),
            inputs: inputs.clone(),
            turned: Arc::clone(&self.turned),
        };
        tasks.spawn(control.consume(stop.clone()));
        for known in classes::read(&self.storage).await {
            self.handle(Input::Class(known));
        }
        let hands = Hands::new(
            self.storage.clone(),
            Arc::clone(&self.queue),
            Arc::clone(&self.records),
            inputs,
        );
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let input = tokio::select! {
                () = stop.cancelled() => break,
                Some(input) = coming.recv() => input,
                _ = tick.tick() => Input::Tick,
            };
            for effect in self.handle(input) {
                hands.carry_out(effect);
            }
            self.turned.now();
        }
        // Nobody takes inputs any more, so whoever has one to give must not wait.
        drop(coming);
        tasks.close();
        let ended = async { tokio::join!(hands.finish(), tasks.wait()) };
        if tokio::time::timeout(LAST_EFFECTS, ended).await.is_err() {
            tracing::warn!("the scheduler ends before all that it wanted is done; the next one does it");
        }
    }

    fn handle(&self, input: Input) -> Vec<clearfleet_common::schedule::Effect> {
        self.metrics.takes_in(&input);
        let mut scheduler = locked(&self.scheduler);
        let effects = scheduler.handle(input, self.clock.now());
        scheduler.notes().iter().for_each(|note| self.metrics.note(note));
        effects
    }
}

/// The scheduler, as it is: between two inputs it is always whole, also after a panic in a view.
fn locked(scheduler: &Mutex<Scheduler>) -> MutexGuard<'_, Scheduler> {
    scheduler.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that never goes back, whatever is done to the machine's.
#[derive(Debug)]
struct Clock {
    began: Timestamp,
    since: Instant,
}

impl Clock {
    fn new() -> Self {
        Self {
            began: Timestamp::now(),
            since: Instant::now(),
        }
    }

    fn now(&self) -> Millis {
        Millis::from(self.began).after(self.since.elapsed())
    }
}

/// When the loop turned last: what the watchdog looks at.
#[derive(Debug)]
struct Turned {
    since: Instant,
    /// Milliseconds after `since`.
    last: AtomicU64,
}

impl Turned {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    fn now(&self) {
        let elapsed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// How long ago that was.
    fn ago(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(last)
    }
}
