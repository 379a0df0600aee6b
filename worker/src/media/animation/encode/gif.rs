//! GIF: a palette a frame, of each frame the part that changed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;

use gif::{DisposalMethod, Encoder, EncodingError, Frame, Repeat};

use super::{FrameWriter, Shown, changed, rows};
use crate::media::animation::canvas::Area;
use crate::{Error, Result};

/// What ffmpeg makes of the frames: numbers of colours and the palette. A palette a frame holds nothing back, and its
/// colours are better than those of one for all.
pub(super) const SAMPLES: [&str; 6] = [
    "-vf",
    "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1:alpha_threshold=128",
    "-c:v",
    "rawvideo",
    "-pix_fmt",
    "pal8",
];

/// Bytes of a palette behind the numbers: 256 times blue, green, red, alpha.
const PALETTE: usize = 256 * 4;
/// An alpha below this is none.
const OPAQUE: u8 = 128;
/// A pixel through which nothing is seen, opaque or not.
const CLEAR: Pixel = [0; 4];

/// Blue, green, red, alpha; no alpha has one colour.
type Pixel = [u8; 4];

/// Writes frames so that each looks as it should on what the one before has left.
pub(super) struct GifWriter<W: Write> {
    encoder: Encoder<W>,
    size: (u16, u16),
    /// What is shown before the next frame is drawn.
    ground: Vec<Pixel>,
}

impl<W: Write> GifWriter<W> {
    pub(super) fn new(file: W, (width, height): (u32, u32), plays: u32) -> Result<Self> {
        let edge = |pixels: u32| u16::try_from(pixels).map_err(|_| Error::internal("a GIF with too long an edge"));
        let size = (edge(width)?, edge(height)?);
        let mut encoder = Encoder::new(file, size.0, size.1, &[]).map_err(failed)?;
        let repeat = match plays {
            0 => Some(Repeat::Infinite),
            1 => None,
            // GIF counts what comes after the first time.
            more => Some(Repeat::Finite(u16::try_from(more - 1).unwrap_or(u16::MAX))),
        };
        if let Some(repeat) = repeat {
            encoder.set_repeat(repeat).map_err(failed)?;
        }
        Ok(Self {
            encoder,
            size,
            ground: vec![CLEAR; width as usize * height as usize],
        })
    }
}

impl<W: Write> FrameWriter for GifWriter<W> {
    type Frame = Vec<Pixel>;

    fn read(&self, bytes: Vec<u8>) -> Self::Frame {
        let (numbers, palette) = bytes.split_at(bytes.len().saturating_sub(PALETTE));
        let (colours, _) = palette.as_chunks::<4>();
        let pixel = |number: &u8| match colours.get(usize::from(*number)) {
            Some(colour) if colour[3] >= OPAQUE => *colour,
            _ => CLEAR,
        };
        numbers.iter().map(pixel).collect()
    }

    fn write(&mut self, frame: Self::Frame, next: Option<&Self::Frame>, shown: Shown) -> Result<()> {
        let (width, height) = (u32::from(self.size.0), u32::from(self.size.1));
        // No later frame can make a pixel transparent: this one has to take all with it when it goes.
        let mut pairs = frame.iter().zip(next.into_iter().flatten());
        let goes = pairs.any(|(now, then)| *now != CLEAR && *then == CLEAR);
        let area = if goes {
            Area::whole(width, height)
        } else {
            changed(&self.ground, &frame, width)
        };
        let delay = shown.stated.map_or_else(|| shown.units(100), |stated| stated.num);
        let mut stored = numbered(rows(&frame, width, area));
        stored.delay = u16::try_from(delay).unwrap_or(u16::MAX);
        // The area lies within a picture whose edges have 16 bits.
        (stored.left, stored.top) = (area.x as u16, area.y as u16);
        (stored.width, stored.height) = (area.width as u16, area.height as u16);
        stored.dispose = if goes {
            DisposalMethod::Background
        } else {
            DisposalMethod::Keep
        };
        self.encoder.write_frame(&stored).map_err(failed)?;
        if goes {
            self.ground.fill(CLEAR);
        } else {
            self.ground = frame;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let mut file = self.encoder.into_inner().map_err(failed)?;
        file.flush().map_err(|e| Error::write("the result", e))
    }
}

/// Numbers the colours of a part of a picture in the order in which they come.
fn numbered<'a>(rows: impl Iterator<Item = &'a [Pixel]>) -> Frame<'static> {
    let mut colours: Vec<Pixel> = Vec::new();
    let mut known = HashMap::new();
    let number = |pixel: &Pixel| {
        *known.entry(*pixel).or_insert_with(|| {
            colours.push(*pixel);
            // At most 256: they come from one palette.
            (colours.len() - 1) as u8
        })
    };
    let numbers: Vec<u8> = rows.flatten().map(number).collect();
    Frame {
        transparent: known.get(&CLEAR).copied(),
        palette: Some(colours.iter().flat_map(|[b, g, r, _]| [*r, *g, *b]).collect()),
        buffer: Cow::Owned(numbers),
        ..Frame::default()
    }
}

fn failed(error: EncodingError) -> Error {
    match error {
        EncodingError::Io(e) => Error::write("the result", e),
        other => Error::internal("a frame of a GIF cannot be written").because(other),
    }
}
