use std::collections::HashSet;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use clearfleet_common::ErrorCode;
use image::codecs::{bmp::BmpEncoder, gif::GifEncoder};
use image::{DynamicImage, ImageEncoder, ImageError};

use super::decode::is_opaque;
use super::density::{Density, Unit};
use super::files::{Beside, JpegFile, PngFile, TiffFile, WebpFile};
use super::{Metadata, StillFormat, exif};
use crate::{Error, Result};

/// How much is written to the output at a time.
const WINDOW: usize = 256 << 10;
/// What one segment of a JPEG holds of EXIF, after its length and its name.
const JPEG_EXIF: usize = 65_535 - 2 - 6;
/// What 255 segments of a JPEG hold of a profile.
const JPEG_ICC: usize = 255 * (65_535 - 2 - 14);
/// Where a bitmap says how many pixels lie on a metre, across and down.
const BMP_DENSITY: u64 = 38;
/// How a GIF's palette is sought: from 1, which looks at every pixel, to 30. Small pictures have too few pixels to leave
/// most of them out; 10 is what the `gif` crate itself takes.
fn gif_speed(pixels: &DynamicImage) -> i32 {
    if u64::from(pixels.width()) * u64::from(pixels.height()) < 1 << 20 {
        1
    } else {
        10
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bits of a sample.
    pub(crate) bits: u8,
    /// Samples of a pixel: grey, grey and alpha, RGB, RGBA.
    pub(crate) channels: u8,
}

/// Writes a picture, and notes what the format cannot hold of it. `quality` is JPEG's.
///
/// # Errors
/// `DiskFull`, `OutputUnwritable`, `EncodeFailed`.
pub(crate) fn encode(
    pixels: DynamicImage,
    metadata: Metadata,
    format: StillFormat,
    quality: u8,
    output: &mut (impl Write + Seek),
    notes: &mut Vec<String>,
) -> Result<Written> {
    let pixels = fit(pixels, format, notes);
    let colours = pixels.color();
    let channels = colours.channel_count();
    let written = Written {
        bits: (colours.bits_per_pixel() / u16::from(channels)) as u8,
        channels,
    };
    let mut sink = Sink { output, failure: None };
    let mut output = BufWriter::with_capacity(WINDOW, &mut sink);
    let mut job = Job {
        pixels,
        metadata,
        format,
        notes,
    };
    let beside = job.beside();
    let encoded = match format {
        StillFormat::Png => job.write(PngFile::new(&mut output, beside)),
        StillFormat::Jpeg => job.write(JpegFile::new(&mut output, quality, beside)),
        StillFormat::WebP => job.write(WebpFile::new(&mut output, beside)),
        StillFormat::Tiff => job.write(TiffFile::new(&mut output, beside)),
        StillFormat::Bmp => job
            .write(BmpEncoder::new(&mut output))
            .and_then(|()| Ok(set_bmp_density(&mut output, beside.density)?)),
        StillFormat::Gif => {
            let speed = gif_speed(&job.pixels);
            job.write(GifEncoder::new_with_speed(&mut output, speed))
        }
    };
    let written = encoded.map_err(|e| failed(e, format)).and_then(|()| {
        output.flush().map_err(|e| Error::write("the picture", e))?;
        Ok(written)
    });
    drop(output);
    match sink.failure {
        // Encoders tell of a failed write in words of their own, which do not say that the disk is full.
        Some(kind) if written.is_err() => Err(Error::write("the picture", kind.into())),
        _ => written,
    }
}

/// Writes the density into a finished bitmap, whose encoder leaves it open.
fn set_bmp_density(output: &mut (impl Write + Seek), density: Option<Density>) -> io::Result<()> {
    let Some(density) = density.filter(|density| density.unit == Unit::Metre) else {
        return Ok(());
    };
    output.seek(SeekFrom::Start(BMP_DENSITY))?;
    for pixels in [density.x, density.y] {
        output.write_all(&(pixels.round() as u32).to_le_bytes())?;
    }
    output.seek(SeekFrom::End(0)).map(drop)
}

/// An output that remembers how a write failed.
struct Sink<'a, W> {
    output: &'a mut W,
    failure: Option<io::ErrorKind>,
}

impl<W: Write> Write for Sink<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes).inspect_err(|e| {
            if e.kind() != io::ErrorKind::Interrupted {
                self.failure.get_or_insert(e.kind());
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl<W: Seek> Seek for Sink<'_, W> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.output.seek(to)
    }
}

/// One picture on its way into an encoder.
struct Job<'a> {
    pixels: DynamicImage,
    metadata: Metadata,
    format: StillFormat,
    notes: &'a mut Vec<String>,
}

