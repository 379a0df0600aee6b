//! The tasks that this worker has and has not settled.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use std::time::Instant;

use clearfleet_common::Stop;
use clearfleet_common::job::{JobId, Lane, OwnerId, Task};
use clearfleet_common::queue::Delivery;
use tokio::sync::watch;

use super::traced::TaskTrace;

/// Why work on a task is ended before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The record says by now that it does not count.
    Void,
    /// The worker drains, and its time is over: the task is given back.
    Drain,
    /// It took longer than its deadline.
    Late,
    /// The worker is gone without draining; nothing is said of its tasks, which come again to others.
    Gone,
}

/// Ends the work on all tasks of one job and generation; it is used once.
#[derive(Debug, Default)]
pub(super) struct Recall {
    stop: Stop,
    why: OnceLock<Why>,
}

impl Recall {
    /// Ends the work. The first reason counts.
    pub(super) fn now(&self, why: Why) {
        self.why.get_or_init(|| why);
        self.stop.stop();
    }

    /// Why the work was ended, if it was.
    pub(super) fn why(&self) -> Option<Why> {
        self.why.get().copied()
    }

    /// What the steps look at.
    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }
}

/// A task that was delivered and is not settled.
#[derive(Debug)]
pub(super) struct Held {
    /// The task.
    pub(super) task: Task,
    /// Whose turn it takes at the engine.
    pub(super) lane: Lane,
    /// Whether nothing is to run beside it.
    pub(super) alone: bool,
    /// Which delivery of the task this is, counted from 1, as far as the broker counts.
    pub(super) attempt: u32,
    /// Ends the work on it.
    pub(super) recall: Arc<Recall>,
    /// Since when it is held.
    pub(super) since: Instant,
    /// What its span will say, where spans are collected.
    pub(super) trace: Option<Arc<TaskTrace>>,
    delivery: Mutex<Option<Delivery>>,
    done: AtomicU64,
    total: AtomicU64,
}

impl Held {
    /// The delivery, for whoever settles it; once.
    pub(super) fn take_delivery(&self) -> Option<Delivery> {
        self.delivery.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How far it is: frames or tiles done, and how many there are; nothing before it has begun.
    pub(super) fn progress(&self) -> Option<(u64, u64)> {
        let total = self.total.load(Ordering::Acquire);
        (total > 0).then(|| (self.done.load(Ordering::Acquire), total))
    }

    /// Says how far it is.
    pub(super) fn set_progress(&self, done: u64, total: u64) {
        self.done.store(done, Ordering::Release);
        self.total.store(total, Ordering::Release);
    }

    /// One more frame is done.
    pub(super) fn frame_done(&self) {
        self.done.fetch_add(1, Ordering::AcqRel);
    }
}

/// All of them. Whoever waits for a change subscribes.
#[derive(Debug)]
pub(super) struct Holdings(watch::Sender<Vec<Arc<Held>>>);

impl Holdings {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }

    /// Takes a delivery on. Tasks of one job and generation are recalled together, its audits and its sound apart from them.
    pub(super) fn hold(&self, task: Task, lane: Lane, alone: bool, delivery: Delivery) -> Arc<Held> {
        let attempt = delivery.deliveries_before.saturating_add(1);
        let mut held = None;
        self.0.send_modify(|all| {
            let group = |task: &Task| (task.job, task.generation, task.step.is_audit(), task.step.is_sound());
            let beside = all
                .iter()
                .find(|other| group(&other.task) == group(&task) && other.recall.why().is_none());
            let recall = beside.map(|other| Arc::clone(&other.recall)).unwrap_or_default();
            let new = Arc::new(Held {
                task,
                lane,
                alone,
                attempt,
                recall,
                since: Instant::now(),
                trace: TaskTrace::begin(),
                delivery: Mutex::new(Some(delivery)),
                done: AtomicU64::new(0),
                total: AtomicU64::new(0),
            });
            all.push(Arc::clone(&new));
            held = Some(new);
        });
        held.expect("the closure above runs once")
    }

    /// A task is settled.
    pub(super) fn release(&self, held: &Arc<Held>) {
        self.0.send_modify(|all| all.retain(|other| !Arc::ptr_eq(other, held)));
    }

    /// What is held now.
    pub(super) fn all(&self) -> Vec<Arc<Held>> {
        self.0.borrow().clone()
    }

    /// The jobs that tasks are held of, each once.
    pub(super) fn jobs(&self) -> Vec<(OwnerId, JobId)> {
        let mut jobs: Vec<_> = self
            .0
            .borrow()
            .iter()
            .map(|held| (held.task.owner, held.task.job))
            .collect();
        jobs.sort_unstable();
        jobs.dedup();
        jobs
    }

    /// Hears of changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<Vec<Arc<Held>>> {
        self.0.subscribe()
    }

    /// Waits until what is held fits.
    pub(super) async fn until(&self, fits: impl FnMut(&Vec<Arc<Held>>) -> bool) {
        // The sender is ours, so the channel is open.
        let _ = self.0.subscribe().wait_for(fits).await;
    }

    /// Waits until this task is settled.
    pub(super) async fn until_settled(&self, held: &Arc<Held>) {
        self.until(|all| !all.iter().any(|other| Arc::ptr_eq(other, held)))
            .await;
    }
}
