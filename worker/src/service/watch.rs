//! Seeing that tasks do not count any more: by events, and by reading records again since events get lost.

use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::job::{Event, JobId, OwnerId, Topic};
use clearfleet_common::queue::Listener;
use tokio::time::{Instant, sleep_until};

use super::core::Core;
use super::dispatch::is_wanted;
use super::holdings::Why;

/// How often the records of jobs in work are read while no events are heard.
const DEAF: Duration = Duration::from_secs(3);
/// How often while events are heard, of which one may get lost: in a large fleet reading is what costs.
const HEARING: Duration = Duration::from_secs(15);

/// Watches the records of the jobs that tasks are held of. Ends with the worker's other tasks.
pub(super) async fn watch(core: Arc<Core>) {
    let mut listener: Option<Box<dyn Listener>> = None;
    let mut due = Instant::now() + DEAF;
    loop {
        if listener.is_none() {
            listener = core.queue.listen(&[Topic::Records, Topic::Trust]).await.ok();
        }
        let heard = async {
            match listener.as_mut() {
                Some(listener) => listener.next().await,
                // Until it is tried again, after the next reading.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep_until(due) => {
                for (owner, job) in core.holdings.jobs() {
                    core.look_at(owner, job).await;
                }
                due = Instant::now() + if listener.is_some() { HEARING } else { DEAF };
            }
            heard = heard => match heard {
                Ok(event) => core.hear(&event).await,
                Err(error) => {
                    tracing::debug!(%error, "no events are heard; records are read every few seconds");
                    listener = None;
                    due = Instant::now() + DEAF;
                    sleep_until(due).await;
                }
            },
        }
    }
}

impl Core {
    async fn hear(&self, event: &[u8]) {
        match serde_json::from_slice(event) {
            Ok(Event::Changed { job, owner }) if self.holdings.jobs().contains(&(owner, job)) => {
                self.look_at(owner, job).await;
            }
            Ok(Event::Distrusted { worker }) if worker == self.id => self.distrust(),
            Ok(_) => {}
            // A newer build's, perhaps: what it changed is seen at the next reading.
            Err(error) => tracing::trace!(%error, "an event cannot be read"),
        }
    }

    /// Ends the work on tasks that are not wanted any more by what the record says now.
    async fn look_at(&self, owner: OwnerId, job: JobId) {
        let record = match self.storage.record(owner, job).await {
            Ok(record) => record.map(|(record, _)| record),
            Err(error) => {
                tracing::debug!(%job, %error, "a record in work cannot be read now");
                return;
            }
        };
        let held = self.holdings.all();
        let of_job = held
            .iter()
            .filter(|held| held.task.job == job && !held.task.step.is_audit() && held.recall.why().is_none());
        let mut ended = false;
        for held in of_job {
            if !record.as_ref().is_some_and(|record| is_wanted(record, &held.task)) {
                tracing::info!(%job, step = ?held.task.step, "a task is not wanted any more");
                held.recall.now(Why::Void);
                ended = true;
            }
        }
        if ended {
            self.engine.wake();
        }
    }
}
