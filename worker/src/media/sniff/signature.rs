//! Signatures of binary formats.

use super::{Kind, Picture};

/// What fixed bytes at the start say, if anything.
pub(super) fn kind(head: &[u8]) -> Option<Kind> {
    picture(head)
        .or_else(|| iso_media(head))
        .or_else(|| riff(head))
        .or_else(|| {
            let at = SIGNATURES.iter().find(|(bytes, _)| head.starts_with(bytes))?;
            Some(if at.0 == b"OggS" { ogg(head) } else { at.1 })
        })
        .or_else(|| transport_stream(head).then_some(Kind::Media("MPEG transport stream")))
        .or_else(|| start_code(head))
}

const SIGNATURES: [(&[u8], Kind); 38] = [
    (b"\x1a\x45\xdf\xa3", Kind::Media("Matroska or WebM")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind::Media("ASF or WMV")),
    (b"FLV\x01", Kind::Media("Flash video")),
    (b"KDK", Kind::Media("KUX video")),
    (b"OggS", Kind::Media("Ogg")),
    (b"DKIF", Kind::Media("IVF")),
    (b"YUV4MPEG2", Kind::Media("YUV4MPEG")),
    (b".RMF", Kind::Media("RealMedia")),
    (b".RM\xfd", Kind::Audio("RealAudio")),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", Kind::Media("MXF")),
    (
        b"\xb7\xd8\x00\x20\x37\x49\xda\x11\xa6\x4e\x00\x07\xe9\x5e\xad\x8d",
        Kind::Media("Windows Recorded TV"),
    ),
    (b"nut/multimedia container\0", Kind::Media("NUT")),
    (b"NuppelVideo", Kind::Media("NuppelVideo")),
    (b"MythTVVideo", Kind::Media("NuppelVideo")),
    (b"NSVf", Kind::Media("NSV")),
    (b"NSVs", Kind::Media("NSV")),
    (b"DHAV", Kind::Media("DHAV recording")),
    (b"BBCD", Kind::Media("Dirac")),
    (b"\0\0\0\0\x01\xbc", Kind::Media("GXF")),
    (b"\x12\0\x0a", Kind::Media("AV1 stream")),
    (b"\x1f\x07\x00", Kind::Media("DV")),
    (b"ID3", Kind::Audio("MP3")),
    (b"fLaC", Kind::Audio("FLAC")),
    (b"FORM", Kind::Audio("AIFF")),
    (b"MThd", Kind::Audio("MIDI")),
    (b"#!AMR", Kind::Audio("AMR")),
    (b"wvpk", Kind::Audio("WavPack")),
    (b"MAC ", Kind::Audio("Monkey's Audio")),
    (b"caff", Kind::Audio("CAF")),
    (b"8BPS", Kind::Other("a Photoshop document")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", Kind::Other("a JPEG XL picture")),
    (b"\xff\x0a", Kind::Other("a JPEG XL picture")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Kind::Other("a JPEG 2000 picture")),
    (b"%PDF-", Kind::Other("a PDF document")),
    (b"PK\x03\x04", Kind::Other("a ZIP archive")),
    (b"\x1f\x8b", Kind::Other("a gzip archive")),
    (b"7z\xbc\xaf\x27\x1c", Kind::Other("a 7-Zip archive")),
    (b"\x7fELF", Kind::Other("a program")),
];

fn picture(head: &[u8]) -> Option<Kind> {
    let starts = |bytes: &[u8]| head.starts_with(bytes);
    let found = if starts(b"\x89PNG\r\n\x1a\n") {
        Picture::Png
    } else if starts(b"\xff\xd8\xff") {
        Picture::Jpeg
    } else if starts(b"GIF87a") || starts(b"GIF89a") {
        Picture::Gif
    } else if starts(b"II*\0") || starts(b"MM\0*") || starts(b"II+\0") || starts(b"MM\0+") {
        Picture::Tiff
    } else if starts(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        Picture::WebP
    } else if starts(b"BM") && bitmap_header(head) {
        Picture::Bmp
    } else {
        return None;
    };
    Some(Kind::Still(found))
}

/// Two letters are not enough: the size of the second header is one that exists.
fn bitmap_header(head: &[u8]) -> bool {
    let size = head.get(14..18).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    matches!(size, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

/// The boxes that an MP4 or QuickTime file starts with; pictures of the same family are told by their brand.
fn iso_media(head: &[u8]) -> Option<Kind> {
    match head.get(4..8)? {
        b"ftyp" => Some(match head.get(8..12) {
            Some(b"avif" | b"avis") => Kind::Other("an AVIF picture"),
            Some(b"heic" | b"heix" | b"heim" | b"heis" | b"mif1" | b"msf1") => Kind::Other("a HEIC picture"),
            Some(b"crx ") => Kind::Other("a camera's raw picture"),
            Some(b"M4A " | b"M4B ") => Kind::Audio("MPEG-4 audio"),
            _ => Kind::Media("MP4 or QuickTime"),
        }),
        b"moov" | b"mdat" | b"moof" | b"styp" | b"sidx" | b"free" | b"skip" | b"wide" | b"pnot" => {
            Some(Kind::Media("MP4 or QuickTime"))
        }
        _ => None,
    }
}

fn riff(head: &[u8]) -> Option<Kind> {
    let container = [b"RIFF", b"RIFX", b"ON2 ", b"RF64"]
        .iter()
        .any(|r| head.starts_with(*r));
    match head.get(8..12)? {
        b"AVI " | b"AVIX" | b"AVI\x19" | b"AMV " | b"ON2f" if container => Some(Kind::Media("AVI")),
        b"WAVE" if container => Some(Kind::Audio("WAV")),
        _ => None,
    }
}

/// Ogg is sound more often than not; only its first streams tell.
fn ogg(head: &[u8]) -> Kind {
    let has = |mark: &[u8]| head.windows(mark.len()).any(|w| w == mark);
    let video: [&[u8]; 5] = [b"\x80theora", b"BBCD", b"\x4fVP80", b"\x01video\0", b"fishead\0"];
    let sound: [&[u8]; 4] = [b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   "];
    if !video.iter().any(|m| has(m)) && sound.iter().any(|m| has(m)) {
        Kind::Audio("Ogg")
    } else {
        Kind::Media("Ogg")
    }
}

/// Packets of 188 bytes, or of 192 and 204 with something before or after them; five in a row.
fn transport_stream(head: &[u8]) -> bool {
    [(0, 188), (4, 192), (0, 204)].into_iter().any(|(first, size)| {
        let mut marks = head.iter().skip(first).step_by(size);
        let seen = marks.by_ref().take(5).filter(|b| **b == 0x47).count();
        seen == 5 || (head.len() < 5 * size && seen >= 2 && seen == head.len().saturating_sub(first).div_ceil(size))
    })
}

/// MPEG streams start with `00 00 01` or `00 00 00 01` and a byte that says what follows.
fn start_code(head: &[u8]) -> Option<Kind> {
    let (code, long) = match head {
        [0, 0, 1, code, ..] => (*code, false),
        [0, 0, 0, 1, code, ..] => (*code, true),
        _ => return None,
    };
    match code {
        // An icon says how many pictures it has, at most 255; a stream goes on with the next code.
        0 if !long && matches!(head, [_, _, _, _, 1..=255, 0, _, _, _, 0, ..]) => Some(Kind::Other("an icon")),
        0..=0x1f if !long && head.get(4..7) == Some(&[0, 0, 1]) => Some(Kind::Media("MPEG-4 video")),
        0xba => Some(Kind::Media("MPEG program stream")),
        0xb3 if !long => Some(Kind::Media("MPEG video")),
        0xb0 | 0xb5 if !long => Some(Kind::Media("MPEG-4 video")),
        0x0f if !long => Some(Kind::Media("VC-1")),
        // NAL units: parameter sets, delimiters, slices and messages of H.264; of HEVC (type in bits 1 to 6).
        0x67 | 0x27 | 0x47 | 0x09 | 0x06 | 0x65 | 0x41 | 0x61 => Some(Kind::Media("H.264")),
        0x40 | 0x42 | 0x44 | 0x46 | 0x4e => Some(Kind::Media("HEVC")),
        _ => None,
    }
}

/// A frame header of MPEG audio or ADTS without a forbidden value. Weak: to be asked last.
pub(super) fn mpeg_audio(head: &[u8]) -> bool {
    match head {
        [0xff, b, c, ..] if b & 0xe0 == 0xe0 => {
            let layer = (b >> 1) & 3;
            let adts = b & 0xf6 == 0xf0;
            adts || ((b >> 3) & 3 != 1 && layer != 0 && c >> 4 != 15 && c >> 4 != 0 && (c >> 2) & 3 != 3)
        }
        _ => false,
    }
}
