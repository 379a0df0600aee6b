//! What jobs use and owe: bytes, places, each other's sources, and word of their end.

use clearfleet_common::job::{Hook, JobId, OwnerId, Record, SourceLocation, State};

use super::Records;
use crate::owners::{Usage, Used};

impl Usage for Records {
    fn of(&self, owner: OwnerId) -> Used {
        used(self.read().all().filter(|snapshot| snapshot.record.owner == owner))
    }

    fn total(&self) -> Used {
        used(self.read().all())
    }
}

fn used(jobs: impl Iterator<Item = std::sync::Arc<super::Snapshot>>) -> Used {
    jobs.fold(Used::default(), |used, snapshot| {
        let record = &snapshot.record;
        let lives = record.apparent_state().is_some_and(State::is_active);
        Used {
            bytes: used.bytes.saturating_add(stored_bytes(record)),
            coming: used.coming.saturating_add(coming_bytes(&snapshot)),
            jobs: used.jobs + u64::from(lives),
        }
    })
}

/// Bytes of the job's own source and of its result; all of a source that is on its way, since there must be room for it.
fn stored_bytes(record: &Record) -> u64 {
    if record.state == State::Expired {
        return 0;
    }
    let is_there = record.source.has_come() || record.state == State::Uploading;
    let own = is_there && record.source.location == SourceLocation::Job(record.id);
    let source = if own { record.source.bytes } else { 0 };
    source.saturating_add(record.result.as_ref().map_or(0, |result| result.bytes))
}

/// Bytes of a source that are still to come.
fn coming_bytes(snapshot: &super::Snapshot) -> u64 {
    match snapshot.record.state {
        State::Uploading => snapshot.record.source.bytes.saturating_sub(snapshot.received),
        _ => 0,
    }
}

impl Records {
    /// The previews of a job.
    pub fn previews_of(&self, owner: OwnerId, job: JobId) -> Vec<JobId> {
        let table = self.read();
        let previews = table.all().filter(|snapshot| {
            let record = &snapshot.record;
            record.owner == owner && record.request.preview.is_some_and(|preview| preview.of == job)
        });
        previews.map(|snapshot| snapshot.record.id).collect()
    }

    /// Whether another job that is not expired uses this one's source: then the source outlives the job. A preview that was
    /// made does not.
    pub fn lends_source(&self, job: JobId) -> bool {
        self.read().all().any(|snapshot| {
            let record = &snapshot.record;
            let is_over = record.request.preview.is_some() && record.state.is_ended();
            !is_over
                && record.id != job
                && record.state != State::Expired
                && record.source.location == SourceLocation::Job(job)
        })
    }

    /// The end of every job that has ended and whose owner wants somebody to be told.
    pub fn hooks(&self) -> Vec<Hook> {
        let table = self.read();
        table.all().filter_map(|snapshot| Hook::of(&snapshot.record)).collect()
    }
}
