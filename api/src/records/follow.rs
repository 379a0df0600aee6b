use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clearfleet_common::job::{Event, JobId, OwnerId, Topic};
use clearfleet_common::queue::{Listener, Queue, QueueError};
use clearfleet_common::storage::{KeyPrefix, ObjectKey, StorageError};
use futures::StreamExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::Records;

/// Records that are read at once.
const READS: usize = 64;
/// What events did not say is found after this long.
const LISTED_EVERY: Duration = Duration::from_secs(30);
/// Pauses between attempts to reach a queue that is gone.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

impl Records {
    /// Reads all records, then follows what happens to them, until `stop`.
    pub async fn follow(self: Arc<Self>, queue: Arc<dyn Queue>, stop: CancellationToken) {
        let lists = Arc::clone(&self).list_again_and_again();
        let events = Arc::clone(&self).hear(queue);
        let both = async { tokio::join!(lists, events) };
        stop.run_until_cancelled(both).await;
    }

    async fn list_again_and_again(self: Arc<Self>) {
        let mut turn = interval(LISTED_EVERY);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            let began = Instant::now();
            let first = !self.is_loaded();
            if let Err(e) = self.list().await {
                warn!(
                    error = &e as &dyn std::error::Error,
                    "records cannot be listed; trying again in a while"
                );
                // At the start everybody waits for it.
                if first {
                    turn.reset_after(Duration::from_secs(1));
                }
                continue;
            }
            if first {
                self.write().loaded = true;
                self.loaded.send_replace(true);
                let (jobs, seconds) = (self.read().known().len(), began.elapsed().as_secs_f64());
                info!(jobs, seconds, "all records are read");
            }
        }
    }

    /// Lists all records and reads those that are not as they are known here.
    pub(super) async fn list(&self) -> Result<(), StorageError> {
        // Taken before the list begins: whatever is made while it runs may be in it or not.
        let known = self.read().known();
        let mut listed = HashSet::new();
        let mut changed = Vec::new();
        {
            let mut objects = pin!(self.storage.list(KeyPrefix::Records));
            while let Some(object) = objects.next().await {
                let object = object?;
                let Some((owner, job)) = ObjectKey::recorded_job(&object.key) else {
                    warn!(key = object.key, "an object among the records is none");
                    continue;
                };
                listed.insert(job);
                if self.read().version(job) != Some(&object.version) {
                    changed.push((owner, job));
                }
            }
        }
        let gone = known.into_iter().filter(|(_, job)| !listed.contains(job));
        changed.extend(gone);
        let reads = futures::stream::iter(changed);
        reads
            .for_each_concurrent(READS, |(owner, job)| self.refresh_or_say_why(owner, job))
            .await;
        Ok(())
    }

    /// A record that cannot be read now is read again at the next list, since its version is not known here.
    async fn refresh_or_say_why(&self, owner: OwnerId, job: JobId) {
        if let Err(e) = self.refresh(owner, job).await {
            error!(%owner, %job, error = &e as &dyn std::error::Error, "the record of job {job} cannot be read");
        }
    }

    async fn hear(self: Arc<Self>, queue: Arc<dyn Queue>) {
        let mut pause = PAUSES.0;
        loop {
            match queue.listen(&[Topic::Records, Topic::Progress]).await {
                Ok(listener) => {
                    pause = PAUSES.0;
                    self.listening.send_replace(true);
                    let lost = Arc::clone(&self).hear_until_lost(listener).await;
                    self.listening.send_replace(false);
                    warn!(error = &lost as &dyn std::error::Error, "events are not heard any more");
                }
                Err(e) => warn!(error = &e as &dyn std::error::Error, "events cannot be heard"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn hear_until_lost(self: Arc<Self>, mut listener: Box<dyn Listener>) -> QueueError {
        let reads = Arc::new(Semaphore::new(READS));
        let tasks = TaskTracker::new();
        loop {
            let event = match listener.next().await {
                Ok(event) => event,
                Err(e) => return e,
            };
            match read_event(&event) {
                Some(Event::Changed { job, owner }) => {
                    // Waits where too many are being read: then the listener loses events, and the next list finds them.
                    let Ok(permit) = Arc::clone(&reads).acquire_owned().await else {
                        continue;
                    };
                    let records = Arc::clone(&self);
                    tasks.spawn(async move {
                        records.refresh_or_say_why(owner, job).await;
                        drop(permit);
                    });
                }
                Some(Event::Progress(progress)) => self.progressed(&progress),
                Some(Event::Received { job, owner, bytes }) => drop(self.received(owner, job, bytes)),
                Some(Event::Announced(_) | Event::Distrusted { .. }) | None => {}
            }
        }
    }

    /// Reads a job's record in the background: it was just changed by this process, and others may have been faster.
    pub fn look_again(self: &Arc<Self>, owner: OwnerId, job: JobId) {
        let records = Arc::clone(self);
        tokio::spawn(async move { records.refresh_or_say_why(owner, job).await });
    }
}

/// An event, or nothing for one that this build does not know.
fn read_event(event: &Bytes) -> Option<Event> {
    match serde_json::from_slice(event) {
        Ok(event) => Some(event),
        Err(e) => {
            warn!(error = &e as &dyn std::error::Error, "an event cannot be read");
            None
        }
    }
}
