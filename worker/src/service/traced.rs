//! The span of a task, and beneath it those of its stages.
//!
//! All are made when the task ends, of what was noted until then: so a span costs nothing while frames flow, and a worker
//! that dies leaves none of the tasks that it had. A stage's span reaches from where it first worked on the task to where it
//! last did, both as they were measured; stages overlap, and rest in between, so how long it was busy is an attribute,
//! counted as the metrics of stages count it: of `infer`, waiting for a turn at the engine included; of `fetch`, reads that
//! overlap each in full; of `encode`, with what it waits for `upload`. `decode` ends when its last frame is taken, which may
//! have waited a little. A read counts for the batch that is being decoded when it begins: one whose bytes were read ahead
//! for another has no `fetch`.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use clearfleet_common::job::{FrameRange, Outcome, Plan, Timings, TraceParent};
use clearfleet_common::telemetry::trace::{self, Context, KeyValue, Span, SpanKind, TraceContextExt};

use super::core::Core;
use super::holdings::Held;
use super::metrics::{WorkerMetrics, outcome_name, step_name};
use super::settle::End;
use crate::Result;
use crate::steps::{Meter, Stage};

/// What is noted of a task for its span.
#[derive(Debug)]
pub(super) struct TaskTrace {
    began: SystemTime,
    since: Instant,
    frames: OnceLock<FrameRange>,
    /// In the order in which they first worked.
    parts: Mutex<Vec<Part>>,
}

/// A stage, or another part of a task.
#[derive(Debug)]
struct Part {
    name: &'static str,
    first: Instant,
    last: Instant,
    busy: Duration,
    /// Code and message of what ended it, if it failed.
    error: Option<(&'static str, String)>,
}

impl TaskTrace {
    /// Of a task that begins now; nothing where no spans are collected.
    pub(super) fn begin() -> Option<Arc<Self>> {
        trace::is_on().then(|| Arc::new(Self::new()))
    }

    fn new() -> Self {
        Self {
            began: SystemTime::now(),
            since: Instant::now(),
            frames: OnceLock::new(),
            parts: Mutex::default(),
        }
    }

    /// A stage worked from `since` to now, and was busy for `took` of that.
    pub(super) fn worked(&self, stage: Stage, since: Instant, took: Duration) {
        self.note(stage.into(), since, took, None);
    }

    fn note(&self, name: &'static str, since: Instant, took: Duration, error: Option<(&'static str, String)>) {
        let now = Instant::now();
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        match parts.iter_mut().find(|part| part.name == name) {
            Some(part) => {
                part.first = part.first.min(since);
                part.last = now;
                part.busy += took;
                part.error = error.or(part.error.take());
            }
            None => parts.push(Part {
                name,
                first: since,
                last: now,
                busy: took,
                error,
            }),
        }
    }

    /// When this was by the clock that spans go by, which does not go back while a task lasts.
    fn at(&self, moment: Instant) -> SystemTime {
        self.began + moment.saturating_duration_since(self.since)
    }
}

impl Held {
    /// Runs a part of the task, and notes from when to when.
    pub(super) fn part<T>(&self, name: &'static str, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(trace) = &self.trace else { return run() };
        let since = Instant::now();
        let done = run();
        let error = done.as_ref().err().map(|e| (e.code().as_str(), e.message().to_owned()));
        trace.note(name, since, since.elapsed(), error);
        done
    }

    /// Says which batch it is about.
    pub(super) fn is_about(&self, plan: &Plan, batch: u64) {
        let frames = usize::try_from(batch).ok().and_then(|batch| plan.batches.get(batch));
        if let (Some(trace), Some(frames)) = (&self.trace, frames) {
            // It is about the same ones, however often it is said.
            let _ = trace.frames.set(*frames);
        }
    }

    /// What a step tells of its stages, beside counting them; nothing where no spans are collected.
    pub(super) fn meter(&self, metrics: &Arc<WorkerMetrics>) -> Option<Arc<dyn Meter>> {
        let trace = Arc::clone(self.trace.as_ref()?);
        Some(noting(metrics, move |_, stage, since, took| {
            trace.worked(stage, since, took);
        }))
    }
}

/// Counts for the metrics, and tells `worked` what [`Meter::worked`] is told.
pub(super) fn noting(
    metrics: &Arc<WorkerMetrics>,
    worked: impl Fn(Option<u64>, Stage, Instant, Duration) + Send + Sync + 'static,
) -> Arc<dyn Meter> {
    let metrics = Arc::clone(metrics);
    Arc::new(Noting { metrics, worked })
}

struct Noting<F> {
    metrics: Arc<WorkerMetrics>,
    worked: F,
}

impl<F: Fn(Option<u64>, Stage, Instant, Duration) + Send + Sync> Meter for Noting<F> {
    fn busy(&self, stage: Stage, took: Duration) {
        self.metrics.busy(stage, took);
    }

    fn batch(&self, timings: &Timings) {
        self.metrics.batch(timings);
    }

