//! Reading a NUT stream.

use std::io::Read;

use super::bytes::{Fields, Numbers, Source, malformed};
use super::header::{MainHeader, StreamHeader};
use super::side_data::take_alpha;
use super::{
    CHECKSUM, CODED_FLAGS, CODED_PTS, EOR, HEADER_INDEX, ID, INDEX, INVALID, KEY, LONG_PACKET, MAIN, MATCH_TIME,
    NutStream, PIPE, PacketInfo, RESERVED, SIDE_DATA, SIZE_MSB, STARTCODE_BYTE, STREAM, STREAM_ID, SYNCPOINT,
};
use crate::{Error, Result};

/// The longest header that is held, in bytes: the codec's global header is all that is long in it.
const LONGEST_HEADER: u64 = 1 << 16;

/// Reads the packets of a NUT stream that has one video stream.
///
/// It holds no packet itself, allocates nothing per packet, and trusts nothing: sizes are bounded before anything is
/// allocated. It does not look for the next whole packet in a damaged stream: after an error it is of no more use.
pub(crate) struct NutReader<R> {
    source: Source<R>,
    main: MainHeader,
    header: StreamHeader,
    max_packet: usize,
    /// The timestamp that the next one is told from; `None` before the first syncpoint.
    last_pts: Option<i64>,
    /// The syncpoint being read.
    scratch: Vec<u8>,
    /// Alpha of the packet read last.
    alpha: Vec<u8>,
    complete: bool,
}

/// What precedes a packet's bytes.
struct FrameHeader {
    flags: u64,
    pts: i64,
    /// Size of the packet in bytes, what is elided included.
    size: usize,
    /// Which elided header it opens with.
    elided: usize,
}

impl<R: Read> NutReader<R> {
    /// Reads the headers that `input` opens with. A packet of more than `max_packet` bytes will be an error.
    ///
    /// # Errors
    /// [`DecodeFailed`](clearfleet_common::ErrorCode::DecodeFailed) if `input` fails, is not NUT, is damaged, or has
    /// other than one stream of video.
    pub(crate) fn open(input: R, max_packet: usize) -> Result<Self> {
        let mut source = Source::new(input);
        let mut id = [0; ID.len()];
        source.fill_unchecked(&mut id)?;
        if id != *ID {
            return Err(malformed("it does not open as one"));
        }
        let mut scratch = Vec::new();
        read_header(&mut source, MAIN, &mut scratch)?;
        let main = MainHeader::parse(Fields(&scratch))?;
        read_header(&mut source, STREAM, &mut scratch)?;
        let header = StreamHeader::parse(Fields(&scratch), &main)?;
        Ok(Self {
            source,
            main,
            header,
            max_packet,
            last_pts: None,
            scratch,
            alpha: Vec::new(),
            complete: false,
        })
    }

    /// What its one stream is.
    pub(crate) fn stream(&self) -> &NutStream {
        &self.header.stream
    }

    /// The alpha that the packet read last carries beside its picture, coded as that is; empty where it has none.
    pub(crate) fn alpha(&self) -> &[u8] {
        &self.alpha
    }

    /// Whether the index has been read. ffmpeg and [`NutWriter`](super::NutWriter) write it last, so that a stream
    /// with packets but without an index was cut short between two of them, which [`Self::next_into`] cannot tell
    /// from its end.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Reads the next packet's bytes into `buffer` in place of what is there, `None` at the end of the stream.
    ///
    /// A `buffer` that has once held the longest packet is never allocated again.
    ///
    /// # Errors
    /// [`DecodeFailed`](clearfleet_common::ErrorCode::DecodeFailed) if the stream cannot be read, is damaged, ends
    /// inside a packet, or has a packet that is too long. `buffer` is then empty.
    pub(crate) fn next_into(&mut self, buffer: &mut Vec<u8>) -> Result<Option<PacketInfo>> {
        let packet = self.advance(buffer);
        if !matches!(packet, Ok(Some(_))) {
            buffer.clear();
        }
        packet
    }

