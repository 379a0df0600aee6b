//! Local files as sources.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use clearfleet_common::ErrorCode;
use clearfleet_common::config::Limits;
use clearfleet_common::job::SourceIdentity;
use clearfleet_worker::media::serve::{FileSource, SourceBytes};
use clearfleet_worker::{Error, Result};

/// What a source may be at most; a source or a result beyond it is refused, and the error says so.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// Size of the source in bytes.
    #[arg(long, env = "CLEARFLEET_MAX_BYTES", default_value_t = Limits::default().bytes)]
    max_bytes: u64,
    /// Width or height of source or result in pixels.
    #[arg(long, env = "CLEARFLEET_MAX_EDGE", default_value_t = Limits::default().edge)]
    max_edge: u32,
    /// Pixels of a picture or a frame, of source or result.
    #[arg(long, env = "CLEARFLEET_MAX_PIXELS", default_value_t = Limits::default().pixels)]
    max_pixels: u64,
    /// Frames of a video.
    #[arg(long, env = "CLEARFLEET_MAX_FRAMES", default_value_t = Limits::default().frames)]
    max_frames: u64,
    /// Length of a video in seconds.
    #[arg(long, env = "CLEARFLEET_MAX_SECONDS", default_value_t = Limits::default().seconds)]
    max_seconds: u64,
}

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Self {
        Self {
            bytes: args.max_bytes,
            edge: args.max_edge,
            pixels: args.max_pixels,
            frames: args.max_frames,
            seconds: args.max_seconds,
        }
    }
}

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
