//! Batches of films: those of one plan and generation flow through one production line.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Marker, Outcome, Plan, Record};
use clearfleet_common::telemetry::trace;
use tokio::sync::{Semaphore, mpsc};

use super::core::{Core, caught};
use super::holdings::Held;
use super::products::PairTaker;
use super::settle::End;
use super::traced::noting;
use crate::Result;
use crate::steps::{BATCH_DETAIL, Frames, Progress, Stage, upscale};

/// A batch that is to be upscaled.
#[derive(Clone)]
pub(super) struct Batch {
    held: Arc<Held>,
    record: Arc<Record>,
    plan: Arc<Plan>,
    number: u64,
}

impl Batch {
    /// Batch `number` of a plan.
    pub(super) fn new(held: Arc<Held>, record: Arc<Record>, plan: Arc<Plan>, number: u64) -> Self {
        held.is_about(&plan, number);
        Self {
            held,
            record,
            plan,
            number,
        }
    }

    /// Whether it can follow the other without a joint: the same plan and generation, ended together.
    fn follows(&self, other: &Self) -> bool {
        let key = |batch: &Self| {
            (
                batch.held.task.job,
                batch.held.task.step.plan(),
                batch.held.task.generation,
            )
        };
        key(self) == key(other) && Arc::ptr_eq(&self.held.recall, &other.held.recall)
    }
}

/// The thread that upscales bulk batches, one line after the other.
pub(super) struct BulkThread {
    core: Arc<Core>,
    batches: mpsc::Receiver<Batch>,
    /// A permit for each batch that is asked for: receivers wait for one before they take a delivery.
    asks: Arc<Semaphore>,
    /// Whether the last permit was not answered yet.
    asked: bool,
    pending: VecDeque<Batch>,
}

impl BulkThread {
    /// The thread's work; `batches` come from receivers that wait for permits of `asks`, which has none yet.
    pub(super) fn new(core: Arc<Core>, batches: mpsc::Receiver<Batch>, asks: Arc<Semaphore>) -> Self {
        Self {
            core,
            batches,
            asks,
            asked: false,
            pending: VecDeque::new(),
        }
    }

    /// Works until no batch can come any more.
    pub(super) fn run(mut self) {
        while let Some(first) = self.wait() {
            let core = Arc::clone(&self.core);
            let left = run_line(&core, &first, &mut || self.take(&first));
            // They are older than what waits.
            for batch in left.into_iter().rev() {
                self.pending.push_front(batch);
            }
        }
    }

    /// The first batch of the next line.
    fn wait(&mut self) -> Option<Batch> {
        let next = self.pending.pop_front().or_else(|| {
            self.ask();
            let came = self.batches.blocking_recv();
            self.asked = false;
            came
        })?;
        if self.core.is_open() {
            return Some(next);
        }
        // A worker that ends begins nothing; what it was given goes to others.
        for batch in std::iter::once(next).chain(std::mem::take(&mut self.pending)) {
            settle(&self.core, &batch.held, End::report(Outcome::Returned));
        }
        self.wait()
    }

    /// The next batch of this line, if it is there; if none is, it is asked for.
    fn take(&mut self, first: &Batch) -> Option<Batch> {
        if self.pending.is_empty() && self.core.is_open() {
            match self.batches.try_recv() {
                Ok(batch) => {
                    self.asked = false;
                    self.pending.push_back(batch);
                }
                Err(_) => self.ask(),
            }
        }
        // One of another plan waits for this line to end, and so does all that is behind it.
        self.pending.pop_front_if(|batch| batch.follows(first))
    }

    fn ask(&mut self) {
        if !self.asked {
            self.asked = true;
            self.asks.add_permits(1);
        }
    }
}

/// Upscales a batch and those that follow it without a joint; each is settled when its marker is there. Returns batches
/// that were not finished through no fault of theirs, to be begun again.
pub(super) fn run_line(core: &Arc<Core>, first: &Batch, more: &mut dyn FnMut() -> Option<Batch>) -> Vec<Batch> {
    let task = &first.held.task;
    let recall = Arc::clone(&first.held.recall);
    let line = Arc::new(LineTasks {
        core: Arc::clone(core),
        pairs: PairTaker::new(core, &first.plan, task.job, task.step.plan()),
        state: Mutex::default(),
    });
    let plan = Arc::clone(&first.plan);
    let result = caught(|| {
        let meter = trace::is_on().then(|| {
            let line = Arc::clone(&line);
            noting(&core.metrics, move |batch, stage, since, took| {
                line.worked(batch, stage, since, took);
            })
        });
        let job = core.context_of(&first.record, &first.held, meter);
        let engine = core.engine.for_task(first.held.lane, task.owner, recall.stop().clone());
        let progress: Arc<dyn Progress> = Arc::clone(&line) as Arc<dyn Progress>;
        let mut upcoming = Some(first.clone());
        let mut batches = std::iter::from_fn(|| {
            loop {
                let batch = upcoming.take().or_else(&mut *more)?;
                let number = batch.number;
                // One that came twice is done once.
                if line.add(batch) {
                    return Some(number);
                }
            }
        });
        upscale(&job, &plan, &engine, &mut batches, &progress)
    });
    line.end(result, first)
}

