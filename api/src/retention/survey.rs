//! Which jobs there are, as their records say.

use std::collections::{HashMap, HashSet};

use clearfleet_common::job::{JobId, OwnerId, Record, SourceKind, SourceLocation, State};
use clearfleet_common::storage::{KeyPrefix, ObjectKey, Storage, StorageError};
use futures::TryStreamExt;
use jiff::Timestamp;

/// Records read at once.
const READS: usize = 16;

/// What a sweep must know of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) owner: OwnerId,
    pub(super) job: JobId,
    pub(super) state: State,
    /// Whether a person wants something that is not carried out: then the job is the scheduler's.
    pub(super) wanted: bool,
    /// Since when it is in this state.
    pub(super) since: Timestamp,
    /// Plans that were made of it, if these may have segments.
    pub(super) plans: u32,
    /// The job whose source it uses.
    pub(super) source: Option<JobId>,
}

impl Seen {
    pub(super) fn of(record: &Record) -> Self {
        let is_video = record.plan.as_ref().is_some_and(|plan| plan.kind == SourceKind::Video);
        let plans = record
            .plan
            .as_ref()
            .map_or(0, |plan| record.next_plan.max(plan.number.saturating_add(1)));
        Self {
            owner: record.owner,
            job: record.id,
            state: record.state,
            wanted: record.pending().is_some(),
            since: record
                .ended
                .filter(|_| record.state != State::Expired)
                .unwrap_or(record.changed),
            plans: if is_video { plans } else { 0 },
            source: match record.source.location {
                // A preview that was made needs its source no more.
                SourceLocation::Job(_) if record.request.preview.is_some() && record.state.is_ended() => None,
                SourceLocation::Job(job) => Some(job),
                SourceLocation::External { .. } => None,
            },
        }
    }
}

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Survey {
    jobs: HashMap<JobId, Seen>,
    /// Records that this build cannot read, as a newer one's: their jobs are left alone.
    unreadable: HashSet<JobId>,
    /// Jobs whose source another one uses that is not expired.
    lenders: HashSet<JobId>,
}

impl Survey {
    /// Reads all records.
    ///
    /// # Errors
    /// If the store does not answer or refuses.
    pub(super) async fn take(storage: &Storage) -> Result<Self, StorageError> {
        let listed = storage.list(KeyPrefix::Records);
        let read = listed.map_ok(|listed| async move {
            let Some((owner, job)) = ObjectKey::recorded_job(&listed.key) else {
                return Ok(None);
            };
            match storage.record(owner, job).await {
                Ok(found) => Ok(found.map(|(record, _)| Ok(Seen::of(&record)))),
                Err(StorageError::Invalid { key, why }) => {
                    tracing::warn!(%owner, %job, key, why, "job {job} is left as it is: its record cannot be read");
                    Ok(Some(Err(job)))
                }
                Err(error) => Err(error),
            }
        });
        let mut read = std::pin::pin!(read.try_buffer_unordered(READS));
        let mut survey = Self::default();
        while let Some(found) = read.try_next().await? {
            match found {
                Some(Ok(seen)) => survey.note(seen),
                Some(Err(job)) => {
                    survey.unreadable.insert(job);
                }
                None => {}
            }
        }
        survey.count_lenders();
        Ok(survey)
    }

    /// What became of a job; call [`count_lenders`](Self::count_lenders) after all of them.
    pub(super) fn note(&mut self, seen: Seen) {
        self.jobs.insert(seen.job, seen);
    }

    /// Finds out whose sources are used.
    pub(super) fn count_lenders(&mut self) {
        let users = self.jobs.values().filter(|seen| seen.state != State::Expired);
        let lenders = users.filter_map(|seen| seen.source.filter(|source| *source != seen.job));
        self.lenders = lenders.collect();
    }

    pub(super) fn jobs(&self) -> impl Iterator<Item = Seen> {
        self.jobs.values().copied()
    }

    pub(super) fn get(&self, job: JobId) -> Option<Seen> {
        self.jobs.get(&job).copied()
    }

    /// Whether there is a record.
    pub(super) fn has(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job) || self.unreadable.contains(&job)
    }

    /// Whether another job may use this one's source. Whose source an unreadable record names nobody knows.
    pub(super) fn lends(&self, job: JobId) -> bool {
        !self.unreadable.is_empty() || self.lenders.contains(&job)
    }
}
