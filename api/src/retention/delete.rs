//! Deletes what there is of a job.

use clearfleet_common::job::{JobId, OwnerId};
use clearfleet_common::storage::{KeyPrefix, ObjectKey, Storage, StorageError};
use futures::TryStreamExt;

/// Deletes everything of a job, its record last but for its place among the active ones: whoever dies on the way finds
/// the job again. Says how many objects below `jobs/` it deleted.
///
/// With `keep_source` the source stays, since another job uses it; a sweep deletes it after the last such job.
///
/// # Errors
/// If the store does not answer or refuses. Then some of it is deleted, and another call deletes the rest.
pub async fn delete_job(storage: &Storage, owner: OwnerId, job: JobId, keep_source: bool) -> Result<u64, StorageError> {
    storage.delete_upload(job).await?;
    let deleted = delete_objects(storage, job, keep_source).await?;
    storage.delete(&ObjectKey::Hook(job).to_string()).await?;
    storage.delete(&ObjectKey::Record(owner, job).to_string()).await?;
    storage.delete(&ObjectKey::Active(job).to_string()).await?;
    Ok(deleted)
}

/// Deletes what there is of a job below `jobs/`, with `keep_source` all but the source; says how many objects.
///
/// # Errors
/// As [`delete_job`].
pub async fn delete_objects(storage: &Storage, job: JobId, keep_source: bool) -> Result<u64, StorageError> {
    if !keep_source {
        return storage.delete_all(KeyPrefix::Job(job)).await;
    }
    let source = ObjectKey::Source(job).to_string();
    let mut objects = std::pin::pin!(storage.list(KeyPrefix::Job(job)));
    let mut deleted = 0;
    while let Some(object) = objects.try_next().await? {
        if object.key != source {
            storage.delete(&object.key).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
