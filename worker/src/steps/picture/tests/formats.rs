//! What the pixels become in each format.

use image::{ImageBuffer, LumaA, Rgba, RgbaImage};

use super::*;

#[test]
fn a_constant_stays_that_constant_in_every_format() {
    let colour = Rgb([10, 200, 90]);
    let flat = DynamicImage::from(RgbImage::from_pixel(9, 7, colour));
    for from in FORMATS {
        for to in FORMATS {
            let (report, result) = upscaled(file(&flat, from), "2.5", to);
            assert_eq!(
                (report.source_size, report.target_size),
                ((9, 7), (23, 18)),
                "{from} {to}"
            );
            let lossy = [from, to].contains(&StillFormat::Jpeg);
            let worst = result
                .to_rgb8()
                .pixels()
                .flat_map(|p| [0, 1, 2].map(|c| p.0[c].abs_diff(colour.0[c])))
                .max();
            assert!(worst.unwrap() <= if lossy { 3 } else { 0 }, "{from} {to}: {worst:?}");
            assert_eq!(report.notes, [""; 0], "{from} {to}");
        }
    }
}

/// Away from the edges, bicubic interpolation continues a straight line exactly.
#[test]
fn a_gradient_is_continued_in_every_format() {
    for format in FORMATS {
        let lossy = format == StillFormat::Jpeg;
        let passes = [
            upscaled(file(&gradient(), format), "2", StillFormat::Png).1,
            upscaled(file(&gradient(), StillFormat::Png), "2", format).1,
        ];
        for (n, result) in passes.into_iter().enumerate() {
            assert_eq!((result.width(), result.height()), (32, 24));
            for (x, _, pixel) in result
                .to_rgb8()
                .enumerate_pixels()
                .filter(|(x, ..)| (6..26).contains(x))
            {
                let expected = [4 * x as u8 + 8, 50, 202 - 4 * x as u8];
                let worst = pixel.0.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max().unwrap();
                let allowed = if lossy { 8 } else { 0 };
                assert!(worst <= allowed, "{format} {n} at {x}: {pixel:?}, not {expected:?}");
            }
        }
    }
}

#[test]
fn sixteen_bits_stay_where_the_format_has_them() {
    let line = ImageBuffer::<Rgb<u16>, _>::from_fn(16, 8, |x, _| {
        Rgb([2000 * x as u16 + 7, 65_535, 60_001 - 2000 * x as u16])
    });
    let line = DynamicImage::ImageRgb16(line);
    for from in [StillFormat::Png, StillFormat::Tiff] {
        for to in [StillFormat::Png, StillFormat::Tiff] {
            let (report, result) = upscaled(file(&line, from), "2", to);
            assert_eq!((report.bits, report.channels, report.notes.len()), (16, 3, 0));
            let DynamicImage::ImageRgb16(result) = result else {
                panic!("{from} {to}: {:?}", result.color())
            };
            for (x, _, pixel) in result.enumerate_pixels().filter(|(x, ..)| (6..26).contains(x)) {
                let expected = [1000 * x as u16 - 493, 65_535, 60_501 - 1000 * x as u16];
                assert!(
                    pixel.0.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1),
                    "at {x}: {pixel:?} {expected:?}"
                );
            }
        }
        for to in [StillFormat::Jpeg, StillFormat::WebP, StillFormat::Bmp, StillFormat::Gif] {
            let (report, result) = upscaled(file(&line, from), "1", to);
            assert_eq!(report.bits, 8);
            assert!(
                report
                    .notes
                    .contains(&format!("{to} holds 8 bits a sample; the source has 16")),
                "{:?}",
                report.notes
            );
            // 16007 and 44001 of 65535.
            let pixel = result.to_rgb8().get_pixel(8, 4).0;
            let allowed = if to == StillFormat::Jpeg { 8 } else { 0 };
            assert!(
                pixel.iter().zip([62, 255, 171]).all(|(a, b)| a.abs_diff(b) <= allowed),
                "{to}: {pixel:?}"
            );
        }
    }
}

