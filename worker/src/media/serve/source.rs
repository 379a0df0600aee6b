use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use clearfleet_common::ErrorCode;

use crate::{Error, Result};

/// The bytes of a source, in any order: a file here, an S3 object in the service.
///
/// Its length does not change; many threads read at once.
#[allow(
    clippy::len_without_is_empty,
    reason = "nobody asks that of a source; an empty one is refused"
)]
pub trait SourceBytes: Send + Sync {
    /// Number of bytes.
    fn len(&self) -> u64;

    /// Fills as much of `buffer` as there is from `offset`, at least one byte; 0 only at the end.
    ///
    /// # Errors
    /// If the bytes cannot be had; it is never papered over.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A regular file, opened once.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    len: u64,
}

impl FileSource {
    /// Opens a file.
    ///
    /// # Errors
    /// If it does not exist, is not a regular file, or cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let failed = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Error::new(ErrorCode::InputNotFound, format!("{shown} does not exist"))
            }
            _ => Error::new(ErrorCode::InputUnreadable, format!("{shown} cannot be read")).because(e),
        };
        let not_a_file = || Error::new(ErrorCode::InputNotAFile, format!("{shown} is not a file"));
        // Asked before opening: opening a pipe waits for its writer. Asked again after, of what was opened.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(not_a_file());
        }
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_file() {
            Ok(Self {
                file,
                len: metadata.len(),
            })
        } else {
            Err(not_a_file())
        }
    }
}

impl SourceBytes for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }
}
