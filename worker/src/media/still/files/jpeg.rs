use std::io::{self, Write};

use image::codecs::jpeg::{JpegEncoder, PixelDensity, PixelDensityUnit};
use image::error::UnsupportedError;
use image::{ExtendedColorType, ImageEncoder, ImageResult};

use super::Beside;
use crate::media::still::density::Unit;

/// How a segment of XMP opens.
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// Where the first segments end that the encoder writes: two bytes that open the file, and JFIF's 18.
const AFTER_JFIF: usize = 20;

/// Writes a JPEG.
pub(in crate::media::still) struct JpegFile<W: Write>(JpegEncoder<Spliced<W>>);

impl<W: Write> JpegFile<W> {
    /// What a segment holds of XMP, after its length and its name.
    pub(in crate::media::still) const XMP: usize = 65_535 - 2 - XMP.len();

    pub(in crate::media::still) fn new(file: W, quality: u8, beside: Beside) -> Self {
        let segment = beside.xmp.map(|xmp| {
            let length = (2 + XMP.len() + xmp.len()) as u16;
            [&[0xff, 0xe1][..], &length.to_be_bytes(), XMP, &xmp].concat()
        });
        let file = Spliced {
            file,
            before: AFTER_JFIF,
            extra: segment.unwrap_or_default(),
        };
        let mut encoder = JpegEncoder::new_with_quality(file, quality);
        if let Some(density) = beside.density {
            let (x, y) = density.in_inches();
            let number = |n: f64| n.round().clamp(1.0, f64::from(u16::MAX)) as u16;
            encoder.set_pixel_density(PixelDensity {
                density: (number(x), number(y)),
                unit: match density.unit {
                    Unit::Metre => PixelDensityUnit::Inches,
                    Unit::None => PixelDensityUnit::PixelAspectRatio,
                },
            });
        }
        Self(encoder)
    }
}

impl<W: Write> ImageEncoder for JpegFile<W> {
    fn write_image(self, samples: &[u8], width: u32, height: u32, kind: ExtendedColorType) -> ImageResult<()> {
        self.0.write_image(samples, width, height, kind)
    }

    fn set_icc_profile(&mut self, profile: Vec<u8>) -> Result<(), UnsupportedError> {
        self.0.set_icc_profile(profile)
    }

    fn set_exif_metadata(&mut self, exif: Vec<u8>) -> Result<(), UnsupportedError> {
        self.0.set_exif_metadata(exif)
    }
}

/// A file that gets something extra after its first bytes.
struct Spliced<W> {
    file: W,
    /// Bytes that still come before the extra ones.
    before: usize,
    extra: Vec<u8>,
}

impl<W: Write> Write for Spliced<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.before == 0 && !self.extra.is_empty() {
            self.file.write_all(&std::mem::take(&mut self.extra))?;
        }
        let most = if self.before == 0 {
            bytes.len()
        } else {
            self.before.min(bytes.len())
        };
        let written = self.file.write(&bytes[..most])?;
        self.before = self.before.saturating_sub(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
