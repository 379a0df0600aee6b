//! The room that there is for everybody.

use std::io;
use std::path::PathBuf;

/// What is left free of a file system by itself: 256 MiB, for the database, the logs and what is under way.
pub(super) const SPARE: u64 = 256 << 20;

/// The room that there is for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes of sources and results that may be stored; as many as go, where there is none.
    pub budget: Option<u64>,
    /// A folder of the file system that the store is on, where that is here.
    pub folder: Option<PathBuf>,
    /// Bytes of that file system that uploads leave free.
    pub spare: u64,
}

impl Default for Space {
    /// As much as goes.
    fn default() -> Self {
        Self {
            budget: None,
            folder: None,
            spare: SPARE,
        }
    }
}

impl Space {
    /// Bytes that are free; nothing where the store is elsewhere.
    pub(super) fn free(&self) -> Option<io::Result<u64>> {
        let folder = self.folder.as_ref()?;
        let found = rustix::fs::statvfs(folder).map_err(io::Error::from);
        Some(found.map(|system| system.f_bavail.saturating_mul(system.f_frsize)))
    }
}
