//! Animated pictures: GIF, APNG and WebP.
//!
//! Their frames are composed here, as browsers do it, since ffmpeg does it otherwise (5.1 fills what is cleared with a
//! background colour that no browser shows, loses track of frames that give back what was before, and does not read
//! animated WebP at all). ffmpeg gets a film of whole frames, which is made as it is read. Results are written here too,
//! with the source's own delays and repeats.

mod canvas;
mod encode;
mod film;
pub(super) mod frames;
mod quicktime;
#[cfg(test)]
pub(crate) mod tests;
pub(super) mod timing;

pub(crate) use encode::encode;
pub(crate) use film::Film;

use super::serve::SourceBytes;
use super::sniff::{Kind, Picture, Walk};
use crate::Result;

/// Whether a source is an animated picture that is composed here. An APNG of 16 bits is not: ffmpeg keeps more of them.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn is_composed(kind: Kind, source: &dyn SourceBytes) -> Result<bool> {
    match kind {
        // A result may be of one frame.
        Kind::Still(Picture::WebP) => Ok(Walk::new(source).webp_is_animated()?),
        Kind::Animation(Picture::Png) => {
            let mut walk = Walk::new(source);
            // Signature, the first chunk's head, width and height.
            walk.skip(8 + 8 + 8);
            Ok(walk.take()?.is_none_or(|[depth]| depth <= 8))
        }
        Kind::Animation(_) => Ok(true),
        _ => Ok(false),
    }
}
