//! Contents of objects, in files that are written once and never changed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use md5::{Digest as _, Md5};
use tempfile::NamedTempFile;
use uuid::Uuid;

use super::EmbeddedError;
use super::error::Fault;
use super::folder::{Layout, make_folder, sync_folder};

/// A blob, by the name of its file.
pub(super) type BlobId = Uuid;

/// What is removed together: all blobs of an object's content. Readers pin it by its id.
#[derive(Debug)]
pub(super) struct Garbage {
    pub(super) content: Uuid,
    pub(super) blobs: Vec<BlobId>,
}

impl Garbage {
    /// A content of one blob, which has the blob's id.
    pub(super) fn single(blob: BlobId) -> Self {
        Self {
            content: blob,
            blobs: vec![blob],
        }
    }
}

/// All blobs of a data folder.
#[derive(Debug)]
pub(super) struct Blobs {
    root: PathBuf,
    incoming: PathBuf,
    /// Space on the disk that is left alone, in bytes: so that the database, which cannot go on after a failed write,
    /// never meets a full disk.
    reserve: u64,
    /// Folders with names that may not be on disk yet.
    unsynced: Mutex<BTreeSet<PathBuf>>,
    removal: Mutex<Removal>,
}

/// What may not be removed now, and what waits for that.
#[derive(Debug, Default)]
struct Removal {
    pinned: HashMap<Uuid, usize>,
    /// While there are any, nothing is removed at all.
    holds: usize,
    waiting: HashMap<Uuid, Vec<BlobId>>,
}

/// Keeps contents on disk though no key names them any more.
#[derive(Debug)]
pub(super) struct Pin {
    blobs: Arc<Blobs>,
    /// One content, or all.
    content: Option<Uuid>,
}

impl Blobs {
    pub(super) fn new(layout: &Layout, reserve: u64) -> Arc<Self> {
        Arc::new(Self {
            root: layout.blobs(),
            incoming: layout.incoming(),
            reserve,
            unsynced: Mutex::default(),
            removal: Mutex::default(),
        })
    }

    /// Where a blob lies: in a folder of those that were made within the same 70 minutes, so that one folder is synced
    /// for all that is written at a time.
    pub(super) fn path(&self, blob: BlobId) -> PathBuf {
        path_below(&self.root, blob)
    }

    /// Refuses what would leave less than the reserve on the disk.
    pub(super) fn has_room(&self, bytes: u64) -> Result<(), Fault> {
        let disk = rustix::fs::statvfs(&self.root).map_err(io::Error::from)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < self.reserve.saturating_add(bytes) {
            return Err(Fault::LowSpace { reserve: self.reserve });
        }
        Ok(())
    }

    /// Begins a blob.
    pub(super) fn create(&self, with_md5: bool) -> Result<Incoming, Fault> {
        Ok(Incoming {
            file: NamedTempFile::new_in(&self.incoming)?,
            md5: with_md5.then(Md5::new),
            bytes: 0,
        })
    }

    /// Puts a blob where it stays. It lasts once [`sync`](Self::sync) has returned, too.
    pub(super) fn keep(&self, incoming: Incoming) -> Result<Kept, Fault> {
        incoming.file.as_file().sync_all()?;
        let blob = Uuid::now_v7();
        let path = self.prepare(blob)?;
        incoming.file.persist(&path).map_err(|error| error.error)?;
        self.named(&path);
        Ok(Kept {
            blob,
            bytes: incoming.bytes,
            md5: incoming.md5.map(|md5| md5.finalize().into()),
        })
    }

    /// Gives a blob a second name.
    pub(super) fn link(&self, blob: BlobId) -> Result<BlobId, Fault> {
        let link = Uuid::now_v7();
        let path = self.prepare(link)?;
        std::fs::hard_link(self.path(blob), &path)?;
        self.named(&path);
        Ok(link)
    }

    /// The path of a new blob, in a folder that exists.
    fn prepare(&self, blob: BlobId) -> Result<PathBuf, Fault> {
        let path = self.path(blob);
        let folder = path.parent().unwrap_or(&self.root);
        let mut unsynced = lock(&self.unsynced);
        if !folder.exists() {
            make_folder(folder).map_err(io::Error::other)?;
            unsynced.insert(self.root.clone());
        }
        Ok(path)
    }

    /// Says that a name is new; not before it is there, lest it misses a [`sync`](Self::sync) that runs meanwhile.
    fn named(&self, path: &Path) {
        let folder = path.parent().unwrap_or(&self.root);
        lock(&self.unsynced).insert(folder.to_owned());
    }

    /// Makes the names of all blobs last that were kept before this call.
    pub(super) fn sync(&self) -> io::Result<()> {
        let folders = std::mem::take(&mut *lock(&self.unsynced));
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }

    pub(super) fn open(&self, blob: BlobId) -> io::Result<File> {
        File::open(self.path(blob))
    }

    /// Keeps a content on disk while the pin lives. Whoever pins looks afterwards whether a key still names it.
    pub(super) fn pin(self: &Arc<Self>, content: Uuid) -> Pin {
        *lock(&self.removal).pinned.entry(content).or_default() += 1;
        Pin {
            blobs: Arc::clone(self),
            content: Some(content),
        }
    }

    /// Keeps all that is on disk while the pin lives.
    pub(super) fn hold(self: &Arc<Self>) -> Pin {
        lock(&self.removal).holds += 1;
        Pin {
            blobs: Arc::clone(self),
            content: None,
        }
    }

    /// Removes what no key names any more, now or when nobody reads it any more.
    pub(super) fn discard(&self, garbage: Vec<Garbage>) {
        let mut removal = lock(&self.removal);
        for Garbage { content, blobs } in garbage {
            removal.waiting.entry(content).or_default().extend(blobs);
        }
        let free = removal.free();
        drop(removal);
        self.unlink(&free);
    }

