use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::EmbeddedError;
use crate::storage::Secret;

/// What lies where in a data folder.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn of(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The database of keys.
    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    /// Contents, in folders.
    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// What is being received.
    pub(super) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    pub(super) fn credentials(&self) -> PathBuf {
        self.root.join("credentials.json")
    }

    fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }
}

/// A data folder that this process alone has open, as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) layout: Layout,
    _lock: File,
}

impl Folder {
    /// Makes what is missing, for this user only, and locks it.
    pub(super) fn open(root: &Path) -> Result<Self, EmbeddedError> {
        let layout = Layout::of(root);
        make_folder(root)?;
        let path = layout.lock();
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(EmbeddedError::file("open", &path))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(EmbeddedError::InUse {
                    folder: root.to_owned(),
                });
            }
            Err(error) => return Err(EmbeddedError::file("lock", &path)(error.into())),
        }
        make_folder(&layout.blobs())?;
        make_folder(&layout.incoming())?;
        Ok(Self { layout, _lock: lock })
    }

    /// The credentials of this folder, which are made at its first use.
    pub(super) fn credentials(&self) -> Result<Credentials, EmbeddedError> {
        let path = self.layout.credentials();
        match std::fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json).map_err(|error| EmbeddedError::NotADataFolder {
                folder: self.layout.root().to_owned(),
                why: format!("credentials.json cannot be read: {error}"),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Credentials::random();
                made.write(&self.layout)?;
                Ok(made)
            }
            Err(error) => Err(EmbeddedError::file("read", &path)(error)),
        }
    }
}

/// Who may use the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Credentials {
    pub(super) access_key: String,
    pub(super) secret_key: Secret,
}

impl Credentials {
    fn random() -> Self {
        let id = || Uuid::new_v4().simple();
        Self {
            access_key: format!("clearfleet-{}", id()),
            secret_key: Secret::from(format!("{}{}", id(), id())),
        }
    }

    /// Writes them where only this user reads them.
    pub(super) fn write(&self, layout: &Layout) -> Result<(), EmbeddedError> {
        let path = layout.credentials();
        let write = || -> io::Result<()> {
            // Files of this kind have mode 0600 from the beginning.
            let mut file = tempfile::NamedTempFile::new_in(layout.root())?;
            serde_json::to_writer(&mut file, self)?;
            file.flush()?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            sync_folder(layout.root())
        };
        write().map_err(EmbeddedError::file("write", &path))
    }
}

/// Makes a folder for this user only, if it is not there.
pub(super) fn make_folder(path: &Path) -> Result<(), EmbeddedError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(EmbeddedError::file("make", path))
}

/// Makes the names in a folder last.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_process_has_it_and_credentials_stay() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("data");
        let folder = Folder::open(&root).unwrap();
        let made = folder.credentials().unwrap();
        assert_eq!(folder.credentials().unwrap(), made);
        let mode = folder.layout.credentials().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let second = Folder::open(&root).unwrap_err();
        assert_eq!(
            second.to_string(),
            format!("the data folder {} is in use by another process", root.display())
        );
        drop(folder);
        assert_eq!(Folder::open(&root).unwrap().credentials().unwrap(), made);
    }

    #[test]
    fn broken_credentials_are_not_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::open(scratch.path()).unwrap();
        std::fs::write(folder.layout.credentials(), "{").unwrap();
        assert!(matches!(
            folder.credentials(),
            Err(EmbeddedError::NotADataFolder { .. })
        ));
    }
}
