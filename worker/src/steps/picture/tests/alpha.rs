//! Transparency: what lies under it must not show.

use image::{ImageBuffer, Pixel, Rgba};

use super::*;

/// A disc with a soft edge, on transparent black.
fn disc<S>(colour: [S; 3], most: f32, code: fn(f32) -> S) -> ImageBuffer<Rgba<S>, Vec<S>>
where
    S: Copy + PartialEq,
    Rgba<S>: Pixel<Subpixel = S>,
{
    let none = code(0.0);
    ImageBuffer::from_fn(24, 24, |x, y| {
        let far = ((x as f32 - 11.5).powi(2) + (y as f32 - 11.5).powi(2)).sqrt();
        let alpha = code(((8.0 - far).clamp(0.0, 1.0) * most).round());
        let [r, g, b] = if alpha == none { [none; 3] } else { colour };
        Rgba([r, g, b, alpha])
    })
}

/// Where anything of the disc is seen, it has the disc's colour: no dark fringe. Its middle stays opaque, and what is far
/// from it stays clear.
#[test]
fn a_disc_on_transparent_black_gets_no_dark_fringe() {
    let bright = disc([250u8, 180, 20], 255.0, |n| n as u8);
    for target in ["2", "3", "1.5"] {
        let (_, result) = upscaled(file(&bright.clone().into(), StillFormat::Png), target, StillFormat::Png);
        let result = result.into_rgba8();
        let (width, height) = result.dimensions();
        let part = result.pixels().filter(|p| !matches!(p.0[3], 0 | 255)).count();
        assert!(part > 60, "{target}: {part} pixels of the edge");
        for (x, y, pixel) in result.enumerate_pixels().filter(|(.., pixel)| pixel.0[3] > 0) {
            assert_eq!(pixel.0[..3], [250, 180, 20], "{target}: at {x}, {y}: {pixel:?}");
        }
        assert_eq!(result.get_pixel(width / 2, height / 2).0[3], 255, "{target}");
        assert_eq!(result.get_pixel(0, height / 2).0, [0; 4], "{target}");
    }
    let deep = DynamicImage::ImageRgba16(disc([64_000u16, 300, 20_000], 65_535.0, |n| n as u16));
    let (_, result) = upscaled(file(&deep, StillFormat::Png), "2", StillFormat::Png);
    // A trace of alpha carries little of a colour.
    for pixel in result.into_rgba16().pixels().filter(|pixel| pixel.0[3] > 0) {
        let near = pixel
            .0
            .iter()
            .zip([64_000, 300, 20_000])
            .all(|(a, b)| a.abs_diff(b) <= 1);
        assert!(near, "{pixel:?}");
    }
}
