use proptest::prelude::*;

use super::*;
use crate::frame::format::{ChromaSiting, Layout, Range};
use crate::geometry::Size;

const LIGHT: Filters = Filters {
    noise: 5.0,
    sharpen: 0.0,
};
const STRONG: Filters = Filters {
    noise: 15.0,
    sharpen: 0.0,
};

fn format(layout: Layout, bits: u8, width: u32, height: u32) -> FrameFormat {
    FrameFormat {
        size: Size { width, height },
        layout,
        bits,
        range: Range::Full,
        siting: ChromaSiting::Left,
    }
}

/// The filtered planes of an opaque frame whose sample at (plane, x, y) is given by `code`.
fn run(filters: Filters, format: FrameFormat, code: impl Fn(usize, usize, usize) -> u16) -> Vec<Plane<f32>> {
    let bytes = format.sample_bytes();
    let stored: Vec<Vec<u8>> = format
        .planes()
        .enumerate()
        .map(|(plane, size)| {
            let codes = (0..size.pixels()).map(|at| code(plane, at % size.columns(), at / size.columns()));
            codes.flat_map(|code| code.to_le_bytes()[..bytes].to_vec()).collect()
        })
        .collect();
    let stored: Vec<&[u8]> = stored.iter().map(Vec::as_slice).collect();
    let opaque = Opacity {
        luma: None,
        chroma: None,
    };
    filters.run(&format, &stored, opaque).into_iter().flatten().collect()
}

/// Noise of about a normal distribution: the sum of twelve even ones.
fn noise(seed: usize, x: usize, y: usize, deviation: f32) -> f32 {
    let mut state = (seed * 1_000_003 + y * 4099 + x) as u64;
    let mut even = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)) >> 40) as f32 / (1 << 24) as f32
    };
    (0..12)
        .map(|_| even())
        .sum::<f32>()
        .mul_add(deviation, -6.0 * deviation)
}

/// A picture with smooth parts, hard edges and a fine pattern.
fn clean(x: usize, y: usize) -> f32 {
    let smooth = 90.0 + x as f32 * 0.6 + y as f32 * 0.3;
    let disc = if (x as f32 - 40.0).hypot(y as f32 - 30.0) < 18.0 {
        70.0
    } else {
        0.0
    };
    let weave = if x > 70 && (x / 2 + y / 2).is_multiple_of(2) {
        40.0
    } else {
        0.0
    };
    smooth + disc + weave
}

fn mean_square(plane: &Plane<f32>, expected: impl Fn(usize, usize) -> f32) -> f32 {
    let columns = plane.size().columns();
    let errors = plane.data().iter().enumerate();
    errors
        .map(|(at, code)| (code - expected(at % columns, at / columns)).powi(2))
        .sum::<f32>()
        / plane.data().len() as f32
}

/// Decibels that filters gain on the picture with noise.
fn gain(filters: Filters, deviation: f32) -> f32 {
    let gray = format(Layout::Gray, 8, 100, 64);
    let noisy = |x: usize, y: usize| (clean(x, y) + noise(1, x, y, deviation)).round().clamp(0.0, 255.0);
    let filtered = run(filters, gray, |_, x, y| noisy(x, y) as u16);
    let before = run(Filters::default(), gray, |_, x, y| noisy(x, y) as u16);
    10.0 * (mean_square(&before[0], clean) / mean_square(&filtered[0], clean)).log10()
}

#[test]
fn noise_goes_and_the_picture_stays() {
    let (light, strong) = (gain(LIGHT, 5.0), gain(STRONG, 15.0));
    assert!(light > 4.0, "{light} dB");
    assert!(strong > 3.0, "{strong} dB");
    // What has no noise loses little.
    let gray = format(Layout::Gray, 8, 100, 64);
    let untouched = run(LIGHT, gray, |_, x, y| clean(x, y).round() as u16);
    assert!(mean_square(&untouched[0], clean) < 1.0);
}

#[test]
fn the_noise_of_colour_goes_with_that_of_its_channels_together() {
    for layout in [Layout::Yuv444, Layout::Rgb] {
        let colour = format(layout, 8, 100, 64);
        let code = |plane, x, y| (clean(x, y) + noise(plane, x, y, 5.0)).round().clamp(0.0, 255.0) as u16;
        let before = run(Filters::default(), colour, code);
        for (before, after) in before.iter().zip(run(LIGHT, colour, code)) {
            let left = mean_square(&after, clean) / mean_square(before, clean);
            assert!(left < 0.55, "{layout:?}: {left}");
        }
    }
}

#[test]
fn an_edge_of_one_channel_keeps_those_of_the_others() {
    for (layout, sharp) in [(Layout::Rgb, 0), (Layout::Yuv444, 1)] {
        // Ten codes are noise by themselves. Where another channel has an edge of 150, they are its edge, too.
        let code = |plane: usize, x: usize| match (x < 10, plane == sharp) {
            (true, _) => 50,
            (false, true) => 200,
            (false, false) => 60,
        };
        let kept = run(LIGHT, format(layout, 8, 20, 9), |plane, x, _| code(plane, x));
        for (plane, kept) in kept.iter().enumerate().skip(sharp) {
            let off = mean_square(kept, |x, _| f32::from(code(plane, x)));
            assert!(off < 1e-6, "{layout:?} {plane}: {off}");
        }
    }
}

