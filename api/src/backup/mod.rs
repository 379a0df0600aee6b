//! Backups of one machine's data folder: made while the server runs, brought back while none does.
//!
//! A backup is a tar of plain files: `store/`, the embedded store as it was at one moment; the secrets that lie beside it;
//! and last `backup.json`, which says how many files came before it, so that one that was cut off is known.

mod pack;
mod route;
#[cfg(test)]
mod tests;
mod unpack;

use std::path::PathBuf;
use std::sync::Arc;

use clearfleet_common::storage::embedded::{EmbeddedError, EmbeddedStore};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::owners::ADMIN_KEY_FILE;
use crate::webhooks::WEBHOOK_SECRET_FILE;

pub(crate) use route::routes;
pub use unpack::{UnpackError, restore};

/// Where in a data folder the embedded store is.
pub const STORE_FOLDER: &str = "store";
/// The files beside the store that a backup holds, where they exist.
const SECRETS: [&str; 2] = [ADMIN_KEY_FILE, WEBHOOK_SECRET_FILE];
/// The last file of a backup.
const MANIFEST: &str = "backup.json";
/// Version of [`Manifest`] that this build writes.
const VERSION: u32 = 1;
/// Where in the data folder the store is copied to for a backup: on its own disk, so that it can be linked.
const SNAPSHOT: &str = "backup.tmp";

/// What a backup says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    created: jiff::Timestamp,
    /// Files before this one.
    files: u64,
    /// Bytes of them.
    bytes: u64,
}

/// Makes backups of a data folder that this process serves, one at a time.
#[derive(Clone, Debug)]
pub struct Backup {
    store: Arc<EmbeddedStore>,
    data_dir: PathBuf,
    turn: Arc<Semaphore>,
}

impl Backup {
    /// Backups of the data folder `data_dir`, whose [`STORE_FOLDER`] is `store`.
    pub fn new(store: Arc<EmbeddedStore>, data_dir: PathBuf) -> Self {
        Self {
            store,
            data_dir,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Copies the store as it is now; where the disk has links, that takes no space. Blocks.
    ///
    /// # Errors
    /// If files cannot be read or written.
    fn snapshot(&self) -> Result<Snapshot, EmbeddedError> {
        let into = self.data_dir.join(SNAPSHOT);
        // Of a process that died on the way.
        let snapshot = Snapshot(into);
        snapshot.remove();
        self.store.backup(&snapshot.0)?;
        Ok(snapshot)
    }
}

/// A copy of the store, removed when it is dropped.
#[derive(Debug)]
struct Snapshot(PathBuf);

impl Snapshot {
    fn remove(&self) {
        match std::fs::remove_dir_all(&self.0) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                let error: &dyn std::error::Error = &e;
                tracing::warn!(error, folder = %self.0.display(), "the copy of a backup cannot be removed");
            }
            _ => {}
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.remove();
    }
}
