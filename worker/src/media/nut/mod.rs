//! NUT, the container in which frames and FFV1 packets pass between Clearfleet and ffmpeg.
//!
//! It carries exact timestamps over a pipe, which raw video alone and Y4M do not. What is here is one video stream,
//! read and written the way ffmpeg 5.1 writes and reads it: packets that open with an eight-byte start code (headers,
//! syncpoints, the index) and, between them, frames that open with a one-byte frame code looked up in a table of the
//! main header.

mod bytes;
mod crc;
mod fourcc;
mod header;
mod reader;
mod side_data;
mod writer;

#[cfg(test)]
mod tests;

use clearfleet_common::job::{Rational, TimeBase};

pub(crate) use self::{fourcc::raw_fourcc, reader::NutReader, writer::NutWriter};

/// The one video stream of a NUT file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NutStream {
    /// The length of one tick of the packets' timestamps; ffmpeg and [`NutWriter`] write it in lowest terms.
    pub(crate) time_base: TimeBase,
    /// What the packets hold: `FFV1`, or one of [`raw_fourcc`].
    pub(crate) fourcc: [u8; 4],
    /// Width of the coded picture in pixels, 1 to 2^31 - 1.
    pub(crate) width: u32,
    /// Height of the coded picture in pixels, 1 to 2^31 - 1.
    pub(crate) height: u32,
    /// Width over height of a pixel, where known.
    pub(crate) sample_aspect: Option<Rational>,
    /// The codec's global header; empty for raw video.
    pub(crate) extradata: Vec<u8>,
    /// By how many frames decoding order runs ahead of showing order; 0 where packets come in the order of their
    /// timestamps.
    pub(crate) decode_delay: u32,
    /// Whether packets may carry an alpha beside their picture: then it is version 4, else 3.
    pub(crate) alpha: bool,
}

/// What is known of a packet besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketInfo {
    /// When it is shown, in ticks of [`NutStream::time_base`], 0 or later.
    pub(crate) pts: i64,
    /// Whether decoding can start here.
    pub(crate) key: bool,
}

/// What a NUT file opens with.
const ID: &[u8; 25] = b"nut/multimedia container\0";

/// The first byte of every start code, and so the one byte that is never a frame code.
const STARTCODE_BYTE: u8 = b'N';

/// Start code of the main header.
const MAIN: u64 = 0x4E4D_7A56_1F5F_04AD;
/// Start code of the stream header.
const STREAM: u64 = 0x4E53_1140_5BF2_F9DB;
/// Start code of a syncpoint: where timestamps start afresh and a reader may join.
const SYNCPOINT: u64 = 0x4E4B_E4AD_EECA_4569;
/// Start code of the index, which ends a file.
const INDEX: u64 = 0x4E58_DD67_2F23_E64E;

/// A packet longer than this, in bytes, checks its length with a checksum of its own.
const LONG_PACKET: u64 = 4096;

/// Frame flag: decoding can start here.
const KEY: u64 = 1;
/// Frame flag: no frame, the stream merely pauses here.
const EOR: u64 = 2;
/// Frame flag: the timestamp is written, not predicted from the one before.
const CODED_PTS: u64 = 8;
/// Frame flag: the number of the stream is written.
const STREAM_ID: u64 = 16;
/// Frame flag: the high part of the size is written.
const SIZE_MSB: u64 = 32;
/// Frame flag: a checksum ends the frame's header.
const CHECKSUM: u64 = 64;
/// Frame flag: how many reserved values follow is written.
const RESERVED: u64 = 128;
/// Frame flag: side data precedes the packet's bytes (version 4).
const SIDE_DATA: u64 = 256;
/// Frame flag: which elided header the packet opens with is written.
const HEADER_INDEX: u64 = 1024;
/// Frame flag: the distance to the stream's other packets of that time is written.
const MATCH_TIME: u64 = 2048;
/// Frame flag: flags are written, and change those of the frame code.
const CODED_FLAGS: u64 = 4096;
/// Frame flag: no frame may have this code.
const INVALID: u64 = 8192;

/// A stream whose frames come without syncpoints, or seldom (version 4).
const PIPE: u64 = 2;
