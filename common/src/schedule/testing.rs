//! Records and messages for tests.

use jiff::Timestamp;

use crate::job::{
    Announcement, ClassName, FORMAT_VERSION, JobId, JobResult, Outcome, OutputFormat, OwnerId, PlanSummary, Priority,
    Record, Report, Request, Serves, Settings, Source, SourceKind, SourceLocation, Stretch, Task, WorkerId,
};

/// The record of a new job of the owner `local`.
pub(crate) fn record(id: u128, kind: SourceKind) -> Record {
    record_of(id, kind, OwnerId::default())
}

/// The record of a new job.
pub(crate) fn record_of(id: u128, kind: SourceKind, owner: OwnerId) -> Record {
    let request = Request {
        name: "a".to_owned(),
        kind,
        settings: Settings::default(),
        stretch: Stretch::default(),
        retouches: Vec::new(),
        class: ClassName::default(),
        priority: Priority::Normal,
        webhook: None,
        destination: None,
        preview: None,
    };
    let id = JobId::from_u128(id);
    let source = Source {
        location: SourceLocation::Job(id),
        bytes: 1000,
        etag: "\"1\"".to_owned(),
        content_type: "video/mp4".to_owned(),
    };
    Record::new(id, owner, request, source, Timestamp::UNIX_EPOCH)
}

/// Plan `number` of `batches` batches of 30 s.
pub(crate) fn plan(number: u32, batches: u64) -> PlanSummary {
    PlanSummary {
        number,
        kind: SourceKind::Video,
        class: ClassName::default(),
        pipeline: "p".to_owned(),
        batches,
        frames: 10 * batches,
        batch_seconds: 30.0,
        source_size: (16, 16),
        target_size: (32, 32),
        seconds: 1.0,
        format: OutputFormat::Mp4,
        notes: Vec::new(),
        exact: false,
        has_sound: false,
        fingerprint: None,
    }
}

/// A result of plan `plan`.
pub(crate) fn result(plan: u32) -> JobResult {
    JobResult {
        key: format!("jobs/1/results/{plan}"),
        plan,
        bytes: 1,
        sha256: String::new(),
        format: OutputFormat::Mp4,
        size: (32, 32),
        frames: 1,
        notes: Vec::new(),
        destination: None,
    }
}

/// What `worker` says of `task`.
pub(crate) fn report(worker: &str, task: Task, outcome: Outcome) -> Report {
    Report {
        version: FORMAT_VERSION,
        worker: WorkerId::new(worker),
        task,
        outcome,
        held_seconds: None,
    }
}

/// `worker` is alive and holds `holds`.
pub(crate) fn announcement(worker: &str, fingerprint: &str, holds: Vec<Task>) -> Announcement {
    Announcement {
        worker: WorkerId::new(worker),
        class: ClassName::default(),
        fingerprint: fingerprint.to_owned(),
        device: "cpu".to_owned(),
        pixels_per_second: 1e6,
        holds,
        draining: false,
        serves: Serves::default(),
        audits: true,
        distrusted: false,
    }
}
