//! What belongs to no job: left behind by requests that broke off, by processes that died, and by workers that wrote
//! after their job was deleted.

use std::collections::{HashMap, HashSet};

use clearfleet_common::job::{JobId, OwnerId};
use clearfleet_common::storage::{KeyPrefix, Listed, ObjectKey, Storage, StorageError};
use futures::TryStreamExt;
use jiff::Timestamp;

use super::survey::Survey;
use super::{Swept, Ttl, delete_objects};

/// How long something may be there before what it belongs to is: an upload's source is stored before its record.
pub(super) const FRESH: Ttl = Ttl::hours(24);
/// How long a request may be repeated under its idempotency key.
const IDEMPOTENCY: Ttl = Ttl::hours(24);

/// Deletes what belongs to no job, and what only counts for a day.
pub(super) async fn delete(
    storage: &Storage,
    survey: &Survey,
    now: Timestamp,
    swept: &mut Swept,
) -> Result<(), StorageError> {
    let is_old = |listed: &Listed| IDEMPOTENCY.is_over(listed.modified, now);
    swept.idempotency = delete_where(storage, KeyPrefix::Idempotency, is_old).await?;
    delete_where(storage, KeyPrefix::Hooks, |listed| {
        let job = ObjectKey::hooked_job(&listed.key);
        FRESH.is_over(listed.modified, now) && job.is_some_and(|job| !survey.has(job))
    })
    .await?;
    delete_activity(storage, survey, now).await?;
    let deleted = delete_jobless(storage, survey, now).await?;
    swept.orphans += deleted;
    swept.objects += deleted;
    Ok(())
}

async fn delete_where(
    storage: &Storage,
    prefix: KeyPrefix,
    which: impl Fn(&Listed) -> bool,
) -> Result<u64, StorageError> {
    let mut listed = std::pin::pin!(storage.list(prefix));
    let mut deleted = 0;
    while let Some(object) = listed.try_next().await? {
        if which(&object) {
            storage.delete(&object.key).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// Deletes the places among the active jobs of those whose record was never written.
async fn delete_activity(storage: &Storage, survey: &Survey, now: Timestamp) -> Result<(), StorageError> {
    let mut active = std::pin::pin!(storage.list(KeyPrefix::Active));
    while let Some(object) = active.try_next().await? {
        let Some(job) = ObjectKey::active_job(&object.key) else {
            continue;
        };
        if survey.has(job) || !FRESH.is_over(object.modified, now) {
            continue;
        }
        // The record may have come since the survey.
        let owner = storage.get(ObjectKey::Active(job)).await?;
        let owner: Option<OwnerId> = owner.and_then(|owner| std::str::from_utf8(&owner.body).ok()?.parse().ok());
        if let Some(owner) = owner
            && storage
                .stat(&ObjectKey::Record(owner, job).to_string())
                .await?
                .is_some()
        {
            continue;
        }
        storage.delete(&object.key).await?;
    }
    Ok(())
}

/// Deletes objects of jobs that have no record, where the youngest of them is old.
async fn delete_jobless(storage: &Storage, survey: &Survey, now: Timestamp) -> Result<u64, StorageError> {
    let jobless = jobless(storage, survey, now).await?;
    if jobless.is_empty() {
        return Ok(0);
    }
    // A job that was made since the survey has a record now, or is about to: its activity is written before it.
    let recorded = recorded(storage).await?;
    let mut deleted = 0;
    for job in jobless.into_iter().filter(|job| !recorded.contains(job)) {
        if storage.stat(&ObjectKey::Active(job).to_string()).await?.is_none() {
            deleted += delete_objects(storage, job, survey.lends(job)).await?;
        }
    }
    Ok(deleted)
}

/// Jobs without a record whose youngest object is old.
async fn jobless(storage: &Storage, survey: &Survey, now: Timestamp) -> Result<Vec<JobId>, StorageError> {
    let mut youngest: HashMap<JobId, Timestamp> = HashMap::new();
    let mut objects = std::pin::pin!(storage.list(KeyPrefix::Jobs));
    while let Some(object) = objects.try_next().await? {
        let job = ObjectKey::owning_job(&object.key).filter(|job| !survey.has(*job));
        if let Some(job) = job {
            let modified = youngest.entry(job).or_insert(object.modified);
            *modified = object.modified.max(*modified);
        }
    }
    let old = youngest
        .into_iter()
        .filter(|(_, modified)| FRESH.is_over(*modified, now));
    Ok(old.map(|(job, _)| job).collect())
}

/// All jobs that have a record now.
async fn recorded(storage: &Storage) -> Result<HashSet<JobId>, StorageError> {
    let jobs = storage.list(KeyPrefix::Records).try_filter_map(|listed| {
        let job = ObjectKey::recorded_job(&listed.key).map(|(_, job)| job);
        futures::future::ok(job)
    });
    jobs.try_collect().await
}
