//! The frames of an animated picture as they are shown, one after the other.

use std::io::{BufRead, Cursor, Read, Seek};
use std::num::NonZeroU64;
use std::ops::ControlFlow;

use clearfleet_common::{ErrorCode, Stop};
use gif::{ColorOutput, DecodeOptions, DisposalMethod, MemoryLimit};
use image_webp::WebPDecoder;
use png::{BlendOp, ColorType, DisposeOp, Transformations};

use super::canvas::{Area, Canvas, Disposal, Patch};
use super::timing::Timing;
use crate::media::serve::SourceBytes;
use crate::media::sniff::{Picture, vp8_size};
use crate::media::still::reader::{Failure, Reader, SourceReader, skip, take};
use crate::{Error, Result};

/// Bytes that a frame of a WebP may have beside eight a pixel: more is no picture.
const HEADROOM: u64 = 1 << 20;

/// Is given what is shown, RGBA of 8 bits row by row, and says whether to go on.
pub(in crate::media) type Show<'a> = &'a mut dyn FnMut(&[u8]) -> ControlFlow<()>;

/// Why decoding ended.
type Ended<E> = std::result::Result<(), E>;

/// Decodes and composes the frames in order, as many as the timing has.
///
/// # Errors
/// `InputDamaged`, `InputUnreadable`.
pub(in crate::media) fn compose(timing: &Timing, source: &dyn SourceBytes, show: Show<'_>) -> Result<()> {
    let (stop, failure) = (Stop::new(), Failure::default());
    let reader = SourceReader::buffered(source, &stop, &failure);
    let canvas = Canvas::new(timing.size.0, timing.size.1);
    let mut left = timing.delays.len();
    let mut wanted = |shown: &[u8]| {
        left -= 1;
        if show(shown).is_break() || left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let damaged = |e: Box<dyn std::error::Error + Send + Sync>| {
        let message = format!("a frame of the animated {} cannot be decoded", timing.picture);
        Error::new(ErrorCode::InputDamaged, message).because(e)
    };
    let ended = match timing.picture {
        Picture::Gif => gif_frames(reader, canvas, &mut wanted).map_err(|e| damaged(e.into())),
        Picture::Png => png_frames(reader, canvas, &mut wanted).map_err(|e| damaged(e.into())),
        Picture::WebP => webp_frames(reader, canvas, timing.size, &mut wanted).map_err(|e| damaged(e.into())),
        other => Err(Error::internal(format!("{other} does not move"))),
    };
    match failure.take() {
        Some(e) => Err(Error::new(ErrorCode::InputUnreadable, "the source cannot be read").because(e)),
        None => ended,
    }
}

fn gif_frames(reader: impl Read, mut canvas: Canvas, show: Show<'_>) -> Ended<gif::DecodingError> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    // The size of all is checked before; one frame may not be larger.
    let most = NonZeroU64::new(canvas.bytes() as u64).unwrap_or(NonZeroU64::MIN);
    options.set_memory_limit(MemoryLimit::Bytes(most));
    let mut decoder = options.read_info(reader)?;
    while let Some(frame) = decoder.read_next_frame()? {
        let shown = canvas.draw(&Patch {
            area: Area {
                x: frame.left.into(),
                y: frame.top.into(),
                width: frame.width.into(),
                height: frame.height.into(),
            },
            pixels: &frame.buffer,
            blended: true,
            disposal: match frame.dispose {
                DisposalMethod::Any | DisposalMethod::Keep => Disposal::Keep,
                DisposalMethod::Background => Disposal::Clear,
                DisposalMethod::Previous => Disposal::Restore,
            },
        });
        if show(shown).is_break() {
            break;
        }
    }
    Ok(())
}

fn png_frames(reader: impl BufRead + Seek, mut canvas: Canvas, show: Show<'_>) -> Ended<png::DecodingError> {
    let mut decoder = png::Decoder::new(reader);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut frames = decoder.read_info()?;
    let mut samples = vec![0; canvas.bytes()];
    if frames.info().frame_control.is_none() {
        // A picture for viewers that show no animations.
        frames.next_frame(&mut samples)?;
    }
    loop {
        let found = frames.next_frame(&mut samples)?;
        let Some(control) = frames.info().frame_control else {
            return Ok(());
        };
        let area = Area {
            x: control.x_offset,
            y: control.y_offset,
            width: found.width,
            height: found.height,
        };
        let shown = canvas.draw(&Patch {
            area,
            pixels: &rgba(found.color_type, &samples[..found.buffer_size()]),
            blended: control.blend_op == BlendOp::Over,
            disposal: match control.dispose_op {
                DisposeOp::None => Disposal::Keep,
                DisposeOp::Background => Disposal::Clear,
                DisposeOp::Previous => Disposal::Restore,
            },
        });
        if show(shown).is_break() {
            return Ok(());
        }
    }
}

fn rgba(colours: ColorType, samples: &[u8]) -> Vec<u8> {
    let opaque = u8::MAX;
    match colours {
        ColorType::Rgba => samples.to_vec(),
        ColorType::Rgb => samples
            .as_chunks()
            .0
            .iter()
            .flat_map(|[r, g, b]| [*r, *g, *b, opaque])
            .collect(),
        ColorType::GrayscaleAlpha => samples
            .as_chunks()
            .0
            .iter()
            .flat_map(|[y, a]| [*y, *y, *y, *a])
            .collect(),
        // Palettes are expanded.
        ColorType::Grayscale | ColorType::Indexed => samples.iter().flat_map(|y| [*y, *y, *y, opaque]).collect(),
    }
}

/// The decoder's own composition clears more than it should; so frames are decoded one by one, each as a picture.
fn webp_frames(
    mut reader: Reader<'_>,
    mut canvas: Canvas,
    (width, height): (u32, u32),
    show: Show<'_>,
) -> Ended<image_webp::DecodingError> {
    let most = u64::from(width) * u64::from(height) * 8 + HEADROOM;
    skip(&mut reader, 12)?;
    loop {
        let (kind, length) = (take::<4>(&mut reader)?, u32::from_le_bytes(take(&mut reader)?));
        let length = u64::from(length) + u64::from(length & 1);
        if kind != *b"ANMF" {
            skip(&mut reader, length)?;
            continue;
        }
        if !(16..=most).contains(&length) {
            return Err(image_webp::DecodingError::InvalidChunkSize);
        }
        let mut chunk = vec![0; length as usize];
        reader.read_exact(&mut chunk)?;
        let (head, data) = chunk.split_at(16);
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], 0]);
        let area = Area {
            x: 2 * number(0),
            y: 2 * number(3),
            width: number(6) + 1,
            height: number(9) + 1,
        };
        if area.x + area.width > width || area.y + area.height > height {
            return Err(image_webp::DecodingError::FrameOutsideImage);
        }
        let shown = canvas.draw(&Patch {
            area,
            pixels: &webp_picture(data, area)?,
            blended: head[15] & 2 == 0,
            disposal: if head[15] & 1 == 0 {
                Disposal::Keep
            } else {
                Disposal::Clear
            },
        });
        if show(shown).is_break() {
            return Ok(());
        }
    }
}

