//! Encoders that write XMP and the density of pixels too, which those of `image` do not.

mod jpeg;
mod png;
mod tiff;
mod webp;

pub(super) use self::jpeg::JpegFile;
pub(super) use self::png::PngFile;
pub(super) use self::tiff::TiffFile;
pub(super) use self::webp::WebpFile;
use super::density::Density;

/// What goes into a file beside pixels, profile and EXIF.
#[derive(Clone, Debug, Default)]
pub(super) struct Beside {
    /// The XMP packet.
    pub(super) xmp: Option<Vec<u8>>,
    /// The density of the pixels.
    pub(super) density: Option<Density>,
}

/// The error of samples that a format does not hold; what is written is fitted to the format before.
fn unsupported(format: image::ImageFormat, samples: image::ExtendedColorType) -> image::ImageError {
    use image::error::{UnsupportedError, UnsupportedErrorKind};
    let kind = UnsupportedErrorKind::Color(samples);
    image::ImageError::Unsupported(UnsupportedError::from_format_and_kind(format.into(), kind))
}
