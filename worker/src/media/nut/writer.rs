//! Writing a NUT stream.

use std::io::{self, Write};

use super::crc::Crc;
use super::header::INT_MAX;
use super::side_data::put_alpha;
use super::{
    CHECKSUM, CODED_PTS, ID, INDEX, INVALID, KEY, LONG_PACKET, MAIN, NutStream, SIDE_DATA, SIZE_MSB, STARTCODE_BYTE,
    STREAM, SYNCPOINT,
};

/// Farthest that a frame may start behind its syncpoint, in bytes: the most that NUT allows.
const MAX_DISTANCE: u64 = 65536;

/// The frame code of what is not a key frame; that of a key frame follows.
const FRAME: u8 = 1;

/// Writes packets as a NUT stream that ffmpeg 5.1 takes without a warning, from a pipe as from a file.
///
/// Each packet's header goes out in one write and its bytes in another, uncopied: `W` needs no buffer where packets
/// are frames. After a failed write it is of no more use.
pub(crate) struct NutWriter<W> {
    out: W,
    /// Whether packets may have an alpha.
    alpha: bool,
    /// What precedes the bytes of the packet being written.
    head: Vec<u8>,
    /// Side data of the packet being written.
    side_data: Vec<u8>,
    /// Bytes written.
    position: u64,
    /// Where the last syncpoint is, in bytes.
    syncpoint: Option<u64>,
    /// Where the last syncpoint is that a key frame follows, in bytes.
    key_syncpoint: Option<u64>,
    decoding: DecodingTime,
    index: Index,
}

impl<W: Write> NutWriter<W> {
    /// Writes the headers.
    ///
    /// # Errors
    /// `InvalidInput` if `stream` cannot be told in NUT; else if the write fails.
    pub(crate) fn new(mut out: W, stream: &NutStream) -> io::Result<Self> {
        let (num, den) = (stream.time_base.num(), stream.time_base.den());
        let divisor = gcd(num, den);
        let (num, den) = (num / divisor, den / divisor);
        let aspect = stream.sample_aspect.map_or((0, 0), |aspect| (aspect.num, aspect.den));
        let numbers = [num, den, stream.width, stream.height, aspect.0, aspect.1];
        if numbers.iter().any(|n| *n > INT_MAX) || stream.width == 0 || stream.height == 0 || stream.decode_delay > 999
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "NUT cannot hold such a stream",
            ));
        }
        let mut head = ID.to_vec();
        put_packet(&mut head, MAIN, &main_header(num, den, stream.alpha));
        put_packet(&mut head, STREAM, &stream_header(stream, aspect, (den / num).max(1)));
        out.write_all(&head)?;
        Ok(Self {
            out,
            alpha: stream.alpha,
            side_data: Vec::new(),
            position: head.len() as u64,
            head,
            syncpoint: None,
            key_syncpoint: None,
            decoding: DecodingTime::new(stream.decode_delay),
            index: Index::default(),
        })
    }

    /// Writes a packet that is shown at `pts` in ticks of the stream's time base. Timestamps need not be evenly
    /// spaced; ffmpeg takes them to 2^62.
    ///
    /// # Errors
    /// `InvalidInput` if `pts` is negative or `bytes` are 2 GiB or more; else if the write fails.
    pub(crate) fn write(&mut self, pts: i64, key: bool, bytes: &[u8]) -> io::Result<()> {
        self.write_with_alpha(pts, key, bytes, &[])
    }

    /// The same with an alpha beside the picture, of a stream that may have it.
    ///
    /// # Errors
    /// As [`Self::write`], where both together count; `InvalidInput` if the stream has no alpha.
    pub(crate) fn write_with_alpha(&mut self, pts: i64, key: bool, bytes: &[u8], alpha: &[u8]) -> io::Result<()> {
        self.side_data.clear();
        if self.alpha {
            put_alpha(&mut self.side_data, alpha);
        }
        let size = self.side_data.len() + bytes.len();
        let possible = size <= INT_MAX as usize && (self.alpha || alpha.is_empty());
        let (Ok(stamp), true) = (u64::try_from(pts), possible) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "NUT cannot hold such a packet",
            ));
        };
        self.head.clear();
        let decoded = self.decoding.of(stamp);
        // A frame's header has 25 bytes at most.
        let end = self.position + size as u64 + 25;
        if key || self.syncpoint.is_none_or(|at| end > at + MAX_DISTANCE) {
            self.put_syncpoint(decoded);
        }
        if key {
            self.key_syncpoint = self.syncpoint;
        }
        self.index.add_frame(stamp, key);

        let start = self.head.len();
        self.head.push(if key { FRAME + 1 } else { FRAME });
        // With no low bits to a timestamp, all of it is written, plus 2 to the 0.
        put_number(&mut self.head, stamp + 1);
        put_number(&mut self.head, size as u64);
        let crc = Crc::of(&self.head[start..]);
        self.head.extend(crc.to_bytes());
        self.head.extend(&self.side_data);

        self.out.write_all(&self.head)?;
        self.out.write_all(bytes)?;
        self.position += (self.head.len() + bytes.len()) as u64;
        Ok(())
    }

    /// Writes the index, which ends the stream, and gives back what was written to, flushed.
    ///
    /// # Errors
    /// If the write fails.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if let Some(body) = self.index.body() {
            self.head.clear();
            put_packet(&mut self.head, INDEX, &body);
            self.out.write_all(&self.head)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    /// A syncpoint says the decoding time of what follows, and how far back a reader must go for a key frame.
    fn put_syncpoint(&mut self, decoded: u64) {
        let mut body = Vec::with_capacity(20);
        put_number(&mut body, decoded);
        put_number(&mut body, self.key_syncpoint.map_or(0, |at| (self.position - at) >> 4));
        put_packet(&mut self.head, SYNCPOINT, &body);
        self.syncpoint = Some(self.position);
        self.index.add_syncpoint(self.position);
    }
}