/// Whether the lossy pictures among a frame's chunks have its size.
fn is_of_size(mut chunks: &[u8], size: (u32, u32)) -> bool {
    while let Some(([a, b, c, d, length @ ..], rest)) = chunks.split_first_chunk::<8>() {
        let lossy = [*a, *b, *c, *d] == *b"VP8 ";
        if lossy && rest.first_chunk().is_none_or(|head| vp8_size(*head) != size) {
            return false;
        }
        let length = u32::from_le_bytes(*length) as usize;
        chunks = rest.get(length + (length & 1)..).unwrap_or_default();
    }
    true
}

/// Decodes the data of one frame, as RGBA.
fn webp_picture(data: &[u8], area: Area) -> std::result::Result<Vec<u8>, image_webp::DecodingError> {
    if !is_of_size(data, (area.width, area.height)) {
        return Err(image_webp::DecodingError::InconsistentImageSizes);
    }
    let mut file = b"WEBP".to_vec();
    if data.starts_with(b"ALPH") {
        // Alpha in a chunk of its own stands behind a header that announces it.
        file.extend(b"VP8X\x0a\0\0\0\x10\0\0\0");
        file.extend(&(area.width - 1).to_le_bytes()[..3]);
        file.extend(&(area.height - 1).to_le_bytes()[..3]);
    }
    file.extend(data);
    let head = [&b"RIFF"[..], &(file.len() as u32).to_le_bytes()].concat();
    let mut decoder = WebPDecoder::new(Cursor::new([head, file].concat()))?;
    if decoder.dimensions() != (area.width, area.height) {
        return Err(image_webp::DecodingError::InconsistentImageSizes);
    }
    let pixels = area.width as usize * area.height as usize;
    let mut samples = vec![0; pixels * if decoder.has_alpha() { 4 } else { 3 }];
    decoder.read_image(&mut samples)?;
    Ok(if decoder.has_alpha() {
        samples
    } else {
        rgba(ColorType::Rgb, &samples)
    })
}