    fn advance(&mut self, buffer: &mut Vec<u8>) -> Result<Option<PacketInfo>> {
        while let Some(byte) = self.source.first_byte()? {
            if byte == STARTCODE_BYTE {
                self.read_packet()?;
                continue;
            }
            let frame = self.read_frame_header(byte)?;
            self.last_pts = Some(frame.pts);
            if frame.flags & EOR != 0 {
                if frame.size != 0 {
                    return Err(malformed("the end of a stream's relevance has a size"));
                }
                continue;
            }
            self.read_payload(&frame, buffer)?;
            return Ok(Some(PacketInfo {
                pts: frame.pts,
                key: frame.flags & KEY != 0,
            }));
        }
        Ok(None)
    }

    /// Reads what follows the first byte of a start code: syncpoints count, all else is checked and passed over.
    fn read_packet(&mut self) -> Result<()> {
        let (code, size) = read_packet_header(&mut self.source)?;
        match code {
            SYNCPOINT => {
                read_body(&mut self.source, size, &mut self.scratch)?;
                let stamp = Fields(&self.scratch).number()?;
                let count = self.main.time_bases.len() as u64;
                let base = self.main.time_bases[(stamp % count) as usize];
                let own = self.header.stream.time_base;
                // All factors are below 2^64, 2^31 and 2^31. The spec rounds down.
                let ticks = u128::from(stamp / count) * u128::from(base.num()) * u128::from(own.den())
                    / (u128::from(base.den()) * u128::from(own.num()));
                self.last_pts = Some(i64::try_from(ticks).map_err(|_| late())?);
                Ok(())
            }
            _ => {
                skip_body(&mut self.source, size)?;
                self.complete |= code == INDEX;
                Ok(())
            }
        }
    }

    fn read_frame_header(&mut self, code: u8) -> Result<FrameHeader> {
        let last_pts = self
            .last_pts
            .ok_or_else(|| malformed("a frame precedes the first syncpoint"))?;
        let code = self.main.codes[usize::from(code)];
        let flags = self.read_flags(code.flags)?;
        let source = &mut self.source;
        let pts = if flags & CODED_PTS != 0 {
            full_pts(source.number()?, last_pts, self.header.pts_bits)
        } else {
            last_pts.checked_add(code.pts_delta)
        };
        let pts = pts.filter(|pts| *pts >= 0).ok_or_else(late)?;
        let msb = if flags & SIZE_MSB != 0 { source.number()? } else { 0 };
        let size = msb
            .checked_mul(code.size_mul)
            .and_then(|size| size.checked_add(code.size_lsb));
        if flags & MATCH_TIME != 0 {
            source.signed()?;
        }
        let elided = if flags & HEADER_INDEX != 0 {
            source.number()?
        } else {
            code.header
        };
        let reserved = if flags & RESERVED != 0 {
            source.number()?
        } else {
            code.reserved
        };
        for _ in 0..reserved {
            source.number()?;
        }
        let far = pts.abs_diff(last_pts) > self.header.max_pts_distance;
        let long = self.main.flags & PIPE == 0 && size.is_some_and(|size| size > 2 * self.main.max_distance);
        if flags & CHECKSUM != 0 {
            source.check("a frame's header")?;
        } else if far || long {
            return Err(malformed(
                "a frame that is long or far from the one before has no checksum",
            ));
        }
        let size = size
            .and_then(|size| usize::try_from(size).ok())
            .filter(|size| *size <= self.max_packet)
            .ok_or_else(|| malformed("a packet is too long").with("limit", self.max_packet))?;
        let elided = usize::try_from(elided).unwrap_or(usize::MAX);
        Ok(FrameHeader {
            flags,
            pts,
            size,
            elided,
        })
    }

    /// Reads what changes the flags of a frame code, and the stream, which can only be the one.
    fn read_flags(&mut self, flags: u64) -> Result<u64> {
        if flags & INVALID != 0 {
            return Err(malformed("a frame has an invalid code"));
        }
        let coded = if flags & CODED_FLAGS != 0 {
            self.source.number()?
        } else {
            0
        };
        let flags = flags ^ coded;
        if flags & INVALID != 0 || (flags & SIDE_DATA != 0 && !self.main.side_data) {
            return Err(malformed("a frame has flags that are not supported").with("found", flags));
        }
        if flags & STREAM_ID != 0 {
            self.source.number_in("the stream of a frame", 0..=0)?;
        }
        Ok(flags)
    }