/// Tells when packets are decoded from when they are shown: the earliest of the time of the next packet and those
/// that wait, of which there are as many as the decoding delay.
struct DecodingTime {
    /// The latest of the timestamps so far; one is missing where the stream has only begun.
    waiting: Vec<Option<u64>>,
    last: u64,
}

impl DecodingTime {
    fn new(delay: u32) -> Self {
        Self {
            waiting: vec![None; delay as usize],
            last: 0,
        }
    }

    /// The decoding time of the packet shown at `pts`, never before that of the packet before.
    fn of(&mut self, pts: u64) -> u64 {
        let mut least = Some(pts);
        for waiting in &mut self.waiting {
            if *waiting < least {
                std::mem::swap(waiting, &mut least);
            }
        }
        self.last = self.last.max(least.unwrap_or(0));
        self.last
    }
}

/// The index as it grows: a few bytes for each syncpoint.
#[derive(Default)]
struct Index {
    max_pts: u64,
    syncpoints: u64,
    /// Where the last syncpoint is, in 16 bytes.
    last: u64,
    /// Distances of the syncpoints.
    distances: Vec<u8>,
    /// For each syncpoint, whether a key frame lies before it and after the one before, and its timestamp.
    keys: Vec<u8>,
    /// The key frame after the last syncpoint.
    key: Option<u64>,
    /// The last key frame's timestamp plus 1.
    next_pts: u64,
}

impl Index {
    fn add_syncpoint(&mut self, position: u64) {
        put_number(&mut self.distances, (position >> 4) - self.last);
        self.last = position >> 4;
        self.syncpoints += 1;
        // Timestamps in the index only grow; a key frame out of order is left out.
        let key = self
            .key
            .take()
            .and_then(|pts| Some(pts + 1).filter(|next| *next > self.next_pts));
        // A run of one: bit 0 of its kind, bit 1 of its one syncpoint, bit 2 of its end.
        self.keys.push(if key.is_some() { 0b110 } else { 0b100 });
        if let Some(next) = key {
            put_number(&mut self.keys, next - self.next_pts);
            self.next_pts = next;
        }
    }

