//! Whether a picture moves.

use super::Picture;
use super::walk::{GifBlock, Walk};
use crate::Result;
use crate::media::serve::SourceBytes;

/// How many bytes of a GIF are walked at most to find a second picture: the first one is rarely a tenth of it.
const GIF_BYTES: u64 = 64 << 20;
/// How many chunks of a PNG or WebP are looked at.
const CHUNKS: usize = 1000;

/// Whether there is more than one frame. Damage counts as the end: decoding will say what is wrong.
pub(super) fn moves(picture: Picture, source: &dyn SourceBytes) -> Result<bool> {
    match picture {
        Picture::Gif => gif_moves(&mut Walk::up_to(source, GIF_BYTES)),
        Picture::Png => png_moves(&mut Walk::new(source)),
        Picture::WebP => webp_moves(&mut Walk::new(source)),
        Picture::Jpeg | Picture::Bmp | Picture::Tiff => Ok(false),
    }
}

/// Looks for a second picture.
fn gif_moves(walk: &mut Walk<'_>) -> Result<bool> {
    walk.gif_header()?;
    let mut pictures = 0;
    while let Some(block) = walk.gif_block()? {
        pictures += u32::from(block == GifBlock::Picture);
        if pictures == 2 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks for an animation control chunk, which comes before the first data, and its number of frames.
fn png_moves(walk: &mut Walk<'_>) -> Result<bool> {
    walk.skip(8);
    for _ in 0..CHUNKS {
        let Some(chunk) = walk.png_chunk()? else { break };
        match &chunk.kind {
            b"acTL" => return Ok(walk.take::<4>()?.is_some_and(|frames| u32::from_be_bytes(frames) > 1)),
            b"IDAT" | b"IEND" => break,
            _ => walk.go_to(chunk.next),
        }
    }
    Ok(false)
}

/// Looks for a second frame in a file that says that it moves.
fn webp_moves(walk: &mut Walk<'_>) -> Result<bool> {
    if !walk.webp_is_animated()? {
        return Ok(false);
    }
    let mut frames = 0;
    for _ in 1..CHUNKS {
        let Some(chunk) = walk.riff_chunk()? else { break };
        frames += u32::from(chunk.kind == *b"ANMF");
        if frames == 2 {
            return Ok(true);
        }
        walk.go_to(chunk.next);
    }
    Ok(false)
}
