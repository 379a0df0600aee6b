//! XMP and the density of pixels.

use image::{ImageDecoder, ImageReader};

use super::metadata::{exif, png_chunk, tiff};
use super::*;

const PACKET: &str =
    r#"<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="Löwe"/></x:xmpmeta>"#;

/// The formats that hold XMP.
const HOLD: [StillFormat; 4] = [
    StillFormat::Png,
    StillFormat::Jpeg,
    StillFormat::WebP,
    StillFormat::Tiff,
];

/// A picture with a packet of XMP, made without the code under test.
fn with_xmp(format: StillFormat, packet: &[u8]) -> Vec<u8> {
    let mut bytes = file(&gradient(), format);
    match format {
        StillFormat::Png => {
            let text = [b"XML:com.adobe.xmp\0\0\0\0\0", packet].concat();
            bytes.splice(33..33, png_chunk(b"iTXt", &text));
        }
        StillFormat::Jpeg => {
            let content = [b"http://ns.adobe.com/xap/1.0/\0", packet].concat();
            let length = (content.len() as u16 + 2).to_be_bytes();
            bytes.splice(2..2, [&[0xff, 0xe1][..], &length, &content].concat());
        }
        StillFormat::WebP => {
            bytes.clear();
            let mut encoder = image_webp::WebPEncoder::new(&mut bytes);
            encoder.set_xmp_metadata(packet.to_vec());
            let pixels = gradient().into_rgb8();
            encoder.encode(&pixels, 16, 12, image_webp::ColorType::Rgb8).unwrap();
        }
        StillFormat::Tiff => {
            let mut file = Cursor::new(Vec::new());
            let mut encoder = ::tiff::encoder::TiffEncoder::new(&mut file).unwrap();
            let mut picture = encoder.new_image::<::tiff::encoder::colortype::RGB8>(16, 12).unwrap();
            let tag = ::tiff::tags::Tag::Unknown(700);
            picture.encoder().write_tag(tag, packet).unwrap();
            picture.write_data(&gradient().into_rgb8()).unwrap();
            bytes = file.into_inner();
        }
        StillFormat::Bmp | StillFormat::Gif => unreachable!("no XMP"),
    }
    bytes
}

