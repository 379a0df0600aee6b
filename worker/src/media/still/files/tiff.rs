use std::io::{Seek, Write};

use image::error::{EncodingError, UnsupportedError};
use image::{ExtendedColorType, ImageEncoder, ImageError, ImageFormat, ImageResult};
use tiff::TiffError;
use tiff::encoder::colortype::{ColorType, Gray8, Gray16, RGB8, RGB16, RGBA8, RGBA16};
use tiff::encoder::{Rational, TiffEncoder, TiffValue};
use tiff::tags::{ResolutionUnit, Tag};

use super::{Beside, unsupported};
use crate::media::still::density::{Density, Unit};

/// The tag of XMP.
const XMP: Tag = Tag::Unknown(700);
/// Of a density that is no whole number, parts that are kept.
const PARTS: u32 = 1000;

/// Writes an uncompressed TIFF.
pub(in crate::media::still) struct TiffFile<W> {
    file: W,
    beside: Beside,
    icc: Option<Vec<u8>>,
}

impl<W: Write + Seek> TiffFile<W> {
    pub(in crate::media::still) fn new(file: W, beside: Beside) -> Self {
        let icc = None;
        Self { file, beside, icc }
    }

    fn write<C: ColorType>(self, width: u32, height: u32, samples: &[C::Inner]) -> ImageResult<()>
    where
        [C::Inner]: TiffValue,
    {
        let mut tiff = TiffEncoder::new(self.file).map_err(failed)?;
        let mut image = tiff.new_image::<C>(width, height).map_err(failed)?;
        for (tag, content) in [(Tag::IccProfile, self.icc), (XMP, self.beside.xmp)] {
            if let Some(content) = content {
                image.encoder().write_tag(tag, content.as_slice()).map_err(failed)?;
            }
        }
        if let Some(density) = self.beside.density {
            let (x, y) = rationals(density);
            image.resolution_unit(match density.unit {
                Unit::Metre => ResolutionUnit::Inch,
                Unit::None => ResolutionUnit::None,
            });
            image.x_resolution(x);
            image.y_resolution(y);
        }
        image.write_data(samples).map_err(failed)
    }
}

impl<W: Write + Seek> ImageEncoder for TiffFile<W> {
    fn write_image(self, samples: &[u8], width: u32, height: u32, kind: ExtendedColorType) -> ImageResult<()> {
        use ExtendedColorType as K;
        let words = || -> Vec<u16> {
            let pairs = samples.as_chunks::<2>().0;
            pairs.iter().map(|pair| u16::from_ne_bytes(*pair)).collect()
        };
        match kind {
            K::L8 => self.write::<Gray8>(width, height, samples),
            K::Rgb8 => self.write::<RGB8>(width, height, samples),
            K::Rgba8 => self.write::<RGBA8>(width, height, samples),
            K::L16 => self.write::<Gray16>(width, height, &words()),
            K::Rgb16 => self.write::<RGB16>(width, height, &words()),
            K::Rgba16 => self.write::<RGBA16>(width, height, &words()),
            other => Err(unsupported(ImageFormat::Tiff, other)),
        }
    }

    fn set_icc_profile(&mut self, profile: Vec<u8>) -> Result<(), UnsupportedError> {
        self.icc = Some(profile);
        Ok(())
    }
}

fn rationals(density: Density) -> (Rational, Rational) {
    let rational = |n: f64| match n {
        whole if whole.fract() == 0.0 => Rational { n: whole as u32, d: 1 },
        part => Rational {
            n: (part * f64::from(PARTS)).round() as u32,
            d: PARTS,
        },
    };
    let (x, y) = density.in_inches();
    (rational(x), rational(y))
}

fn failed(error: TiffError) -> ImageError {
    match error {
        TiffError::IoError(e) => ImageError::IoError(e),
        other => ImageError::Encoding(EncodingError::new(ImageFormat::Tiff.into(), other)),
    }
}
