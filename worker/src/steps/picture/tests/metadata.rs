//! What travels with the pixels.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::{TiffDecoder, TiffEncoder};
use image::codecs::webp::WebPEncoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageReader};

use super::*;

/// EXIF with an orientation, the picture's size and a second directory, as a thumbnail has.
pub(super) fn exif(orientation: u8, little: bool) -> Vec<u8> {
    let short = |v: u16| if little { v.to_le_bytes() } else { v.to_be_bytes() };
    let long = |v: u32| if little { v.to_le_bytes() } else { v.to_be_bytes() };
    let entry = |tag: u16, kind: u16, value: [u8; 4]| [&short(tag)[..], &short(kind), &long(1), &value].concat();
    let padded = |v: u16| [short(v), [0, 0]].concat().try_into().unwrap();
    let mut block = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
    block.extend(long(8));
    block.extend(short(2));
    block.extend(entry(0x0112, 3, padded(orientation.into())));
    block.extend(entry(0x8769, 4, long(38)));
    block.extend(long(68)); // the second directory
    assert_eq!(block.len(), 38);
    block.extend(short(2));
    block.extend(entry(0xa002, 4, long(3)));
    block.extend(entry(0xa003, 3, padded(2)));
    block.extend(long(0));
    assert_eq!(block.len(), 68);
    block.extend(short(0));
    block.extend(long(0));
    block
}

/// A profile as far as anybody looks here: 128 bytes, the kind of colour at byte 16, and more than one JPEG segment.
fn profile(colours: &[u8; 4]) -> Vec<u8> {
    let mut profile: Vec<u8> = (0..70_000u32).map(|n| (n * 7 % 251) as u8).collect();
    profile[16..20].copy_from_slice(colours);
    profile
}

pub(super) fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u32).to_be_bytes();
    let mut crc = u32::MAX;
    for byte in kind.iter().chain(data) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xedb8_8320 };
        }
    }
    [&length[..], kind, data, &(!crc).to_be_bytes()].concat()
}

fn with_metadata(pixels: &DynamicImage, format: StillFormat, icc: Option<Vec<u8>>, exif: Option<Vec<u8>>) -> Vec<u8> {
    fn write(mut encoder: impl ImageEncoder, pixels: &DynamicImage, icc: Option<Vec<u8>>, exif: Option<Vec<u8>>) {
        if let Some(icc) = icc {
            encoder.set_icc_profile(icc).unwrap();
        }
        if let Some(exif) = exif {
            encoder.set_exif_metadata(exif).unwrap();
        }
        pixels.write_with_encoder(encoder).unwrap();
    }
    let mut bytes = Cursor::new(Vec::new());
    match format {
        StillFormat::Png => write(PngEncoder::new(&mut bytes), pixels, icc, exif),
        StillFormat::Jpeg => write(JpegEncoder::new_with_quality(&mut bytes, 100), pixels, icc, exif),
        StillFormat::WebP => write(WebPEncoder::new_lossless(&mut bytes), pixels, icc, exif),
        StillFormat::Tiff => write(TiffEncoder::new(&mut bytes), pixels, icc, exif),
        StillFormat::Bmp | StillFormat::Gif => unreachable!("no metadata"),
    }
    bytes.into_inner()
}

/// The profile and the EXIF block that a file holds.
fn metadata(bytes: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    if bytes.starts_with(b"II*\0") {
        // Opened by itself, the decoder does not drop long profiles of small pictures.
        return (
            TiffDecoder::new(Cursor::new(bytes)).unwrap().icc_profile().unwrap(),
            None,
        );
    }
    let mut decoder = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .unwrap()
        .into_decoder()
        .unwrap();
    (decoder.icc_profile().unwrap(), decoder.exif_metadata().unwrap())
}

/// Three columns, two rows, as stored.
fn stored() -> DynamicImage {
    GrayImage::from_raw(3, 2, vec![10, 20, 30, 40, 50, 60]).unwrap().into()
}