#[test]
fn grey_stays_grey() {
    let grey = DynamicImage::from(GrayImage::from_fn(16, 8, |x, _| Luma([10 * x as u8 + 5])));
    for to in FORMATS {
        let (report, result) = upscaled(file(&grey, StillFormat::Png), "1", to);
        let stored = if to == StillFormat::Gif { 3 } else { 1 };
        assert_eq!(
            (report.bits, report.channels, report.notes.len()),
            (8, stored, 0),
            "{to}"
        );
        let allowed = if to == StillFormat::Jpeg { 2 } else { 0 };
        for (x, y, pixel) in result.to_rgb8().enumerate_pixels() {
            assert!(
                pixel.0.iter().all(|v| v.abs_diff(10 * x as u8 + 5) <= allowed),
                "{to} {x} {y}: {pixel:?}"
            );
        }
        if matches!(to, StillFormat::Png | StillFormat::Jpeg | StillFormat::Tiff) {
            assert!(!result.color().has_color(), "{to}: {:?}", result.color());
        }
    }
    let deep = ImageBuffer::<Luma<u16>, _>::from_pixel(4, 4, Luma([0x1234]));
    let (report, result) = upscaled(
        file(&DynamicImage::ImageLuma16(deep), StillFormat::Tiff),
        "2",
        StillFormat::Png,
    );
    assert_eq!((report.bits, report.channels), (16, 1));
    assert!(result.as_luma16().unwrap().pixels().all(|p| p.0 == [0x1234]));
}

#[test]
fn alpha_is_kept_or_named() {
    let glass = RgbaImage::from_fn(6, 4, |x, _| Rgba([100, 150, 200, if x < 3 { 255 } else { 102 }]));
    let source = file(&glass.clone().into(), StillFormat::Png);
    for to in [StillFormat::Png, StillFormat::WebP, StillFormat::Tiff, StillFormat::Bmp] {
        let (report, result) = upscaled(source.clone(), "1", to);
        assert_eq!((report.channels, report.notes.len()), (4, 0), "{to}");
        assert_eq!(result.as_rgba8(), Some(&glass), "{to}");
    }
    let (report, result) = upscaled(source.clone(), "1", StillFormat::Jpeg);
    assert_eq!(report.notes, ["JPEG has no transparency; the picture lies on white"]);
    assert_eq!(report.channels, 3);
    // 100 · 0.4 + 255 · 0.6 and so on.
    for (x, expected) in [(0, [100, 150, 200]), (5, [193, 213, 233])] {
        let pixel = result.to_rgb8().get_pixel(x, 1).0;
        assert!(
            pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 6),
            "{pixel:?} {expected:?}"
        );
    }
    let (report, result) = upscaled(source, "1", StillFormat::Gif);
    assert_eq!(
        report.notes,
        ["GIF has no partial transparency; each pixel is opaque or transparent"]
    );
    let result = result.to_rgba8();
    assert_eq!(
        (result.get_pixel(0, 0).0, result.get_pixel(5, 0).0[3]),
        ([100, 150, 200, 255], 0)
    );
}

#[test]
fn grey_with_alpha_is_kept() {
    let veil = ImageBuffer::<LumaA<u8>, _>::from_fn(4, 4, |_, y| LumaA([90, if y < 2 { 255 } else { 51 }]));
    let source = file(&DynamicImage::ImageLumaA8(veil), StillFormat::Png);
    for (to, channels) in [
        (StillFormat::Png, 2),
        (StillFormat::WebP, 2),
        (StillFormat::Tiff, 4),
        (StillFormat::Bmp, 4),
    ] {
        let (report, result) = upscaled(source.clone(), "1", to);
        assert_eq!((report.channels, report.notes.len()), (channels, 0), "{to}");
        let result = result.to_rgba8();
        assert_eq!(
            (result.get_pixel(0, 0).0, result.get_pixel(3, 3).0),
            ([90, 90, 90, 255], [90, 90, 90, 51]),
            "{to}"
        );
    }
    let (report, result) = upscaled(source, "1", StillFormat::Jpeg);
    assert_eq!((report.channels, report.notes.len()), (1, 1));
    // 90 · 0.2 + 255 · 0.8
    assert!(result.as_luma8().unwrap().get_pixel(1, 3).0[0].abs_diff(222) <= 3);
}

#[test]
fn an_opaque_picture_with_alpha_loses_nothing_as_a_jpeg() {
    let opaque = RgbaImage::from_pixel(8, 8, Rgba([1, 2, 3, 255]));
    assert_eq!(
        upscaled(file(&opaque.into(), StillFormat::Png), "1", StillFormat::Jpeg)
            .0
            .notes,
        [""; 0]
    );
    // And a GIF without transparency has no alpha to keep.
    assert_eq!(
        upscaled(file(&gradient(), StillFormat::Gif), "1", StillFormat::Png)
            .0
            .channels,
        3
    );
}

