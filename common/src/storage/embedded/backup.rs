//! A data folder's copy, made while it is in use or brought back.

use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, Key, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition, Value};

use super::EmbeddedError;
use super::blobs::{BlobId, path_below};
use super::folder::{Credentials, Folder, Layout, make_folder, sync_folder};
use super::index::{BUCKETS, EXTENTS, META, OBJECTS, PARTS, UPLOADS, VERSION, check_version, named_blobs};
use redb::WriteTransaction;

/// What is to be copied: what a database says at one moment, and where the files are.
pub(super) struct Snapshot<'a> {
    pub(super) keys: &'a ReadTransaction,
    pub(super) layout: &'a Layout,
    pub(super) credentials: &'a Credentials,
}

impl Snapshot<'_> {
    /// Makes a data folder of it, whole or not at all.
    pub(super) fn write(&self, into: &Path) -> Result<(), EmbeddedError> {
        check_empty(into)?;
        let parent = into.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        make_folder(parent)?;
        // Beside it, since only there it can be renamed; removed when something fails.
        let scratch = tempfile::Builder::new()
            .prefix(".clearfleet-copy-")
            .tempdir_in(parent)
            .map_err(EmbeddedError::file("write into", parent))?;
        self.write_all(&Layout::of(scratch.path()))?;
        let place = || {
            std::fs::rename(scratch.path(), into)?;
            sync_folder(parent)
        };
        place().map_err(EmbeddedError::file("make", into))?;
        // It is not there any more under this name.
        drop(scratch.keep());
        Ok(())
    }

    fn write_all(&self, into: &Layout) -> Result<(), EmbeddedError> {
        let from = self.layout.root();
        make_folder(&into.blobs())?;
        make_folder(&into.incoming())?;
        let blobs = named_blobs(self.keys).map_err(EmbeddedError::database(from))?;
        let mut folders = std::collections::BTreeSet::new();
        for blob in blobs {
            folders.insert(self.copy_blob(blob, into)?);
        }
        for folder in folders.iter().chain([&into.blobs()]) {
            sync_folder(folder).map_err(EmbeddedError::file("write", folder))?;
        }
        copy_keys(self.keys, &into.index()).map_err(EmbeddedError::database(into.root()))?;
        self.credentials.write(into)?;
        sync_folder(into.root()).map_err(EmbeddedError::file("write", into.root()))
    }

    /// Links a file where both lie on one disk, and copies it otherwise: they are never changed. Gives its folder.
    fn copy_blob(&self, blob: BlobId, into: &Layout) -> Result<PathBuf, EmbeddedError> {
        let (from, to) = (path_below(&self.layout.blobs(), blob), path_below(&into.blobs(), blob));
        let folder = to.parent().unwrap_or(into.root()).to_owned();
        make_folder(&folder)?;
        let copy = || match std::fs::hard_link(&from, &to) {
            // Another disk, one without links, or too many of them.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::CrossesDevices
                        | io::ErrorKind::Unsupported
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::TooManyLinks
                ) =>
            {
                std::fs::copy(&from, &to)?;
                std::fs::File::open(&to)?.sync_all()
            }
            linked => linked,
        };
        copy().map_err(EmbeddedError::file("copy", &from))?;
        Ok(folder)
    }
}

/// Makes a data folder of a backup.
pub(super) fn restore(from: &Path, data_dir: &Path) -> Result<(), EmbeddedError> {
    let layout = Layout::of(from);
    if !layout.index().is_file() || !layout.credentials().is_file() {
        return Err(EmbeddedError::NotADataFolder {
            folder: from.to_owned(),
            why: "it lacks index.redb or credentials.json".to_owned(),
        });
    }
    // Nobody may serve from it meanwhile.
    let folder = Folder::open(from)?;
    let credentials = folder.credentials()?;
    let database = Database::open(layout.index()).map_err(EmbeddedError::database(from))?;
    let keys = database.begin_read().map_err(EmbeddedError::database(from))?;
    let found = version(&keys).map_err(EmbeddedError::database(from))?;
    check_version(from, found)?;
    let snapshot = Snapshot {
        keys: &keys,
        layout: &layout,
        credentials: &credentials,
    };
    snapshot.write(data_dir)
}

fn version(keys: &ReadTransaction) -> Result<u64, redb::Error> {
    let version = keys.open_table(META)?.get("version")?;
    Ok(version.map_or(VERSION, |version| version.value()))
}

fn check_empty(folder: &Path) -> Result<(), EmbeddedError> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(EmbeddedError::Occupied {
                folder: folder.to_owned(),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(EmbeddedError::file("list", folder)(error)),
    }
}

fn copy_keys(keys: &ReadTransaction, into: &Path) -> Result<(), redb::Error> {
    let database = Database::create(into)?;
    let copy = database.begin_write()?;
    copy_table(keys, &copy, META)?;
    copy_table(keys, &copy, BUCKETS)?;
    copy_table(keys, &copy, OBJECTS)?;
    copy_table(keys, &copy, EXTENTS)?;
    copy_table(keys, &copy, UPLOADS)?;
    copy_table(keys, &copy, PARTS)?;
    copy.commit()?;
    Ok(())
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    into: &WriteTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<(), redb::Error> {
    let from = from.open_table(table)?;
    let mut into = into.open_table(table)?;
    for row in from.iter()? {
        let (key, value) = row?;
        into.insert(key.value(), value.value())?;
    }
    Ok(())
}
