//! The main header and the stream header, as read.

use clearfleet_common::job::{Rational, TimeBase};

use super::bytes::{Fields, Numbers, malformed};
use super::{INVALID, NutStream, STARTCODE_BYTE};
use crate::Result;

/// The most that width, height and the parts of a time base may be: 2^31 - 1, as in ffmpeg.
pub(super) const INT_MAX: u32 = i32::MAX as u32;

/// What a frame code says before the frame itself adds to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameCode {
    pub(super) flags: u64,
    /// Ticks since the timestamp before.
    pub(super) pts_delta: i64,
    pub(super) size_mul: u64,
    pub(super) size_lsb: u64,
    pub(super) reserved: u64,
    /// Which of [`MainHeader::elided`] the packet opens with.
    pub(super) header: u64,
}

/// The main header: how frames are coded.
pub(super) struct MainHeader {
    /// Farthest that a frame may start behind its syncpoint, in bytes.
    pub(super) max_distance: u64,
    pub(super) time_bases: Vec<TimeBase>,
    pub(super) codes: [FrameCode; 256],
    /// What packets open with and do not repeat; the first is empty.
    pub(super) elided: Vec<Vec<u8>>,
    /// Whether it is of a version that has side data.
    pub(super) side_data: bool,
    /// Of the whole stream, such as [`super::PIPE`].
    pub(super) flags: u64,
}

impl MainHeader {
    /// Reads it.
    ///
    /// # Errors
    /// If it is damaged, of an unknown version, or has other than one stream.
    pub(super) fn parse(mut fields: Fields<'_>) -> Result<Self> {
        let fields = &mut fields;
        let version = fields.number_in("the version", 3..=4)?;
        if version > 3 {
            fields.number()?; // The minor version changes nothing here.
        }
        let streams = fields.number()?;
        if streams != 1 {
            return Err(malformed("it has other than one stream").with("found", streams));
        }
        // ffmpeg too takes a greater distance for the greatest allowed.
        let max_distance = fields.number()?.min(65536);
        let time_bases = parse_time_bases(fields)?;
        let codes = parse_frame_codes(fields)?;
        let mut elided = vec![Vec::new()];
        if !fields.is_empty() {
            for _ in 0..fields.number_in("the count of elided headers", 0..=127)? {
                let size = fields.number_in("the size of an elided header", 1..=255)?;
                elided.push(fields.take(size)?.to_vec());
            }
        }
        let flags = if version > 3 && !fields.is_empty() {
            fields.number()?
        } else {
            0
        };
        Ok(Self {
            max_distance,
            time_bases,
            codes,
            elided,
            side_data: version > 3,
            flags,
        })
    }
}

fn parse_time_bases(fields: &mut Fields<'_>) -> Result<Vec<TimeBase>> {
    let count = fields.number_in("the count of time bases", 1..=256)?;
    (0..count)
        .map(|_| {
            let num = fields.number_in("a time base", 1..=INT_MAX.into())? as u32;
            let den = fields.number_in("a time base", 1..=INT_MAX.into())? as u32;
            TimeBase::new(num, den).map_err(malformed)
        })
        .collect()
}

/// The table is written as runs of frame codes, of which a size is one byte longer each.
fn parse_frame_codes(fields: &mut Fields<'_>) -> Result<[FrameCode; 256]> {
    let mut run = FrameCode {
        flags: INVALID,
        pts_delta: 0,
        size_mul: 1,
        size_lsb: 0,
        reserved: 0,
        header: 0,
    };
    let mut codes = [run; 256];
    let mut places = codes
        .iter_mut()
        .enumerate()
        .filter(|(i, _)| *i != usize::from(STARTCODE_BYTE));
    let mut left = 255;
    while left > 0 {
        let count = parse_run(fields, &mut run)?;
        if count == 0 || count > left {
            return Err(malformed("the table of frame codes does not have 256").with("found", count));
        }
        left -= count;
        for (j, (_, code)) in (0..count).zip(&mut places) {
            *code = FrameCode {
                size_lsb: run.size_lsb + j,
                ..run
            };
        }
    }
    Ok(codes)
}

/// Turns `run` into the next one, where what is left out stays or is zero, and gives its length.
fn parse_run(fields: &mut Fields<'_>, run: &mut FrameCode) -> Result<u64> {
    run.flags = fields.number()?;
    let given = fields.number()?;
    if given > 0 {
        run.pts_delta = fields.signed()?;
    }
    if given > 1 {
        run.size_mul = fields.number_in("the step of a size", 0..=INT_MAX.into())?;
    }
    if given > 2 {
        fields.number_in("the stream of a frame code", 0..=0)?;
    }
    run.size_lsb = if given > 3 {
        fields.number_in("a size", 0..=INT_MAX.into())?
    } else {
        0
    };
    run.reserved = if given > 4 { fields.number()? } else { 0 };
    let count = if given > 5 {
        fields.number()?
    } else {
        run.size_mul.saturating_sub(run.size_lsb)
    };
    if given > 6 {
        fields.signed()?; // The match time, of no use with one stream.
    }
    if given > 7 {
        run.header = fields.number()?;
    }
    for _ in 8..given {
        fields.number()?;
    }
    Ok(count)
}

/// The stream header: what the stream is and how its timestamps are coded.
pub(super) struct StreamHeader {
    pub(super) stream: NutStream,
    /// How many low bits of a timestamp are written, where not all are.
    pub(super) pts_bits: u32,
    /// Farthest apart that two timestamps may be without a checksum, in ticks.
    pub(super) max_pts_distance: u64,
}

impl StreamHeader {
    /// Reads it.
    ///
    /// # Errors
    /// If it is damaged, or not of video.
    pub(super) fn parse(mut fields: Fields<'_>, main: &MainHeader) -> Result<Self> {
        let fields = &mut fields;
        fields.number_in("the number of the stream", 0..=0)?;
        if fields.number()? != 0 {
            return Err(malformed("its stream is not video"));
        }
        let size = fields.number()?;
        let mut fourcc = [0; 4];
        match size {
            2 | 4 => fourcc[..size as usize].copy_from_slice(fields.take(size)?),
            _ => return Err(malformed("the tag of a codec has neither 2 nor 4 bytes").with("found", size)),
        }
        let base = fields.number_in("the time base of the stream", 0..=main.time_bases.len() as u64 - 1)?;
        let time_base = main.time_bases[base as usize];
        let pts_bits = fields.number_in("the bits of a timestamp", 0..=15)? as u32;
        let max_pts_distance = fields.number()?;
        let decode_delay = fields.number_in("the decoding delay", 0..=999)? as u32;
        fields.number()?; // Flags that promise an even frame rate; nothing here relies on it.
        let size = fields.number()?;
        let extradata = fields.take(size)?.to_vec();
        let width = fields.number_in("the width", 1..=INT_MAX.into())? as u32;
        let height = fields.number_in("the height", 1..=INT_MAX.into())? as u32;
        let num = fields.number_in("the sample aspect ratio", 0..=INT_MAX.into())? as u32;
        let den = fields.number_in("the sample aspect ratio", 0..=INT_MAX.into())? as u32;
        if (num == 0) != (den == 0) {
            return Err(malformed("the sample aspect ratio is half known"));
        }
        let sample_aspect = Rational::new(num, den);
        let stream = NutStream {
            time_base,
            fourcc,
            width,
            height,
            sample_aspect,
            extradata,
            decode_delay,
            alpha: main.side_data,
        };
        Ok(Self {
            stream,
            pts_bits,
            max_pts_distance,
        })
    }
}