impl Job<'_> {
    /// Takes what the format holds beside pixels, profile and EXIF, and notes what it does not hold.
    fn beside(&mut self) -> Beside {
        let format = self.format;
        let fits = |xmp: &Vec<u8>| match format {
            StillFormat::Jpeg => xmp.len() <= JpegFile::<io::Empty>::XMP,
            StillFormat::Png => str::from_utf8(xmp).is_ok(),
            other => other.holds_xmp(),
        };
        let (found, density) = (self.metadata.xmp.take(), self.metadata.density.take());
        let there = found.is_some();
        let xmp = found.filter(fits);
        if there && xmp.is_none() {
            self.notes.push(format!("{format} cannot hold the XMP metadata"));
        }
        if density.is_some() && !format.holds_density() {
            self.notes
                .push(format!("{format} is not told how many pixels lie on an inch"));
        }
        Beside { xmp, density }
    }

    fn write(&mut self, mut encoder: impl ImageEncoder) -> Result<(), ImageError> {
        let format = self.format;
        let jpeg = format == StillFormat::Jpeg;
        if let Some(profile) = self.metadata.icc.take() {
            let fits = !jpeg || profile.len() <= JPEG_ICC;
            match colour_space(&profile) {
                b"RGB " => {}
                // A profile of grey says nothing of colour, and here grey may have become RGB.
                b"GRAY" if !self.pixels.color().has_color() && format != StillFormat::WebP => {}
                _ => {
                    self.notes
                        .push("the colour profile is of another kind of colour than the result and is not kept".into());
                    return self.write(encoder);
                }
            }
            if !fits || encoder.set_icc_profile(profile).is_err() {
                self.notes.push(format!("{format} cannot hold the colour profile"));
            }
        }
        if let Some(mut block) = self.metadata.exif.take() {
            exif::set_size(&mut block, self.pixels.width(), self.pixels.height());
            let fits = !jpeg || block.len() <= JPEG_EXIF;
            if !fits || encoder.set_exif_metadata(block).is_err() {
                self.notes.push(format!("{format} cannot hold the EXIF metadata"));
            }
        }
        self.pixels.write_with_encoder(encoder)
    }
}

/// The four letters that say what a profile describes.
fn colour_space(profile: &[u8]) -> &[u8] {
    profile.get(16..20).unwrap_or_default()
}

/// Changes the pixels into what the format can hold.
fn fit(mut pixels: DynamicImage, format: StillFormat, notes: &mut Vec<String>) -> DynamicImage {
    use DynamicImage as D;
    if !format.holds_sixteen_bits() {
        let before = pixels.color();
        pixels = match pixels {
            D::ImageLuma16(_) => D::ImageLuma8(pixels.into_luma8()),
            D::ImageLumaA16(_) => D::ImageLumaA8(pixels.into_luma_alpha8()),
            D::ImageRgb16(_) => D::ImageRgb8(pixels.into_rgb8()),
            D::ImageRgba16(_) => D::ImageRgba8(pixels.into_rgba8()),
            eight => eight,
        };
        if pixels.color() != before {
            notes.push(format!("{format} holds 8 bits a sample; the source has 16"));
        }
    }
    match (format, pixels) {
        (StillFormat::Jpeg, pixels) if pixels.color().has_alpha() => {
            if !is_opaque(&pixels) {
                notes.push("JPEG has no transparency; the picture lies on white".to_owned());
            }
            on_white(pixels)
        }
        (StillFormat::Tiff, pixels @ D::ImageLumaA16(_)) => pixels.into_rgba16().into(),
        (StillFormat::Tiff | StillFormat::Bmp | StillFormat::Gif, pixels @ D::ImageLumaA8(_)) => {
            all_or_nothing(pixels.into_rgba8().into(), format, notes)
        }
        (StillFormat::Gif, pixels @ D::ImageLuma8(_)) => pixels.into_rgb8().into(),
        (_, pixels) => all_or_nothing(pixels, format, notes),
    }
}

/// Lays a picture with alpha on white, without its alpha.
fn on_white(pixels: DynamicImage) -> DynamicImage {
    let over = |sample: u8, alpha: u8| {
        let (sample, alpha) = (u32::from(sample), u32::from(alpha));
        // At most 255 · 255, so the quotient is at most 255.
        ((sample * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let (width, height) = (pixels.width(), pixels.height());
    if !pixels.color().has_color() {
        let from = pixels.into_luma_alpha8();
        image::GrayImage::from_fn(width, height, |x, y| {
            let [luma, alpha] = from.get_pixel(x, y).0;
            image::Luma([over(luma, alpha)])
        })
        .into()
    } else {
        let from = pixels.into_rgba8();
        image::RgbImage::from_fn(width, height, |x, y| {
            let [r, g, b, alpha] = from.get_pixel(x, y).0;
            image::Rgb([r, g, b].map(|sample| over(sample, alpha)))
        })
        .into()
    }
}

/// Makes each pixel of a GIF opaque or transparent, and notes what its palette cannot hold.
fn all_or_nothing(mut pixels: DynamicImage, format: StillFormat, notes: &mut Vec<String>) -> DynamicImage {
    if format != StillFormat::Gif {
        return pixels;
    }
    let mut partial = false;
    if let DynamicImage::ImageRgba8(pixels) = &mut pixels {
        for pixel in pixels.pixels_mut() {
            let alpha = &mut pixel.0[3];
            partial |= !matches!(*alpha, 0 | u8::MAX);
            *alpha = if *alpha < 128 { 0 } else { u8::MAX };
        }
    }
    if partial {
        notes.push("GIF has no partial transparency; each pixel is opaque or transparent".to_owned());
    }
    if has_many_colours(&pixels) {
        notes.push("GIF holds 256 colours; the picture has more".to_owned());
    }
    pixels
}

fn has_many_colours(pixels: &DynamicImage) -> bool {
    let channels = usize::from(pixels.color().channel_count());
    let mut seen = HashSet::new();
    let mut last: &[u8] = &[];
    for pixel in pixels.as_bytes().chunks_exact(channels) {
        if pixel != last && seen.insert(pixel) && seen.len() > 256 {
            return true;
        }
        last = pixel;
    }
    false
}

fn failed(error: ImageError, format: StillFormat) -> Error {
    match error {
        ImageError::IoError(e) => Error::write("the picture", e),
        other => Error::new(
            ErrorCode::EncodeFailed,
            format!("the picture cannot be written as {format}"),
        )
        .because(other),
    }
}
