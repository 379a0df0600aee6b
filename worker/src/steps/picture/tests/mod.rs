mod alpha;
mod beside;
mod formats;
mod imagemagick;
mod metadata;
mod refused;
mod shared;

use std::io::{self, Cursor};
use std::sync::Arc;

use clearfleet_common::config::Limits;
use image::{DynamicImage, GrayImage, ImageEncoder, Luma, Rgb, RgbImage};
use vdsr::{EngineKind, EngineOptions, Weights, build_engine};

use super::*;
use crate::media::serve::SourceBytes;

const FORMATS: [StillFormat; 6] = [
    StillFormat::Png,
    StillFormat::Jpeg,
    StillFormat::WebP,
    StillFormat::Tiff,
    StillFormat::Bmp,
    StillFormat::Gif,
];

/// A source in memory.
struct Bytes(Vec<u8>);

impl SourceBytes for Bytes {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        // Short, as a network is.
        let read = rest.len().min(buffer.len()).min(1000);
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

fn bicubic() -> Arc<dyn Engine> {
    let options = EngineOptions {
        kind: EngineKind::Bicubic,
        ..Default::default()
    };
    build_engine(&options, &Weights::embedded().unwrap()).unwrap()
}

fn request(target: &str, format: StillFormat) -> PictureRequest {
    PictureRequest {
        target: target.parse().unwrap(),
        format,
        quality: None,
        filters: Filters::default(),
    }
}

fn run(source: Vec<u8>, request: &PictureRequest, limits: &Limits) -> Result<(PictureReport, Vec<u8>)> {
    let mut output = Cursor::new(Vec::new());
    let engine = bicubic();
    let report = picture(
        &Bytes(source),
        request,
        engine.as_ref(),
        limits,
        &Stop::new(),
        &(),
        &mut output,
    )?;
    Ok((report, output.into_inner()))
}

/// Upscales and reads the result back.
fn upscaled(source: Vec<u8>, target: &str, format: StillFormat) -> (PictureReport, DynamicImage) {
    let (report, bytes) = run(source, &request(target, format), &Limits::default()).unwrap();
    let pixels = image::load_from_memory(&bytes).unwrap();
    assert_eq!(report.target_size, (pixels.width(), pixels.height()));
    (report, pixels)
}

/// A file of a picture, made without the code under test.
fn file(pixels: &DynamicImage, format: StillFormat) -> Vec<u8> {
    let format = match format {
        StillFormat::Png => image::ImageFormat::Png,
        StillFormat::Jpeg => image::ImageFormat::Jpeg,
        StillFormat::WebP => image::ImageFormat::WebP,
        StillFormat::Tiff => image::ImageFormat::Tiff,
        StillFormat::Bmp => image::ImageFormat::Bmp,
        StillFormat::Gif => image::ImageFormat::Gif,
    };
    let mut bytes = Cursor::new(Vec::new());
    pixels.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A picture of 16 × 12 pixels that grows by 8 from column to column: doubled, by 4.
fn gradient() -> DynamicImage {
    RgbImage::from_fn(16, 12, |x, _| Rgb([8 * x as u8 + 10, 50, 200 - 8 * x as u8])).into()
}
