use std::io::Write;

use image::error::{EncodingError, UnsupportedError};
use image::{ExtendedColorType, ImageEncoder, ImageError, ImageFormat, ImageResult};
use image_webp::{ColorType, WebPEncoder};

use super::{Beside, unsupported};

/// Writes a WebP without loss. It has no place for the density.
pub(in crate::media::still) struct WebpFile<W: Write>(WebPEncoder<W>);

impl<W: Write> WebpFile<W> {
    pub(in crate::media::still) fn new(file: W, beside: Beside) -> Self {
        let mut encoder = WebPEncoder::new(file);
        if let Some(xmp) = beside.xmp {
            encoder.set_xmp_metadata(xmp);
        }
        Self(encoder)
    }
}

impl<W: Write> ImageEncoder for WebpFile<W> {
    fn write_image(self, samples: &[u8], width: u32, height: u32, kind: ExtendedColorType) -> ImageResult<()> {
        let colours = match kind {
            ExtendedColorType::L8 => ColorType::L8,
            ExtendedColorType::La8 => ColorType::La8,
            ExtendedColorType::Rgb8 => ColorType::Rgb8,
            ExtendedColorType::Rgba8 => ColorType::Rgba8,
            other => return Err(unsupported(ImageFormat::WebP, other)),
        };
        self.0.encode(samples, width, height, colours).map_err(failed)
    }

    fn set_icc_profile(&mut self, profile: Vec<u8>) -> Result<(), UnsupportedError> {
        self.0.set_icc_profile(profile);
        Ok(())
    }

    fn set_exif_metadata(&mut self, exif: Vec<u8>) -> Result<(), UnsupportedError> {
        self.0.set_exif_metadata(exif);
        Ok(())
    }
}

fn failed(error: image_webp::EncodingError) -> ImageError {
    match error {
        image_webp::EncodingError::IoError(e) => ImageError::IoError(e),
        other => ImageError::Encoding(EncodingError::new(ImageFormat::WebP.into(), other)),
    }
}