/// The same as shown, by orientation.
const SHOWN: [(u32, u32, [u8; 6]); 8] = [
    (3, 2, [10, 20, 30, 40, 50, 60]),
    (3, 2, [30, 20, 10, 60, 50, 40]),
    (3, 2, [60, 50, 40, 30, 20, 10]),
    (3, 2, [40, 50, 60, 10, 20, 30]),
    (2, 3, [10, 40, 20, 50, 30, 60]),
    (2, 3, [40, 10, 50, 20, 60, 30]),
    (2, 3, [60, 30, 50, 20, 40, 10]),
    (2, 3, [30, 60, 20, 50, 10, 40]),
];

#[test]
fn each_orientation_is_applied_exactly_once() {
    for (orientation, (width, height, shown)) in (1..=8).zip(SHOWN) {
        let little = orientation % 2 == 0;
        for format in [StillFormat::Png, StillFormat::WebP] {
            let source = with_metadata(&stored(), format, None, Some(exif(orientation, little)));
            let (report, bytes) = run(source, &request("1", format), &Limits::default()).unwrap();
            assert_eq!(
                (report.source_size, report.target_size),
                ((width, height), (width, height))
            );
            // Decoded without looking at EXIF.
            assert_eq!(
                image::load_from_memory(&bytes).unwrap().to_luma8().into_raw(),
                shown,
                "{format} {orientation}"
            );
            let kept = metadata(&bytes).1.unwrap();
            assert_eq!(Orientation::from_exif_chunk(&kept), Some(Orientation::NoTransforms));
            let (_, again) = run(bytes, &request("1", format), &Limits::default()).unwrap();
            assert_eq!(
                image::load_from_memory(&again).unwrap().to_luma8().into_raw(),
                shown,
                "{format} {orientation}"
            );
        }
        let tiff = tiff(&[(274, orientation.into())]);
        let (_, result) = upscaled(tiff, "1", StillFormat::Png);
        assert_eq!(result.as_bytes(), shown, "TIFF {orientation}");
    }
}

#[test]
fn the_orientation_of_a_jpeg_is_applied() {
    // Left half dark; turned by 90 degrees clockwise, the upper half.
    let halves = DynamicImage::from(GrayImage::from_fn(16, 8, |x, _| Luma([if x < 8 { 20 } else { 220 }])));
    let source = with_metadata(&halves, StillFormat::Jpeg, None, Some(exif(6, true)));
    let (report, result) = upscaled(source, "1", StillFormat::Jpeg);
    assert_eq!(report.source_size, (8, 16));
    let result = result.to_luma8();
    for y in 0..16 {
        let expected = if y < 8 { 20 } else { 220 };
        assert!(
            result.get_pixel(4, y).0[0].abs_diff(expected) <= 4,
            "row {y}: {:?}",
            result.get_pixel(4, y)
        );
    }
}

#[test]
fn an_exact_size_is_that_of_the_picture_as_shown() {
    let source = with_metadata(&stored(), StillFormat::Png, None, Some(exif(6, true)));
    let (report, result) = upscaled(source.clone(), "16x3", StillFormat::Png);
    assert_eq!((report.source_size, report.target_size), ((2, 3), (16, 3)));
    assert_eq!((result.width(), result.height()), (16, 3));
    // 24 is eight times the stored width.
    let refused = run(source, &request("24x3", StillFormat::Png), &Limits::default()).unwrap_err();
    assert_eq!(
        (refused.code(), &*refused.details()["source"]),
        (ErrorCode::TargetInvalid, "2x3")
    );
}

