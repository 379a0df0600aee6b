use std::ops::ControlFlow;

use super::*;
use crate::{
    engine::{Engine, EngineKind, EngineOptions, Session, Watch, build_engine},
    error::{Error, Result},
    geometry::{Geometry, Size},
    plane::Plane,
    resample::Resampler,
    weights::testing::Recipe,
};

const LAYOUTS: [Layout; 12] = [
    Layout::Gray,
    Layout::GrayAlpha,
    Layout::Yuv420,
    Layout::Yuv422,
    Layout::Yuv444,
    Layout::Yuva420,
    Layout::Yuva422,
    Layout::Yuva444,
    Layout::Rgb,
    Layout::Rgba,
    Layout::Gbr,
    Layout::Gbra,
];

/// Those with alpha, of colours in one order.
const TRANSPARENT: [Layout; 5] = [
    Layout::Rgba,
    Layout::GrayAlpha,
    Layout::Yuva420,
    Layout::Yuva422,
    Layout::Yuva444,
];

fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

fn format(layout: Layout, bits: u8, range: Range, size: Size) -> FrameFormat {
    FrameFormat {
        size,
        layout,
        bits,
        range,
        siting: ChromaSiting::Left,
    }
}

/// A frame whose sample at (plane, x, y) is given by `code`.
fn frame(format: FrameFormat, code: impl Fn(usize, usize, usize) -> u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (plane, size) in format.planes().enumerate() {
        for at in 0..size.pixels() {
            let code = code(plane, at % size.columns(), at / size.columns()).to_le_bytes();
            bytes.extend(&code[..format.sample_bytes()]);
        }
    }
    bytes
}

/// The codes of each plane.
fn codes(format: FrameFormat, bytes: &[u8]) -> Vec<Vec<u16>> {
    let mut rest = bytes;
    let step = format.sample_bytes();
    let code = |sample: &[u8]| u16::from_le_bytes([sample[0], if step == 2 { sample[1] } else { 0 }]);
    format
        .planes()
        .map(|plane| {
            rest.split_off(..plane.pixels() * step)
                .unwrap()
                .chunks_exact(step)
                .map(code)
                .collect()
        })
        .collect()
}

fn run(engine: &dyn Engine, format: FrameFormat, source: &[u8], target: Size) -> Vec<Vec<u16>> {
    let mut upscaler = FrameUpscaler::open(engine, format, target).unwrap();
    let mut result = vec![0xa5; upscaler.target_format().bytes()];
    upscaler.upscale(source, &mut result, &()).unwrap();
    codes(upscaler.target_format(), &result)
}

fn engine(kind: EngineKind) -> std::sync::Arc<dyn Engine> {
    build_engine(
        &EngineOptions {
            kind,
            ..EngineOptions::default()
        },
        &Recipe::random(3, 6, 5).weights(),
    )
    .unwrap()
}

/// Bicubic plus the same amount everywhere: a network whose effect is known.
struct Adds(f32);

impl Engine for Adds {
    fn kind(&self) -> EngineKind {
        EngineKind::Reference
    }

    fn fingerprint(&self) -> String {
        "adds".to_owned()
    }

    fn open(&self, geometry: Geometry) -> Result<Box<dyn Session>> {
        Ok(Box::new(AddsSession(
            self.0,
            Resampler::new(geometry.source, geometry.target),
        )))
    }
}

struct AddsSession(f32, Resampler);

impl Session for AddsSession {
    fn upscale(&mut self, source: &Plane<f32>, target: &mut Plane<f32>, _watch: &dyn Watch) -> Result<()> {
        self.1.run(source.data(), target.data_mut(), 1.0)?;
        target.data_mut().iter_mut().for_each(|luma| *luma += self.0);
        Ok(())
    }
}

fn noise(plane: usize, x: usize, y: usize) -> u16 {
    let mixed = (plane * 7919 + y * 257 + x) as u32;
    (mixed.wrapping_mul(2_654_435_761) >> 16) as u16
}

