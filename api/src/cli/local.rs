//! Local files as sources.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use clearfleet_common::ErrorCode;
use clearfleet_common::config::Limits;
use clearfleet_common::job::SourceIdentity;
use clearfleet_worker::media::serve::{FileSource, SourceBytes};
use clearfleet_worker::{Error, Result};

/// Opens a file as a source within the limits.
///
/// # Errors
/// `InputNotFound`, `InputNotAFile`, `InputUnreadable`, `InputTooLarge`.
pub(super) fn open(path: &Path, limits: &Limits) -> Result<Arc<dyn SourceBytes>> {
    let source = FileSource::open(path)?;
    if source.len() > limits.bytes {
        let message = format!("{} bytes are over the limit of {}", source.len(), limits.bytes);
        let error = Error::new(ErrorCode::InputTooLarge, message);
        return Err(error.with("limit", limits.bytes).with("found", source.len()));
    }
    Ok(Arc::new(source))
}

/// What tells this file from others and from what it may be changed to.
///
/// # Errors
/// `InputUnreadable`.
pub(super) fn identity(path: &Path) -> Result<SourceIdentity> {
    let metadata = std::fs::metadata(path)
        .map_err(|e| Error::new(ErrorCode::InputUnreadable, "the source cannot be read").because(e))?;
    let tag = format!("{}.{:09}-{}", metadata.mtime(), metadata.mtime_nsec(), metadata.ino());
    Ok(SourceIdentity {
        bytes: metadata.len(),
        tag,
    })
}
