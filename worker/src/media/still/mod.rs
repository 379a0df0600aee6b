//! Still pictures: read by what they are, written as asked, without ffmpeg.
//!
//! What a file declares is read first and checked against the limits, so that nothing is allocated for a picture that
//! is too large; then the pixels are decoded and turned the way the picture is shown. The colour profile, EXIF, XMP and
//! the density of the pixels travel along; what a result cannot hold of its source is said in notes.

mod decode;
mod density;
mod encode;
pub(in crate::media) mod exif;
mod files;
pub(in crate::media) mod reader;
mod survey;
pub(in crate::media) mod xmp;

use std::fmt;

use self::density::Density;
pub(crate) use decode::StillReader;
pub(crate) use encode::{Written, encode};
use image::DynamicImage;

/// What a result is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StillFormat {
    /// PNG: lossless, 8 or 16 bits, alpha, colour profile, EXIF, XMP, density.
    Png,
    /// JPEG without chroma subsampling: 8 bits, no alpha; colour profile, EXIF, XMP, density.
    Jpeg,
    /// WebP, lossless: 8 bits, alpha, colour profile, EXIF, XMP; 16383 pixels on an edge.
    WebP,
    /// TIFF, uncompressed: 8 or 16 bits, alpha, colour profile, XMP, density.
    Tiff,
    /// Windows bitmap: 8 bits, alpha.
    Bmp,
    /// GIF: 256 colours, each of them opaque or fully transparent.
    Gif,
}

impl StillFormat {
    /// The format that a file extension names, letter case ignored.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" | "jpe" | "jfif" => Some(Self::Jpeg),
            "webp" => Some(Self::WebP),
            "tif" | "tiff" => Some(Self::Tiff),
            "bmp" | "dib" => Some(Self::Bmp),
            "gif" => Some(Self::Gif),
            _ => None,
        }
    }

    /// The most pixels that an edge may have in a file of this format.
    pub fn longest_edge(self) -> u32 {
        match self {
            Self::Jpeg | Self::Gif => 65_535,
            Self::WebP => 16_383,
            Self::Png | Self::Tiff | Self::Bmp => i32::MAX as u32,
        }
    }

    fn holds_sixteen_bits(self) -> bool {
        matches!(self, Self::Png | Self::Tiff)
    }

    fn holds_xmp(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg | Self::WebP | Self::Tiff)
    }

    fn holds_density(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg | Self::Tiff | Self::Bmp)
    }
}

impl fmt::Display for StillFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
        })
    }
}

/// A decoded picture as it is shown, and what came with it.
pub(crate) struct Still {
    /// The pixels, turned upright.
    pub(crate) pixels: DynamicImage,
    /// What else the file held.
    pub(crate) metadata: Metadata,
    /// What the decoded picture does not hold as the source did.
    pub(crate) notes: Vec<String>,
}

/// What a picture file holds beside its pixels, and a result may hold too.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metadata {
    /// The ICC colour profile.
    pub(crate) icc: Option<Vec<u8>>,
    /// The EXIF block, from its byte order mark on, with an orientation of 1.
    pub(crate) exif: Option<Vec<u8>>,
    /// The XMP packet, with an orientation of 1.
    pub(crate) xmp: Option<Vec<u8>>,
    /// How densely the pixels lie.
    pub(crate) density: Option<Density>,
}
