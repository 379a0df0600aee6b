use std::borrow::Cow;
use std::io::Write;

use image::error::{EncodingError, UnsupportedError};
use image::{ExtendedColorType, ImageEncoder, ImageError, ImageFormat, ImageResult};
use png::{BitDepth, ColorType, Compression, Encoder, Filter, Info, PixelDimensions};

use super::{Beside, unsupported};
use crate::media::still::density::Unit;

/// The keyword of XMP among a PNG's texts.
const XMP: &str = "XML:com.adobe.xmp";

/// Writes a PNG.
pub(in crate::media::still) struct PngFile<W> {
    file: W,
    beside: Beside,
    info: Info<'static>,
}

impl<W: Write> PngFile<W> {
    pub(in crate::media::still) fn new(file: W, beside: Beside) -> Self {
        let info = Info::default();
        Self { file, beside, info }
    }
}

impl<W: Write> ImageEncoder for PngFile<W> {
    fn write_image(self, samples: &[u8], width: u32, height: u32, kind: ExtendedColorType) -> ImageResult<()> {
        use ExtendedColorType as K;
        let (colours, depth) = match kind {
            K::L8 => (ColorType::Grayscale, BitDepth::Eight),
            K::La8 => (ColorType::GrayscaleAlpha, BitDepth::Eight),
            K::Rgb8 => (ColorType::Rgb, BitDepth::Eight),
            K::Rgba8 => (ColorType::Rgba, BitDepth::Eight),
            K::L16 => (ColorType::Grayscale, BitDepth::Sixteen),
            K::La16 => (ColorType::GrayscaleAlpha, BitDepth::Sixteen),
            K::Rgb16 => (ColorType::Rgb, BitDepth::Sixteen),
            K::Rgba16 => (ColorType::Rgba, BitDepth::Sixteen),
            other => return Err(unsupported(ImageFormat::Png, other)),
        };
        let Self { file, beside, mut info } = self;
        (info.width, info.height) = (width, height);
        let mut encoder = Encoder::with_info(file, info).map_err(failed)?;
        encoder.set_color(colours);
        encoder.set_depth(depth);
        encoder.set_compression(Compression::Balanced);
        encoder.set_filter(Filter::Adaptive);
        encoder.set_pixel_dims(beside.density.map(|density| PixelDimensions {
            xppu: density.x.round() as u32,
            yppu: density.y.round() as u32,
            unit: match density.unit {
                Unit::Metre => png::Unit::Meter,
                Unit::None => png::Unit::Unspecified,
            },
        }));
        if let Some(Ok(xmp)) = beside.xmp.map(String::from_utf8) {
            encoder.add_itxt_chunk(XMP.to_owned(), xmp).map_err(failed)?;
        }
        let mut writer = encoder.write_header().map_err(failed)?;
        if depth == BitDepth::Sixteen {
            let words = samples.as_chunks::<2>().0.iter();
            let ordered: Vec<u8> = words.flat_map(|word| u16::from_ne_bytes(*word).to_be_bytes()).collect();
            writer.write_image_data(&ordered).map_err(failed)?;
        } else {
            writer.write_image_data(samples).map_err(failed)?;
        }
        writer.finish().map_err(failed)
    }

    fn set_icc_profile(&mut self, profile: Vec<u8>) -> Result<(), UnsupportedError> {
        self.info.icc_profile = Some(Cow::Owned(profile));
        Ok(())
    }

    fn set_exif_metadata(&mut self, exif: Vec<u8>) -> Result<(), UnsupportedError> {
        self.info.exif_metadata = Some(Cow::Owned(exif));
        Ok(())
    }
}

fn failed(error: png::EncodingError) -> ImageError {
    match error {
        png::EncodingError::IoError(e) => ImageError::IoError(e),
        other => ImageError::Encoding(EncodingError::new(ImageFormat::Png.into(), other)),
    }
}
