use std::io::{Seek, Write};

use clearfleet_common::config::Limits;
use clearfleet_common::job::{Filters, Target};
use clearfleet_common::{ErrorCode, Stop};
use image::DynamicImage;
use vdsr::{Engine, FrameUpscaler, Size, picture_from_planes, picture_to_planes};

use super::Progress;
use super::progress::Watching;
use super::upscale::{engine_failed, filters};
use crate::media::serve::SourceBytes;
use crate::media::still::{Still, StillFormat, StillReader, Written, encode};
use crate::media::within;
use crate::{Error, Result};

/// JPEG's quality where none is asked for.
const JPEG_QUALITY: u8 = 95;

/// What is asked of a still picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PictureRequest {
    /// How large the result shall be; an exact size is that of the picture as shown, after EXIF has turned it.
    pub target: Target,
    /// What the result is written as.
    pub format: StillFormat,
    /// Quality of a JPEG, 1 to 100; 95 when left out. No other format has one.
    pub quality: Option<u8>,
    /// What is done before it is enlarged.
    pub filters: Filters,
}

/// What became of a still picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureReport {
    /// Width and height of the source as shown.
    pub source_size: (u32, u32),
    /// Width and height of the result.
    pub target_size: (u32, u32),
    /// Bits of a sample of the result.
    pub bits: u8,
    /// Samples of a pixel of the result: 1 is grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    pub channels: u8,
    /// What the result does not hold as the source did; sentences for a person.
    pub notes: Vec<String>,
}

/// Upscales a still picture in one go. Its content decides what it is; of a picture that moves, the first frame is taken.
///
/// The result is upright as the source is shown, and its EXIF says so. Grey stays grey, 16 bits stay 16 and alpha stays
/// where the result's format has them; on a JPEG, what is transparent lies on white.
///
/// # Errors
/// The codes of refused inputs, before anything is allocated for pixels where the headers tell; `TargetInvalid`;
/// `SettingsInvalid` for what the result's format does not do; `EngineFailed`, `EncodeFailed`, `DiskFull`,
/// `OutputUnwritable`, `Stopped`. What was written before an error is of no use.
pub fn picture(
    source: &dyn SourceBytes,
    request: &PictureRequest,
    engine: &dyn Engine,
    limits: &Limits,
    stop: &Stop,
    progress: &dyn Progress,
    output: &mut (impl Write + Seek),
) -> Result<PictureReport> {
    let quality = request.quality()?;
    let reader = StillReader::open(source, limits, stop)?;
    let source_size = reader.size();
    let target_size = request.size_for(source_size, limits)?;
    let Still {
        pixels,
        metadata,
        mut notes,
    } = reader.decode()?;
    let watch = Watching { stop, progress };
    let pixels = enlarge(pixels, target_size, filters(request.filters), engine, &watch)?;
    progress.frame_done();
    let written = encode(pixels, metadata, request.format, quality, output, &mut notes)?;
    let Written { bits, channels } = written;
    Ok(PictureReport {
        source_size,
        target_size,
        bits,
        channels,
        notes,
    })
}

impl PictureRequest {
    fn quality(&self) -> Result<u8> {
        let refuse =
            |message: String, quality| Err(Error::new(ErrorCode::SettingsInvalid, message).with("found", quality));
        match (self.quality, self.format) {
            (None, _) => Ok(JPEG_QUALITY),
            (Some(quality @ 1..=100), StillFormat::Jpeg) => Ok(quality),
            (Some(quality), StillFormat::Jpeg) => {
                refuse(format!("a quality of {quality} is not from 1 to 100"), quality)
            }
            (Some(quality), format) => refuse(format!("{format} has no quality; JPEG has"), quality),
        }
    }

    fn size_for(&self, (width, height): (u32, u32), limits: &Limits) -> Result<(u32, u32)> {
        let size = self.target.size_for(width, height).map_err(|e| {
            let error = Error::new(ErrorCode::TargetInvalid, e.to_string());
            error
                .with("source", format!("{width}x{height}"))
                .with("found", self.target)
        })?;
        within("the result", size, limits)?;
        let (format, longest) = (self.format, self.format.longest_edge());
        if size.0.max(size.1) > longest {
            let found = format!("{}x{}", size.0, size.1);
            let message = format!("{format} holds {longest} pixels on an edge; the result has {found}");
            return Err(Error::new(ErrorCode::SettingsInvalid, message)
                .with("limit", longest)
                .with("found", found));
        }
        Ok(size)
    }
}

/// Takes the pixels through the engine. Of source and result, one copy each is held at a time, but for the moments in
/// which samples go from one order to the other.
fn enlarge(
    pixels: DynamicImage,
    (width, height): (u32, u32),
    filters: vdsr::Filters,
    engine: &dyn Engine,
    watch: &Watching<'_>,
) -> Result<DynamicImage> {
    let (format, frame) = picture_to_planes(pixels).map_err(engine_failed)?;
    let mut upscaler = FrameUpscaler::open(engine, format, Size { width, height }).map_err(engine_failed)?;
    upscaler.set_filters(filters);
    let format = upscaler.target_format();
    let mut enlarged = vec![0; format.bytes()];
    upscaler.upscale(&frame, &mut enlarged, watch).map_err(engine_failed)?;
    drop((upscaler, frame));
    picture_from_planes(format, enlarged).map_err(engine_failed)
}

#[cfg(test)]
mod tests;
