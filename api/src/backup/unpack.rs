//! Makes a data folder of a backup.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use clearfleet_common::storage::embedded::{EmbeddedError, EmbeddedStore};
use tar::{Archive, Entry, EntryType};

use super::{MANIFEST, Manifest, SECRETS, STORE_FOLDER, VERSION};

/// The longest that a backup says of itself, in bytes.
const LONGEST_MANIFEST: u64 = 64 << 10;

/// Why a backup is not brought back; the data folder is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// There is something in the folder.
    #[error("{0} is not empty; a backup is brought back into a new folder")]
    Occupied(PathBuf),
    /// The backup has something that no backup has.
    #[error("this is no backup of Clearfleet: {what} {name:?}")]
    Foreign {
        /// What is wrong with it.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The backup ends too early, or is damaged.
    #[error("the backup is not whole: {0}")]
    Incomplete(String),
    /// A newer build made it.
    #[error("the backup is of version {found}, and this build knows up to {VERSION}")]
    Newer {
        /// The version that it says.
        found: u32,
    },
    /// It cannot be read.
    #[error("the backup cannot be read")]
    Read(#[source] io::Error),
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// What was in it does not open.
    #[error("the store in the backup cannot be used")]
    Store(#[source] EmbeddedError),
}

/// Makes the data folder `data_dir` of a backup, whole or not at all: it is written beside it, opened once, and renamed.
///
/// # Errors
/// [`UnpackError`].
pub fn restore(backup: impl Read, data_dir: &Path) -> Result<(), UnpackError> {
    must_be_empty(data_dir)?;
    let parent = data_dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    make_folder(parent)?;
    let beside = tempfile::Builder::new()
        .prefix(".clearfleet-restore-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent);
    let beside = beside.map_err(|cause| cannot_write(parent, cause))?;
    unpack(backup, beside.path())?;
    EmbeddedStore::open(&beside.path().join(STORE_FOLDER)).map_err(UnpackError::Store)?;
    sync_folders(beside.path())?;
    fs::rename(beside.path(), data_dir).map_err(|cause| cannot_write(data_dir, cause))?;
    // It is not there any more under this name.
    drop(beside.keep());
    sync(parent)
}

fn must_be_empty(folder: &Path) -> Result<(), UnpackError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(UnpackError::Occupied(folder.to_owned())),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Err(UnpackError::Occupied(folder.to_owned())),
        Err(cause) => Err(cannot_write(folder, cause)),
    }
}

/// Writes what a backup holds into an empty folder.
fn unpack(backup: impl Read, into: &Path) -> Result<(), UnpackError> {
    let mut archive = Archive::new(backup);
    let (mut files, mut bytes) = (0, 0);
    for entry in archive.entries().map_err(UnpackError::Read)? {
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(UnpackError::Read)?.into_owned();
        if name == Path::new(MANIFEST) {
            return check(&mut entry, files, bytes);
        }
        let path = into.join(allowed(&name)?);
        match entry.header().entry_type() {
            EntryType::Directory => make_folder(&path)?,
            EntryType::Regular => {
                bytes += write(&mut entry, &path)?;
                files += 1;
            }
            _ => return Err(foreign("it has something that is neither file nor folder,", &name)),
        }
    }
    Err(UnpackError::Incomplete("its end is missing".to_owned()))
}

/// The name, if backups have such files: below the store, or a secret.
fn allowed(name: &Path) -> Result<&Path, UnpackError> {
    let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    let ours = name.starts_with(STORE_FOLDER) || SECRETS.iter().any(|secret| name == Path::new(secret));
    if plain && ours {
        Ok(name)
    } else {
        Err(foreign("it has a file", name))
    }
}

fn write(entry: &mut Entry<'_, impl Read>, path: &Path) -> Result<u64, UnpackError> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    // Never over a file that is there: a name comes once.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|cause| cannot_write(path, cause))?;
    let expected = entry.size();
    let mut buffer = vec![0; 1 << 20];
    let mut written = 0;
    loop {
        let read = entry.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        io::Write::write_all(&mut file, &buffer[..read]).map_err(|cause| cannot_write(path, cause))?;
        written += read as u64;
    }
    if written != expected {
        return Err(UnpackError::Incomplete(format!(
            "a file has {written} of {expected} bytes"
        )));
    }
    file.sync_all().map_err(|cause| cannot_write(path, cause))?;
    Ok(written)
}

/// Compares what a backup says of itself with what came before it.
fn check(entry: &mut Entry<'_, impl Read>, files: u64, bytes: u64) -> Result<(), UnpackError> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        version: u32,
    }
    let mut said = Vec::new();
    entry
        .take(LONGEST_MANIFEST)
        .read_to_end(&mut said)
        .map_err(unreadable)?;
    let invalid = |e: serde_json::Error| UnpackError::Incomplete(format!("what it says of itself: {e}"));
    let Envelope { version } = serde_json::from_slice(&said).map_err(invalid)?;
    if version > VERSION {
        return Err(UnpackError::Newer { found: version });
    }
    let said: Manifest = serde_json::from_slice(&said).map_err(invalid)?;
    if (said.files, said.bytes) == (files, bytes) {
        return Ok(());
    }
    let Manifest {
        files: all, bytes: of, ..
    } = said;
    Err(UnpackError::Incomplete(format!(
        "{files} of {all} files, {bytes} of {of} bytes"
    )))
}

fn foreign(what: &'static str, name: &Path) -> UnpackError {
    let name = name.to_string_lossy().chars().take(200).collect();
    UnpackError::Foreign { what, name }
}

fn unreadable(error: io::Error) -> UnpackError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => UnpackError::Incomplete("its end is missing".to_owned()),
        _ => UnpackError::Read(error),
    }
}

fn cannot_write(path: &Path, cause: io::Error) -> UnpackError {
    UnpackError::Write {
        path: path.to_owned(),
        cause,
    }
}

fn make_folder(path: &Path) -> Result<(), UnpackError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|cause| cannot_write(path, cause))
}

fn sync(folder: &Path) -> Result<(), UnpackError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|cause| cannot_write(folder, cause))
}

/// Puts the names of all files on disk; the files are.
fn sync_folders(root: &Path) -> Result<(), UnpackError> {
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.map_err(|e| cannot_write(root, e.into()))?;
        if entry.file_type().is_dir() {
            sync(entry.path())?;
        }
    }
    Ok(())
}
