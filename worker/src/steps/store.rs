use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use clearfleet_common::storage::{ObjectKey, PlanKey};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::{Error, Result};

/// Where a job's plan, segments and markers lie.
///
/// An object is whole or not there: nobody sees half of one, and what was acknowledged survives a crash. Writing an
/// object again replaces it as a whole.
pub trait Store: Send + Sync {
    /// Writes a small object.
    ///
    /// # Errors
    /// `DiskFull`, `OutputUnwritable`.
    fn put(&self, key: ObjectKey, bytes: &[u8]) -> Result<()>;

    /// Writes a small object unless there is one; of several writers exactly one gets [`Created::New`].
    ///
    /// # Errors
    /// As [`put`](Self::put).
    fn create(&self, key: ObjectKey, bytes: &[u8]) -> Result<Created>;

    /// Reads a small object, or nothing where there is none.
    ///
    /// # Errors
    /// `Internal` if it is there and cannot be read.
    fn get(&self, key: ObjectKey) -> Result<Option<Vec<u8>>>;

    /// Starts writing a large object, which nobody sees before [`ObjectWriter::finish`].
    ///
    /// # Errors
    /// As [`put`](Self::put).
    fn write(&self, key: ObjectKey) -> Result<Box<dyn ObjectWriter>>;

    /// Reads a large object from its start.
    ///
    /// # Errors
    /// `Internal` if it is not there or cannot be read.
    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>>;

    /// Deletes an object; deleting what is not there is done at once.
    ///
    /// # Errors
    /// `OutputUnwritable`.
    fn delete(&self, key: ObjectKey) -> Result<()>;

    /// Batches of a plan whose marker is there, in order.
    ///
    /// # Errors
    /// `Internal` if they cannot be listed.
    fn finished(&self, plan: PlanKey) -> Result<Vec<u64>>;
}

/// Whether a conditional write was the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// This call wrote it.
    New,
    /// It was there.
    Existed,
}

/// A large object in the making; dropped unfinished, it leaves nothing.
pub trait ObjectWriter: Write + Send {
    /// Makes it whole and visible; returns its length in bytes and its SHA-256 in hex.
    ///
    /// # Errors
    /// As [`Store::put`].
    fn finish(self: Box<Self>) -> Result<(u64, String)>;
}

/// A store in a folder of the local disk: one file an object, under the object's key.
#[derive(Debug)]
pub struct FolderStore {
    root: PathBuf,
}

impl FolderStore {
    /// The store in `root`, which is created if need be.
    ///
    /// # Errors
    /// `OutputUnwritable`, `DiskFull`.
    pub fn open(root: PathBuf) -> Result<Self> {
        fs::create_dir_all(&root).map_err(|e| Error::write(format_args!("the folder {}", root.display()), e))?;
        Ok(Self { root })
    }

    fn path(&self, key: ObjectKey) -> PathBuf {
        self.root.join(key.to_string())
    }

    /// A file beside the object's own that becomes it by renaming.
    fn start(&self, key: ObjectKey) -> Result<(PathBuf, NamedTempFile)> {
        let path = self.path(key);
        let folder = path.parent().unwrap_or(&self.root);
        let file = fs::create_dir_all(folder).and_then(|()| NamedTempFile::new_in(folder));
        file.map(|file| (path.clone(), file))
            .map_err(|e| cannot_write(&path, e))
    }

    fn filled(&self, key: ObjectKey, bytes: &[u8]) -> Result<(PathBuf, NamedTempFile)> {
        let (path, mut file) = self.start(key)?;
        file.write_all(bytes)
            .and_then(|()| file.as_file().sync_all())
            .map_err(|e| cannot_write(&path, e))?;
        Ok((path, file))
    }
}

fn cannot_write(path: &Path, e: std::io::Error) -> Error {
    Error::write(path.display(), e)
}

fn cannot_read(path: &Path, e: std::io::Error) -> Error {
    Error::internal(format!("cannot read {}", path.display())).because(e)
}

/// Makes a rename in `path`'s folder survive a crash.
fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|e| cannot_write(path, e))
}

impl Store for FolderStore {
    fn put(&self, key: ObjectKey, bytes: &[u8]) -> Result<()> {
        let (path, file) = self.filled(key, bytes)?;
        file.persist(&path).map_err(|e| cannot_write(&path, e.error))?;
        sync_folder_of(&path)
    }

    fn create(&self, key: ObjectKey, bytes: &[u8]) -> Result<Created> {
        let (path, file) = self.filled(key, bytes)?;
        match file.persist_noclobber(&path) {
            Ok(_) => sync_folder_of(&path).map(|()| Created::New),
            Err(e) if e.error.kind() == ErrorKind::AlreadyExists => Ok(Created::Existed),
            Err(e) => Err(cannot_write(&path, e.error)),
        }
    }

