use proptest::prelude::*;

use super::*;

/// Sizes about the limits of the format: an elided header's, a syncpoint's distance, and what needs a checksum.
fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..40, 4090usize..4100, 65_400usize..65_600, 131_000usize..140_000]
}

fn timestamps() -> impl Strategy<Value = i64> {
    prop_oneof![0i64..300, 89_000i64..91_000, 0i64..=i64::MAX, Just(i64::MAX)]
}

fn streams() -> impl Strategy<Value = NutStream> {
    let time_base = prop_oneof![
        Just((1, 90_000)),
        Just((1001, 30_000)),
        Just((1, 1)),
        Just((i32::MAX as u32, 2)),
        (1u32..5000, 1u32..5000)
    ];
    let aspect = prop::option::of((1u32..500, 1u32..500));
    let extradata = prop::collection::vec(any::<u8>(), 0..5000);
    (
        time_base,
        any::<[u8; 4]>(),
        1u32..70_000,
        1u32..70_000,
        aspect,
        extradata,
        0u32..4,
        any::<bool>(),
    )
        .prop_map(
            |((num, den), fourcc, width, height, aspect, extradata, decode_delay, alpha)| NutStream {
                time_base: TimeBase::new(num, den).unwrap(),
                fourcc,
                width,
                height,
                sample_aspect: aspect.and_then(|(num, den)| Rational::new(num, den)),
                extradata,
                decode_delay,
                alpha,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read(
        stream in streams(),
        packets in prop::collection::vec((timestamps(), any::<bool>(), sizes(), sizes()), 0..12),
    ) {
        let packets: Vec<Packet> = (0..)
            .zip(packets)
            .map(|(i, (pts, key, size, alpha))| Packet {
                alpha: noise(i, if stream.alpha { alpha } else { 0 }),
                ..Packet::new(pts, key, noise(i, size))
            })
            .collect();
        let nut = write_nut(&stream, &packets);
        let (read, end) = read_some(&nut);
        prop_assert!(read == packets);
        // An index of nothing is not written.
        prop_assert_eq!(end.unwrap(), !packets.is_empty());

        let reader = NutReader::open(&*nut, MAX_PACKET).unwrap();
        let found = reader.stream();
        let (written, read) = (stream.time_base, found.time_base);
        prop_assert_eq!(
            u64::from(written.num()) * u64::from(read.den()),
            u64::from(read.num()) * u64::from(written.den())
        );
        prop_assert_eq!(found, &NutStream { time_base: found.time_base, ..stream });
    }
}

#[test]
fn what_nut_cannot_hold_is_refused() {
    let invalid = |stream: &NutStream| NutWriter::new(Vec::new(), stream).map(drop).unwrap_err().kind();
    assert_eq!(
        invalid(&NutStream {
            width: 0,
            ..raw_stream(1, 25)
        }),
        std::io::ErrorKind::InvalidInput
    );
    assert_eq!(
        invalid(&NutStream {
            height: 1 << 31,
            ..raw_stream(1, 25)
        }),
        std::io::ErrorKind::InvalidInput
    );
    assert_eq!(invalid(&raw_stream(1, u32::MAX)), std::io::ErrorKind::InvalidInput);

    let mut writer = NutWriter::new(Vec::new(), &raw_stream(1, 25)).unwrap();
    assert_eq!(
        writer.write(-1, true, &[1]).unwrap_err().kind(),
        std::io::ErrorKind::InvalidInput
    );
    writer.write(7, true, &[1]).unwrap();
    assert_eq!(read_nut(&writer.finish().unwrap()).1, [Packet::new(7, true, vec![1])]);
}

#[test]
fn a_buffer_is_allocated_once() {
    let packets: Vec<Packet> = (0..20)
        .map(|i| Packet::new(i, true, noise(i as u64, 3000 - 100 * i as usize)))
        .collect();
    let nut = write_nut(&raw_stream(1, 25), &packets);
    let mut reader = NutReader::open(&*nut, MAX_PACKET).unwrap();
    let mut buffer = Vec::new();
    reader.next_into(&mut buffer).unwrap();
    let (place, capacity) = (buffer.as_ptr(), buffer.capacity());
    assert_eq!(capacity, 3000);
    for packet in &packets[1..] {
        assert_eq!(reader.next_into(&mut buffer).unwrap(), Some(packet.info));
        assert_eq!(buffer, packet.bytes);
        assert_eq!((buffer.as_ptr(), buffer.capacity()), (place, capacity));
    }
}
