use clearfleet_common::ErrorCode;
use proptest::prelude::*;

use super::*;

/// Key frames and others, with gaps.
fn small() -> Vec<Packet> {
    (0..7)
        .map(|i| Packet::new(i * i * 1000, i % 3 != 1, noise(i as u64, 20 + 13 * i as usize)))
        .collect()
}

fn infos(packets: &[Packet]) -> Vec<(PacketInfo, usize)> {
    packets.iter().map(|packet| (packet.info, packet.bytes.len())).collect()
}

#[test]
fn a_stream_cut_anywhere_ends_cleanly_only_between_packets() {
    let packets = small();
    let nut = write_nut(&raw_stream(1, 90_000), &packets);
    let mut clean = 0;
    for cut in 0..nut.len() {
        let (read, end) = read_some(&nut[..cut]);
        assert!(packets.starts_with(&read), "cut at {cut}");
        match end {
            Ok(complete) => {
                assert!(!complete, "cut at {cut}");
                clean += 1;
            }
            Err(e) => {
                assert_eq!(e.code(), ErrorCode::DecodeFailed);
                let said = e.message();
                assert!(
                    said.contains("ends inside a packet") || said.contains("a header is missing"),
                    "{said}"
                );
            }
        }
    }
    // After the headers, after each of the 5 syncpoints (one for each key frame), and after each of the 7 frames.
    assert_eq!(clean, 13);
    let (read, end) = read_some(&nut);
    assert_eq!(read, packets);
    assert!(end.unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_flipped_bit_changes_nothing_but_bytes_unseen(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let packets = small();
        let mut nut = write_nut(&raw_stream(1, 90_000), &packets);
        let at = at.index(nut.len());
        nut[at] ^= 1 << bit;
        let (read, end) = read_some(&nut);
        prop_assert!(infos(&packets).starts_with(&infos(&read)));
        match end {
            Ok(_) => prop_assert_eq!(read.len(), packets.len()),
            Err(e) => prop_assert_eq!(e.code(), ErrorCode::DecodeFailed),
        }
    }

    #[test]
    fn damage_never_panics(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        extradata in 0usize..3000,
    ) {
        let stream = NutStream { extradata: noise(1, extradata), ..raw_stream(1001, 30_000) };
        let mut nut = write_nut(&stream, &small());
        for (at, byte) in flips {
            let at = at.index(nut.len());
            nut[at] = byte;
        }
        if let (_, Err(e)) = read_some(&nut) {
            prop_assert_eq!(e.code(), ErrorCode::DecodeFailed);
        }
    }

    #[test]
    fn noise_behind_good_headers_never_panics(tail in prop::collection::vec(any::<u8>(), 0..400)) {
        // The table of frame codes is one in which every code says what the frame has to add.
        let mut nut = crafted::headers(crafted::ALL_CODED, &[(1, 25)]);
        nut.extend(crafted::syncpoint(100));
        nut.extend(tail);
        if let (_, Err(e)) = read_some(&nut) {
            prop_assert_eq!(e.code(), ErrorCode::DecodeFailed);
        }
    }
}
