//! Writes a backup.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use tar::{Builder, Header};

use super::{MANIFEST, Manifest, SECRETS, STORE_FOLDER, VERSION};

/// Writes the copy of a store, and the secrets of the data folder that it was in.
pub(super) fn pack(store: &Path, data_dir: &Path, into: impl Write) -> io::Result<()> {
    let mut tar = Builder::new(into);
    tar.sparse(false);
    let mut manifest = Manifest {
        version: VERSION,
        created: Timestamp::now(),
        files: 0,
        bytes: 0,
    };
    for entry in walkdir::WalkDir::new(store).sort_by_file_name() {
        let entry = entry?;
        let name = entry.path().strip_prefix(store).map_err(io::Error::other)?;
        let name = Path::new(STORE_FOLDER).join(name);
        if entry.file_type().is_file() {
            manifest.add(append(&mut tar, &name, File::open(entry.path())?)?);
        } else if entry.file_type().is_dir() {
            // Empty folders belong to it too.
            let mut header = header(0, 0o700);
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, &name, io::empty())?;
        }
    }
    for secret in SECRETS {
        match File::open(data_dir.join(secret)) {
            Ok(file) => manifest.add(append(&mut tar, Path::new(secret), file)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    let manifest = serde_json::to_vec(&manifest)?;
    tar.append_data(&mut header(manifest.len() as u64, 0o600), MANIFEST, &*manifest)?;
    tar.into_inner()?.flush()
}

impl Manifest {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

fn append(tar: &mut Builder<impl Write>, name: &Path, file: File) -> io::Result<u64> {
    let bytes = file.metadata()?.len();
    tar.append_data(&mut header(bytes, 0o600), name, file)?;
    Ok(bytes)
}

/// Of nobody in particular, and for nobody else to read: among the files are secrets.
fn header(bytes: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(mode);
    header
}
