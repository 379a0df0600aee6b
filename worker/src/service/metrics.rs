//! What a worker counts, for Prometheus.

use std::time::Duration;

use clearfleet_common::job::{Outcome, Step};
use clearfleet_common::telemetry;
use prometheus::{Gauge, HistogramVec, IntCounter, IntCounterVec, IntGauge};

clearfleet_common::metrics! {
    /// The metrics of one worker.
    #[derive(Debug)]
    pub struct WorkerMetrics {
        /// Tasks that ended, by step and by what became of them.
        tasks: IntCounterVec = "clearfleet_worker_tasks_total" ["step", "outcome"],
        /// Seconds that a task was held, by step.
        task_seconds: HistogramVec = "clearfleet_worker_task_seconds" ["step"],
        /// Tasks that are held now.
        held: IntGauge = "clearfleet_worker_tasks_held" [],
        /// Frames of batches that went through the engine.
        frames: IntCounter = "clearfleet_worker_frames_total" [],
        /// Pixels of results that the engine makes in a second, as measured of late.
        rate: Gauge = "clearfleet_worker_pixels_per_second" [],
        /// Bytes of sources that were read from the store.
        source_bytes: IntCounter = "clearfleet_worker_source_read_bytes_total" [],
        /// Reads of sources from the store.
        source_reads: IntCounter = "clearfleet_worker_source_reads_total" [],
    }
}

impl WorkerMetrics {
    /// Bytes of sources that were read so far.
    pub fn source_bytes_read(&self) -> u64 {
        self.source_bytes.get()
    }

    /// All of them in Prometheus' text format.
    ///
    /// # Errors
    /// If they cannot be written as text, which none here causes.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        telemetry::text(&self.registry)
    }

    pub(super) fn ended(&self, step: Step, outcome: Option<&Outcome>, held: Duration) {
        let step = step_name(step);
        let outcome = outcome.map_or("void", outcome_name);
        self.tasks.with_label_values(&[step, outcome]).inc();
        self.task_seconds.with_label_values(&[step]).observe(held.as_secs_f64());
    }

    pub(super) fn holds(&self, tasks: usize) {
        self.held.set(i64::try_from(tasks).unwrap_or(i64::MAX));
    }

    pub(super) fn frame(&self) {
        self.frames.inc();
    }

    pub(super) fn runs_at(&self, pixels_per_second: f64) {
        self.rate.set(pixels_per_second);
    }

    pub(super) fn read(&self, bytes: u64) {
        self.source_reads.inc();
        self.source_bytes.inc_by(bytes);
    }
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::Plan { .. } => "plan",
        Step::Upscale { .. } => "upscale",
        Step::Assemble { .. } => "assemble",
        Step::Picture { .. } => "picture",
    }
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Planned(_) | Outcome::BatchDone | Outcome::Finished { .. } => "done",
        Outcome::IsPicture | Outcome::IsVideo | Outcome::LedgerMismatch(_) => "planned_anew",
        Outcome::Failed { transient: true, .. } => "failed_transiently",
        Outcome::Failed { .. } => "failed",
        Outcome::Returned => "returned",
        Outcome::OtherFingerprint => "other_fingerprint",
    }
}
