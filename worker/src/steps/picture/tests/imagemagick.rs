//! What another program makes of results.

use std::process::Command;

use image::{ImageBuffer, LumaA, Rgba};

use super::*;
use crate::media::animation::tests::imagemagick;

/// Noise in every kind of pixel, more or less transparent.
fn pictures() -> [DynamicImage; 8] {
    let noise = |n: usize| (0..n).map(|n| (n as u32).wrapping_mul(2_654_435_761) >> 16);
    let bytes = |channels: usize| noise(70 * channels).map(|n| n as u8).collect::<Vec<u8>>();
    let words = |channels: usize| noise(70 * channels).map(|n| n as u16).collect::<Vec<u16>>();
    [
        GrayImage::from_raw(10, 7, bytes(1)).unwrap().into(),
        ImageBuffer::<LumaA<u8>, _>::from_raw(10, 7, bytes(2)).unwrap().into(),
        RgbImage::from_raw(10, 7, bytes(3)).unwrap().into(),
        ImageBuffer::<Rgba<u8>, _>::from_raw(10, 7, bytes(4)).unwrap().into(),
        ImageBuffer::<Luma<u16>, _>::from_raw(10, 7, words(1)).unwrap().into(),
        ImageBuffer::<LumaA<u16>, _>::from_raw(10, 7, words(2)).unwrap().into(),
        ImageBuffer::<Rgb<u16>, _>::from_raw(10, 7, words(3)).unwrap().into(),
        ImageBuffer::<Rgba<u16>, _>::from_raw(10, 7, words(4)).unwrap().into(),
    ]
}

/// Runs it on a result.
fn convert(program: &str, result: &[u8], format: StillFormat, arguments: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("result.{format}").to_lowercase());
    std::fs::write(&path, result).unwrap();
    let output = Command::new(program).arg(&path).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{format}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// At factor 1 bicubic is the identity.
#[test]
fn imagemagick_sees_the_pixels_of_the_source() {
    let Some(program) = imagemagick() else { return };
    for picture in pictures() {
        let source = file(&picture, StillFormat::Png);
        for format in [StillFormat::Png, StillFormat::Tiff, StillFormat::WebP, StillFormat::Bmp] {
            let (report, bytes) = run(source.clone(), &request("1", format), &Limits::default()).unwrap();
            let expected = match report.bits {
                8 => DynamicImage::from(picture.to_rgba8()).into_rgba16(),
                _ => picture.to_rgba16(),
            };
            let arguments = ["-depth", "16", "-endian", "LSB", "rgba:-"];
            let found = convert(program, &bytes, format, &arguments);
            let (found, _) = found.as_chunks::<2>();
            let found = found.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
            let found = ImageBuffer::<Rgba<u16>, Vec<u16>>::from_raw(10, 7, found).unwrap();
            let mut pairs = found.pixels().zip(expected.pixels());
            let differs = pairs.find(|(a, b)| a != b && (a.0[3], b.0[3]) != (0, 0));
            assert_eq!(differs, None, "{:?} as {format}", picture.color());
        }
    }
}

#[test]
fn imagemagick_sees_the_same_density() {
    let Some(program) = imagemagick() else { return };
    let mut source = file(&gradient(), StillFormat::Png);
    let content = [&11_811u32.to_be_bytes()[..], &5906u32.to_be_bytes(), &[1]].concat();
    source.splice(33..33, metadata::png_chunk(b"pHYs", &content));
    for format in [StillFormat::Png, StillFormat::Jpeg, StillFormat::Tiff, StillFormat::Bmp] {
        let (_, bytes) = run(source.clone(), &request("2", format), &Limits::default()).unwrap();
        let arguments = ["-units", "PixelsPerInch", "-format", "%x %y", "info:"];
        let said = String::from_utf8(convert(program, &bytes, format, &arguments)).unwrap();
        let numbers = said.split_whitespace().filter_map(|n| n.parse::<f64>().ok());
        let rounded: Vec<f64> = numbers.map(f64::round).collect();
        assert_eq!(rounded, [300.0, 150.0], "{format}: {said}");
    }
}