    fn reused(&self, pixels: u64) {
        self.metrics.reused(pixels);
    }

    fn worked(&self, batch: Option<u64>, stage: Stage, since: Instant, took: Duration) {
        (self.worked)(batch, stage, since, took);
    }
}

/// What a task's span says of its end.
pub(super) struct Ending {
    outcome: &'static str,
    /// Why the task is not done with this: a code, and more for a person.
    error: Option<(&'static str, String)>,
}

impl Ending {
    pub(super) fn of(end: &End) -> Self {
        let outcome = match end {
            End::Report(outcome) => &**outcome,
            End::Void => return Self::good("void"),
            End::Abandon => return Self::bad("abandoned", "abandoned", "the worker let go of it"),
        };
        let name = outcome_name(outcome);
        match outcome {
            Outcome::Failed { failure, .. } | Outcome::LedgerMismatch(failure) => {
                let causes = std::iter::once(&failure.message).chain(&failure.causes);
                let why = causes.map(String::as_str).collect::<Vec<_>>().join(": ");
                Self::bad(name, failure.code.as_str(), &why)
            }
            Outcome::Returned => Self::bad(name, name, "given back unfinished, since the worker ends"),
            Outcome::OtherFingerprint => Self::bad(name, name, "the plan is for workers of another fingerprint"),
            _ => Self::good(name),
        }
    }

    fn good(outcome: &'static str) -> Self {
        Self { outcome, error: None }
    }

    fn bad(outcome: &'static str, code: &'static str, why: &str) -> Self {
        let error = Some((code, why.to_owned()));
        Self { outcome, error }
    }
}

/// Makes the spans of a task that has ended.
pub(super) fn ended(core: &Core, held: &Held, ending: Ending) {
    let Some(noted) = &held.trace else { return };
    let task = &held.task;
    let parent = trace::parent(task.trace.as_ref().map(TraceParent::as_str));
    let Some(mut span) = trace::begin(step_name(task.step), SpanKind::Consumer, noted.began, &parent) else {
        return;
    };
    span.set_attributes(attributes(core, held, noted));
    span.set_attribute(KeyValue::new("clearfleet.outcome", ending.outcome));
    if let Some((code, why)) = ending.error {
        trace::fail(&mut span, code, why);
    }
    let context = parent.with_span(span);
    for part in std::mem::take(&mut *noted.parts.lock().unwrap_or_else(PoisonError::into_inner)) {
        noted.make(part, &context);
    }
    context.span().end_with_timestamp(noted.at(Instant::now()));
}

impl TaskTrace {
    fn make(&self, part: Part, task: &Context) {
        let Some(mut span) = trace::begin(part.name, SpanKind::Internal, self.at(part.first), task) else {
            return;
        };
        span.set_attribute(KeyValue::new("clearfleet.busy_seconds", part.busy.as_secs_f64()));
        if let Some((code, why)) = part.error {
            trace::fail(&mut span, code, why);
        }
        span.end_with_timestamp(self.at(part.last));
    }
}

fn attributes(core: &Core, held: &Held, noted: &TaskTrace) -> Vec<KeyValue> {
    let task = &held.task;
    let mut attributes = vec![
        KeyValue::new("clearfleet.job", task.job.to_string()),
        KeyValue::new("clearfleet.owner", task.owner.to_string()),
        KeyValue::new("clearfleet.worker", core.id.to_string()),
        KeyValue::new("clearfleet.class", core.class.to_string()),
        KeyValue::new("clearfleet.lane", <&str>::from(held.lane)),
        KeyValue::new("clearfleet.plan", i64::from(task.step.plan())),
        KeyValue::new("clearfleet.generation", trace::whole(task.generation)),
        KeyValue::new("clearfleet.attempt", i64::from(held.attempt)),
    ];
    if let Some(batch) = task.step.batch() {
        attributes.push(KeyValue::new("clearfleet.batch", trace::whole(batch)));
    }
    if let Some(frames) = noted.frames.get() {
        attributes.push(KeyValue::new("clearfleet.frames.start", trace::whole(frames.start())));
        attributes.push(KeyValue::new("clearfleet.frames.end", trace::whole(frames.end())));
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_reaches_from_its_first_work_to_its_last() {
        let trace = TaskTrace::new();
        let start = trace.since;
        let busy = Duration::from_millis(3);
        trace.worked(Stage::Decode, start, busy);
        let between = Instant::now();
        trace.worked(Stage::Infer, between, busy);
        trace.worked(Stage::Decode, between, busy);
        let parts = trace.parts.into_inner().unwrap();
        let [decode, infer] = &parts[..] else {
            panic!("{parts:?}")
        };
        assert_eq!((decode.name, infer.name), ("decode", "infer"));
        assert_eq!((decode.first, decode.busy), (start, 2 * busy));
        assert_eq!((infer.first, infer.busy), (between, busy));
        assert!(decode.last >= infer.last && infer.last >= between);
    }
}
