//! What a worker counts, for Prometheus.

use std::collections::HashMap;
use std::time::Duration;

use clearfleet_common::job::{ClassName, Outcome, Step, Timings};
use prometheus::{CounterVec, Gauge, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::steps::{Meter, Stage};

clearfleet_common::metrics! {
    /// The metrics of the workers of one process; the class of all of them is a label of each.
    #[derive(Debug)]
    pub struct WorkerMetrics {
        /// Tasks that ended, by step and by what became of them.
        tasks: IntCounterVec = "clearfleet_worker_tasks_total" ["step", "outcome"],
        /// Seconds that a task was held, by step.
        task_seconds: HistogramVec = "clearfleet_worker_task_seconds" ["step"],
        /// Tasks that are held now.
        held: IntGauge = "clearfleet_worker_tasks_held" [],
        /// Seconds that a stage was busy with one batch; of fetch, with one read; of upload, with one object.
        stage_seconds: HistogramVec = "clearfleet_worker_stage_seconds" ["stage"],
        /// Seconds that stages were busy; reads of sources may overlap.
        stage_busy: CounterVec = "clearfleet_worker_stage_busy_seconds_total" ["stage"],
        /// Frames of batches that went through the engine.
        frames: IntCounter = "clearfleet_worker_frames_total" [],
        /// Pixels of results that the engine made.
        pixels: IntCounter = "clearfleet_worker_pixels_total" [],
        /// Pixels of results that were taken over from an earlier plan in place of being made again.
        reused_pixels: IntCounter = "clearfleet_worker_reused_pixels_total" [],
        /// Pixels of results that the engine makes in a second, as measured of late.
        rate: Gauge = "clearfleet_worker_pixels_per_second" [],
        /// Bytes of sources that were read from the store.
        source_bytes: IntCounter = "clearfleet_worker_source_read_bytes_total" [],
        /// Reads of sources from the store.
        source_reads: IntCounter = "clearfleet_worker_source_reads_total" [],
        /// Always 1; its labels tell what the worker is.
        info: IntGaugeVec = "clearfleet_worker_info" ["device", "fingerprint", "version"],
        /// Whether the worker takes no more tasks, since it ends.
        draining: IntGauge = "clearfleet_worker_draining" [],
    }
}

impl WorkerMetrics {
    /// Metrics that count from 0, of workers of this class.
    pub fn of_class(class: ClassName) -> Self {
        Self::labelled(HashMap::from([("class".to_owned(), class.to_string())]))
    }

    /// Bytes of sources that were read so far.
    pub fn source_bytes_read(&self) -> u64 {
        self.source_bytes.get()
    }

    pub(super) fn is(&self, device: &str, fingerprint: &str) {
        let labels = [device, fingerprint, env!("CARGO_PKG_VERSION")];
        self.info.with_label_values(&labels).set(1);
    }

    /// Says that the workers take no more tasks.
    pub fn drains(&self) {
        self.draining.set(1);
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

    /// The engine made so many pixels of results in this time.
    pub(super) fn made(&self, pixels: usize, busy: Duration) {
        self.pixels.inc_by(pixels as u64);
        self.busy(Stage::Infer, busy);
    }

    pub(super) fn runs_at(&self, pixels_per_second: f64) {
        self.rate.set(pixels_per_second);
    }

    pub(super) fn read(&self, bytes: u64) {
        self.source_reads.inc();
        self.source_bytes.inc_by(bytes);
    }

    /// A stage was busy with one thing from beginning to end.
    pub(super) fn once(&self, stage: Stage, took: Duration) {
        self.busy(stage, took);
        self.took(stage, took.as_secs_f64());
    }

    fn took(&self, stage: Stage, seconds: f64) {
        self.stage_seconds
            .with_label_values(&[<&str>::from(stage)])
            .observe(seconds);
    }
}

impl Meter for WorkerMetrics {
    fn busy(&self, stage: Stage, took: Duration) {
        self.stage_busy
            .with_label_values(&[<&str>::from(stage)])
            .inc_by(took.as_secs_f64());
    }

    fn batch(&self, timings: &Timings) {
        self.took(Stage::Decode, timings.decode_seconds);
        self.took(Stage::Infer, timings.infer_seconds);
        self.took(Stage::Encode, timings.encode_seconds);
    }

    fn reused(&self, pixels: u64) {
        self.reused_pixels.inc_by(pixels);
    }
}

pub(super) fn step_name(step: Step) -> &'static str {
    match step {
        Step::Plan { .. } => "plan",
        Step::Upscale { .. } => "upscale",
        Step::Assemble { .. } => "assemble",
        Step::Picture { .. } => "picture",
        Step::Audit { .. } => "audit",
        Step::Sound { .. } => "sound",
    }
}

pub(super) fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Planned(_)
        | Outcome::BatchDone
        | Outcome::Finished { .. }
        | Outcome::Audited(_)
        | Outcome::SoundDone => "done",
        Outcome::IsPicture | Outcome::IsVideo | Outcome::LedgerMismatch(_) => "planned_anew",
        Outcome::Failed { transient: true, .. } => "failed_transiently",
        Outcome::Failed { .. } => "failed",
        Outcome::Returned => "returned",
        Outcome::OtherFingerprint => "other_fingerprint",
    }
}
