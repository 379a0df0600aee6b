use std::io::{Read, Write};

use mp4_atom::{Encode, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry};

use super::{encoder_said, malformed};
use crate::{Error, Result};

/// The largest header box that is read into memory, in bytes.
const LARGEST_HEADER: u64 = 64 << 20;
/// The largest fragment that is read into memory, in bytes.
const LARGEST_FRAGMENT: u64 = 4 << 30;

/// A fragment of one track in the making.
pub(crate) struct Fragment<'a> {
    /// Its number.
    pub(crate) sequence: u32,
    /// Which track.
    pub(crate) track: u32,
    /// Decoding time of its first sample, in ticks of the track.
    pub(crate) time: u64,
    /// Its samples.
    pub(crate) samples: Vec<TrunEntry>,
    /// What these are, one after the other.
    pub(crate) data: &'a [u8],
}

impl Fragment<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// `EncodeFailed` for one of 4 GiB or more; the error of a failed write.
    pub(crate) fn write(self, output: &mut dyn Write) -> Result<()> {
        let mut moof = Moof {
            mfhd: Mfhd {
                sequence_number: self.sequence,
            },
            traf: vec![Traf {
                tfhd: Tfhd {
                    track_id: self.track,
                    default_base_is_moof: true,
                    ..Tfhd::default()
                },
                tfdt: Some(Tfdt {
                    base_media_decode_time: self.time,
                }),
                trun: vec![Trun {
                    data_offset: Some(0),
                    samples: self.samples.into(),
                }],
                ..Traf::default()
            }],
        };
        let length = encoded(&moof)?.len();
        moof.traf[0].trun[0].data_offset = Some(length as i32 + 8);
        let header = encoded(&moof)?;
        output.write_all(&header).map_err(|e| Error::write("a segment", e))?;
        write_box(output, b"mdat", self.data)
    }
}

fn encoded(moof: &Moof) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    moof.encode(&mut bytes).map_err(malformed)?;
    Ok(bytes)
}

/// Reads the next box; its payload is bounded.
pub(crate) fn read_box(input: &mut impl Read) -> Result<Option<([u8; 4], Vec<u8>)>> {
    let Some(header) = <Option<mp4_atom::Header> as mp4_atom::ReadFrom>::read_from(input).map_err(malformed)? else {
        return Ok(None);
    };
    let kind: [u8; 4] = header.kind.into();
    let limit = if &kind == b"mdat" {
        LARGEST_FRAGMENT
    } else {
        LARGEST_HEADER
    };
    let size = header.size.map(|s| s as u64).filter(|s| *s <= limit);
    let size = size.ok_or_else(|| encoder_said("a box without a size, or a huge one").with("box", header.kind))?;
    let mut bytes = Vec::new();
    let found = input
        .take(size)
        .read_to_end(&mut bytes)
        .map_err(|e| encoder_said("a stream that broke").because(e))?;
    if found as u64 != size {
        return Err(encoder_said("a box that is cut off")
            .with("expected", size)
            .with("found", found));
    }
    Ok(Some((kind, bytes)))
}

pub(super) fn write_box(output: &mut dyn Write, kind: &[u8; 4], bytes: &[u8]) -> Result<()> {
    let size = u32::try_from(bytes.len() + 8).map_err(|e| encoder_said("a fragment of 4 GiB or more").because(e))?;
    let mut put = |bytes: &[u8]| output.write_all(bytes).map_err(|e| Error::write("a segment", e));
    put(&size.to_be_bytes())?;
    put(kind)?;
    put(bytes)
}
