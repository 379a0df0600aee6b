//! The sweep.

use std::convert::Infallible;
use std::time::Duration;

use clearfleet_common::job::{Record, State};
use clearfleet_common::storage::{KeyPrefix, ObjectKey, PlanKey, Storage, StorageError};
use futures::TryStreamExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::survey::{Seen, Survey};
use super::{Retention, delete_job, delete_objects, orphans, uploads};

/// After its start a process has other things to do for a while.
const FIRST: Duration = Duration::from_secs(600);
/// After a sweep that failed.
const AGAIN: Duration = Duration::from_secs(3600);

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Finished jobs whose batches were deleted.
    pub thinned: u64,
    /// Jobs that became [`State::Expired`].
    pub expired: u64,
    /// Records that were deleted.
    pub records: u64,
    /// Objects below `jobs/` that were deleted, those of the jobs above included.
    pub objects: u64,
    /// Of these, what belonged to no job.
    pub orphans: u64,
    /// Idempotency keys that were deleted.
    pub idempotency: u64,
    /// Uploads that were ended or taken back.
    pub uploads: u64,
}

/// Sweeps from time to time until `stop`; of what fails, the log tells.
pub async fn sweep_daily(storage: Storage, retention: Retention, stop: CancellationToken) {
    let mut pause = FIRST.min(retention.period);
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        let swept = stop
            .run_until_cancelled(sweep(&storage, &retention, Timestamp::now()))
            .await;
        pause = match swept {
            None => return,
            Some(Ok(swept)) => {
                tracing::info!(?swept, "what was kept long enough is deleted");
                retention.period
            }
            Some(Err(e)) => {
                tracing::error!(
                    error = &e as &dyn std::error::Error,
                    "a sweep broke off; another one goes on"
                );
                AGAIN.min(retention.period)
            }
        };
    }
}

/// Deletes what at `now` was kept long enough.
///
/// # Errors
/// If the store does not answer or refuses. Another sweep goes on where this one broke off.
pub async fn sweep(storage: &Storage, retention: &Retention, now: Timestamp) -> Result<Swept, StorageError> {
    let mut swept = Swept::default();
    let mut survey = Survey::take(storage).await?;
    let jobs: Vec<Seen> = survey.jobs().filter(|seen| !seen.wanted).collect();
    for seen in &jobs {
        if has_expired(seen, retention, now)
            && let Some(expired) = expire(storage, seen, now).await?
        {
            survey.note(expired);
            swept.expired += 1;
        }
    }
    // Only now it is known whose source nobody uses any more.
    survey.count_lenders();
    for seen in jobs.iter().filter_map(|seen| survey.get(seen.job)) {
        match seen.state {
            State::Expired if retention.records.is_over(seen.since, now) => {
                swept.objects += delete_job(storage, seen.owner, seen.job, survey.lends(seen.job)).await?;
                swept.records += 1;
            }
            State::Expired => {
                swept.objects += delete_objects(storage, seen.job, survey.lends(seen.job)).await?;
                storage.delete(&ObjectKey::Hook(seen.job).to_string()).await?;
            }
            State::Done if retention.segments.is_over(seen.since, now) => {
                let deleted = thin(storage, &seen).await?;
                swept.objects += deleted;
                swept.thinned += u64::from(deleted > 0);
            }
            _ => {}
        }
    }
    orphans::delete(storage, &survey, now, &mut swept).await?;
    swept.uploads = uploads::sweep(storage, &survey, retention.uploads, now).await?;
    swept.uploads += storage.abort_stale_writes(retention.uploads).await?;
    Ok(swept)
}

/// Whether it is time to delete the job's source and result.
fn has_expired(seen: &Seen, retention: &Retention, now: Timestamp) -> bool {
    match seen.state {
        State::Done => retention.results.is_over(seen.since, now),
        State::Failed | State::Cancelled => retention.failed.is_over(seen.since, now),
        _ => false,
    }
}

/// Whether the record still says what was seen, and nobody wants anything of the job.
fn is_unchanged(record: &Record, seen: &Seen) -> bool {
    Seen::of(record) == *seen
}

/// Writes that a job has expired; nothing where it changed meanwhile.
async fn expire(storage: &Storage, seen: &Seen, now: Timestamp) -> Result<Option<Seen>, StorageError> {
    let changed = storage.update_record(seen.owner, seen.job, |record| {
        let due = is_unchanged(record, seen) && record.state.may_become(State::Expired);
        if due {
            (record.state, record.changed) = (State::Expired, now);
        }
        Ok::<bool, Infallible>(due)
    });
    let Ok(found) = changed.await?;
    let found = found.map(|(record, _)| Seen::of(&record));
    Ok(found.filter(|found| found.state == State::Expired))
}

/// Deletes the batches of a finished video; says how many objects.
async fn thin(storage: &Storage, seen: &Seen) -> Result<u64, StorageError> {
    let plans = (0..seen.plans).map(|plan| PlanKey { job: seen.job, plan });
    let mut deleted = 0;
    let mut announced = false;
    for plan in plans {
        for prefix in [
            KeyPrefix::Markers(plan),
            KeyPrefix::Segments(plan),
            KeyPrefix::Sound(plan),
        ] {
            if std::pin::pin!(storage.list(prefix)).try_next().await?.is_none() {
                continue;
            }
            if !announced && !announce(storage, seen).await? {
                return Ok(deleted);
            }
            announced = true;
            deleted += storage.delete_all(prefix).await?;
        }
    }
    Ok(deleted)
}

/// Writes that the job's batches are not to be built on; says whether it is still so that they may be deleted.
async fn announce(storage: &Storage, seen: &Seen) -> Result<bool, StorageError> {
    let mut may = false;
    let changed = storage.update_record(seen.owner, seen.job, |record| {
        may = is_unchanged(record, seen);
        let news = may && record.segments_gone.is_none_or(|gone| gone < seen.plans);
        if news {
            record.segments_gone = Some(seen.plans);
        }
        Ok::<bool, Infallible>(news)
    });
    let Ok(found) = changed.await?;
    Ok(may && found.is_some())
}