fn xmp(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(b"II*\0") {
        // Opened by itself, the decoder does not refuse long packets of small pictures.
        let mut decoder = image::codecs::tiff::TiffDecoder::new(Cursor::new(bytes)).unwrap();
        return decoder
            .xmp_metadata()
            .unwrap()
            .map(|packet| String::from_utf8(packet).unwrap());
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap();
    let packet = reader.into_decoder().unwrap().xmp_metadata().unwrap();
    packet.map(|packet| String::from_utf8(packet).unwrap())
}

#[test]
fn xmp_is_kept_but_for_the_orientation() {
    let expected = PACKET.replace("Orientation=\"6\"", "Orientation=\"1\"");
    for from in HOLD {
        let source = with_xmp(from, PACKET.as_bytes());
        for to in HOLD {
            let (report, bytes) = run(source.clone(), &request("2", to), &Limits::default()).unwrap();
            assert_eq!(xmp(&bytes).as_deref(), Some(&*expected), "{from} {to}");
            assert_eq!(report.notes, [""; 0], "{from} {to}");
        }
        for to in [StillFormat::Bmp, StillFormat::Gif] {
            let (report, _) = run(source.clone(), &request("2", to), &Limits::default()).unwrap();
            assert_eq!(report.notes, [format!("{to} cannot hold the XMP metadata")], "{from}");
        }
    }
}

#[test]
fn xmp_that_is_too_long_for_a_jpeg_is_named() {
    let source = with_xmp(StillFormat::Png, &[b'x'; 65_505]);
    let (report, bytes) = run(source, &request("1", StillFormat::Jpeg), &Limits::default()).unwrap();
    assert_eq!(report.notes, ["JPEG cannot hold the XMP metadata"]);
    assert_eq!(xmp(&bytes), None);
    let source = with_xmp(StillFormat::Png, &[b'x'; 65_504]);
    let (report, bytes) = run(source, &request("1", StillFormat::Jpeg), &Limits::default()).unwrap();
    assert_eq!(
        (report.notes.len(), xmp(&bytes).map(|xmp| xmp.len())),
        (0, Some(65_504))
    );
}

/// A PNG with so many pixels on a metre, and more chunks.
fn dense_png(x: u32, y: u32, unit: u8, more: &[u8]) -> Vec<u8> {
    let mut bytes = file(&gradient(), StillFormat::Png);
    let content = [&x.to_be_bytes()[..], &y.to_be_bytes(), &[unit]].concat();
    bytes.splice(33..33, [&png_chunk(b"pHYs", &content), more].concat());
    bytes
}

/// The density as a file states it: both numbers, and the unit as its format has it.
fn density(bytes: &[u8]) -> Option<(u32, u32, u8)> {
    let find = |name: &[u8]| bytes.windows(name.len()).position(|window| window == name);
    let long = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let short = |at: usize| u32::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    match &bytes[..2] {
        b"\x89P" => find(b"pHYs").map(|at| (long(at + 4), long(at + 8), bytes[at + 12])),
        b"\xff\xd8" => find(b"JFIF\0").map(|at| (short(at + 8), short(at + 10), bytes[at + 7])),
        b"BM" => {
            let metre = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            Some((metre(38), metre(42), 1))
        }
        _ => {
            let mut decoder = ::tiff::decoder::Decoder::new(Cursor::new(bytes)).unwrap();
            let mut number = |tag| decoder.get_tag(tag).unwrap().into_u32_vec().unwrap();
            let (x, y) = (
                number(::tiff::tags::Tag::XResolution),
                number(::tiff::tags::Tag::YResolution),
            );
            let unit = number(::tiff::tags::Tag::ResolutionUnit)[0];
            assert_eq!((x[1], y[1]), (1, 1));
            Some((x[0], y[0], unit as u8))
        }
    }
}

/// 300 and 150 dots an inch are 11811 and 5906 on a metre.
#[test]
fn the_density_is_kept_whatever_the_factor() {
    let inches = |format: StillFormat| match format {
        StillFormat::Jpeg => (300, 150, 1),
        StillFormat::Tiff => (300, 150, 2),
        _ => (11_811, 5906, 1),
    };
    let formats = [StillFormat::Png, StillFormat::Jpeg, StillFormat::Tiff, StillFormat::Bmp];
    let source = dense_png(11_811, 5906, 1, &[]);
    for from in formats {
        let (report, source) = run(source.clone(), &request("1", from), &Limits::default()).unwrap();
        assert_eq!(
            (density(&source), report.notes.len()),
            (Some(inches(from)), 0),
            "{from}"
        );
        for to in formats {
            let (report, bytes) = run(source.clone(), &request("2", to), &Limits::default()).unwrap();
            assert_eq!(
                (density(&bytes), report.notes.len()),
                (Some(inches(to)), 0),
                "{from} {to}"
            );
        }
    }
    for to in [StillFormat::WebP, StillFormat::Gif] {
        let (report, _) = run(source.clone(), &request("2", to), &Limits::default()).unwrap();
        assert_eq!(
            report.notes,
            [format!("{to} is not told how many pixels lie on an inch")]
        );
    }
}

#[test]
fn the_density_of_a_turned_picture_is_turned_and_a_ratio_stays_one() {
    let turned = dense_png(2000, 1000, 1, &png_chunk(b"eXIf", &exif(6, true)));
    let (_, bytes) = run(turned, &request("1", StillFormat::Png), &Limits::default()).unwrap();
    assert_eq!(density(&bytes), Some((1000, 2000, 1)));
    let ratio = dense_png(2, 1, 0, &[]);
    for (to, expected) in [
        (StillFormat::Png, (2, 1, 0)),
        (StillFormat::Jpeg, (2, 1, 0)),
        (StillFormat::Tiff, (2, 1, 1)),
    ] {
        let (_, bytes) = run(ratio.clone(), &request("1", to), &Limits::default()).unwrap();
        assert_eq!(density(&bytes), Some(expected), "{to}");
    }
    // A TIFF that names a density and does not hold it.
    assert_eq!(
        upscaled(tiff(&[(282, 60_000), (283, 60_000)]), "1", StillFormat::Png)
            .0
            .notes,
        [""; 0]
    );
}
