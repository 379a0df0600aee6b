//! What precedes a packet's bytes in version 4: side data, then metadata, both as named values.

use super::bytes::{Fields, Numbers, malformed};
use super::writer::put_number;
use crate::Result;

/// ffmpeg's name of Matroska's first block addition: the coded alpha of VP8 and VP9.
const ALPHA: &[u8] = b"CodecSpecificSide1";
/// Values before a packet at most.
const MOST: u64 = 64;

/// Takes it off `fields` and gives the alpha in it, empty where there is none.
pub(super) fn take_alpha<'a>(fields: &mut Fields<'a>) -> Result<&'a [u8]> {
    let mut alpha: &[u8] = &[];
    for what in ["the count of side data", "the count of metadata"] {
        for _ in 0..fields.number_in(what, 0..=MOST)? {
            if let (ALPHA, Some(value)) = take_value(fields)? {
                alpha = value;
            }
        }
    }
    // ffmpeg 5.1 repeats the number of the addition before its bytes; no coded picture begins with a 0.
    Ok(alpha.strip_prefix(&1u64.to_be_bytes()).unwrap_or(alpha))
}

/// A name, and its value where that is bytes.
fn take_value<'a>(fields: &mut Fields<'a>) -> Result<(&'a [u8], Option<&'a [u8]>)> {
    let name = take_bytes(fields)?;
    let value = match fields.signed()? {
        -1 => Some(take_bytes(fields)?),
        -2 => {
            take_bytes(fields)?; // What kind of bytes they are.
            Some(take_bytes(fields)?)
        }
        -4 => {
            fields.number()?; // A time.
            None
        }
        kind => {
            // Below 0 a number, or a fraction's numerator, follows; else the kind is the value.
            if kind < 0 {
                fields.signed()?;
            }
            None
        }
    };
    Ok((name, value))
}

fn take_bytes<'a>(fields: &mut Fields<'a>) -> Result<&'a [u8]> {
    let size = fields.number()?;
    fields.take(size).map_err(|_| malformed("side data ends early"))
}

/// Appends what precedes the bytes of a packet with this alpha.
pub(super) fn put_alpha(to: &mut Vec<u8>, alpha: &[u8]) {
    put_number(to, u64::from(!alpha.is_empty()));
    if !alpha.is_empty() {
        put_number(to, ALPHA.len() as u64);
        to.extend(ALPHA);
        put_number(to, 4); // -2: bytes, of the kind that follows.
        put_number(to, 3);
        to.extend(b"bin");
        put_number(to, alpha.len() as u64);
        to.extend(alpha);
    }
    put_number(to, 0); // No metadata.
}