#[test]
fn exif_is_kept_but_for_what_changed() {
    for (orientation, little) in [(1, true), (6, false)] {
        for from in [StillFormat::Png, StillFormat::Jpeg, StillFormat::WebP] {
            let source = with_metadata(&stored(), from, None, Some(exif(orientation, little)));
            for to in [StillFormat::Png, StillFormat::Jpeg, StillFormat::WebP] {
                let (report, bytes) = run(source.clone(), &request("2", to), &Limits::default()).unwrap();
                let mut expected = exif(1, little);
                let (width, height) = report.target_size;
                let at = if little { [48, 60] } else { [51, 61] };
                (expected[at[0]], expected[at[1]]) = (width as u8, height as u8);
                if orientation != 1 {
                    // The thumbnail lay on its side.
                    expected[34..38].fill(0);
                }
                assert_eq!(metadata(&bytes).1, Some(expected), "{from} {to} {orientation}");
            }
            for to in [StillFormat::Tiff, StillFormat::Bmp, StillFormat::Gif] {
                let (report, _) = run(source.clone(), &request("2", to), &Limits::default()).unwrap();
                assert_eq!(report.notes, [format!("{to} cannot hold the EXIF metadata")]);
            }
        }
    }
}

#[test]
fn exif_behind_the_pixels_and_with_a_prefix_is_found() {
    let mut source = file(&stored(), StillFormat::Png);
    let end = source.len() - 12;
    source.splice(end..end, png_chunk(b"eXIf", &exif(3, true)));
    assert_eq!(upscaled(source, "1", StillFormat::Png).1.as_bytes(), SHOWN[2].2);
    let prefixed = [b"Exif\0\0", &exif(3, true)[..]].concat();
    let source = with_metadata(&stored(), StillFormat::WebP, None, Some(prefixed));
    let (_, bytes) = run(source, &request("1", StillFormat::WebP), &Limits::default()).unwrap();
    assert_eq!(
        image::load_from_memory(&bytes).unwrap().to_luma8().into_raw(),
        SHOWN[2].2
    );
    assert_eq!(metadata(&bytes).1.unwrap()[..2], *b"II");
}

#[test]
fn profiles_are_kept_to_the_byte_or_named() {
    let profile = profile(b"RGB ");
    for from in [
        StillFormat::Png,
        StillFormat::Jpeg,
        StillFormat::WebP,
        StillFormat::Tiff,
    ] {
        let source = with_metadata(&gradient(), from, Some(profile.clone()), None);
        for to in [
            StillFormat::Png,
            StillFormat::Jpeg,
            StillFormat::WebP,
            StillFormat::Tiff,
        ] {
            let (report, bytes) = run(source.clone(), &request("2", to), &Limits::default()).unwrap();
            assert!(metadata(&bytes).0.as_ref() == Some(&profile), "{from} {to}");
            assert_eq!(report.notes, [""; 0], "{from} {to}");
        }
        for to in [StillFormat::Bmp, StillFormat::Gif] {
            let (report, _) = run(source.clone(), &request("2", to), &Limits::default()).unwrap();
            assert_eq!(report.notes, [format!("{to} cannot hold the colour profile")]);
        }
    }
}

#[test]
fn a_profile_of_other_colours_is_not_kept() {
    let note = "the colour profile is of another kind of colour than the result and is not kept";
    let grey = with_metadata(&stored(), StillFormat::Png, Some(profile(b"GRAY")), Some(exif(1, true)));
    let colour = with_metadata(&gradient(), StillFormat::Tiff, Some(profile(b"CMYK")), None);
    for (source, to, kept) in [
        (&grey, StillFormat::Png, true),
        (&grey, StillFormat::Jpeg, true),
        (&grey, StillFormat::WebP, false),
        (&colour, StillFormat::Png, false),
    ] {
        let (report, bytes) = run(source.clone(), &request("2", to), &Limits::default()).unwrap();
        assert_eq!(
            (metadata(&bytes).0.is_some(), report.notes.iter().any(|n| n == note)),
            (kept, !kept),
            "{to}"
        );
        // One that is left out does not take EXIF along.
        assert_eq!(
            metadata(&bytes).1.is_some(),
            std::ptr::eq(source, &raw const grey),
            "{to}"
        );
    }
}