    fn get(&self, key: ObjectKey) -> Result<Option<Vec<u8>>> {
        let path = self.path(key);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(cannot_read(&path, e)),
        }
    }

    fn write(&self, key: ObjectKey) -> Result<Box<dyn ObjectWriter>> {
        let (path, file) = self.start(key)?;
        Ok(Box::new(FileWriter {
            path,
            file,
            bytes: 0,
            digest: Sha256::new(),
        }))
    }

    fn read(&self, key: &str) -> Result<Box<dyn Read + Send>> {
        let path = self.root.join(key);
        let file = File::open(&path).map_err(|e| cannot_read(&path, e))?;
        Ok(Box::new(file))
    }

    fn delete(&self, key: ObjectKey) -> Result<()> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(cannot_write(&path, e)),
            _ => Ok(()),
        }
    }

    fn finished(&self, plan: PlanKey) -> Result<Vec<u64>> {
        let first = self.path(ObjectKey::Marker(plan, 0));
        let folder = first.parent().unwrap_or(&self.root);
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(cannot_read(folder, e)),
        };
        let mut batches = Vec::new();
        for entry in entries {
            let name = entry.map_err(|e| cannot_read(folder, e))?.file_name();
            let batch = name
                .to_str()
                .and_then(|name| name.strip_suffix(".json")?.parse::<u64>().ok());
            batches.extend(batch);
        }
        batches.sort_unstable();
        Ok(batches)
    }
}

struct FileWriter {
    path: PathBuf,
    file: NamedTempFile,
    bytes: u64,
    digest: Sha256,
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl ObjectWriter for FileWriter {
    fn finish(self: Box<Self>) -> Result<(u64, String)> {
        let Self {
            path,
            file,
            bytes,
            digest,
        } = *self;
        file.as_file().sync_all().map_err(|e| cannot_write(&path, e))?;
        file.persist(&path).map_err(|e| cannot_write(&path, e.error))?;
        sync_folder_of(&path)?;
        Ok((bytes, hex(&digest.finalize())))
    }
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use clearfleet_common::job::JobId;
    use uuid::Uuid;

    use super::*;

    const PLAN: PlanKey = PlanKey {
        job: JobId::LOCAL,
        plan: 0,
    };

    fn store() -> (tempfile::TempDir, FolderStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path().join("state")).unwrap();
        (folder, store)
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().path())
            .map(|p| if p.is_dir() { files(&p) } else { 1 })
            .sum()
    }

    #[test]
    fn of_two_writers_the_first_creates() {
        let (_folder, store) = store();
        let key = ObjectKey::Marker(PLAN, 3);
        assert_eq!(store.create(key, b"one").unwrap(), Created::New);
        assert_eq!(store.create(key, b"two").unwrap(), Created::Existed);
        assert_eq!(store.get(key).unwrap().unwrap(), b"one");
        store.put(key, b"three").unwrap();
        assert_eq!(store.get(key).unwrap().unwrap(), b"three");
    }

    #[test]
    fn an_unfinished_object_leaves_nothing() {
        let (folder, store) = store();
        let key = ObjectKey::Segment(PLAN, 0, Uuid::nil());
        let mut writer = store.write(key).unwrap();
        writer.write_all(b"half").unwrap();
        assert!(store.read(&key.to_string()).is_err());
        drop(writer);
        assert_eq!(files(folder.path()), 0);
    }

    #[test]
    fn a_finished_object_is_read_back_with_its_digest() {
        let (_folder, store) = store();
        let key = ObjectKey::Segment(PLAN, 0, Uuid::nil());
        let mut writer = store.write(key).unwrap();
        writer.write_all(b"abc").unwrap();
        let (bytes, sha256) = writer.finish().unwrap();
        assert_eq!(bytes, 3);
        assert_eq!(
            sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let mut back = String::new();
        store.read(&key.to_string()).unwrap().read_to_string(&mut back).unwrap();
        assert_eq!(back, "abc");
    }

    #[test]
    fn finished_batches_are_listed_in_order() {
        let (_folder, store) = store();
        assert_eq!(store.finished(PLAN).unwrap(), Vec::<u64>::new());
        for batch in [10, 2, 0] {
            store.create(ObjectKey::Marker(PLAN, batch), b"{}").unwrap();
        }
        assert_eq!(store.finished(PLAN).unwrap(), [0, 2, 10]);
        store.delete(ObjectKey::Marker(PLAN, 2)).unwrap();
        store.delete(ObjectKey::Marker(PLAN, 2)).unwrap();
        assert_eq!(store.finished(PLAN).unwrap(), [0, 10]);
    }
}
