//! What ffmpeg 5.1 does not write for one stream but may, and what only an attacker would.

use clearfleet_common::ErrorCode;

use super::super::crc::Crc;
use super::super::{
    CHECKSUM, CODED_FLAGS, CODED_PTS, EOR, HEADER_INDEX, ID, INVALID, KEY, MAIN, MATCH_TIME, RESERVED, SIZE_MSB,
    STREAM, STREAM_ID, SYNCPOINT,
};
use super::*;

/// Runs of frame codes, as bytes of the main header: flags of 255 codes, which add all to `CODED_FLAGS`.
pub(super) const ALL_CODED: &[&[u64]] = &[&[CODED_FLAGS, 6, 0, 1, 0, 0, 0, 255]];

/// The start code of a packet that no version of NUT has.
const UNKNOWN: u64 = 0x4E55_0102_0304_0506;

fn numbers(values: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        let groups = (64 - (value | 1).leading_zeros()).div_ceil(7);
        bytes.extend(
            (0..groups)
                .rev()
                .map(|g| (value >> (7 * g)) as u8 & 0x7F | if g > 0 { 0x80 } else { 0 }),
        );
    }
    bytes
}

fn packet(code: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = [code.to_be_bytes().as_slice(), &numbers(&[body.len() as u64 + 4])].concat();
    if body.len() + 4 > 4096 {
        bytes.extend(Crc::of(&bytes).to_bytes());
    }
    bytes.extend(body);
    bytes.extend(Crc::of(body).to_bytes());
    bytes
}

pub(super) fn headers(codes: &[&[u64]], bases: &[(u64, u64)]) -> Vec<u8> {
    let mut main = numbers(&[3, 1, 65536, bases.len() as u64]);
    for (num, den) in bases {
        main.extend(numbers(&[*num, *den]));
    }
    main.extend(codes.iter().flat_map(|run| numbers(run)));
    main.extend([1, 3, b'a', b'b', b'c']); // One elided header.
    // Time base 0, 4 low bits, a distance of 50 ticks.
    let stream = [&[0, 0, 4], b"FFV1".as_slice(), &[0, 4, 50, 0, 0, 0, 16, 16, 0, 0, 0]].concat();
    [ID.as_slice(), &packet(MAIN, &main), &packet(STREAM, &stream)].concat()
}

pub(super) fn syncpoint(stamp: u64) -> Vec<u8> {
    packet(SYNCPOINT, &numbers(&[stamp, 0]))
}

/// A frame of code 0 that says everything itself.
fn frame(flags: u64, values: &[u64], bytes: &[u8]) -> Vec<u8> {
    let mut head = [vec![0], numbers(&[flags]), numbers(values)].concat();
    if flags & CHECKSUM != 0 {
        head.extend(Crc::of(&head).to_bytes());
    }
    [head, bytes.to_vec()].concat()
}

fn fails(nut: &[u8], with: &str) {
    let (_, end) = read_some(nut);
    let error = end.unwrap_err();
    assert_eq!(error.code(), ErrorCode::DecodeFailed);
    assert!(error.message().contains(with), "{error}");
}

#[test]
fn every_field_of_a_frame_is_understood() {
    let all = KEY | CODED_PTS | STREAM_ID | SIZE_MSB | CHECKSUM | RESERVED | HEADER_INDEX | MATCH_TIME;
    let nut = [
        headers(ALL_CODED, &[(1, 25)]),
        syncpoint(100),
        // Stream, timestamp, size, match time, header, two reserved values.
        frame(all, &[0, 16 + 103, 5, 7, 1, 2, 9, 9], b"de"),
        // Low bits: 103 is 6 * 16 + 7, so 9 is 105; 6 would be 102.
        frame(CODED_PTS | SIZE_MSB, &[9, 1], b"x"),
        frame(CODED_PTS | SIZE_MSB, &[6, 1], b"y"),
        // Neither timestamp nor size: 0 ticks on, nothing.
        frame(0, &[], b""),
        // The stream's relevance ends; there is no packet.
        frame(EOR | KEY | CODED_PTS, &[16 + 110], b""),
        packet(UNKNOWN, &noise(1, 10_000)),
        headers(ALL_CODED, &[(1, 25)])[ID.len()..].to_vec(),
        frame(CODED_PTS | SIZE_MSB, &[0, 2], b"zz"),
    ];
    let (packets, end) = read_some(&nut.concat());
    assert!(!end.unwrap());
    let expected = [
        (103, true, "abcde"),
        (105, false, "x"),
        (102, false, "y"),
        (102, false, ""),
        (112, false, "zz"),
    ];
    assert_eq!(
        packets,
        expected.map(|(pts, key, bytes)| Packet::new(pts, key, bytes.into()))
    );
}

