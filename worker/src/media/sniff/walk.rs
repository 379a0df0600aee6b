//! Walks over the blocks of picture files, which never unpack a pixel.

use super::read_fully;
use crate::Result;
use crate::media::serve::SourceBytes;

/// How much is read at a time.
const WINDOW: usize = 64 << 10;

/// A position in a source, with a window of bytes around it.
pub(in crate::media) struct Walk<'a> {
    source: &'a dyn SourceBytes,
    /// Where the source counts as ended.
    end: u64,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
}

/// The head of a chunk of PNG or RIFF; the walk stands at its data.
#[derive(Clone, Copy, Debug)]
pub(in crate::media) struct Chunk {
    pub(in crate::media) kind: [u8; 4],
    /// Bytes of its data.
    pub(in crate::media) length: u64,
    /// Where the next chunk begins.
    pub(in crate::media) next: u64,
}

/// A block of a GIF; the walk stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum GifBlock {
    /// What is said of the next picture: how long it is shown, in hundredths of a second.
    Control { delay: u16 },
    /// How often all is shown once more; 0 is for ever.
    Repeats(u16),
    /// A picture.
    Picture,
    /// Any other extension.
    Other,
}

impl<'a> Walk<'a> {
    pub(in crate::media) fn new(source: &'a dyn SourceBytes) -> Self {
        Self::up_to(source, source.len())
    }

    /// Over the first `bytes` of a source alone.
    pub(in crate::media) fn up_to(source: &'a dyn SourceBytes, bytes: u64) -> Self {
        Self {
            source,
            end: bytes.min(source.len()),
            at: 0,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// Whether it went past the end: what it came over last is cut off.
    pub(in crate::media) fn is_beyond_the_end(&self) -> bool {
        self.at > self.end
    }

    pub(in crate::media) fn skip(&mut self, bytes: u64) {
        self.at = self.at.saturating_add(bytes);
    }

    /// Goes on at another place.
    pub(in crate::media) fn go_to(&mut self, at: u64) {
        self.at = at;
    }

    /// The next bytes, or nothing at the end.
    pub(in crate::media) fn take<const N: usize>(&mut self) -> Result<Option<[u8; N]>> {
        let inside = |w: &Self| {
            let start = usize::try_from(w.at.checked_sub(w.window_at)?).ok()?;
            w.window.get(start..start.checked_add(N)?)?.try_into().ok()
        };
        let mut found = inside(self);
        if found.is_none() && self.at < self.end {
            let length = WINDOW.min(usize::try_from(self.end - self.at).unwrap_or(WINDOW));
            self.window.resize(length, 0);
            let read = read_fully(self.source, self.at, &mut self.window)?;
            self.window.truncate(read);
            self.window_at = self.at;
            found = inside(self);
        }
        self.at = self.at.saturating_add(N as u64);
        Ok(found)
    }

    /// The next chunk of a PNG, after its signature.
    pub(in crate::media) fn png_chunk(&mut self) -> Result<Option<Chunk>> {
        let Some([a, b, c, d, kind @ ..]) = self.take::<8>()? else {
            return Ok(None);
        };
        let length = u64::from(u32::from_be_bytes([a, b, c, d]));
        // The data is followed by a checksum.
        let next = self.at + length + 4;
        Ok(Some(Chunk { kind, length, next }))
    }

    /// The next chunk of a WebP, after its signature.
    pub(in crate::media) fn riff_chunk(&mut self) -> Result<Option<Chunk>> {
        let Some([a, b, c, d, length @ ..]) = self.take::<8>()? else {
            return Ok(None);
        };
        let length = u64::from(u32::from_le_bytes(length));
        let next = self.at + length + (length & 1);
        let kind = [a, b, c, d];
        Ok(Some(Chunk { kind, length, next }))
    }

    /// Whether a WebP says that it moves, from its beginning on; the walk stands at its second chunk then.
    pub(in crate::media) fn webp_is_animated(&mut self) -> Result<bool> {
        self.skip(12);
        let head = self.riff_chunk()?.filter(|chunk| chunk.kind == *b"VP8X");
        let (Some(head), Some([flags])) = (head, self.take::<1>()?) else {
            return Ok(false);
        };
        self.go_to(head.next);
        Ok(flags & 0x02 != 0)
    }

    /// Width and height of a GIF; the walk stands at its first block then.
    pub(in crate::media) fn gif_header(&mut self) -> Result<Option<(u32, u32)>> {
        let Some([_, _, _, _, _, _, a, b, c, d, flags, _, _]) = self.take::<13>()? else {
            return Ok(None);
        };
        self.skip(colour_table(flags));
        Ok(Some((
            u16::from_le_bytes([a, b]).into(),
            u16::from_le_bytes([c, d]).into(),
        )))
    }

    /// The next block of a GIF, or nothing at the end and where it is not a GIF any more.
    pub(in crate::media) fn gif_block(&mut self) -> Result<Option<GifBlock>> {
        match self.take::<1>()? {
            Some([0x2c]) => {
                if let Some(descriptor) = self.take::<9>()? {
                    // After its colours comes the width of the codes, one byte.
                    self.skip(colour_table(descriptor[8]) + 1);
                    self.skip_gif_data()?;
                }
                Ok(Some(GifBlock::Picture))
            }
            Some([0x21]) => self.gif_extension().map(Some),
            _ => Ok(None),
        }
    }

    fn gif_extension(&mut self) -> Result<GifBlock> {
        let start = self.at;
        let head = self.take::<6>()?;
        let application = self.at - 4;
        let block = match head {
            Some([0xf9, 4, _, a, b, _]) => GifBlock::Control {
                delay: u16::from_le_bytes([a, b]),
            },
            Some([0xff, 11, ..]) => {
                self.go_to(application);
                self.gif_application()?
            }
            _ => GifBlock::Other,
        };
        self.go_to(start + 1);
        self.skip_gif_data()?;
        Ok(block)
    }

    /// What an application's extension says; those that count repeats go by two names.
    fn gif_application(&mut self) -> Result<GifBlock> {
        let name = self.take::<11>()?;
        Ok(match (name.as_ref(), self.take::<4>()?) {
            (Some(b"NETSCAPE2.0" | b"ANIMEXTS1.0"), Some([3, 1, a, b])) => {
                GifBlock::Repeats(u16::from_le_bytes([a, b]))
            }
            _ => GifBlock::Other,
        })
    }

    /// Goes on to behind a chain of blocks of data.
    fn skip_gif_data(&mut self) -> Result<()> {
        while let Some([length]) = self.take::<1>()? {
            if length == 0 {
                break;
            }
            self.skip(length.into());
        }
        Ok(())
    }
}

/// Width and height of a lossy frame of a WebP, of whose data these are the first bytes. What its file says may be something
/// else, and the decoder makes room for a frame before it compares.
pub(in crate::media) fn vp8_size([_, _, _, _, _, _, a, b, c, d]: [u8; 10]) -> (u32, u32) {
    // Two bits of each number say how it is scaled.
    let edge = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3fff);
    (edge([a, b]), edge([c, d]))
}

/// Bytes of the colour table that the flags announce.
fn colour_table(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}