/// The tasks of a line. Told by the steps what becomes of them.
struct LineTasks {
    core: Arc<Core>,
    pairs: PairTaker,
    state: Mutex<LineState>,
}

#[derive(Default)]
struct LineState {
    /// In the order in which they came; those of one batch are one after the other.
    tasks: Vec<Batch>,
    /// The one at the engine.
    current: Option<Arc<Held>>,
}

impl LineTasks {
    fn state(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a task on; false if its batch is in the line already.
    fn add(&self, batch: Batch) -> bool {
        let mut state = self.state();
        let new = state.tasks.iter().all(|other| other.number != batch.number);
        state.tasks.push(batch);
        new
    }

    /// Notes what was done for a task.
    fn worked(&self, number: Option<u64>, stage: Stage, since: Instant, took: Duration) {
        let state = self.state();
        let found = match number {
            Some(number) => state.tasks.iter().find(|batch| batch.number == number),
            // Decoding begins with the batch that came last.
            None => state.tasks.last(),
        };
        if let Some(trace) = found.and_then(|batch| batch.held.trace.as_ref()) {
            trace.worked(stage, since, took);
        }
    }

    fn take(&self, number: u64) -> Vec<Batch> {
        self.state()
            .tasks
            .extract_if(.., |batch| batch.number == number)
            .collect()
    }

    fn done(&self, number: u64) {
        for batch in self.take(number) {
            settle(&self.core, &batch.held, End::report(Outcome::BatchDone));
        }
    }

    /// Settles what the line's end decides; returns what is to be begun again.
    fn end(&self, result: Result<()>, first: &Batch) -> Vec<Batch> {
        let Err(error) = result else {
            // Every batch that was given out has its marker.
            return std::mem::take(&mut self.state().tasks);
        };
        if first.held.recall.why().is_some() {
            for batch in std::mem::take(&mut self.state().tasks) {
                let end = self.core.end_of(&batch.held, Err(crate::Error::stopped()));
                settle(&self.core, &batch.held, end);
            }
            return Vec::new();
        }
        if error.code() == ErrorCode::DiskFull {
            self.end_without_space(error);
            return Vec::new();
        }
        let named = error.details().get(BATCH_DETAIL).and_then(|number| number.parse().ok());
        let at_engine = || self.state().current.as_ref().and_then(|held| held.task.step.batch());
        let failed = self.take(named.or_else(at_engine).unwrap_or(first.number));
        let mut error = Some(error);
        for batch in &failed {
            let error = error
                .take()
                .unwrap_or_else(|| crate::Error::internal("the same batch failed at its first delivery"));
            let end = self.core.end_of(&batch.held, Err(error));
            settle(&self.core, &batch.held, end);
        }
        let mut left = std::mem::take(&mut self.state().tasks);
        if failed.is_empty() {
            // It is finished, so what failed is behind it: then the oldest is to blame, lest nothing ever ends.
            let end = |held: &Held| self.core.end_of(held, Err(error.unwrap_or_else(crate::Error::stopped)));
            if let Some(batch) = (!left.is_empty()).then(|| left.remove(0)) {
                settle(&self.core, &batch.held, end(&batch.held));
            }
        }
        left
    }

    /// Settles all tasks: where there is no space for one, another would be begun in vain. The job is paused by what the
    /// first of them tells.
    fn end_without_space(&self, error: crate::Error) {
        let mut error = Some(error);
        for batch in std::mem::take(&mut self.state().tasks) {
            let message = "no space was left for the batch before it";
            let error = error
                .take()
                .unwrap_or_else(|| crate::Error::new(ErrorCode::DiskFull, message));
            let end = self.core.end_of(&batch.held, Err(error));
            settle(&self.core, &batch.held, end);
        }
    }
}

impl Progress for LineTasks {
    fn batch_started(&self, number: u64, frames: u64) {
        let mut state = self.state();
        state.current = state
            .tasks
            .iter()
            .find(|b| b.number == number)
            .map(|b| Arc::clone(&b.held));
        if let Some(held) = &state.current {
            held.set_progress(0, frames);
        }
    }

    fn frame(&self, frames: &Frames<'_>) {
        self.pairs.look_at(frames);
    }

    fn frame_done(&self) {
        self.core.metrics.frame();
        if let Some(held) = &self.state().current {
            held.frame_done();
        }
    }

    fn batch_found(&self, number: u64, _marker: &Marker) {
        self.done(number);
    }

    fn batch_done(&self, number: u64, _marker: &Marker) {
        self.done(number);
    }
}

/// Settles a task while the line goes on.
fn settle(core: &Arc<Core>, held: &Arc<Held>, end: End) {
    let (shared, held) = (Arc::clone(core), Arc::clone(held));
    core.runtime.spawn(async move { shared.settle(&held, end).await });
}
