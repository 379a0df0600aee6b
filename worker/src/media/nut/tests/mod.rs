//! Round trips, what ffmpeg writes and reads, and streams that are damaged on purpose.

mod crafted;
mod damaged;
mod ffmpeg;
mod round_trip;

use clearfleet_common::job::{Rational, TimeBase};

use super::{NutReader, NutStream, NutWriter, PacketInfo, raw_fourcc};
use crate::Result;

/// More than any packet of these tests.
const MAX_PACKET: usize = 1 << 20;

/// A packet as written or read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    info: PacketInfo,
    bytes: Vec<u8>,
    alpha: Vec<u8>,
}

impl Packet {
    fn new(pts: i64, key: bool, bytes: Vec<u8>) -> Self {
        Self {
            info: PacketInfo { pts, key },
            bytes,
            alpha: Vec::new(),
        }
    }
}

/// Raw yuv420p of 16x16.
fn raw_stream(num: u32, den: u32) -> NutStream {
    NutStream {
        time_base: TimeBase::new(num, den).unwrap(),
        fourcc: raw_fourcc("yuv420p").unwrap(),
        width: 16,
        height: 16,
        sample_aspect: Rational::new(4, 3),
        extradata: Vec::new(),
        decode_delay: 0,
        alpha: false,
    }
}

/// `count` bytes that look random and differ by `seed`.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(count)
    .collect()
}

fn write_nut(stream: &NutStream, packets: &[Packet]) -> Vec<u8> {
    let mut writer = NutWriter::new(Vec::new(), stream).unwrap();
    for packet in packets {
        let Packet { info, bytes, alpha } = packet;
        writer.write_with_alpha(info.pts, info.key, bytes, alpha).unwrap();
    }
    writer.finish().unwrap()
}

/// What could be read, and whether it ended with an index or why it failed.
fn read_some(nut: &[u8]) -> (Vec<Packet>, Result<bool>) {
    let mut packets = Vec::new();
    let mut reader = match NutReader::open(nut, MAX_PACKET) {
        Ok(reader) => reader,
        Err(e) => return (packets, Err(e)),
    };
    let mut buffer = Vec::new();
    loop {
        let next = reader.next_into(&mut buffer);
        assert!(
            buffer.capacity() <= MAX_PACKET,
            "a buffer of {} bytes",
            buffer.capacity()
        );
        match next {
            Ok(Some(info)) => packets.push(Packet {
                info,
                bytes: buffer.clone(),
                alpha: reader.alpha().to_vec(),
            }),
            Ok(None) => return (packets, Ok(reader.is_complete())),
            Err(e) => {
                assert!(buffer.is_empty());
                return (packets, Err(e));
            }
        }
    }
}

/// A whole stream.
fn read_nut(nut: &[u8]) -> (NutStream, Vec<Packet>) {
    let (packets, end) = read_some(nut);
    assert!(end.unwrap(), "the index is missing");
    (NutReader::open(nut, MAX_PACKET).unwrap().stream().clone(), packets)
}
