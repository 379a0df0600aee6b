use std::time::Duration;

use crate::ErrorCode;
use crate::job::{ClassName, State};

use super::Destination;

/// Something that happened, for whoever counts. The scheduler itself makes nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}
