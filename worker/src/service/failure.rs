//! What a report says of an error.

use std::error::Error as StdError;
use std::io;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Failure, Outcome, Task, WorkerId};
use clearfleet_common::storage::StorageError;

use super::source::SourceError;
use crate::Error;

/// The outcome of a task that ended with this error, at its `attempt`th delivery.
pub(super) fn outcome(error: &Error, task: &Task, worker: &WorkerId, attempt: u32) -> Outcome {
    let failure = failure(error, task, worker, attempt);
    if error.code() == ErrorCode::FramesMismatch && task.step.batch().is_some() {
        return Outcome::LedgerMismatch(failure);
    }
    Outcome::Failed {
        failure,
        transient: is_transient(error),
    }
}

fn failure(error: &Error, task: &Task, worker: &WorkerId, attempt: u32) -> Failure {
    Failure {
        causes: causes(error),
        details: error
            .details()
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        ffmpeg: error.ffmpeg().to_vec(),
        batch: task.step.batch(),
        worker: Some(worker.clone()),
        attempts: attempt,
        ..Failure::new(error.code(), error.message())
    }
}

/// The causes beneath an error, outermost first.
pub(super) fn causes(error: &Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut next = StdError::source(error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}

/// Whether the same task may succeed later without anybody changing anything: the store or its network failed beneath it,
/// it was too slow this time, or it met a fault that may lie in what this process went through before.
pub(super) fn is_transient(error: &Error) -> bool {
    matches!(
        error.code(),
        ErrorCode::DeadlineExceeded | ErrorCode::EngineFailed | ErrorCode::Internal
    ) || StdError::source(error).is_some_and(beneath)
}

/// Whether a cause, or one beneath it, is a failure of the store that may pass.
fn beneath(cause: &(dyn StdError + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<StorageError>() {
        return error.is_transient();
    }
    if let Some(error) = cause.downcast_ref::<SourceError>() {
        return error.is_transient();
    }
    // What an I/O error wraps is not its source, but the source's source is.
    if let Some(wrapped) = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return beneath(wrapped);
    }
    cause.source().is_some_and(beneath)
}

#[cfg(test)]
mod tests {
    use clearfleet_common::job::{JobId, OwnerId, Step};

    use super::*;
    use crate::service::store;

    fn unavailable() -> StorageError {
        StorageError::Unavailable {
            doing: "write".to_owned(),
            cause: "connection reset".into(),
        }
    }

    fn full() -> StorageError {
        StorageError::Full {
            doing: "write".to_owned(),
            cause: "507".into(),
        }
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let unreadable =
            |cause: io::Error| Error::new(ErrorCode::InputUnreadable, "the source cannot be read").because(cause);
        let store_error = SourceError::Store {
            range: 0..5,
            transient: true,
            cause: std::sync::Arc::new(io::Error::other("reset")),
        };
        for (error, transient) in [
            (store::failed(unavailable()), true),
            (store::failed(full()), false),
            (Error::write("a segment", store::io_error(unavailable())), true),
            (Error::write("a segment", store::io_error(full())), false),
            (Error::write("a file", io::ErrorKind::PermissionDenied.into()), false),
            (unreadable(io::Error::other(store_error)), true),
            (unreadable(io::Error::other(SourceError::Changed)), false),
            (Error::new(ErrorCode::DecodeFailed, "decoding: ffmpeg failed"), false),
            (Error::new(ErrorCode::DeadlineExceeded, "too slow"), true),
        ] {
            assert_eq!(is_transient(&error), transient, "{error:?}");
        }
    }

    #[test]
    fn a_full_store_is_a_full_disk_however_it_is_met() {
        assert_eq!(store::failed(full()).code(), ErrorCode::DiskFull);
        assert_eq!(
            Error::write("a segment", store::io_error(full())).code(),
            ErrorCode::DiskFull
        );
    }

    #[test]
    fn a_failure_says_all_that_the_error_does() {
        let task = Task::new(
            JobId::from_u128(1),
            OwnerId::default(),
            0,
            Step::Upscale { plan: 0, batch: 7 },
        );
        let error = Error::new(ErrorCode::FramesMismatch, "frames differ").with("frame", 3);
        let error = error
            .with_ffmpeg(vec!["moov".to_owned()])
            .because(io::Error::other(unavailable()));
        let Outcome::LedgerMismatch(failure) = outcome(&error, &task, &WorkerId::new("w"), 2) else {
            panic!("a ledger's mismatch is an outcome of its own");
        };
        assert_eq!((failure.batch, failure.attempts), (Some(7), 2));
        assert_eq!(failure.details["frame"], "3");
        assert_eq!(failure.ffmpeg, ["moov"]);
        assert_eq!(failure.causes, ["storage failed to write", "connection reset"]);
    }
}
