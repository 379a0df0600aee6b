//! Tasks that this process died of before, where no broker outlives it to count.

use std::sync::Arc;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::Task;
use clearfleet_common::queue::StartLog;

use super::core::Core;
use crate::Error;

/// After so many starts that did not end, a task runs alone: one beside it may be the cause.
const ALONE_AFTER: u32 = 3;
/// After so many it is not begun any more.
const POISON_AFTER: u32 = 5;

/// What the log says of a task before it is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Past(u32);

impl Past {
    /// Whether nothing is to run beside it.
    pub(super) fn wants_to_be_alone(self) -> bool {
        self.0 >= ALONE_AFTER
    }

    /// Why it is not begun again, if it is not.
    pub(super) fn poison(self) -> Option<Error> {
        (self.0 >= POISON_AFTER).then(|| {
            let message = format!(
                "the process ended {} times while it did this, the last {} times with nothing beside",
                self.0,
                self.0 - ALONE_AFTER
            );
            Error::new(ErrorCode::WorkerDied, message).with("starts", self.0)
        })
    }
}

impl Core {
    /// How often a task was begun and not ended.
    pub(super) async fn past(&self, task: &Task) -> Past {
        let name = name(task);
        Past(self.with_log(move |log| Ok(log.unended(&name))).await.unwrap_or(0))
    }

    /// A task begins.
    pub(super) async fn begin(&self, task: &Task) {
        let name = name(task);
        self.with_log(move |log| log.begin(&name)).await;
    }

    /// A task has ended, and the process lives.
    pub(super) async fn end(&self, task: &Task) {
        let name = name(task);
        self.with_log(move |log| log.end(&name)).await;
    }

    /// Calls the log, if there is one, where blocking is allowed. A log that cannot be written keeps no work from being done.
    async fn with_log<T: Send + 'static>(
        &self,
        call: impl FnOnce(&StartLog) -> Result<T, clearfleet_common::queue::StartLogError> + Send + 'static,
    ) -> Option<T> {
        let log = Arc::clone(self.starts.as_ref()?);
        match tokio::task::spawn_blocking(move || call(&log)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::warn!(%error, cause = ?std::error::Error::source(&error), "starts of tasks are not counted");
                None
            }
            // Only a runtime that ends does not run it.
            Err(_) => None,
        }
    }
}

/// What a task is called in the log: the same in every generation.
fn name(task: &Task) -> String {
    format!("{} {:?}", task.job, task.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_unended_start_is_the_last_in_company_and_the_fifth_the_last() {
        let said = |starts: u32| (Past(starts).wants_to_be_alone(), Past(starts).poison().is_some());
        assert_eq!(
            [0, 2, 3, 4, 5].map(said),
            [
                (false, false),
                (false, false),
                (true, false),
                (true, false),
                (true, true)
            ]
        );
        let error = Past(5).poison().unwrap();
        assert_eq!(
            (error.code(), error.details()["starts"].as_str()),
            (ErrorCode::WorkerDied, "5")
        );
    }
}