#[test]
fn what_cannot_be_kept_is_named() {
    let notes = |source: Vec<u8>| upscaled(source, "1", StillFormat::Png).0.notes;
    let with_chunks = |chunks: &[Vec<u8>]| {
        let mut png = file(&stored(), StillFormat::Png);
        png.splice(33..33, chunks.concat());
        notes(png)
    };
    let colours = "its description of colours (cICP, gAMA, cHRM) is not kept";
    let srgb_gamma = png_chunk(b"gAMA", &45_455u32.to_be_bytes());
    let own_gamma = png_chunk(b"gAMA", &100_000u32.to_be_bytes());
    assert_eq!(with_chunks(&[srgb_gamma]), [""; 0]);
    assert_eq!(with_chunks(std::slice::from_ref(&own_gamma)), [colours]);
    assert_eq!(with_chunks(&[own_gamma, png_chunk(b"sRGB", &[0])]), [""; 0]);
    assert_eq!(with_chunks(&[png_chunk(b"cICP", &[9, 16, 0, 1])]), [colours]);
    assert_eq!(
        with_chunks(&[png_chunk(b"tEXt", b"Comment\0hello")]),
        ["the text that it carries is not kept"]
    );
    let broken = png_chunk(b"iCCP", b"name\0\0 not deflated");
    assert_eq!(
        with_chunks(&[broken]),
        ["the colour profile is damaged or absurdly large and is not kept"]
    );

    let mut jpeg = file(&gradient(), StillFormat::Jpeg);
    let segment = |marker: u8, data: &[u8]| [&[0xff, marker, 0, data.len() as u8 + 2], data].concat();
    let mpf = segment(0xe2, b"MPF\0II*\0....");
    let iptc = segment(0xed, b"Photoshop 3.0\0");
    jpeg.splice(2..2, [mpf, iptc].concat());
    let expected = ["the further pictures in the file", "the IPTC metadata"];
    assert_eq!(notes(jpeg), expected.map(|what| format!("{what} is not kept")));

    assert_eq!(notes(tiff(&[(34_665, 0)])), ["the EXIF metadata is not kept"]);
}

#[test]
fn of_a_picture_that_moves_the_first_frame_is_taken() {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for value in [40, 80] {
        encoder
            .encode_frame(image::Frame::new(image::RgbaImage::from_pixel(
                4,
                4,
                image::Rgba([value, 0, 0, 255]),
            )))
            .unwrap();
    }
    drop(encoder);
    let (report, result) = upscaled(bytes, "2", StillFormat::Png);
    assert_eq!(report.notes, ["the picture moves; the result is its first frame"]);
    assert!(result.to_rgb8().pixels().all(|p| p.0 == [40, 0, 0]));
}

/// A TIFF of [`stored`] with further entries, each of one number of 16 bits.
pub(super) fn tiff(further: &[(u16, u16)]) -> Vec<u8> {
    sized_tiff(3, 2, further)
}

pub(super) fn sized_tiff(width: u32, height: u32, further: &[(u16, u16)]) -> Vec<u8> {
    let mut entries: Vec<(u16, u16, u32)> = vec![
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, 6),
    ];
    entries.extend(further.iter().map(|(tag, value)| (*tag, 3, u32::from(*value))));
    entries.sort_unstable();
    let mut bytes = b"II*\0".to_vec();
    bytes.extend(14u32.to_le_bytes());
    bytes.extend([10, 20, 30, 40, 50, 60]);
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        bytes.extend(
            [
                &tag.to_le_bytes()[..],
                &kind.to_le_bytes(),
                &1u32.to_le_bytes(),
                &value.to_le_bytes(),
            ]
            .concat(),
        );
    }
    bytes.extend(0u32.to_le_bytes());
    bytes
}