    fn read_payload(&mut self, frame: &FrameHeader, buffer: &mut Vec<u8>) -> Result<()> {
        let Some(elided) = self.main.elided.get(frame.elided) else {
            return Err(malformed("a frame opens with an unknown header"));
        };
        // Only short packets leave out what they open with.
        let elided = if frame.size as u64 > LONG_PACKET {
            &[]
        } else {
            elided.as_slice()
        };
        if elided.len() > frame.size {
            return Err(malformed("a frame is shorter than what it opens with"));
        }
        // Not cleared first: a buffer of the right size would be zeroed for nothing.
        if frame.size > buffer.capacity() {
            buffer.clear();
            buffer
                .try_reserve_exact(frame.size)
                .map_err(|e| malformed("no memory for a packet").because(e))?;
        }
        buffer.resize(frame.size, 0);
        let (head, rest) = buffer.split_at_mut(elided.len());
        head.copy_from_slice(elided);
        self.source.fill_unchecked(rest)?;
        self.alpha.clear();
        if frame.flags & SIDE_DATA != 0 {
            let mut fields = Fields(&buffer[elided.len()..]);
            self.alpha.extend(take_alpha(&mut fields)?);
            let picture = buffer.len() - fields.0.len();
            buffer.drain(elided.len()..picture);
        }
        Ok(())
    }
}

/// The timestamp that `coded` stands for: its `bits` low bits, of the time nearest to `last`, or all of it.
fn full_pts(coded: u64, last: i64, bits: u32) -> Option<i64> {
    let low = 1 << bits;
    if coded >= low {
        return i64::try_from(coded - low).ok();
    }
    let mask = low as i64 - 1;
    let least = last - mask / 2;
    least.checked_add((coded as i64).wrapping_sub(least) & mask)
}

/// A timestamp that is none.
fn late() -> Error {
    malformed("a timestamp is out of range")
}

/// Reads the header that must come here into `body`.
fn read_header<R: Read>(source: &mut Source<R>, expected: u64, body: &mut Vec<u8>) -> Result<()> {
    let opens = source.first_byte()? == Some(STARTCODE_BYTE);
    if !opens {
        return Err(malformed("a header is missing"));
    }
    let (code, size) = read_packet_header(source)?;
    if code != expected {
        return Err(malformed("a header is missing"));
    }
    read_body(source, size, body)
}

/// Reads the rest of a start code and the size of what follows, its checksum included.
fn read_packet_header<R: Read>(source: &mut Source<R>) -> Result<(u64, u64)> {
    let mut code = [STARTCODE_BYTE; 8];
    source.fill(&mut code[1..])?;
    let size = source.number()?;
    if size > LONG_PACKET {
        source.check("a packet's size")?;
    }
    source.forget();
    Ok((u64::from_be_bytes(code), size))
}

/// Reads what follows the size of a packet into `body`, without its checksum.
fn read_body<R: Read>(source: &mut Source<R>, size: u64, body: &mut Vec<u8>) -> Result<()> {
    let size = size.checked_sub(4).filter(|size| *size <= LONGEST_HEADER);
    let size = size.ok_or_else(|| malformed("a header has an impossible size"))?;
    body.resize(size as usize, 0);
    source.fill(body)?;
    source.check("a header")
}

/// Passes over what follows the size of a packet, its checksum compared.
fn skip_body<R: Read>(source: &mut Source<R>, size: u64) -> Result<()> {
    let mut left = size
        .checked_sub(4)
        .ok_or_else(|| malformed("a packet has an impossible size"))?;
    let mut chunk = [0; 4096];
    while left > 0 {
        let part = left.min(chunk.len() as u64);
        source.fill(&mut chunk[..part as usize])?;
        left -= part;
    }
    source.check("a packet")
}
