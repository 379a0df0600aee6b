//! Takes what the scheduler says, and finds what it did not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::job::{FORMAT_VERSION, Hook, JobId};
use clearfleet_common::queue::{Delivery, Queue, QueueError, QueueName};
use clearfleet_common::storage::{KeyPrefix, ObjectKey, Storage, StorageError, Version};
use futures::TryStreamExt;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::ledger::{self, Entry};
use crate::records::Records;

/// After the queue or the store was not there.
const PAUSE: Duration = Duration::from_secs(2);

/// Entries read at once.
const READS: usize = 16;

/// Passes on what the queue brings, as long as somebody takes it.
pub(super) async fn listen(storage: Storage, queue: Arc<dyn Queue>, accepted: mpsc::Sender<(JobId, Entry)>) {
    while let Err(stopped) = take_all(&storage, &queue, &accepted).await {
        tracing::warn!(
            error = &stopped as &dyn std::error::Error,
            "webhooks are not taken from the queue now; the records tell what is missed"
        );
        if accepted.is_closed() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn take_all(
    storage: &Storage,
    queue: &Arc<dyn Queue>,
    accepted: &mpsc::Sender<(JobId, Entry)>,
) -> Result<(), QueueError> {
    let mut consumer = queue.consume(QueueName::Hooks).await?;
    loop {
        let delivery = consumer.next().await?;
        let Some(hook) = read(&delivery) else {
            delivery.acknowledge().await?;
            continue;
        };
        match ledger::accept(storage, &hook, Timestamp::now()).await {
            Ok(entry) => {
                delivery.acknowledge().await?;
                if accepted.send((hook.job, entry)).await.is_err() {
                    return Ok(());
                }
            }
            Err(e) => {
                let job = hook.job;
                tracing::warn!(
                    error = &e as &dyn std::error::Error,
                    %job,
                    "the webhook of job {job} cannot be written down yet"
                );
                // Given back, it comes again at once.
                tokio::time::sleep(PAUSE).await;
                drop(delivery);
            }
        }
    }
}

/// The message, if it is one of ours.
fn read(delivery: &Delivery) -> Option<Hook> {
    match serde_json::from_slice::<Hook>(&delivery.body) {
        Ok(hook) if hook.version <= FORMAT_VERSION => Some(hook),
        Ok(hook) => {
            tracing::error!(version = hook.version, "a webhook of a newer build is passed over");
            None
        }
        Err(e) => {
            let error: &dyn std::error::Error = &e;
            tracing::error!(error, "a message that is no webhook is passed over");
            None
        }
    }
}

/// What is known of the entries in the store.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<JobId, Entry>);

impl Known {
    /// Reads the entries that changed, and writes down the ends of `records` that none knows; gives the entries that are
    /// new here.
    ///
    /// An end younger than `grace` is left to its message.
    pub(super) async fn refresh(
        &mut self,
        storage: &Storage,
        records: &Records,
        grace: Duration,
    ) -> Result<Vec<(JobId, Entry)>, StorageError> {
        let mut listed: HashMap<JobId, Version> = HashMap::new();
        let mut entries = std::pin::pin!(storage.list(KeyPrefix::Hooks));
        while let Some(entry) = entries.try_next().await? {
            if let Some(job) = ObjectKey::hooked_job(&entry.key) {
                listed.insert(job, entry.version);
            }
        }
        self.0.retain(|job, _| listed.contains_key(job));
        listed.retain(|job, version| self.0.get(job).is_none_or(|known| known.version != *version));
        let read = futures::stream::iter(listed.into_keys().map(Ok)).map_ok(async |job| {
            match ledger::read(storage, job).await {
                Err(StorageError::Invalid { key, why }) => {
                    tracing::error!(key, why, "a webhook cannot be read");
                    Ok(None)
                }
                read => Ok(read?.map(|entry| (job, entry))),
            }
        });
        let read: Vec<Option<(JobId, Entry)>> = read.try_buffer_unordered(READS).try_collect().await?;
        let mut news: Vec<(JobId, Entry)> = read.into_iter().flatten().collect();
        self.0.extend(news.iter().cloned());
        // Before all records are read, there is nothing that could be missed.
        let ends = if records.is_loaded() {
            records.hooks()
        } else {
            Vec::new()
        };
        for hook in ends {
            let now = Timestamp::now();
            let age = Duration::try_from(now.duration_since(hook.at)).unwrap_or_default();
            let is_known = self.0.get(&hook.job).is_some_and(|entry| entry.telling.knows(&hook));
            if !is_known && age >= grace {
                let entry = ledger::accept(storage, &hook, now).await?;
                self.0.insert(hook.job, entry.clone());
                news.push((hook.job, entry));
            }
        }
        Ok(news)
    }

    /// Takes in what this process wrote or read.
    pub(super) fn note(&mut self, job: JobId, entry: Entry) {
        self.0.insert(job, entry);
    }
}
