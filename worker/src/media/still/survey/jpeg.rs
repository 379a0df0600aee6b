use std::io::{self, Seek};

use super::{IPTC, PICTURES, Survey};
use crate::media::still::density::Density;
use crate::media::still::reader::{Reader, skip, skip_to, take};

/// Bytes that a file may have before its pixels, and beside them.
const HEADROOM: u64 = 64 << 20;
/// Bytes that the coefficients of a pixel take at most, generously.
const PIXEL_BYTES: u64 = 12;

/// Walks the markers up to the picture's end. The decoder reads the whole file at once, so what a picture of its size
/// cannot need is not read.
pub(super) fn survey(reader: &mut Reader<'_>, survey: &mut Survey) -> io::Result<()> {
    reader.get_mut().end_at(HEADROOM);
    loop {
        match next_marker(reader)? {
            0xd9 => {
                survey.end = Some(reader.stream_position()?);
                return Ok(());
            }
            // Without content: the start, restarts, and one that is reserved.
            0xd8 | 0x01 | 0xd0..=0xd7 => {}
            marker => segment(marker, reader, survey)?,
        }
    }
}

/// Goes on to behind the next marker; in coded data, 0 after 0xff is none.
fn next_marker(reader: &mut Reader<'_>) -> io::Result<u8> {
    loop {
        skip_to(reader, 0xff)?;
        let mut byte = 0xff;
        while byte == 0xff {
            [byte] = take(reader)?;
        }
        if byte != 0 {
            return Ok(byte);
        }
    }
}

fn segment(marker: u8, reader: &mut Reader<'_>, survey: &mut Survey) -> io::Result<()> {
    let mut left = u64::from(u16::from_be_bytes(take(reader)?).saturating_sub(2));
    match marker {
        0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) && left >= 6 => {
            let [bits, a, b, c, d, components] = take(reader)?;
            left -= 6;
            let (height, width) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            survey.size = Some((width.into(), height.into()));
            survey.cmyk = components == 4;
            survey.unsupported = match marker {
                0xc3 | 0xc7 | 0xcb | 0xcf => Some("that is lossless"),
                0xc5 | 0xc6 | 0xcd | 0xce => Some("in layers of sizes"),
                0xc9 | 0xca => Some("in arithmetic coding"),
                _ if bits != 8 => Some("of more than 8 bits"),
                _ => None,
            };
            reader
                .get_mut()
                .end_at(HEADROOM + PIXEL_BYTES * u64::from(width) * u64::from(height));
        }
        0xe0 if left >= 12 => {
            let head: [u8; 12] = take(reader)?;
            left -= 12;
            if let [b'J', b'F', b'I', b'F', 0, _, _, unit, a, b, c, d] = head {
                let (x, y) = (u16::from_be_bytes([a, b]).into(), u16::from_be_bytes([c, d]).into());
                survey.density = match unit {
                    1 => Density::inches(x, y),
                    2 => Density::metres(100.0 * x, 100.0 * y),
                    _ => Density::ratio(x, y),
                };
            }
        }
        0xe1 | 0xe2 | 0xed if left >= 12 => {
            let head: [u8; 12] = take(reader)?;
            left -= 12;
            match &head {
                b"http://ns.ad" => survey.xmp = true,
                b"Photoshop 3." => survey.loses(IPTC),
                b"ICC_PROFILE\0" => survey.profile = true,
                [b'M', b'P', b'F', 0, ..] => survey.loses(PICTURES),
                _ => {}
            }
        }
        0xfe => survey.loses("its comment"),
        _ => {}
    }
    skip(reader, left)
}