    fn unlink(&self, blobs: &[BlobId]) {
        for blob in blobs {
            let path = self.path(*blob);
            if let Err(error) = std::fs::remove_file(&path) {
                let path = path.display();
                tracing::warn!(%path, %error, "a file that is not needed any more stays until the next start");
            }
        }
    }

    /// Removes all files that are not among `named`, and what was being received; says how many.
    pub(super) fn sweep(&self, named: &HashSet<BlobId>) -> Result<u64, EmbeddedError> {
        let mut removed = 0;
        let remove = |path: &Path| std::fs::remove_file(path).map_err(EmbeddedError::file("remove", path));
        for file in entries(&self.incoming)? {
            remove(&file)?;
            removed += 1;
        }
        for folder in entries(&self.root)? {
            let mut empty = true;
            for file in entries(&folder)? {
                let name = file.file_name().and_then(|name| name.to_str());
                let blob = name.and_then(|name| Uuid::try_parse(name).ok());
                if blob.is_some_and(|blob| named.contains(&blob)) {
                    empty = false;
                } else {
                    remove(&file)?;
                    removed += 1;
                }
            }
            if empty {
                std::fs::remove_dir(&folder).map_err(EmbeddedError::file("remove", &folder))?;
            }
        }
        Ok(removed)
    }
}

/// Where a blob lies below a folder of blobs.
pub(super) fn path_below(root: &Path, blob: BlobId) -> PathBuf {
    // The first 48 bits of such an id are milliseconds.
    let period = blob.as_u128() >> (80 + 22);
    root.join(format!("{period:07x}")).join(blob.to_string())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, EmbeddedError> {
    let read = || -> io::Result<Vec<PathBuf>> { std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    read().map_err(EmbeddedError::file("list", folder))
}

/// A panic elsewhere leaves these simple values whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Removal {
    /// Takes what waits and need not wait any more.
    fn free(&mut self) -> Vec<BlobId> {
        if self.holds > 0 {
            return Vec::new();
        }
        let pinned = &self.pinned;
        let free = self.waiting.extract_if(|content, _| !pinned.contains_key(content));
        free.flat_map(|(_, blobs)| blobs).collect()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut removal = lock(&self.blobs.removal);
        match self.content {
            None => removal.holds -= 1,
            Some(content) => {
                if let Some(count) = removal.pinned.get_mut(&content) {
                    *count -= 1;
                    if *count == 0 {
                        removal.pinned.remove(&content);
                    }
                }
            }
        }
        let free = removal.free();
        drop(removal);
        self.blobs.unlink(&free);
    }
}

/// A blob that is being received; dropped, it is gone.
#[derive(Debug)]
pub(super) struct Incoming {
    file: NamedTempFile,
    md5: Option<Md5>,
    bytes: u64,
}

impl Incoming {
    pub(super) fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        for piece in pieces {
            self.file.write_all(piece)?;
            self.bytes += piece.len() as u64;
            if let Some(md5) = &mut self.md5 {
                md5.update(piece);
            }
        }
        Ok(())
    }
}

/// A blob that is in place and that no key names yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) blob: BlobId,
    pub(super) bytes: u64,
    pub(super) md5: Option<[u8; 16]>,
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
    use super::*;

    fn blobs(scratch: &tempfile::TempDir) -> Arc<Blobs> {
        Blobs::new(&Folder::open(scratch.path()).unwrap().layout, 0)
    }

    fn blob(blobs: &Blobs) -> BlobId {
        let mut incoming = blobs.create(true).unwrap();
        incoming
            .write(&[Bytes::from_static(b"ab"), Bytes::from_static(b"c")])
            .unwrap();
        let kept = blobs.keep(incoming).unwrap();
        assert_eq!(kept.bytes, 3);
        let md5 = u128::from_be_bytes(kept.md5.unwrap());
        assert_eq!(format!("{md5:032x}"), "900150983cd24fb0d6963f7d28e17f72");
        kept.blob
    }

    #[test]
    fn what_is_pinned_or_held_is_removed_afterwards() {
        let scratch = tempfile::tempdir().unwrap();
        let blobs = blobs(&scratch);
        let (a, b) = (blob(&blobs), blob(&blobs));
        let (pin, hold) = (blobs.pin(a), blobs.hold());
        blobs.discard(vec![Garbage::single(a), Garbage::single(b)]);
        assert!(blobs.path(a).exists() && blobs.path(b).exists());
        drop(hold);
        assert!(blobs.path(a).exists() && !blobs.path(b).exists());
        drop(pin);
        assert!(!blobs.path(a).exists());
    }

    #[test]
    fn what_no_key_names_is_swept() {
        let scratch = tempfile::tempdir().unwrap();
        let blobs = blobs(&scratch);
        let (named, other) = (blob(&blobs), blob(&blobs));
        std::fs::write(scratch.path().join("incoming/half"), "x").unwrap();
        assert_eq!(blobs.sweep(&HashSet::from([named])).unwrap(), 2);
        assert!(blobs.path(named).exists() && !blobs.path(other).exists());
        assert_eq!(blobs.sweep(&HashSet::new()).unwrap(), 1);
        assert_eq!(std::fs::read_dir(scratch.path().join("blobs")).unwrap().count(), 0);
    }

    #[test]
    fn a_disk_without_room_is_said_so() {
        let scratch = tempfile::tempdir().unwrap();
        let blobs = blobs(&scratch);
        blobs.has_room(1).unwrap();
        let full = s3s::S3Error::from(blobs.has_room(u64::MAX).unwrap_err());
        assert_eq!(full.status_code().unwrap().as_u16(), 507);
    }
}