#[test]
fn palettes_become_colours() {
    // Two pixels, blue and red, of which the palette makes red half transparent.
    let chunk = |kind: &[u8; 4], data: &[u8]| metadata::png_chunk(kind, data);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend(chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 1, 3, 0, 0, 0]));
    png.extend(chunk(b"PLTE", &[0, 0, 255, 255, 0, 0]));
    png.extend(chunk(b"tRNS", &[255, 128]));
    // One stored block of two bytes: no filter, then the bits 0 and 1.
    png.extend(chunk(
        b"IDAT",
        &[0x78, 0x01, 1, 2, 0, 0xfd, 0xff, 0, 0x40, 0, 0x42, 0, 0x41],
    ));
    png.extend(chunk(b"IEND", &[]));
    let (report, result) = upscaled(png, "1", StillFormat::Png);
    assert_eq!((report.bits, report.channels), (8, 4));
    assert_eq!(result.as_bytes(), [0, 0, 255, 255, 255, 0, 0, 128]);
}

#[test]
fn more_colours_than_a_gif_holds_are_named() {
    let many = RgbImage::from_fn(20, 20, |x, y| Rgb([x as u8 * 12, y as u8 * 12, 0]));
    let (report, _) = upscaled(file(&many.into(), StillFormat::Png), "1", StillFormat::Gif);
    assert_eq!(report.notes, ["GIF holds 256 colours; the picture has more"]);
}

#[test]
fn cmyk_becomes_rgb_and_says_so() {
    // Of one colour: 20% cyan, 40% magenta.
    let (report, result) = upscaled(include_bytes!("cmyk.jpg").to_vec(), "2", StillFormat::Png);
    assert_eq!(
        report.notes,
        ["CMYK became RGB by a plain formula, not by its colour profile"]
    );
    assert_eq!((report.channels, report.target_size), (3, (16, 16)));
    let pixel = result.to_rgb8().get_pixel(5, 5).0;
    assert!(
        pixel.iter().zip([204, 153, 255]).all(|(a, b)| a.abs_diff(b) <= 4),
        "{pixel:?}"
    );
}

#[test]
fn lossy_webp_and_progressive_jpeg_are_read() {
    for source in [&include_bytes!("lossy.webp")[..], include_bytes!("progressive.jpg")] {
        let (report, result) = upscaled(source.to_vec(), "1", StillFormat::Png);
        assert_eq!((report.source_size, report.channels), ((48, 40), 3));
        let decoded = image::load_from_memory(source).unwrap();
        assert_eq!(result, decoded);
    }
}

#[test]
fn quality_is_a_setting_of_jpeg() {
    let source = include_bytes!("lossy.webp");
    let sizes = [Some(30), None, Some(95), Some(100)].map(|quality| {
        let request = PictureRequest {
            quality,
            ..request("2", StillFormat::Jpeg)
        };
        run(source.to_vec(), &request, &Limits::default()).unwrap().1.len()
    });
    assert!(
        sizes[0] < sizes[1] && sizes[1] == sizes[2] && sizes[2] < sizes[3],
        "{sizes:?}"
    );
    for (quality, format) in [(0, StillFormat::Jpeg), (101, StillFormat::Jpeg), (90, StillFormat::Png)] {
        let request = PictureRequest {
            quality: Some(quality),
            ..request("2", format)
        };
        let refused = run(source.to_vec(), &request, &Limits::default()).unwrap_err();
        assert_eq!(
            (refused.code(), &*refused.details()["found"]),
            (ErrorCode::SettingsInvalid, &*quality.to_string())
        );
    }
}

#[test]
fn endings_name_formats() {
    for (ending, format) in [
        ("PNG", Some(StillFormat::Png)),
        ("jpeg", Some(StillFormat::Jpeg)),
        ("jpg", Some(StillFormat::Jpeg)),
        ("webp", Some(StillFormat::WebP)),
        ("tif", Some(StillFormat::Tiff)),
        ("bmp", Some(StillFormat::Bmp)),
        ("gif", Some(StillFormat::Gif)),
        ("mp4", None),
    ] {
        assert_eq!(StillFormat::from_extension(ending), format);
    }
}
