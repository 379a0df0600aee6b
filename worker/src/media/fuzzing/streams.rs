//! What ffmpeg writes for the worker: frames, and encoded segments.

use std::io::{Cursor, Read};

use clearfleet_common::job::{FrameRange, Ledger, TimeBase};
use clearfleet_common::mp4::{Additions, header_len};

use crate::media::fragment::{Joined, SegmentClock, retime};
use crate::media::nut::{NutReader, NutStream, NutWriter, PacketInfo};

/// The longest packet of NUT that is taken, in bytes.
const LONGEST_PACKET: usize = 1 << 16;

/// Frames of a segment at most.
const FRAMES: u64 = 16;

/// A video of which a header says more than its encoder does: a box of so many bytes.
const SAYS_MORE: &str = r#"{"stream":0,"codec":"vp9","time_base":{"num":1,"den":25},"source_size":[8,6],"target_size":[16,12],
    "pixel_format":"gray","encoded_format":"gray","full_range":true,"rotation":90,"mirrored":true,"colour":[],
    "hdr10":{"light":{"max_content":900,"max_average":300}},"frame_rate":{"num":25,"den":1},"last_duration":1,"shift":0}"#;
const ADDED: usize = 12;

/// A packet of NUT: what is known of it, its bytes, its alpha.
type Packet = (PacketInfo, Vec<u8>, Vec<u8>);

/// NUT: what is written of what was read is read as that.
pub(super) fn nut(input: &[u8]) {
    let Some((stream, packets)) = read_nut(input, LONGEST_PACKET) else {
        return;
    };
    // No coded picture begins with a 0, so that the reader takes it for the number of ffmpeg's that may precede an alpha.
    if packets.iter().any(|(_, _, alpha)| alpha.first() == Some(&0)) {
        return;
    }
    let mut writer = NutWriter::new(Vec::new(), &stream).expect("NUT holds what it held");
    for (info, bytes, alpha) in &packets {
        let written = writer.write_with_alpha(info.pts, info.key, bytes, alpha);
        written.expect("NUT holds what it held");
    }
    let written = writer.finish().expect("memory takes everything");
    // The name of an alpha may be longer than it was.
    let (found, again) = read_nut(&written, 2 * LONGEST_PACKET).expect("what was written is read");
    assert_eq!(again, packets);
    let time_base = found.time_base;
    assert_eq!(found, NutStream { time_base, ..stream });
}

/// The packets up to where it ends or is damaged.
fn read_nut(bytes: &[u8], longest: usize) -> Option<(NutStream, Vec<Packet>)> {
    let mut reader = NutReader::open(bytes, longest).ok()?;
    let (mut packets, mut packet) = (Vec::new(), Vec::new());
    while let Ok(Some(info)) = reader.next_into(&mut packet) {
        assert!(packet.capacity() <= longest, "room for {} bytes", packet.capacity());
        packets.push((info, packet.clone(), reader.alpha().to_vec()));
    }
    Some((reader.stream().clone(), packets))
}

/// A count of frames, then a segment of so many: with its times set, it is set as it will be.
pub(super) fn fragment(input: &[u8]) {
    let Some((count, segment)) = input.split_first() else {
        return;
    };
    let ledger = Ledger::new(
        TimeBase::new(1, 25).expect("a tick"),
        (0..FRAMES as i64).collect(),
        FRAMES as i64,
    );
    let range = FrameRange::new(0, 1 + u64::from(*count) % FRAMES).expect("a frame at least");
    let slice = ledger.expect("times that increase").slice(range, 0);
    let clock = SegmentClock::new(&slice, 2, 1, 2, 1);
    let mut timed = Vec::new();
    if retime(segment, &mut timed, &clock).is_ok() {
        let mut again = Vec::new();
        retime(&timed[..], &mut again, &clock).expect("what was written is read");
        assert_eq!(again, timed);
    }
    joined(segment);
}

/// The segment twice, with something added to its header: what comes of it has one, and no more than that.
fn joined(segment: &[u8]) {
    assert!(header_len(segment).is_none_or(|header| header <= segment.len()));
    let additions = Additions::of(&serde_json::from_str(SAYS_MORE).expect("a video"));
    let twice = [segment, segment].into_iter().map(|segment| {
        let bytes: Box<dyn Read + Send> = Box::new(Cursor::new(segment.to_vec()));
        Ok(bytes)
    });
    let mut joined = Vec::new();
    if Joined::new(twice, additions).read_to_end(&mut joined).is_ok() {
        assert!(header_len(&joined).is_some());
        assert!(joined.len() <= 2 * segment.len() + ADDED);
    }
}
