use clearfleet_common::mp4::Track;
use mp4_atom::{Decode, Moof};
use proptest::prelude::*;

use super::rendition::{Packet, Rendition};
use super::*;

const TRACK: Track = Track { id: 2, timescale: 1000 };

/// The parts that came, in order.
#[derive(Default)]
struct Kept(Vec<Vec<u8>>);

impl SoundSink for Kept {
    fn header(&mut self, _: u32, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn part(&mut self, track: u32, part: u64, bytes: &[u8]) -> Result<()> {
        assert_eq!((track, part), (7, self.0.len() as u64));
        self.0.push(bytes.to_vec());
        Ok(())
    }
}

/// Times and durations of a part's samples, and their bytes; nothing of a part without sound.
fn samples(part: &[u8]) -> Vec<(i64, u32, u8)> {
    let mut rest = part;
    let Ok(moof) = Moof::decode(&mut rest) else {
        assert_eq!(&part[4..8], b"styp");
        return Vec::new();
    };
    let [traf] = moof.traf.as_slice() else {
        panic!("{moof:?}")
    };
    assert_eq!((traf.tfhd.track_id, &rest[4..8]), (TRACK.id, &b"mdat"[..]));
    let header = part.len() - rest.len();
    assert_eq!(traf.trun[0].data_offset, Some(header as i32 + 8));
    let mut time = traf.tfdt.as_ref().unwrap().base_media_decode_time as i64;
    let entries = traf.trun[0].samples.iter().zip(&rest[8..]);
    entries
        .map(|(entry, byte)| {
            let duration = entry.duration.unwrap();
            time += i64::from(duration);
            (time - i64::from(duration), duration, *byte)
        })
        .collect()
}

proptest! {
    /// Wherever packets lie, each is in the part in which it begins, at its time; what is too early or too late is in none.
    #[test]
    fn a_packet_is_in_the_part_in_which_it_begins(
        start in 0_i64..3000,
        first in -2000_i64..4000,
        steps in prop::collection::vec(1_i64..700, 1..60),
        parts in 1_usize..6,
    ) {
        let bounds: Vec<f64> = (0..=parts).map(|n| n as f64).collect();
        let mut rendition = Rendition::new(7, TRACK, start as f64 / 1000.0, &bounds);
        let mut kept = Kept::default();
        let times: Vec<i64> = steps.iter().scan(first, |next, step| {
            *next += step;
            Some(*next - step)
        }).collect();
        for (n, time) in times.iter().enumerate() {
            let packet = Packet { time: *time, duration: 5, flags: None, bytes: &[n as u8] };
            rendition.add(&packet, &mut kept).unwrap();
        }
        rendition.finish(&mut kept).unwrap();
        prop_assert_eq!(kept.0.len(), parts);
        for (n, part) in (0..).zip(&kept.0) {
            let begins = if n == 0 { (start - 100).max(0) } else { start + 1000 * n };
            let range = begins..start + 1000 * (n + 1);
            let expected = (0..).zip(&times).filter(|(_, time)| range.contains(time));
            let expected: Vec<(i64, u8)> = expected.map(|(n, time)| (*time, n)).collect();
            let found: Vec<(i64, u8)> = samples(part).iter().map(|(time, _, byte)| (*time, *byte)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn what_is_after_the_last_part_is_not_waited_for() {
    let mut rendition = Rendition::new(7, TRACK, 0.0, &[0.0, 1.0]);
    let mut kept = Kept::default();
    for time in [0, 500, 999] {
        let packet = Packet {
            time,
            duration: 400,
            flags: None,
            bytes: &[1],
        };
        rendition.add(&packet, &mut kept).unwrap();
    }
    assert!(!rendition.is_over());
    let after = Packet {
        time: 1000,
        duration: 400,
        flags: None,
        bytes: &[2],
    };
    rendition.add(&after, &mut kept).unwrap();
    assert!(rendition.is_over());
    assert_eq!(samples(&kept.0[0]), [(0, 500, 1), (500, 499, 1), (999, 400, 1)]);
}
