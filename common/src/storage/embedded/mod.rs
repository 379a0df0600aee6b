//! An S3 store in this process: contents in files, keys in a database. What one machine uses instead of MinIO.
//!
//! A data folder holds
//! * `index.redb`, the database: buckets, keys and what is said of objects, uploads in parts;
//! * `blobs/`, the contents, in files that are written once, under names that no key knows before they are on disk;
//! * `incoming/`, what is being received;
//! * `credentials.json`, for this user only, and `lock`.
//!
//! A content is received into a file, the file is synced and renamed, its folder is synced, and only then a transaction
//! of the database names it: so a key never stands for less than all of its content, whenever the process or the machine
//! dies. Files that nothing names are removed at the next start. An object that was uploaded in parts stays in as many
//! files as it had parts.

mod backup;
mod blobs;
mod error;
mod folder;
mod index;
mod scratch;
mod server;
mod service;

use std::path::Path;
use std::sync::Arc;

pub use error::EmbeddedError;
pub use scratch::ScratchStore;
pub use server::EmbeddedServer;

use backup::Snapshot;
use blobs::Blobs;
use folder::{Credentials, Folder};
use index::{Index, named_blobs};
use service::Service;

/// Space that is left alone on the disk: 64 MiB. Writes that would leave less are answered with 507.
const RESERVE: u64 = 64 << 20;

/// A data folder that this process has open.
#[derive(Debug)]
pub struct EmbeddedStore {
    service: Service,
    credentials: Credentials,
}

impl EmbeddedStore {
    /// Opens a data folder or makes it, and removes what a process that died in it left over.
    ///
    /// # Errors
    /// If another process has it open, a newer build wrote it, or its files cannot be read or written.
    pub fn open(data_dir: &Path) -> Result<Arc<Self>, EmbeddedError> {
        Self::open_with_reserve(data_dir, RESERVE)
    }

    /// As [`open`](Self::open); writes that would leave less than `reserve` bytes on the disk are refused.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_reserve(data_dir: &Path, reserve: u64) -> Result<Arc<Self>, EmbeddedError> {
        let folder = Folder::open(data_dir)?;
        let credentials = folder.credentials()?;
        let blobs = Blobs::new(&folder.layout, reserve);
        let index = Index::open(&folder.layout, Arc::clone(&blobs))?;
        let named = index.snapshot().map_err(|fault| cannot_read(data_dir, fault))?;
        let named = named_blobs(&named).map_err(EmbeddedError::database(data_dir))?;
        let removed = blobs.sweep(&named)?;
        if removed > 0 {
            tracing::info!(
                files = removed,
                "removed what a process that died left in the data folder"
            );
        }
        let service = Service {
            index: Arc::new(index),
            blobs,
            folder: Arc::new(folder),
        };
        Ok(Arc::new(Self { service, credentials }))
    }

    /// Serves it on a free port of the loopback interface.
    ///
    /// # Errors
    /// If there is none.
    pub async fn serve(self: &Arc<Self>) -> Result<EmbeddedServer, EmbeddedError> {
        EmbeddedServer::start(Arc::clone(self)).await
    }

    /// Makes a data folder `into`, which must be empty or missing, that holds what this one holds now. Meanwhile this
    /// one may be used; what is written or deleted after the beginning does not matter.
    ///
    /// On the same disk the files of contents are linked, not copied: that takes no space, and keeps nothing from a
    /// broken disk. Blocks; while it runs, nothing that is deleted is removed from the disk.
    ///
    /// # Errors
    /// If `into` is not empty, or files cannot be read or written; then nothing is there.
    pub fn backup(&self, into: &Path) -> Result<(), EmbeddedError> {
        let layout = &self.service.folder.layout;
        // First, so that all that the keys name stays.
        let _hold = self.service.blobs.hold();
        let keys = self
            .service
            .index
            .snapshot()
            .map_err(|fault| cannot_read(layout.root(), fault))?;
        let snapshot = Snapshot {
            keys: &keys,
            layout,
            credentials: &self.credentials,
        };
        snapshot.write(into)
    }

    /// Makes a data folder of a backup, which stays as it is.
    ///
    /// # Errors
    /// If `data_dir` is not empty, `from` is not a backup or is in use, or files cannot be read or written; then nothing
    /// is there.
    pub fn restore(from: &Path, data_dir: &Path) -> Result<(), EmbeddedError> {
        backup::restore(from, data_dir)
    }
}

fn cannot_read(folder: &Path, fault: error::Fault) -> EmbeddedError {
    EmbeddedError::file("read", folder)(std::io::Error::other(fault))
}
