//! How a task ends: a report where there is something to say, then the acknowledgement, in this order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{ControlMessage, Event, FORMAT_VERSION, Outcome, Progress, Report};
use clearfleet_common::queue::{QueueError, QueueName};

use super::core::Core;
use super::failure;
use super::holdings::{Held, Why};
use super::traced::{self, Ending};
use crate::Error;

/// Waits between attempts to report. What cannot be reported is not acknowledged: it comes again, to whomever, and is found
/// done then.
const ATTEMPTS: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];

/// What is said of a task at its end.
#[derive(Debug)]
pub(super) enum End {
    /// This.
    Report(Box<Outcome>),
    /// Nothing: it does not count any more.
    Void,
    /// Nothing, and it is not acknowledged either, so that it comes again.
    Abandon,
}

impl End {
    /// With this report.
    pub(super) fn report(outcome: Outcome) -> Self {
        Self::Report(Box::new(outcome))
    }
}

impl Core {
    /// How a task ends whose step came to this.
    pub(super) fn end_of(&self, held: &Held, result: Result<Outcome, Error>) -> End {
        let error = match result {
            Ok(outcome) => return End::report(outcome),
            Err(error) => error,
        };
        let late = || Error::new(ErrorCode::DeadlineExceeded, "it took longer than its deadline");
        let (why, error) = match held.recall.why() {
            Some(Why::Late) => (None, late()),
            why => (why, error),
        };
        match why {
            Some(Why::Void) => End::Void,
            Some(Why::Drain) => End::report(Outcome::Returned),
            Some(Why::Gone) => End::Abandon,
            None | Some(Why::Late) => {
                let (task, causes) = (&held.task, failure::causes(&error));
                tracing::warn!(job = %task.job, step = ?task.step, code = %error.code(), %error, ?causes, "a task failed");
                End::report(failure::outcome(&error, task, &self.id, held.attempt))
            }
        }
    }

    /// Ends a task: reports, acknowledges, lets go of it.
    pub(super) async fn settle(&self, held: &Arc<Held>, end: End) {
        if let Some(delivery) = held.take_delivery() {
            tracing::debug!(job = %held.task.job, step = ?held.task.step, ?end, "a task ends");
            let outcome = match &end {
                End::Report(outcome) => Some(&**outcome),
                End::Void | End::Abandon => None,
            };
            self.metrics.ended(held.task.step, outcome, held.since.elapsed());
            let done = matches!(outcome, Some(Outcome::BatchDone));
            let ending = held.trace.is_some().then(|| Ending::of(&end));
            let acknowledge = match end {
                End::Report(outcome) => self.report(held, *outcome).await,
                End::Void => true,
                End::Abandon => false,
            };
            let acknowledging = async {
                if acknowledge && let Err(error) = delivery.acknowledge().await {
                    // It comes again, and is found done.
                    tracing::warn!(job = %held.task.job, step = ?held.task.step, %error, "a task was not acknowledged");
                }
            };
            let telling = async {
                // A batch may be shorter than the time between two words on how far it is.
                if done && let Some((_, frames)) = held.progress() {
                    self.tell_progress(held, (frames, frames)).await;
                }
            };
            tokio::join!(acknowledging, telling);
            if let Some(ending) = ending {
                traced::ended(self, held, ending);
            }
        }
        self.end(&held.task).await;
        self.holdings.release(held);
    }

    /// Tells everybody who watches how far a task is, of how much.
    pub(super) async fn tell_progress(&self, held: &Held, (done, total): (u64, u64)) {
        let event = Event::Progress(Progress {
            job: held.task.job,
            owner: held.task.owner,
            step: held.task.step,
            done,
            total,
        });
        if let Err(error) = self.emit(&event).await {
            // The announcements, which go the same way, say so aloud.
            tracing::trace!(%error, "progress is not heard");
        }
    }

    /// Tells the scheduler; whether the queue has it.
    async fn report(&self, held: &Held, outcome: Outcome) -> bool {
        let message = ControlMessage::Report(Report {
            version: FORMAT_VERSION,
            worker: self.id.clone(),
            task: held.task.clone(),
            outcome,
            held_seconds: Some(held.since.elapsed().as_secs_f64()),
        });
        let body = match serde_json::to_vec(&message) {
            Ok(body) => Bytes::from(body),
            Err(error) => {
                tracing::error!(%error, ?message, "a report cannot be written");
                return false;
            }
        };
        match self.publish(body).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(job = %held.task.job, step = ?held.task.step, %error, "a report was not taken");
                false
            }
        }
    }

    async fn publish(&self, body: Bytes) -> Result<(), QueueError> {
        for wait in ATTEMPTS {
            match self.queue.publish(QueueName::Control, body.clone()).await {
                Err(QueueError::Unavailable(why)) => {
                    tracing::debug!(why, "a report is tried again");
                    tokio::time::sleep(wait).await;
                }
                published => return published,
            }
        }
        self.queue.publish(QueueName::Control, body).await
    }
}
