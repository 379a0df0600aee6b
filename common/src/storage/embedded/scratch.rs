use std::sync::Arc;

use tempfile::TempDir;

use super::{EmbeddedError, EmbeddedServer, EmbeddedStore};
use crate::storage::StorageConfig;

/// A store of its own in a temporary folder, both gone when it is dropped: for tests.
#[derive(Debug)]
pub struct ScratchStore {
    // In this order: nothing may use the folder when it is removed.
    server: EmbeddedServer,
    store: Arc<EmbeddedStore>,
    folder: TempDir,
}

impl ScratchStore {
    /// Makes it and serves it.
    ///
    /// # Errors
    /// If the folder cannot be made or nothing can be served.
    pub async fn start() -> Result<Self, EmbeddedError> {
        let folder = tempfile::tempdir().map_err(EmbeddedError::file("make a folder in", &std::env::temp_dir()))?;
        let store = EmbeddedStore::open(folder.path())?;
        Ok(Self {
            server: store.serve().await?,
            store,
            folder,
        })
    }

    /// How to reach it.
    pub fn config(&self) -> StorageConfig {
        self.server.config()
    }

    /// The store.
    pub fn store(&self) -> &Arc<EmbeddedStore> {
        &self.store
    }

    /// Its folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}
