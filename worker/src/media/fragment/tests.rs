use clearfleet_common::ErrorCode;
use clearfleet_common::job::{FrameRange, Ledger, TimeBase};
use clearfleet_common::mp4::Additions;
use mp4_atom::{Encode, Ftyp, Mfhd, Tfdt, Tfhd, Traf, Trun, TrunSamples};
use proptest::prelude::*;

use super::*;

/// A fragment as an encoder's muxer writes it: samples in decoding order, each shown at `order[n]` of the fragment.
fn fragment(start: u64, order: &[u64], tick: u32) -> Vec<u8> {
    let samples: Vec<TrunEntry> = (0..)
        .zip(order)
        .map(|(n, shown)| TrunEntry {
            duration: Some(tick),
            size: Some(1),
            flags: Some(if n == 0 { 0x0200_0000 } else { 0x0101_0000 }),
            // The muxer delays what is shown by two frames.
            cts: Some((*shown as i64 + 2 - n) * i64::from(tick)),
        })
        .collect();
    let traf = Traf {
        tfhd: Tfhd {
            track_id: 1,
            default_base_is_moof: true,
            ..Tfhd::default()
        },
        tfdt: Some(Tfdt {
            base_media_decode_time: start * u64::from(tick),
        }),
        trun: vec![Trun {
            data_offset: Some(0),
            samples: samples.into(),
        }],
        ..Traf::default()
    };
    let mut bytes = Vec::new();
    Moof {
        mfhd: Mfhd { sequence_number: 1 },
        traf: vec![traf],
    }
    .encode(&mut bytes)
    .unwrap();
    let data: Vec<u8> = order.iter().map(|shown| (start + shown) as u8).collect();
    write_box(&mut bytes, b"mdat", &data).unwrap();
    bytes
}

