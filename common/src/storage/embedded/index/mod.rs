//! Keys and what they stand for, in one database: every change is a transaction.
//!
//! One thread makes all changes. Those that wait while it commits go into the next commit together, so that the disk is
//! waited for once for all of them; each is applied as if it were alone, in turn.

mod entry;
mod list;
mod objects;
mod uploads;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, WriteTransaction};
use tokio::sync::oneshot;
use uuid::Uuid;

pub(super) use entry::{
    BUCKETS, Content, Described, EXTENTS, META, OBJECTS, Object, PARTS, Part, UPLOADS, Upload, decode, now,
};
pub(super) use list::{Item, ListPage, ListQuery, UploadQuery, after};
pub(super) use objects::{Condition, Extent, Refusal};
pub(super) use uploads::PartClaim;

use super::EmbeddedError;
use super::blobs::{BlobId, Blobs, Garbage};
use super::error::Fault;
use super::folder::Layout;

/// Version of what a data folder holds, as this build writes it.
pub(super) const VERSION: u64 = 1;

/// Memory for pages of the database: 32 MiB. The system keeps others.
const CACHE: usize = 32 << 20;

/// Changes that are committed together at most.
const GROUP: usize = 512;

/// The database, and the thread that changes it.
#[derive(Debug)]
pub(super) struct Index {
    database: Arc<Database>,
    changes: Option<mpsc::Sender<Box<dyn Change>>>,
    committer: Option<JoinHandle<()>>,
}

/// Opens or makes a database.
pub(super) fn open_database(layout: &Layout) -> Result<Database, EmbeddedError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
        .create(layout.index())
        .map_err(EmbeddedError::database(layout.root()))
}

/// Refuses what a newer build wrote.
pub(super) fn check_version(folder: &Path, found: u64) -> Result<(), EmbeddedError> {
    if found > VERSION {
        return Err(EmbeddedError::Newer {
            folder: folder.to_owned(),
            found,
            known: VERSION,
        });
    }
    Ok(())
}

impl Index {
    /// Opens the database of a folder or makes it.
    pub(super) fn open(layout: &Layout, blobs: Arc<Blobs>) -> Result<Self, EmbeddedError> {
        let database = Arc::new(open_database(layout)?);
        let found = prepare(&database).map_err(EmbeddedError::database(layout.root()))?;
        check_version(layout.root(), found)?;
        let (changes, received) = mpsc::channel();
        let committer = std::thread::Builder::new().name("store-commit".to_owned()).spawn({
            let database = Arc::clone(&database);
            move || commit_all(&database, &blobs, &received)
        });
        Ok(Self {
            database,
            changes: Some(changes),
            committer: Some(committer.map_err(EmbeddedError::file("start a thread for", layout.root()))?),
        })
    }

    /// What is there now, unchanged while it is looked at.
    pub(super) fn snapshot(&self) -> Result<ReadTransaction, Fault> {
        Ok(self.database.begin_read().map_err(redb::Error::from)?)
    }

    /// Makes a change; when this returns it is on disk.
    ///
    /// `work` may add what no key names any more to the garbage. If it fails, all changes of its group are undone: what
    /// is not the database's fault is said in `T`.
    pub(super) async fn change<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction, &mut Vec<Garbage>) -> Result<T, redb::Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let change = Box::new(Pending {
            work: Some(work),
            made: None,
            answer,
        });
        let changes = self.changes.as_ref().ok_or(Fault::Closed)?;
        changes.send(change).map_err(|_| Fault::Closed)?;
        answered.await.map_err(|_| Fault::Closed)?
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(committer) = self.committer.take()
            && committer.join().is_err()
        {
            tracing::error!("the thread that writes the database has panicked");
        }
    }
}

/// Makes the tables; gives the folder's version.
fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let change = database.begin_write()?;
    let found = {
        let mut meta = change.open_table(META)?;
        let found = meta.get("version")?.map(|found| found.value());
        match found {
            Some(found) => found,
            None => {
                meta.insert("version", VERSION)?;
                VERSION
            }
        }
    };
    // A newer one is left as it is.
    if found > VERSION {
        change.abort()?;
        return Ok(found);
    }
    change.open_table(BUCKETS)?;
    change.open_table(OBJECTS)?;
    change.open_table(EXTENTS)?;
    change.open_table(UPLOADS)?;
    change.open_table(PARTS)?;
    change.commit()?;
    Ok(found)
}

/// All blobs that something names.
pub(super) fn named_blobs(snapshot: &ReadTransaction) -> Result<HashSet<BlobId>, redb::Error> {
    let mut named = HashSet::new();
    for object in snapshot.open_table(OBJECTS)?.iter()? {
        let object: Object = decode(object?.1.value())?;
        if let Content::Blob(blob) = object.content {
            named.insert(blob);
        }
    }
    for extent in snapshot.open_table(EXTENTS)?.iter()? {
        named.insert(Uuid::from_u128(extent?.1.value().0));
    }
    for part in snapshot.open_table(PARTS)?.iter()? {
        let part: Part = decode(part?.1.value())?;
        named.insert(part.blob);
    }
    Ok(named)
}

/// A change that waits for the thread that makes it.
trait Change: Send {
    /// Makes it, in a transaction with others.
    fn apply(&mut self, change: &WriteTransaction, garbage: &mut Vec<Garbage>) -> Result<(), redb::Error>;

    /// Says what became of the transaction.
    fn answer(self: Box<Self>, committed: Result<(), Fault>);
}

struct Pending<F, T> {
    work: Option<F>,
    made: Option<T>,
    answer: oneshot::Sender<Result<T, Fault>>,
}

impl<F, T> Change for Pending<F, T>
where
    T: Send,
    F: FnOnce(&WriteTransaction, &mut Vec<Garbage>) -> Result<T, redb::Error> + Send,
{
    fn apply(&mut self, change: &WriteTransaction, garbage: &mut Vec<Garbage>) -> Result<(), redb::Error> {
        if let Some(work) = self.work.take() {
            self.made = Some(work(change, garbage)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Fault>) {
        let Self { made, answer, .. } = *self;
        // Whoever asked may be gone; the change is made nevertheless.
        let _ = answer.send(committed.and_then(|()| made.ok_or(Fault::Closed)));
    }
}

/// Makes changes until nobody can ask for one any more.
fn commit_all(database: &Database, blobs: &Blobs, received: &mpsc::Receiver<Box<dyn Change>>) {
    while let Ok(first) = received.recv() {
        let mut group = vec![first];
        group.extend(received.try_iter().take(GROUP - 1));
        let mut garbage = Vec::new();
        let committed = commit(database, blobs, &mut group, &mut garbage);
        if let Err(fault) = &committed {
            let error: &dyn std::error::Error = fault;
            tracing::error!(error, changes = group.len(), "changes of the store are lost");
            // What they wrote is on disk and nothing names it: the next start removes it.
            garbage.clear();
        }
        for change in group {
            change.answer(committed.clone());
        }
        blobs.discard(garbage);
    }
}

fn commit(
    database: &Database,
    blobs: &Blobs,
    group: &mut [Box<dyn Change>],
    garbage: &mut Vec<Garbage>,
) -> Result<(), Fault> {
    // First the contents, then the keys that name them.
    blobs.sync()?;
    let change = database.begin_write().map_err(redb::Error::from)?;
    for pending in group {
        pending.apply(&change, garbage)?;
    }
    change.commit().map_err(redb::Error::from)?;
    Ok(())
}
