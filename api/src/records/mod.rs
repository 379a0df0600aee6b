//! All records in memory: what lists, searches, counts and event streams run on.
//!
//! Every API process keeps its own copy. It reads everything once, then what events name, and every 30 s what a LIST
//! shows to have changed, so a lost event costs half a minute of freshness and nothing else. Records in the store stay the
//! truth: commands are judged there, never here.

mod cursor;
mod follow;
mod live;
mod query;
mod refresh;
mod table;
#[cfg(test)]
mod tests;
mod uses;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use clearfleet_common::job::{ClassName, JobId, OwnerId, Progress, Record, State};
use clearfleet_common::storage::{Storage, StorageError, Version};
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

pub use cursor::{Cursor, CursorError};
pub use live::LiveView;
pub use query::{Page, Query};
pub use table::{Change, Missed, Snapshot};

use refresh::InFlight;
use table::Table;

/// Changes that a slow reader of [`Records::changes`] may lag behind before it misses some.
const CHANGES_KEPT: usize = 1024;

/// The records of all jobs, as this process knows them.
#[derive(Debug)]
pub struct Records {
    storage: Storage,
    table: RwLock<Table>,
    in_flight: Mutex<HashMap<JobId, InFlight>>,
    changes: broadcast::Sender<Change>,
    loaded: watch::Sender<bool>,
    listening: watch::Sender<bool>,
    instance: Uuid,
}

impl Records {
    /// No records yet: [`follow`](Self::follow) reads them.
    pub fn new(storage: Storage) -> Arc<Self> {
        Arc::new(Self {
            storage,
            table: RwLock::new(Table::new()),
            in_flight: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            loaded: watch::Sender::new(false),
            listening: watch::Sender::new(false),
            instance: Uuid::new_v4(),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every record that was there at the start has been read: before that, lists are not whole.
    pub fn is_loaded(&self) -> bool {
        *self.loaded.borrow()
    }

    /// Waits until [`is_loaded`](Self::is_loaded), `limit` at most; says whether it is.
    pub async fn wait_loaded(&self, limit: Duration) -> bool {
        let mut loaded = self.loaded.subscribe();
        let waited = tokio::time::timeout(limit, loaded.wait_for(|loaded| *loaded)).await;
        waited.is_ok_and(|loaded| loaded.is_ok())
    }

    /// Whether this process hears events, which means that the queue is there.
    pub fn is_listening(&self) -> bool {
        *self.listening.borrow()
    }

    /// A job of this owner. What is not known here is looked for in the store: another process may just have made it.
    ///
    /// # Errors
    /// If the store cannot be asked.
    pub async fn find(&self, owner: OwnerId, job: JobId) -> Result<Option<Arc<Snapshot>>, StorageError> {
        let known = self.read().get(job);
        if let Some(snapshot) = known {
            return Ok(Some(snapshot).filter(|snapshot| snapshot.record.owner == owner));
        }
        self.read_now(owner, job).await
    }

    /// A job of this owner, as it is stored now.
    ///
    /// # Errors
    /// If the store cannot be asked.
    pub async fn read_now(&self, owner: OwnerId, job: JobId) -> Result<Option<Arc<Snapshot>>, StorageError> {
        match self.storage.record(owner, job).await? {
            Some((record, version)) => Ok(Some(self.note(record, version))),
            None => Ok(None),
        }
    }

    /// A job of this owner, if this process knows it already.
    pub fn known(&self, owner: OwnerId, job: JobId) -> Option<Arc<Snapshot>> {
        self.read().get(job).filter(|snapshot| snapshot.record.owner == owner)
    }

    /// Takes in what this process itself read or wrote.
    pub fn note(&self, record: Record, version: Version) -> Arc<Snapshot> {
        self.spoil(record.id);
        let (snapshot, change) = self.write().put(record, version);
        self.tell(change);
        snapshot
    }

    fn forget(&self, job: JobId) {
        let change = self.write().remove(job);
        self.tell(change);
    }

    fn tell(&self, change: Option<Change>) {
        if let Some(change) = change {
            // Nobody may be listening.
            let _ = self.changes.send(change);
        }
    }

    /// Folds a worker's progress into the job's live view.
    pub fn progressed(&self, progress: &Progress) {
        let change = self.write().progressed(progress, Instant::now());
        self.tell(change);
    }

    /// Takes in how much of a job's source has come, at most once a second; says whether it did.
    pub fn received(&self, owner: OwnerId, job: JobId, bytes: u64) -> bool {
        let change = self.write().received(owner, job, bytes, Instant::now());
        self.tell(change);
        change.is_some()
    }

    /// One page of an owner's jobs, newest first.
    pub fn page(&self, owner: OwnerId, query: &Query) -> Page {
        self.read().page(owner, query)
    }

    /// Follows one job; the sender goes away when the job is deleted.
    pub fn watch(&self, job: JobId) -> Option<watch::Receiver<Arc<Snapshot>>> {
        self.read().watch(job)
    }

    /// Which jobs change from now on, of all owners.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Tells this process's numbers of changes from another's.
    pub fn instance(&self) -> Uuid {
        self.instance
    }

    /// What a reader of an owner's events missed that last heard of change number `after`.
    pub fn missed(&self, owner: OwnerId, after: i64) -> Missed {
        self.read().missed(owner, after)
    }

    /// How many jobs are in each state, as far as a person is concerned.
    pub fn counts(&self) -> HashMap<State, u64> {
        self.read().counts()
    }

    /// Estimated seconds of work that planned, unfinished jobs of a class still need from one worker.
    pub fn backlog_seconds(&self, class: ClassName) -> f64 {
        self.read().backlog_seconds(class)
    }

    /// Failed jobs of all owners whose work killed or beat every worker that tried, newest first.
    pub fn dead_letters(&self) -> Vec<Arc<Snapshot>> {
        self.read().dead_letters()
    }
}
