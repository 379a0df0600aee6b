//! Whether a picture moves: bounded walks over the blocks of GIF, PNG and WebP, which never unpack a pixel.

use super::{Picture, read_fully};
use crate::Result;
use crate::media::serve::SourceBytes;

/// How many bytes of a GIF are walked at most to find a second picture: the first one is rarely a tenth of it.
const GIF_BYTES: u64 = 64 << 20;
/// How many chunks of a PNG or WebP are looked at.
const CHUNKS: usize = 1000;
/// How much is read at a time.
const WINDOW: usize = 64 << 10;

/// Whether there is more than one frame. Damage counts as the end: decoding will say what is wrong.
pub(super) fn moves(picture: Picture, source: &dyn SourceBytes) -> Result<bool> {
    match picture {
        Picture::Gif => gif_moves(&mut Walk::new(source)),
        Picture::Png => png_moves(&mut Walk::new(source)),
        Picture::WebP => webp_moves(&mut Walk::new(source)),
        Picture::Jpeg | Picture::Bmp | Picture::Tiff => Ok(false),
    }
}

/// Looks for a second image descriptor.
fn gif_moves(walk: &mut Walk<'_>) -> Result<bool> {
    let Some(header) = walk.take::<13>()? else {
        return Ok(false);
    };
    walk.skip(colour_table(header[10]));
    let mut pictures = 0;
    while walk.at < GIF_BYTES {
        match walk.take::<1>()? {
            Some([0x2c]) => {
                pictures += 1;
                if pictures == 2 {
                    return Ok(true);
                }
                let Some(descriptor) = walk.take::<9>()? else {
                    return Ok(false);
                };
                // After its colours comes the width of the codes, one byte.
                walk.skip(colour_table(descriptor[8]) + 1);
            }
            Some([0x21]) => walk.skip(1),
            _ => return Ok(false),
        }
        while let Some([length]) = walk.take::<1>()? {
            if length == 0 || walk.at >= GIF_BYTES {
                break;
            }
            walk.skip(u64::from(length));
        }
    }
    Ok(false)
}

/// Bytes of the colour table that the flags announce.
fn colour_table(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Looks for an animation control chunk, which comes before the first data, and its number of frames.
fn png_moves(walk: &mut Walk<'_>) -> Result<bool> {
    walk.skip(8);
    for _ in 0..CHUNKS {
        let Some([a, b, c, d, kind @ ..]) = walk.take::<8>()? else {
            return Ok(false);
        };
        match &kind {
            b"acTL" => return Ok(walk.take::<4>()?.is_some_and(|frames| u32::from_be_bytes(frames) > 1)),
            b"IDAT" | b"IEND" => return Ok(false),
            // The data is followed by a checksum.
            _ => walk.skip(u64::from(u32::from_be_bytes([a, b, c, d])) + 4),
        }
    }
    Ok(false)
}

/// Looks for a second frame in a file whose extended header says that it moves.
fn webp_moves(walk: &mut Walk<'_>) -> Result<bool> {
    walk.skip(12);
    let mut frames = 0;
    for n in 0..CHUNKS {
        let Some([a, b, c, d, size @ ..]) = walk.take::<8>()? else {
            return Ok(false);
        };
        let size = u64::from(u32::from_le_bytes(size));
        match &[a, b, c, d] {
            b"VP8X" if n == 0 => {
                let Some([flags]) = walk.take::<1>()? else {
                    return Ok(false);
                };
                if flags & 0x02 == 0 {
                    return Ok(false);
                }
                walk.skip(size.saturating_sub(1) + (size & 1));
                continue;
            }
            _ if n == 0 => return Ok(false),
            b"ANMF" => frames += 1,
            _ => {}
        }
        if frames == 2 {
            return Ok(true);
        }
        walk.skip(size + (size & 1));
    }
    Ok(false)
}

/// A position in a source, with a window of bytes around it.
struct Walk<'a> {
    source: &'a dyn SourceBytes,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Walk<'a> {
    fn new(source: &'a dyn SourceBytes) -> Self {
        Self {
            source,
            at: 0,
            window: Vec::new(),
            window_at: 0,
        }
    }

    fn skip(&mut self, bytes: u64) {
        self.at = self.at.saturating_add(bytes);
    }

    /// The next bytes, or nothing at the end.
    fn take<const N: usize>(&mut self) -> Result<Option<[u8; N]>> {
        let inside = |w: &Self| {
            let start = usize::try_from(w.at.checked_sub(w.window_at)?).ok()?;
            w.window.get(start..start.checked_add(N)?)?.try_into().ok()
        };
        let mut found = inside(self);
        if found.is_none() && self.at < self.source.len() {
            self.window.resize(WINDOW, 0);
            let read = read_fully(self.source, self.at, &mut self.window)?;
            self.window.truncate(read);
            self.window_at = self.at;
            found = inside(self);
        }
        self.at = self.at.saturating_add(N as u64);
        Ok(found)
    }
}
