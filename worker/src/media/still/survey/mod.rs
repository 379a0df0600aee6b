//! What the headers of a picture file say, read before any decoder is opened.
//!
//! A survey finds what decoders do not tell, or tell only after they have allocated. Damage counts as the end: decoding
//! will say what is wrong.

mod jpeg;
mod png;
mod tiff;

use std::io;

use super::density::Density;
use super::reader::{Reader, skip, take};
use crate::media::sniff::{Picture, vp8_size};

/// What the headers say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Survey {
    /// Width and height as stored, where the headers get as far.
    pub(super) size: Option<(u32, u32)>,
    /// Whether the pixels are cyan, magenta, yellow and black, for print.
    pub(super) cmyk: bool,
    /// A variant that no decoder here reads, and the decoder would call damaged.
    pub(super) unsupported: Option<&'static str>,
    /// Whether there is a colour profile, readable or not.
    pub(super) profile: bool,
    /// Whether there is XMP, readable or not.
    pub(super) xmp: bool,
    /// How densely the pixels lie, before the picture is turned.
    pub(super) density: Option<Density>,
    /// EXIF that the decoder does not find.
    pub(super) exif: Option<Vec<u8>>,
    /// Where the picture ends, if the format says it and the end is there. The file may go on.
    pub(super) end: Option<u64>,
    /// What is in the file and cannot be kept.
    pub(super) lost: Vec<&'static str>,
}

impl Survey {
    /// Reads the headers. What cannot be read is as if it were not there.
    pub(super) fn of(picture: Picture, reader: &mut Reader<'_>) -> Self {
        let mut survey = Self::default();
        let read = match picture {
            Picture::Jpeg => jpeg::survey(reader, &mut survey),
            Picture::Png => png::survey(reader, &mut survey),
            Picture::Tiff => tiff::survey(reader, &mut survey),
            Picture::WebP => webp(reader, &mut survey),
            Picture::Gif => gif(reader, &mut survey),
            Picture::Bmp => bmp(reader, &mut survey),
        };
        if let Err(error) = read {
            tracing::debug!(%error, %picture, "the headers end early");
        }
        survey
    }

    /// Something in the file has this size: what is decoded may be as large.
    fn holds(&mut self, (width, height): (u32, u32)) {
        let (least_width, least_height) = self.size.unwrap_or_default();
        self.size = Some((width.max(least_width), height.max(least_height)));
    }

    fn loses(&mut self, what: &'static str) {
        if !self.lost.contains(&what) {
            self.lost.push(what);
        }
    }
}

const IPTC: &str = "the IPTC metadata";
const TEXT: &str = "the text that it carries";
const PICTURES: &str = "the further pictures in the file";

fn gif(reader: &mut Reader<'_>, survey: &mut Survey) -> io::Result<()> {
    skip(reader, 6)?;
    let [a, b, c, d] = take(reader)?;
    survey.size = Some((u16::from_le_bytes([a, b]).into(), u16::from_le_bytes([c, d]).into()));
    Ok(())
}

fn bmp(reader: &mut Reader<'_>, survey: &mut Survey) -> io::Result<()> {
    skip(reader, 14)?;
    if u32::from_le_bytes(take(reader)?) == 12 {
        // The oldest header, of OS/2.
        let [a, b, c, d] = take(reader)?;
        survey.size = Some((u16::from_le_bytes([a, b]).into(), u16::from_le_bytes([c, d]).into()));
    } else {
        let (width, height) = (i32::from_le_bytes(take(reader)?), i32::from_le_bytes(take(reader)?));
        // A negative height only means that the first row is at the top; a negative width means nothing.
        survey.size = u32::try_from(width).ok().map(|w| (w, height.unsigned_abs()));
        // Planes, bits, compression, bytes of the picture.
        skip(reader, 2 + 2 + 4 + 4)?;
        let (x, y) = (u32::from_le_bytes(take(reader)?), u32::from_le_bytes(take(reader)?));
        survey.density = Density::metres(x.into(), y.into());
    }
    Ok(())
}

fn webp(reader: &mut Reader<'_>, survey: &mut Survey) -> io::Result<()> {
    skip(reader, 12)?;
    loop {
        let kind: [u8; 4] = take(reader)?;
        let length = u64::from(u32::from_le_bytes(take(reader)?));
        let mut left = length + (length & 1);
        match &kind {
            b"VP8X" if length >= 10 => {
                let [_, _, _, _, a, b, c, d, e, f] = take(reader)?;
                let edge = |bytes: [u8; 3]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) + 1;
                survey.holds((edge([a, b, c]), edge([d, e, f])));
                left -= 10;
            }
            b"VP8 " if length >= 10 => {
                survey.holds(vp8_size(take(reader)?));
                left -= 10;
            }
            // A frame is chunks after a head.
            b"ANMF" => left = 16,
            b"XMP " => survey.xmp = true,
            b"ICCP" => survey.profile = true,
            _ => {}
        }
        skip(reader, left)?;
    }
}
