use std::time::Duration;

use crate::ErrorCode;
use crate::job::{ClassName, JobId, State, WorkerId};

use super::Destination;

/// Something that happened, for whoever counts. The scheduler itself makes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A worker took a task that was published: so long did it wait in line and in its queue. Told when the worker reports.
    Started {
        /// Which queue.
        queue: Destination,
        /// How long it waited.
        waited: Duration,
    },
    /// A batch is done that was not done before.
    BatchDone {
        /// Class of the job.
        class: ClassName,
    },
    /// A part failed and is tried again.
    Retried {
        /// Why it failed.
        code: ErrorCode,
    },
    /// Workers died of a task as often as the broker delivers one.
    DeadLetter,
    /// The generation of a job was raised.
    Raised,
    /// A job ended.
    Ended {
        /// How.
        state: State,
        /// Why, if it failed.
        code: Option<ErrorCode>,
    },
    /// An audit came to its end.
    Audited {
        /// Class of the job.
        class: ClassName,
        /// How.
        outcome: AuditOutcome,
    },
    /// Two workers of one fingerprint made different frames of one batch.
    Differs {
        /// The job.
        job: JobId,
        /// The plan.
        plan: u32,
        /// The batch.
        batch: u64,
        /// Whose frames are stored.
        made_by: WorkerId,
        /// Who computed them again.
        audited_by: WorkerId,
        /// Which of the two a third one contradicts; nothing where none could decide.
        wrong: Option<WorkerId>,
    },
}

/// How an audit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AuditOutcome {
    /// Both workers made the same frames.
    Equal,
    /// They did not, and a third one decided which of them is wrong.
    Different,
    /// They did not, and there was no third to decide.
    Undecided,
    /// No worker that may took it in time, or it failed.
    Skipped,
    /// The job was deleted, or its segments.
    Gone,
}
