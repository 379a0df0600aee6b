//! Records that were read a moment ago. Batches of one job follow each other faster than its record changes, and what a batch
//! is to know of it, a reading at the end of the batch before says as well.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clearfleet_common::job::{JobId, Record};
use tokio::time::Instant;

/// How long a record may tell what counts, where no event says that it has changed: a batch that is begun in vain is ended
/// by [`watch`](super::watch) in any case.
const LASTS: Duration = Duration::from_secs(1);
/// Jobs whose records are kept: a worker has batches of few in turn.
const JOBS: usize = 8;

/// Records by job.
#[derive(Debug, Default)]
pub(super) struct KnownRecords(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When a change of any record was heard of last.
    changed: Option<Instant>,
    /// With the times at which their readings began, the last one last.
    records: Vec<(Instant, Arc<Record>)>,
}

impl KnownRecords {
    /// A record, if it was read in the last second and nothing was heard of a change since.
    pub(super) fn get(&self, job: JobId) -> Option<Arc<Record>> {
        let state = self.lock();
        let of_job = |(read, record): &&(Instant, Arc<Record>)| record.id == job && read.elapsed() < LASTS;
        state.records.iter().find(of_job).map(|(_, record)| Arc::clone(record))
    }

    /// Keeps a record whose reading began at this time, unless a change was heard of meanwhile: it may be the one before.
    pub(super) fn put(&self, read: Instant, record: Arc<Record>) {
        let mut state = self.lock();
        if state.changed.is_some_and(|changed| changed >= read) {
            return;
        }
        state.records.retain(|(_, known)| known.id != record.id);
        if state.records.len() == JOBS {
            state.records.remove(0);
        }
        state.records.push((read, record));
    }

    /// A record has changed.
    pub(super) fn changed(&self, job: JobId) {
        let mut state = self.lock();
        state.changed = Some(Instant::now());
        state.records.retain(|(_, known)| known.id != job);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use clearfleet_common::job::{
        ClassName, OwnerId, Priority, Request, Settings, Source, SourceKind, SourceLocation, Stretch,
    };

    use jiff::Timestamp;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    fn job() -> JobId {
        JobId::from_u128(1)
    }

    fn record(job: JobId) -> Arc<Record> {
        let request = Request {
            name: "a.mp4".to_owned(),
            kind: SourceKind::Video,
            settings: Settings::default(),
            stretch: Stretch::default(),
            class: ClassName::default(),
            priority: Priority::Normal,
            webhook: None,
            destination: None,
            preview: None,
        };
        let source = Source {
            location: SourceLocation::Job(job),
            bytes: 3,
            etag: "\"1\"".to_owned(),
            content_type: "video/mp4".to_owned(),
        };
        Arc::new(Record::new(
            job,
            OwnerId::default(),
            request,
            source,
            Timestamp::UNIX_EPOCH,
        ))
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_is_known_for_a_second() {
        let known = KnownRecords::default();
        known.put(Instant::now(), record(job()));
        tokio::time::advance(LASTS - MOMENT).await;
        assert_eq!(known.get(job()).map(|record| record.id), Some(job()));
        assert!(known.get(JobId::from_u128(2)).is_none());
        tokio::time::advance(MOMENT).await;
        assert!(known.get(job()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_not_overlooked_however_the_reading_falls() {
        let known = KnownRecords::default();
        known.put(Instant::now(), record(job()));
        let reading = Instant::now();
        tokio::time::advance(MOMENT).await;
        known.changed(job());
        assert!(known.get(job()).is_none());
        // What was being read then may be from before the change.
        known.put(reading, record(job()));
        assert!(known.get(job()).is_none());
        tokio::time::advance(MOMENT).await;
        known.put(Instant::now(), record(job()));
        assert!(known.get(job()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn few_are_kept_and_the_newest_of_each() {
        let known = KnownRecords::default();
        let ids = |from: u128| (from..from + JOBS as u128).map(JobId::from_u128);
        ids(1)
            .chain(ids(2))
            .for_each(|job| known.put(Instant::now(), record(job)));
        assert!(known.get(job()).is_none());
        assert!(ids(2).all(|job| known.get(job).is_some()));
        assert_eq!(known.lock().records.len(), JOBS);
    }
}