fn stream(fragments: &[Vec<u64>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let brand = Ftyp {
        major_brand: b"iso5".into(),
        minor_version: 0,
        compatible_brands: vec![],
    };
    brand.encode(&mut bytes).unwrap();
    write_box(&mut bytes, b"moov", b"as it is").unwrap();
    let mut start = 0;
    for order in fragments {
        bytes.extend(fragment(start, order, 512));
        start += order.len() as u64;
    }
    bytes
}

/// Every sample of a stream: decoding time, presentation time, byte.
fn samples(mut bytes: &[u8]) -> Vec<(i64, i64, u8)> {
    let mut found = Vec::new();
    let mut moof: Option<(Moof, usize)> = None;
    while let Some((kind, body)) = read_box(&mut bytes).unwrap() {
        if &kind == b"moof" {
            moof = Some((Moof::decode_body(&mut body.as_slice()).unwrap(), body.len() + 8));
        } else if &kind == b"mdat" {
            let (moof, length) = moof.take().unwrap();
            let traf = &moof.traf[0];
            assert_eq!(traf.trun[0].data_offset, Some(length as i32 + 8));
            let mut dts = traf.tfdt.as_ref().unwrap().base_media_decode_time as i64;
            let TrunSamples::Explicit(entries) = &traf.trun[0].samples else {
                panic!("no entries")
            };
            for (entry, byte) in entries.iter().zip(&body) {
                found.push((dts, dts + entry.cts.unwrap(), *byte));
                dts += i64::from(entry.duration.unwrap());
            }
        }
    }
    found
}

/// Groups of pictures whose frames are at most two places from where they are decoded: I P B B P B B …
fn groups() -> impl Strategy<Value = Vec<Vec<u64>>> {
    let group = (1u64..9, any::<u64>()).prop_map(|(length, seed)| {
        let mut order: Vec<u64> = (0..length).collect();
        let mut at = 1;
        let mut bits = seed;
        while at < order.len() {
            let run = (1 + (bits % 3) as usize).min(order.len() - at);
            order[at..at + run].rotate_right(1);
            (at, bits) = (at + run, bits / 3);
        }
        order
    });
    prop::collection::vec(group, 1..5)
}

proptest! {
    #[test]
    fn every_sample_gets_its_frames_time_and_decoding_times_increase_over_joints(
        batches in prop::collection::vec(groups(), 1..4),
        steps in prop::collection::vec(1i64..2000, 120),
        first in -500i64..500,
        num in 1u32..4,
    ) {
        let base = TimeBase::new(num, 600).unwrap();
        let total: usize = batches.iter().flatten().map(Vec::len).sum();
        let pts: Vec<i64> = steps.iter().scan(first, |t, s| { *t += s; Some(*t) }).take(total).collect();
        let ledger = Ledger::new(base, pts.clone(), pts[total - 1] + 9).unwrap();
        let (step, shift) = (7, 2 * 7 - first.min(0));
        let (mut found, mut start) = (Vec::new(), 0u64);
        for batch in &batches {
            let length: usize = batch.iter().map(Vec::len).sum();
            let slice = ledger.slice(FrameRange::new(start, start + length as u64).unwrap(), 2);
            let mut output = Vec::new();
            retime(&stream(batch)[..], &mut output, &SegmentClock::new(&slice, shift, num, 2, step)).unwrap();
            let batch_start = pts.get(start as usize).copied();
            let shown = samples(&output);
            prop_assert_eq!(shown.iter().map(|s| s.1).min(), batch_start.map(|p| (p + shift) * i64::from(num)));
            for (_, time, byte) in &shown {
                prop_assert_eq!(*time, (pts[start as usize + *byte as usize] + shift) * i64::from(num));
            }
            found.extend(shown);
            start += length as u64;
        }
        prop_assert!(found[0].0 >= 0);
        prop_assert!(found.windows(2).all(|w| w[0].0 < w[1].0));
        prop_assert!(found.iter().all(|(dts, pts, _)| dts <= pts));
    }
}

fn refused(bytes: &[u8], frames: u64, reorder: u32) -> Error {
    let ledger = Ledger::new(TimeBase::new(1, 25).unwrap(), (0..20).collect(), 20).unwrap();
    let slice = ledger.slice(FrameRange::new(0, frames).unwrap(), 2);
    let error = retime(bytes, &mut Vec::new(), &SegmentClock::new(&slice, 2, 1, reorder, 1)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::EncodeFailed);
    error
}

#[test]
fn a_lost_or_an_added_frame_is_found() {
    let bytes = stream(&[vec![0, 1, 2]]);
    for frames in [2, 4] {
        let error = refused(&bytes, frames, 2);
        assert_eq!(error.details()["expected"], frames.to_string());
        assert_eq!(error.details()["found"], "3");
    }
}

#[test]
fn what_is_out_of_order_beyond_the_plan_is_found() {
    assert!(
        refused(&stream(&[vec![0, 3, 1, 2]]), 4, 0)
            .to_string()
            .contains("out of order than the plan allows")
    );
    let mut open = stream(&[vec![0, 2, 1]]);
    open.extend(fragment(1, &[0, 1], 512));
    assert!(refused(&open, 5, 2).to_string().contains("across fragments"));
}

#[test]
fn a_stream_that_is_cut_off_is_found() {
    let bytes = stream(&[vec![0, 1], vec![0]]);
    for end in 1..bytes.len() {
        refused(&bytes[..end], 3, 2);
    }
}

#[test]
fn joined_segments_have_one_header() {
    let segments = [stream(&[vec![0, 1]]), stream(&[vec![0], vec![0, 1]])];
    let open = |bytes: &Vec<u8>| -> Result<Box<dyn Read + Send>> { Ok(Box::new(std::io::Cursor::new(bytes.clone()))) };
    let mut joined = Vec::new();
    Joined::new(segments.iter().map(open), Additions::default())
        .read_to_end(&mut joined)
        .unwrap();
    let (mut rest, mut kinds) = (joined.as_slice(), Vec::new());
    while let Some((kind, _)) = read_box(&mut rest).unwrap() {
        kinds.push(String::from_utf8(kind.to_vec()).unwrap());
    }
    assert_eq!(kinds.join(" "), "ftyp moov moof mdat moof mdat moof mdat");

    let mut other = segments[1].clone();
    let at = other.windows(8).position(|w| w == b"as it is").unwrap();
    other[at] = b'A';
    let mut both = Joined::new([&segments[0], &other].into_iter().map(open), Additions::default());
    let error = both.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("segments of different streams"), "{error}");
}
