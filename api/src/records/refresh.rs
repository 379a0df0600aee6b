use std::collections::hash_map::Entry;
use std::sync::PoisonError;

use clearfleet_common::job::{JobId, OwnerId};
use clearfleet_common::storage::StorageError;

use super::Records;

/// A read that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InFlight {
    /// What it finds may be taken in.
    Good,
    /// The record changed since it began: read again.
    Spoiled,
}

impl Records {
    /// Reads a record again. Of several calls for one job at once, one reads, and none takes in what was overtaken.
    ///
    /// # Errors
    /// If the store cannot be asked, or the record cannot be understood.
    pub(super) async fn refresh(&self, owner: OwnerId, job: JobId) -> Result<(), StorageError> {
        if !self.begin(job) {
            return Ok(());
        }
        // Also when this future is dropped midway, the next call must be able to read.
        let reading = Reading { records: self, job };
        loop {
            let found = self.storage.record(owner, job).await?;
            if !reading.is_good() {
                continue;
            }
            match found {
                Some((record, version)) => {
                    let (_, change) = self.write().put(record, version);
                    self.tell(change);
                }
                None => self.forget(job),
            }
            return Ok(());
        }
    }

    /// Whether this call is the one that reads; if not, the one that does reads again.
    fn begin(&self, job: JobId) -> bool {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        match in_flight.entry(job) {
            Entry::Occupied(mut there) => {
                there.insert(InFlight::Spoiled);
                false
            }
            Entry::Vacant(vacant) => {
                vacant.insert(InFlight::Good);
                true
            }
        }
    }

    /// A read that is under way began before something that is known now.
    pub(super) fn spoil(&self, job: JobId) {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = in_flight.get_mut(&job) {
            *reading = InFlight::Spoiled;
        }
    }
}

struct Reading<'a> {
    records: &'a Records,
    job: JobId,
}

impl Reading<'_> {
    /// Whether what was read may be taken in; if not, the next read counts.
    fn is_good(&self) -> bool {
        let mut in_flight = self.records.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        in_flight.insert(self.job, InFlight::Good) != Some(InFlight::Spoiled)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.records.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        in_flight.remove(&self.job);
    }
}