#[test]
fn planes_round_up_and_bytes_follow_bits() {
    let yuv = format(Layout::Yuv420, 8, Range::Limited, size(5, 3));
    assert_eq!(yuv.planes().collect::<Vec<_>>(), [size(5, 3), size(3, 2), size(3, 2)]);
    assert_eq!(yuv.bytes(), 15 + 6 + 6);
    assert_eq!(FrameFormat { bits: 10, ..yuv }.bytes(), 54);
    let wide = format(Layout::Yuv422, 8, Range::Limited, size(5, 3));
    assert_eq!(wide.planes().collect::<Vec<_>>(), [size(5, 3), size(3, 3), size(3, 3)]);
    assert_eq!(
        format(Layout::Yuva420, 16, Range::Limited, size(4, 4)).bytes(),
        2 * (16 + 4 + 4 + 16)
    );
    assert_eq!(format(Layout::Rgba, 8, Range::Full, size(2, 2)).bytes(), 16);
    assert_eq!(yuv.with_size(size(2, 2)).bytes(), 6);
    assert_eq!(
        [8, 10, 12, 16].map(|bits| FrameFormat { bits, ..yuv }.max()),
        [255, 1023, 4095, 65535]
    );
}

#[test]
fn flat_frames_stay_flat() {
    let engine = engine(EngineKind::Bicubic);
    for layout in LAYOUTS {
        for (bits, range, from, to) in [
            (8, Range::Limited, size(7, 5), size(14, 10)),
            (8, Range::Full, size(6, 4), size(13, 9)),
            (10, Range::Limited, size(5, 9), size(11, 27)),
            (10, Range::Full, size(1, 1), size(8, 3)),
            (12, Range::Limited, size(16, 3), size(20, 5)),
            (12, Range::Full, size(7, 7), size(7, 7)),
            (16, Range::Full, size(4, 4), size(8, 8)),
        ] {
            for share in [0.0, 0.3, 0.77, 1.0] {
                let format = format(layout, bits, range, from);
                // Planes differ, and alpha is not 0 here: nothing could be told of the colour then.
                let level = |plane: usize| {
                    let code = f64::from(format.max()) * share / (1.0 + plane as f64 * 0.25);
                    if layout.channels()[plane] == format::Channel::Alpha {
                        code.max(1.0)
                    } else {
                        code
                    }
                    .round()
                };
                let source = frame(format, |plane, _, _| level(plane) as u16);
                for (plane, found) in run(&*engine, format, &source, to).iter().enumerate() {
                    let expected = level(plane) as u16;
                    assert!(
                        found.iter().all(|code| *code == expected),
                        "{format:?} {plane} {expected} {found:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_ramp_keeps_its_mean() {
    let engine = engine(EngineKind::Bicubic);
    for layout in LAYOUTS
        .into_iter()
        .filter(|layout| !layout.channels().contains(&format::Channel::Alpha))
    {
        for (bits, step) in [(8, 1), (10, 5), (12, 31)] {
            let format = FrameFormat {
                siting: ChromaSiting::Centre,
                ..format(layout, bits, Range::Limited, size(64, 4))
            };
            let source = frame(format, |plane, x, _| (40 + plane + x * step) as u16);
            let mean = |codes: &[u16]| codes.iter().map(|code| f64::from(*code)).sum::<f64>() / codes.len() as f64;
            let (before, after) = (codes(format, &source), run(&*engine, format, &source, size(128, 8)));
            for (before, after) in before.iter().zip(&after) {
                assert!(
                    (mean(before) - mean(after)).abs() < 0.1,
                    "{format:?}: {} {}",
                    mean(before),
                    mean(after)
                );
            }
        }
    }
}

#[test]
fn chroma_stays_where_luma_is() {
    // A ramp of the position in luma pixels: 4 codes each. Chroma says the same of its own position.
    let engine = engine(EngineKind::Bicubic);
    for (siting, lies_at) in [(ChromaSiting::Left, 0.5), (ChromaSiting::Centre, 1.0)] {
        let source = FrameFormat {
            siting,
            ..format(Layout::Yuv420, 12, Range::Full, size(63, 16))
        };
        let position = |plane: usize, x: usize| {
            if plane == 0 {
                x as f64 + 0.5
            } else {
                2.0 * x as f64 + lies_at
            }
        };
        let bytes = frame(source, |plane, x, _| (position(plane, x) * 40.0).round() as u16);
        let found = run(&*engine, source, &bytes, size(126, 32));
        for (plane, found) in found.iter().enumerate() {
            let width = if plane == 0 { 126 } else { 63 };
            for x in 6..width - 6 {
                // Enlarged twice, positions count half as much.
                let expected = position(plane, x) * 20.0;
                let code = f64::from(found[3 * width + x]);
                assert!(
                    (code - expected).abs() <= 1.0,
                    "{siting:?} plane {plane} at {x}: {code}, not {expected}"
                );
            }
        }
    }
}

#[test]
fn what_the_network_adds_reaches_the_codes() {
    // 0.103 of the network's domain is 26.265 codes of studio range, and 0.103 × 255/219 of white minus black.
    let added = Adds(0.103);
    let check = |layout, bits, range, level: u16, expected: u16| {
        let format = format(layout, bits, range, size(6, 4));
        let found = run(&added, format, &frame(format, |_, _, _| level), size(12, 8));
        let colours = if layout == Layout::Rgb { 3 } else { 1 };
        for plane in &found[..colours] {
            assert!(
                plane.iter().all(|code| *code == expected),
                "{format:?}: {plane:?}, not {expected}"
            );
        }
        // Chroma is not the network's.
        for plane in &found[colours..] {
            assert!(plane.iter().all(|code| *code == level), "{format:?}");
        }
    };
    check(Layout::Yuv420, 8, Range::Limited, 101, 127);
    check(Layout::Yuv420, 10, Range::Limited, 400, 505);
    check(Layout::Yuv444, 12, Range::Limited, 1600, 2020);
    check(Layout::Yuv422, 8, Range::Full, 100, 131);
    check(Layout::Yuv420, 10, Range::Full, 400, 523);
    check(Layout::Gray, 8, Range::Full, 101, 127);
    check(Layout::Gray, 16, Range::Full, 20000, 26724);
    check(Layout::Rgb, 8, Range::Full, 100, 131);
    check(Layout::Rgb, 16, Range::Full, 20000, 27860);
    check(Layout::Rgb, 8, Range::Limited, 101, 127);
    check(Layout::Yuv420, 8, Range::Limited, 250, 255);
}

#[test]
fn rgb_is_bicubic_plus_the_residual_of_its_luma() {
    let engine = engine(EngineKind::Reference);
    for (range, black, white) in [(Range::Full, 0.0, 255.0), (Range::Limited, 16.0, 235.0)] {
        let rgb = format(Layout::Rgb, 8, range, size(9, 7));
        let (target, source) = (size(18, 14), frame(rgb, |plane, x, y| noise(plane, x, y) & 255));
        let planes = codes(rgb, &source);
        let luma = |at: usize| {
            let [r, g, b] = [0, 1, 2].map(|plane: usize| (f64::from(planes[plane][at]) - black) / (white - black));
            ((16.0 + 65.481 * r + 128.553 * g + 24.966 * b) / 255.0) as f32
        };
        let luma = Plane::from_vec(rgb.size, (0..63).map(luma).collect()).unwrap();
        let resampler = Resampler::new(rgb.size, target);
        let mut network = Plane::new(target, 0.0);
        let mut session = engine.open(Geometry::new(rgb.size, target).unwrap()).unwrap();
        session.upscale(&luma, &mut network, &()).unwrap();
        let mut bicubic = vec![0.0; target.pixels()];
        resampler.run(luma.data(), &mut bicubic, 1.0).unwrap();
        for (stored, found) in planes.iter().zip(run(&*engine, rgb, &source, target)) {
            let mut enlarged = vec![0.0; target.pixels()];
            let stored: Vec<f32> = stored.iter().map(|code| f32::from(*code)).collect();
            resampler.run(&stored, &mut enlarged, 1.0).unwrap();
            for (at, found) in found.iter().enumerate() {
                let added = (network.data()[at] - bicubic[at]) * 255.0 / 219.0 * (white - black) as f32;
                let exact = (enlarged[at] + added).clamp(0.0, 255.0);
                assert!(
                    (f32::from(*found) - exact).abs() <= 0.51,
                    "{range:?} at {at}: {found}, not {exact}"
                );
            }
        }
    }
}

#[test]
fn without_a_network_rgb_is_exactly_bicubic() {
    let rgb = format(Layout::Rgb, 8, Range::Full, size(21, 80));
    let (target, source) = (size(31, 150), frame(rgb, |plane, x, y| noise(plane, x, y) & 255));
    let found = run(&*engine(EngineKind::Bicubic), rgb, &source, target);
    for (stored, found) in source.chunks_exact(21 * 80).zip(found) {
        let mut expected = vec![0u8; target.pixels()];
        Resampler::new(rgb.size, target)
            .run(stored, &mut expected, 255)
            .unwrap();
        assert!(found.iter().zip(&expected).all(|(a, b)| *a == u16::from(*b)));
    }
}

#[test]
fn the_order_of_colour_planes_changes_their_order_only() {
    let engine = engine(EngineKind::Reference);
    let target = size(22, 17);
    let of = |layout| format(layout, 8, Range::Full, size(11, 9));
    for (rgb, gbr) in [(Layout::Rgb, Layout::Gbr), (Layout::Rgba, Layout::Gbra)] {
        let (rgb, gbr) = (of(rgb), of(gbr));
        let from_rgb = run(
            &*engine,
            rgb,
            &frame(rgb, |plane, x, y| noise(plane, x, y) & 255),
            target,
        );
        let moved = |plane| [1, 2, 0, 3][plane];
        let from_gbr = run(
            &*engine,
            gbr,
            &frame(gbr, |plane, x, y| noise(moved(plane), x, y) & 255),
            target,
        );
        for (plane, found) in from_gbr.iter().enumerate() {
            assert_eq!(*found, from_rgb[moved(plane)], "{gbr:?}, plane {plane}");
        }
    }
}

#[test]
fn opaque_alpha_changes_nothing() {
    for kind in [EngineKind::Bicubic, EngineKind::Reference] {
        let engine = engine(kind);
        for (with, without) in [
            (Layout::Rgba, Layout::Rgb),
            (Layout::GrayAlpha, Layout::Gray),
            (Layout::Yuva420, Layout::Yuv420),
            (Layout::Yuva422, Layout::Yuv422),
            (Layout::Yuva444, Layout::Yuv444),
        ] {
            for bits in [8, 10] {
                let with = format(with, bits, Range::Full, size(11, 9));
                let without = FrameFormat {
                    layout: without,
                    ..with
                };
                let colours = without.planes().count();
                let code = |plane, x, y| {
                    if plane == colours {
                        with.max()
                    } else {
                        noise(plane, x, y) & with.max()
                    }
                };
                let target = size(22, 17);
                let mut found = run(&*engine, with, &frame(with, code), target);
                assert!(found.pop().unwrap().iter().all(|alpha| *alpha == with.max()));
                assert_eq!(found, run(&*engine, without, &frame(without, code), target), "{with:?}");
            }
        }
    }
}

#[test]
fn alpha_that_is_the_same_everywhere_does_not_change_colour() {
    // The way of transparent frames, against the way of opaque ones; rounding may differ by a code.
    let engine = engine(EngineKind::Reference);
    for layout in TRANSPARENT {
        let format = format(layout, 8, Range::Limited, size(12, 10));
        let colours = format.planes().count() - 1;
        let at = |alpha: u16| {
            let code = move |plane, x, y| {
                if plane == colours {
                    alpha
                } else {
                    noise(plane, x, y) & 255
                }
            };
            run(&*engine, format, &frame(format, code), size(24, 20))
        };
        let (opaque, clear) = (at(255), at(60));
        for (opaque, clear) in opaque[..colours].iter().zip(&clear) {
            assert!(opaque.iter().zip(clear).all(|(a, b)| a.abs_diff(*b) <= 1), "{layout:?}");
        }
        assert!(clear[colours].iter().all(|alpha| *alpha == 60));
    }
}

#[test]
fn what_lies_under_full_transparency_does_not_show() {
    for kind in [EngineKind::Bicubic, EngineKind::Reference] {
        let engine = engine(kind);
        for layout in TRANSPARENT {
            let format = format(layout, 8, Range::Full, size(16, 12));
            let colours = format.planes().count() - 1;
            // Even edges, so that no chroma sample is half inside.
            let inside = |x: usize, y: usize| (4..10).contains(&x) && (2..8).contains(&y);
            let make = |hidden: u16| {
                let code = move |plane, x: usize, y: usize| {
                    let chroma = plane == 1 || plane == 2;
                    let unit = if chroma { layout.subsampling() } else { (1, 1) };
                    let inside = inside(x * unit.0 as usize, y * unit.1 as usize);
                    if plane == colours {
                        if inside { 255 } else { 0 }
                    } else if inside {
                        220
                    } else {
                        hidden
                    }
                };
                run(&*engine, format, &frame(format, code), size(32, 24))
            };
            let black = make(0);
            assert_eq!(black, make(137), "{layout:?}");
            if kind == EngineKind::Bicubic {
                // The colour inside is flat, so wherever there is any opacity it is that colour: no dark fringe.
                let seen: Vec<u16> = (0..32 * 24)
                    .filter(|at| black[colours][*at] > 0)
                    .map(|at| black[0][at])
                    .collect();
                assert!(
                    seen.len() > 12 * 12 && seen.iter().all(|code| *code == 220),
                    "{layout:?} {seen:?}"
                );
            }
        }
    }
}

#[test]
fn a_session_is_used_for_many_frames() {
    let engine = engine(EngineKind::Reference);
    let format = format(Layout::Rgba, 8, Range::Full, size(10, 8));
    let frames = [1, 200, 1].map(|seed| frame(format, |plane, x, y| noise(plane + seed, x, y) & 255));
    let mut upscaler = FrameUpscaler::open(&*engine, format, size(20, 16)).unwrap();
    let results = frames.map(|source| {
        let mut target = vec![0; upscaler.target_format().bytes()];
        upscaler.upscale(&source, &mut target, &()).unwrap();
        target
    });
    assert_eq!(results[0], results[2]);
    assert_ne!(results[0], results[1]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let engine = engine(EngineKind::Bicubic);
    let yuv = format(Layout::Yuv420, 8, Range::Limited, size(4, 4));
    let open = |format, target| FrameUpscaler::open(&*engine, format, target).map(|_| ());
    for bits in [7, 17, 0, 255] {
        let found = open(FrameFormat { bits, ..yuv }, size(8, 8));
        assert!(matches!(found, Err(Error::BadBits { found }) if found == bits));
    }
    assert!(matches!(open(yuv, size(3, 8)), Err(Error::FactorOutOfRange { .. })));
    assert!(matches!(
        open(yuv.with_size(size(0, 4)), size(8, 8)),
        Err(Error::EmptySize { .. })
    ));
    let mut upscaler = FrameUpscaler::open(&*engine, yuv, size(8, 8)).unwrap();
    let short = upscaler.upscale(&[0; 23], &mut [0; 96], &());
    assert!(matches!(
        short,
        Err(Error::LengthMismatch {
            expected: 24,
            found: 23,
            ..
        })
    ));
    let long = upscaler.upscale(&[0; 24], &mut [0; 97], &());
    assert!(matches!(
        long,
        Err(Error::LengthMismatch {
            expected: 96,
            found: 97,
            ..
        })
    ));
}

#[test]
fn not_a_number_and_a_stop_reach_the_caller() {
    struct Stop;
    impl Watch for Stop {
        fn tile_done(&self, _done: usize, _total: usize) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    let gray = format(Layout::Gray, 8, Range::Full, size(4, 4));
    let mut spoiled = FrameUpscaler::open(&Adds(f32::NAN), gray, size(8, 8)).unwrap();
    assert!(matches!(
        spoiled.upscale(&[9; 16], &mut [0; 64], &()),
        Err(Error::NotFinite)
    ));
    let mut stopped = FrameUpscaler::open(&*engine(EngineKind::Bicubic), gray, size(8, 8)).unwrap();
    assert!(matches!(
        stopped.upscale(&[9; 16], &mut [0; 64], &Stop),
        Err(Error::Stopped)
    ));
}

#[test]
#[ignore = "measures time: cargo test -p vdsr speed -- --ignored --nocapture"]
fn speed_of_a_video_frame() {
    let engine = engine(EngineKind::Bicubic);
    for bits in [8, 10] {
        let yuv = format(Layout::Yuv420, bits, Range::Limited, size(640, 360));
        let source = frame(yuv, |plane, x, y| noise(plane, x, y) & yuv.max());
        let mut upscaler = FrameUpscaler::open(&*engine, yuv, size(1280, 720)).unwrap();
        let mut target = vec![0; upscaler.target_format().bytes()];
        let mut times: Vec<f64> = (0..100)
            .map(|_| {
                let start = std::time::Instant::now();
                upscaler.upscale(&source, &mut target, &()).unwrap();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "4:2:0 of {bits} bits, bicubic: {:.2} ms best, {:.2} ms median of 100",
            times[0], times[50]
        );
    }
}
