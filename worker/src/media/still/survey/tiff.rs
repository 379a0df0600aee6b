use std::io::{self, Seek, SeekFrom};

use super::{IPTC, PICTURES, Survey};
use crate::media::still::density::Density;
use crate::media::still::reader::{Reader, take};

const SEPARATED: u32 = 5;
/// Units of the density.
const INCH: u32 = 2;
const CENTIMETRE: u32 = 3;

/// Reads the first directory. BigTIFF is left to the decoder.
pub(super) fn survey(reader: &mut Reader<'_>, survey: &mut Survey) -> io::Result<()> {
    let little = match &take(reader)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return Ok(()),
    };
    let short = |bytes: [u8; 2]| {
        if little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        }
    };
    let long = |bytes: [u8; 4]| {
        if little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        }
    };
    let directory = long(take(reader)?);
    reader.seek(SeekFrom::Start(directory.into()))?;
    let (mut width, mut height) = (None, None);
    let (mut x_place, mut y_place, mut unit) = (None, None, INCH);
    for _ in 0..short(take(reader)?) {
        let (tag, kind) = (short(take(reader)?), short(take(reader)?));
        let _count: [u8; 4] = take(reader)?;
        let value: [u8; 4] = take(reader)?;
        // 3 is a number of 16 bits.
        let value = if kind == 3 {
            short([value[0], value[1]]).into()
        } else {
            long(value)
        };
        match tag {
            256 => width = Some(value),
            257 => height = Some(value),
            262 => survey.cmyk = value == SEPARATED,
            700 => survey.xmp = true,
            282 => x_place = Some(value),
            283 => y_place = Some(value),
            296 => unit = value,
            34_675 => survey.profile = true,
            33_723 => survey.loses(IPTC),
            34_665 | 34_853 => survey.loses("the EXIF metadata"),
            _ => {}
        }
    }
    survey.size = width.zip(height);
    if long(take(reader)?) != 0 {
        survey.loses(PICTURES);
    }
    let mut fraction = |at: u32| -> io::Result<f64> {
        reader.seek(SeekFrom::Start(at.into()))?;
        Ok(f64::from(long(take(reader)?)) / f64::from(long(take(reader)?)))
    };
    if let (Some(x), Some(y)) = (x_place, y_place) {
        let (x, y) = (fraction(x)?, fraction(y)?);
        survey.density = match unit {
            INCH => Density::inches(x, y),
            CENTIMETRE => Density::metres(100.0 * x, 100.0 * y),
            _ => Density::ratio(x, y),
        };
    }
    Ok(())
}