#[test]
fn runs_of_frame_codes_leave_out_what_stays() {
    // Code 0 is invalid. 1 to 9 step by 9 bytes, the size of a step implied by the count left out; 3 ticks on.
    let nut = [
        headers(
            &[
                &[INVALID, 6, 0, 1, 0, 0, 0, 1],
                &[KEY | SIZE_MSB, 2, 5, 9],
                // The timestamp stays, the step stays: codes 10 and 11 of sizes 7 and 8.
                &[KEY, 4, 5, 9, 0, 7],
                // The byte of start codes is passed over: 12 is the first, 78 is none, so that 79 is of size 67.
                &[0, 6, 3, 1000, 0, 1, 0, 243],
            ],
            &[(1, 25)],
        ),
        syncpoint(0),
        vec![4, 2],
        noise(1, 21),
        vec![11],
        noise(2, 8),
        vec![79],
        noise(3, 67),
    ];
    let (packets, end) = read_some(&nut.concat());
    end.unwrap();
    // A signed 5 is 3, a signed 3 is 2.
    let expected = [Packet::new(3, true, noise(1, 21)), Packet::new(6, true, noise(2, 8))];
    assert_eq!(
        packets,
        [expected.as_slice(), &[Packet::new(8, false, noise(3, 67))]].concat()
    );
}

#[test]
fn a_syncpoint_of_another_time_base_is_rounded_down() {
    let open = headers(ALL_CODED, &[(1, 25), (1, 1000)]);
    // 1199 ms are 29.975 frames.
    let nut = [open, syncpoint(1199 * 2 + 1), frame(SIZE_MSB, &[1], b"x")].concat();
    assert_eq!(read_some(&nut).0, [Packet::new(29, false, b"x".to_vec())]);
}

#[test]
fn a_size_beyond_the_limit_is_refused_before_it_is_allocated() {
    let open = [headers(ALL_CODED, &[(1, 25)]), syncpoint(0)].concat();
    for size in [MAX_PACKET as u64 + 1, u64::from(u32::MAX), u64::MAX] {
        let nut = [open.clone(), frame(SIZE_MSB | CHECKSUM, &[size], b"x")].concat();
        fails(&nut, "a packet is too long");
    }
    let nut = [open, frame(SIZE_MSB | CHECKSUM, &[MAX_PACKET as u64], b"x")].concat();
    fails(&nut, "ends inside a packet");
}

#[test]
fn what_breaks_the_format_is_refused() {
    let open = headers(ALL_CODED, &[(1, 25)]);
    let synced = [open.clone(), syncpoint(100)].concat();
    let after = |bytes: Vec<u8>| [synced.clone(), bytes].concat();
    fails(&[open, frame(0, &[], b"")].concat(), "precedes the first syncpoint");
    fails(&after(frame(CODED_PTS, &[16 + 151], b"")), "has no checksum");
    fails(
        &after(frame(SIZE_MSB, &[131_073], &noise(1, 131_073))),
        "has no checksum",
    );
    fails(&after(frame(INVALID, &[], b"")), "not supported");
    fails(&after(frame(256, &[], b"")), "not supported");
    fails(
        &after(frame(STREAM_ID, &[1], b"")),
        "the stream of a frame is out of range",
    );
    fails(&after(frame(HEADER_INDEX, &[2], b"")), "unknown header");
    fails(
        &after(frame(HEADER_INDEX, &[1], b"")),
        "shorter than what it opens with",
    );
    fails(
        &after(frame(CODED_PTS | CHECKSUM, &[u64::MAX], b"")),
        "timestamp is out of range",
    );
    fails(&after(frame(EOR | SIZE_MSB, &[1], b"x")), "relevance");
    fails(&after(syncpoint(u64::MAX)), "timestamp is out of range");
    let mut wrong = frame(CHECKSUM, &[], b"");
    wrong[4] ^= 1;
    fails(&after(wrong), "the checksum of a frame's header");

    let mut two = numbers(&[3, 2, 65536, 1, 1, 25]);
    two.extend(numbers(ALL_CODED[0]));
    fails(&[ID.as_slice(), &packet(MAIN, &two)].concat(), "other than one stream");
    fails(b"nut/multimedia contained\0", "does not open as one");
    fails(
        &headers(&[&[0, 6, 0, 1, 0, 0, 0, 256]], &[(1, 25)]),
        "table of frame codes",
    );
    fails(
        &headers(&[&[0, 6, 0, 1, 0, 0, 0, 0]], &[(1, 25)]),
        "table of frame codes",
    );
    fails(&headers(ALL_CODED, &[(0, 25)]), "a time base is out of range");
}
