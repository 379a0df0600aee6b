use crate::job::{Announcement, ClassName, ControlMessage, Failure, JobId, Lane, OwnerId, Record, Task, WorkerId};

use super::BatchSet;

/// One version of a record, as storage names it; two are compared and no more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordVersion(pub String);

/// Tells a question to storage from every other of the same scheduler: an answer to one that was given up is passed
/// over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Where a task is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// The queue of what needs no engine.
    Media,
    /// The queue of streams' sound.
    Sound,
    /// A lane of a class.
    Work(Lane, ClassName),
}

/// A key below `active/`, and the record that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedJob {
    /// Which job.
    pub job: JobId,
    /// Whose, and the record's present version; nothing where there is no record.
    pub record: Option<(OwnerId, RecordVersion)>,
}

/// What is known of a class from an earlier time.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownClass {
    /// Which class.
    pub class: ClassName,
    /// Fingerprint of its workers.
    pub fingerprint: String,
    /// Pixels of results that one of them makes in a second.
    pub pixels_per_second: f64,
}

/// What the scheduler is told.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "few wait at a time, and most of them are the large one"
)]
pub enum Input {
    /// This process consumes the control queue from now on. Whatever it knew before is forgotten.
    Activated,
    /// Another process does, or nobody.
    Deactivated,
    /// The broker was away: what was published may be lost.
    BrokerBack,
    /// A class as it was when somebody wrote it down last.
    Class(KnownClass),
    /// All keys below `active/`: the answer to [`Effect::ListActive`].
    Listed(Vec<ListedJob>),
    /// `active/` could not be listed.
    ListFailed,
    /// A record, or nothing where there is none: the answer to [`Effect::Read`] and [`Effect::Settle`].
    Read {
        /// Whose question it answers.
        job: JobId,
        /// Which question.
        ticket: Ticket,
        /// What was found.
        found: Option<(Box<Record>, RecordVersion)>,
    },
    /// The record was replaced: an answer to [`Effect::Replace`].
    Replaced {
        /// Which job.
        job: JobId,
        /// Which question.
        ticket: Ticket,
        /// The new version.
        version: RecordVersion,
    },
    /// Somebody else changed the record meanwhile, or it is gone: an answer to [`Effect::Replace`].
    Lost {
        /// Which job.
        job: JobId,
        /// Which question.
        ticket: Ticket,
    },
    /// The markers that there are: the answer to [`Effect::ListMarkers`].
    Markers {
        /// Which job.
        job: JobId,
        /// Which question.
        ticket: Ticket,
        /// Batches whose marker is there.
        done: BatchSet,
    },
    /// Nothing of the job is left: the answer to [`Effect::Delete`].
    Deleted {
        /// Which job.
        job: JobId,
        /// Which question.
        ticket: Ticket,
    },
    /// Storage or broker failed at what was asked; it may have happened or not.
    Failed {
        /// Which job.
        job: JobId,
        /// Which question.
        ticket: Ticket,
    },
    /// The task may not be in its queue.
    PublishFailed(Task),
    /// A message of the control queue.
    Control(ControlMessage),
    /// A task whose workers died of it, as often as the broker delivers one.
    DeadLetter(Task),
    /// A worker says that it is alive.
    Announced(Announcement),
    /// Time has passed.
    Tick,
}

/// What the scheduler wants done. Effects of one call may be carried out in any order and at the same time: where order
/// matters, the next is asked for when the one before is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// List `active/` and the versions of the records; answer [`Input::Listed`] or [`Input::ListFailed`].
    ListActive,
    /// Read a record; answer [`Input::Read`] or [`Input::Failed`].
    Read {
        /// Which job.
        job: JobId,
        /// Whose.
        owner: OwnerId,
        /// Which question.
        ticket: Ticket,
    },
    /// Replace a record if it still has a version; then tell everybody that it changed. Answer [`Input::Replaced`],
    /// [`Input::Lost`] or [`Input::Failed`].
    Replace {
        /// Which question.
        ticket: Ticket,
        /// The new record.
        record: Box<Record>,
        /// The version to replace.
        expected: RecordVersion,
    },
    /// List the markers of a plan; answer [`Input::Markers`] or [`Input::Failed`].
    ListMarkers {
        /// Which job.
        job: JobId,
        /// Number of its plan.
        plan: u32,
        /// Which question.
        ticket: Ticket,
    },
    /// Put a task into a queue; [`Input::PublishFailed`] if that cannot be confirmed, else no answer.
    Publish {
        /// Which queue.
        to: Destination,
        /// What.
        task: Task,
    },
    /// Keep why a batch failed; no answer, and no harm where it is not kept.
    KeepFailure {
        /// Which job.
        job: JobId,
        /// Which batch.
        batch: u64,
        /// Why.
        failure: Failure,
    },
    /// Keep why the sound of a plan's stream is not made; no answer, and no harm where it is not kept.
    KeepSoundFailure {
        /// Which job.
        job: JobId,
        /// Number of its plan.
        plan: u32,
        /// Why.
        failure: Failure,
    },
    /// A job ended. In this order: put its webhook into the queue of webhooks if it asks for one, delete its key below
    /// `active/`, read its record again. Answer [`Input::Read`] or [`Input::Failed`].
    Settle {
        /// Which job.
        job: JobId,
        /// Whose.
        owner: OwnerId,
        /// Which question.
        ticket: Ticket,
        /// Where to say that it ended.
        webhook: Option<String>,
    },
    /// Delete everything of an ended job, in this order: its objects, its record, its key below `active/`. Answer
    /// [`Input::Deleted`] or [`Input::Failed`].
    Delete {
        /// Which job.
        job: JobId,
        /// Whose.
        owner: OwnerId,
        /// Which question.
        ticket: Ticket,
        /// Whether another active job reads its source, which therefore stays.
        keep_source: bool,
    },
    /// Write a job's key below `active/`, which is missing; no answer.
    KeepActive {
        /// Which job.
        job: JobId,
        /// Whose.
        owner: OwnerId,
    },
    /// Delete a key below `active/` whose job has no record; no answer.
    DropActive {
        /// Which job.
        job: JobId,
    },
    /// Write down what a class can do; no answer.
    KeepClass(KnownClass),
    /// Tell a worker, and everybody, that it makes wrong pictures and takes nothing more; no answer, and no harm where it is
    /// not heard.
    Distrust(WorkerId),
}
