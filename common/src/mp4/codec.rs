//! What a header says of its codec.

use super::tracks::children;
use super::{TO_DESCRIPTIONS, path, size};

/// Bytes of a description of video before the boxes in it.
const VIDEO_FIELDS: usize = 86;

/// The codec of a header's video as RFC 6381 and those who define the codecs name it, such as `avc1.64001F`; nothing where it is
/// none of those that players are asked for, or no header.
pub fn video_codec(header: &[u8]) -> Option<String> {
    let descriptions = *path(header, &TO_DESCRIPTIONS)?.last()?;
    // A version, flags and a count come before its entries.
    let entry = descriptions + 16;
    let end = entry + size(header, entry)?;
    let name = std::str::from_utf8(header.get(entry + 4..entry + 8)?).ok()?;
    let boxes = children(header, entry + VIDEO_FIELDS..end)?;
    boxes.into_iter().find_map(|(kind, at)| {
        let content = &header[at.start + 8..at.end];
        match &kind {
            b"avcC" => avc(name, content),
            b"hvcC" => hevc(name, content),
            b"av1C" => av1(name, content),
            b"vpcC" => vp(name, content),
            _ => None,
        }
    })
}

/// Profile, constraints and level.
fn avc(name: &str, content: &[u8]) -> Option<String> {
    let [profile, constraints, level] = *content.get(1..4)?.first_chunk()?;
    Some(format!("{name}.{profile:02X}{constraints:02X}{level:02X}"))
}

/// ISO/IEC 14496-15, annex E.
fn hevc(name: &str, content: &[u8]) -> Option<String> {
    let profile = *content.get(1)?;
    let compatible = u32::from_be_bytes(*content.get(2..6)?.first_chunk()?).reverse_bits();
    let constraints = content.get(6..12)?;
    let level = *content.get(12)?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let mut text = format!("{name}.{space}{}.{compatible:X}.{tier}{level}", profile & 0x1f);
    let said = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    text.extend(constraints[..said].iter().map(|byte| format!(".{byte:X}")));
    Some(text)
}

/// The AV1 ISO media binding, section 5.
fn av1(name: &str, content: &[u8]) -> Option<String> {
    let [sequence, samples] = *content.get(1..3)?.first_chunk()?;
    let (profile, level) = (sequence >> 5, sequence & 0x1f);
    let tier = if samples & 0x80 == 0 { 'M' } else { 'H' };
    let bits = match (samples & 0x40 != 0, samples & 0x20 != 0) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    Some(format!("{name}.{profile}.{level:02}{tier}.{bits:02}"))
}

/// The VP codec ISO media binding: profile, level and bits of a sample.
fn vp(name: &str, content: &[u8]) -> Option<String> {
    let [profile, level, samples] = *content.get(4..7)?.first_chunk()?;
    Some(format!("{name}.{profile:02}.{level:02}.{:02}", samples >> 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::boxed;

    fn header(entry: &[u8; 4], kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let fields = [
            &[0; VIDEO_FIELDS - 8][..],
            &boxed(b"colr", &[1; 7]),
            &boxed(kind, content),
        ]
        .concat();
        let entries = [&[0; 7], &[1][..], &boxed(entry, &fields)].concat();
        let table = boxed(b"minf", &boxed(b"stbl", &boxed(b"stsd", &entries)));
        let track = boxed(b"trak", &boxed(b"mdia", &table));
        [boxed(b"ftyp", b"iso5"), boxed(b"moov", &track)].concat()
    }

    #[test]
    fn codecs_have_the_names_that_players_know() {
        for (entry, kind, content, expected) in [
            (b"avc1", b"avcC", &[1, 0x64, 0, 0x1f, 0xff][..], "avc1.64001F"),
            (
                b"hvc1",
                b"hvcC",
                &[1, 1, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93, 0xf0],
                "hvc1.1.6.L93.B0",
            ),
            (
                b"hev1",
                b"hvcC",
                &[1, 0x62, 0x20, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 120],
                "hev1.A2.4.H120.90",
            ),
            (b"av01", b"av1C", &[0x81, 0x04, 0x40, 0], "av01.0.04M.10"),
            (b"av01", b"av1C", &[0x81, 0x4d, 0xe0, 0], "av01.2.13H.12"),
            (b"vp09", b"vpcC", &[1, 0, 0, 0, 2, 31, 0xa2, 1], "vp09.02.31.10"),
        ] {
            let whole = header(entry, kind, content);
            assert_eq!(video_codec(&whole).as_deref(), Some(expected));
            assert_eq!(video_codec(&header(entry, kind, &content[..1])), None, "{expected}");
            assert_eq!(video_codec(&whole[..whole.len() - 1]), None, "{expected}");
        }
        assert_eq!(video_codec(&header(b"mp4v", b"esds", &[0; 20])), None);
    }
}