    fn add_frame(&mut self, pts: u64, key: bool) {
        self.max_pts = self.max_pts.max(pts);
        if key && self.key.is_none() {
            self.key = Some(pts);
        }
    }

    /// The index packet without its checksum, `None` where there is nothing to find.
    fn body(&self) -> Option<Vec<u8>> {
        if self.syncpoints == 0 {
            return None;
        }
        let mut body = Vec::with_capacity(self.distances.len() + self.keys.len() + 32);
        put_number(&mut body, self.max_pts);
        put_number(&mut body, self.syncpoints);
        body.extend(&self.distances);
        body.extend(&self.keys);
        // A reader finds the start of the packet by its length, twelve bytes before the end.
        let mut packet = Vec::new();
        let length = put_packet_header(&mut packet, INDEX, body.len() as u64 + 12);
        body.extend((length + body.len() as u64 + 12).to_be_bytes());
        Some(body)
    }
}

fn main_header(num: u32, den: u32, alpha: bool) -> Vec<u8> {
    // Version 4 has a minor one, too.
    let mut body = if alpha { vec![4, 0] } else { vec![3] };
    // 1 stream, 1 time base.
    for value in [1, MAX_DISTANCE, 1, num.into(), den.into()] {
        put_number(&mut body, value);
    }
    // The table of frame codes: one that is invalid, the two in use, the others but that of start codes.
    let flags = CODED_PTS | SIZE_MSB | CHECKSUM | if alpha { SIDE_DATA } else { 0 };
    let runs = [
        (INVALID, FRAME),
        (flags, 1),
        (flags | KEY, 1),
        (INVALID, 255 - FRAME - 2),
    ];
    for (flags, count) in runs {
        put_number(&mut body, flags);
        // Six fields follow: timestamp, step of the size, stream, size, reserved, count.
        body.extend([6, 0, 1, 0, 0, 0]);
        put_number(&mut body, count.into());
    }
    put_number(&mut body, 0); // No elided headers.
    if alpha {
        put_number(&mut body, 0); // No flags.
    }
    body
}

fn stream_header(stream: &NutStream, aspect: (u32, u32), max_pts_distance: u32) -> Vec<u8> {
    let mut body = vec![0, 0, 4]; // Stream 0, video, the size of its tag.
    body.extend(stream.fourcc);
    // Time base 0, a timestamp's low bits, the distance of timestamps, the delay, no flags.
    for value in [0, 0, max_pts_distance, stream.decode_delay, 0] {
        put_number(&mut body, value.into());
    }
    put_number(&mut body, stream.extradata.len() as u64);
    body.extend(&stream.extradata);
    // The last is the kind of colour: unknown.
    for value in [stream.width, stream.height, aspect.0, aspect.1, 0] {
        put_number(&mut body, value.into());
    }
    body
}

/// Appends a packet with its checksums.
fn put_packet(to: &mut Vec<u8>, code: u64, body: &[u8]) {
    put_packet_header(to, code, body.len() as u64 + 4);
    to.extend(body);
    to.extend(Crc::of(body).to_bytes());
}

/// Appends what precedes the `size` bytes of a packet, and says how long that is.
fn put_packet_header(to: &mut Vec<u8>, code: u64, size: u64) -> u64 {
    let start = to.len();
    to.extend(code.to_be_bytes());
    put_number(to, size);
    if size > LONG_PACKET {
        let crc = Crc::of(&to[start..]);
        to.extend(crc.to_bytes());
    }
    (to.len() - start) as u64
}

/// Appends a number: seven bits a byte, highest first, the top bit set in all but the last.
pub(super) fn put_number(to: &mut Vec<u8>, value: u64) {
    let bits = u64::BITS - (value | 1).leading_zeros();
    for shift in (1..bits.div_ceil(7)).rev() {
        to.push((value >> (7 * shift)) as u8 | 0x80);
    }
    to.push(value as u8 & 0x7F);
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

const _: () = assert!(
    FRAME + 1 < STARTCODE_BYTE,
    "frame codes must not be the byte of start codes"
);