#[test]
fn flat_frames_and_hard_edges_stay() {
    let all = Filters {
        noise: 15.0,
        sharpen: 1.0,
    };
    for (layout, bits) in [
        (Layout::Gray, 8),
        (Layout::Yuv420, 10),
        (Layout::Gbr, 12),
        (Layout::Yuva420, 8),
    ] {
        let frame = format(layout, bits, 9, 7);
        for plane in run(all, frame, |_, _, _| 77) {
            assert!(plane.data().iter().all(|code| (code - 77.0).abs() < 1e-3), "{plane:?}");
        }
    }
    // An edge of 150 codes is no noise.
    let edge = |x: usize| if x < 10 { 50.0 } else { 200.0 };
    let kept = run(STRONG, format(Layout::Gray, 8, 20, 9), |_, x, _| edge(x) as u16);
    let worst = kept[0]
        .data()
        .iter()
        .enumerate()
        .map(|(at, code)| (code - edge(at % 20)).abs());
    assert!(worst.fold(0.0, f32::max) < 1e-3);
}

#[test]
fn detail_is_raised_by_as_much_as_was_asked() {
    // A wave of eight pixels: the blur keeps 0.7286 of it, so half an amount makes its slopes 1.1357 times as steep.
    let wave = |x: usize| 1000.0 * (x as f32 * std::f32::consts::FRAC_PI_4).sin();
    let half = Filters {
        noise: 0.0,
        sharpen: 0.5,
    };
    let gray = format(Layout::Gray, 12, 48, 3);
    let raised = run(half, gray, |_, x, _| (2048.0 + wave(x)).round() as u16);
    let row = raised[0].row(1);
    for x in (9..40).step_by(4) {
        // On the way up or down, half way to the top.
        let expected = 2048.0 + 1.1357 * wave(x);
        assert!((row[x] - expected).abs() < 1.0, "{x}: {} is not {expected}", row[x]);
    }
}

#[test]
fn an_edge_gets_no_halo() {
    let full = Filters {
        noise: 0.0,
        sharpen: 1.0,
    };
    let edge = |x: usize| if x < 10 { 40 } else { 200 };
    let sharp = run(full, format(Layout::Gray, 8, 20, 5), |_, x, _| edge(x));
    let row = sharp[0].row(2);
    // An eighth of 160 codes beyond, on the two pixels at the edge.
    assert_eq!((row[9], row[10]), (20.0, 220.0));
    assert_eq!((row[8], row[11]), (40.0, 200.0));
}

#[test]
fn sharpening_changes_no_hue() {
    let full = Filters {
        noise: 0.0,
        sharpen: 1.0,
    };
    let code = |plane: usize, x: usize, y: usize| (60 + 30 * plane + (x * 7 + y * 5) % 50) as u16;
    for layout in [Layout::Rgb, Layout::Gbr] {
        let rgb = run(full, format(layout, 8, 16, 9), code);
        for at in 0..16 * 9 {
            let added = |plane: usize| rgb[plane].data()[at] - f32::from(code(plane, at % 16, at / 16));
            assert!((added(0) - added(1)).abs() < 1e-3 && (added(0) - added(2)).abs() < 1e-3);
        }
    }
    // Chroma is not sharpened.
    let yuv = run(full, format(Layout::Yuv444, 8, 16, 9), code);
    assert!(
        yuv[1]
            .data()
            .iter()
            .enumerate()
            .all(|(at, found)| *found == f32::from(code(1, at % 16, at / 16)))
    );
}

#[test]
fn more_bits_make_the_same_picture() {
    let both = Filters {
        noise: 5.0,
        sharpen: 0.5,
    };
    let code = |x: usize, y: usize| (clean(x, y) + noise(3, x, y, 5.0)).clamp(0.0, 255.0) as u16;
    let eight = run(both, format(Layout::Gray, 8, 40, 30), |_, x, y| code(x, y));
    let twelve = run(both, format(Layout::Gray, 12, 40, 30), |_, x, y| code(x, y) * 16);
    let pairs = eight[0].data().iter().zip(twelve[0].data());
    assert!(pairs.into_iter().all(|(a, b)| (a * 16.0 - b).abs() < 0.01));
}

#[test]
fn what_lies_under_transparency_is_not_seen() {
    let all = Filters {
        noise: 15.0,
        sharpen: 1.0,
    };
    let rgba = format(Layout::Rgba, 8, 12, 12);
    let filtered = |hidden: u8| {
        let visible = |at: usize| (3..9).contains(&(at % 12)) && (3..9).contains(&(at / 12));
        let alpha = Plane::from_vec(
            rgba.size,
            (0..144).map(|at| f32::from(u8::from(visible(at)) * 255)).collect(),
        );
        let alpha = alpha.unwrap();
        let plane: Vec<u8> = (0..144)
            .map(|at| if visible(at) { (at * 5 % 90) as u8 + 60 } else { hidden })
            .collect();
        let stored = [&plane[..], &plane, &plane, &plane];
        let opacity = Opacity {
            luma: Some(&alpha),
            chroma: None,
        };
        all.run(&rgba, &stored, opacity)
    };
    assert_eq!(filtered(0), filtered(255));
    assert_eq!(filtered(0)[3], None);
}

proptest! {
    /// So that a part of a frame that did not change comes out as it did, and tiles could be cut anywhere.
    #[test]
    fn only_what_is_near_counts(seed in 0usize..1000, left in 0usize..20, top in 0usize..20, noise_level in 1.0f32..20.0, amount in 0.0f32..1.0) {
        const REACH: usize = 6;
        let filters = Filters { noise: noise_level, sharpen: amount };
        let code = |x: usize, y: usize| (128.0 + noise(seed, x, y, 30.0)).clamp(0.0, 255.0) as u16;
        let whole = run(filters, format(Layout::Gray, 8, 40, 40), |_, x, y| code(x, y));
        let part = run(filters, format(Layout::Gray, 8, 20, 20), |_, x, y| code(x + left, y + top));
        for y in REACH..20 - REACH {
            prop_assert_eq!(&part[0].row(y)[REACH..20 - REACH], &whole[0].row(y + top)[left + REACH..left + 20 - REACH]);
        }
    }
}
