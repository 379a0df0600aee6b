//! Uploads that nobody goes on with, and what is left of those that are over.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use clearfleet_common::job::{Command, JobId, State};
use clearfleet_common::storage::{Arrival, KeyPrefix, ObjectKey, Storage, StorageError};
use futures::TryStreamExt;
use jiff::Timestamp;

use super::Ttl;
use super::orphans::FRESH;
use super::survey::{Seen, Survey};

/// Ends uploads of which nothing came for `ttl`, and deletes what is left of others; says how many.
///
/// The job of an upload that ends is deleted as a person would: by a command in its record.
///
/// # Errors
/// If the store does not answer or refuses.
pub(super) async fn sweep(
    storage: &Storage,
    survey: &Survey,
    ttl: Duration,
    now: Timestamp,
) -> Result<u64, StorageError> {
    let ttl = Ttl::from(ttl);
    let written = written(storage).await?;
    let mut swept = 0;
    for seen in survey.jobs().filter(|seen| seen.state == State::Uploading) {
        let last = written.get(&seen.job).copied().unwrap_or(seen.since);
        if ttl.is_over(last, now) && ttl.is_over(last_part(storage, seen.job).await?.unwrap_or(last), now) {
            swept += u64::from(end(storage, &seen).await?);
        }
    }
    let over = written.into_iter().filter(|(job, last)| {
        let is_over = survey.get(*job).is_some_and(|seen| seen.state != State::Uploading);
        (is_over || !survey.has(*job)) && FRESH.is_over(*last, now)
    });
    for (job, _) in over {
        storage.delete_upload(job).await?;
        swept += 1;
    }
    Ok(swept)
}

/// When each upload was written to last, its parts aside.
async fn written(storage: &Storage) -> Result<HashMap<JobId, Timestamp>, StorageError> {
    let mut written = HashMap::new();
    let mut listed = std::pin::pin!(storage.list(KeyPrefix::Uploads));
    while let Some(object) = listed.try_next().await? {
        if let Some(job) = ObjectKey::uploading_job(&object.key) {
            let last = written.entry(job).or_insert(object.modified);
            *last = object.modified.max(*last);
        }
    }
    Ok(written)
}

/// When the last part of a job's upload came.
async fn last_part(storage: &Storage, job: JobId) -> Result<Option<Timestamp>, StorageError> {
    let upload = match storage.upload(job).await {
        Ok(Some(upload)) => upload,
        Ok(None) | Err(StorageError::Invalid { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    match storage.received(&upload).await {
        Ok(Arrival::Partial(received)) => Ok(received.last_part()),
        Ok(Arrival::Whole(_)) | Err(StorageError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says in its record that an uploading job is to be deleted; whether it still was one.
async fn end(storage: &Storage, seen: &Seen) -> Result<bool, StorageError> {
    let mut ended = false;
    let changed = storage.update_record(seen.owner, seen.job, |record| {
        let is_unchanged = record.state == State::Uploading && record.pending().is_none();
        ended = is_unchanged && record.want(Command::Delete).is_ok();
        Ok::<bool, Infallible>(ended)
    });
    let Ok(_) = changed.await?;
    if ended {
        tracing::info!(owner = %seen.owner, job = %seen.job, "the upload of job {} ends: nothing more came of it", seen.job);
    }
    Ok(ended)
}
