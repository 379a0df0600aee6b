use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(*found) - expected).abs() <= tolerance,
            "at {at}: {found} is not {expected}"
        );
    }
}

/// Resamples floats.
fn resampled(resampler: &Resampler, src: &[f32], target: Size) -> Vec<f32> {
    let mut dst = vec![f32::NAN; target.pixels()];
    resampler.run(src, &mut dst, f32::MAX).unwrap();
    dst
}

/// One row, and the same as one column.
fn both_axes(src: &[f32], length: u32) -> Vec<f32> {
    let from = src.len() as u32;
    let row = resampled(&Resampler::new(size(from, 1), size(length, 1)), src, size(length, 1));
    let column = resampled(&Resampler::new(size(1, from), size(1, length)), src, size(1, length));
    assert_eq!(row, column);
    row
}

/// The definition, written out in 64-bit floats: weights from distances, edges mirrored, no strips, no passes.
fn slow(src: &[f64], from: Size, to: Size, siting: Siting) -> Vec<f64> {
    fn axis(from: u32, to: u32, c: f64) -> Vec<Vec<f64>> {
        let factor = f64::from(to) / f64::from(from);
        let narrow = factor.min(1.0);
        let reach = (2.0 / narrow).ceil() as i64 + 1;
        let row = |j: u32| {
            let at = (f64::from(j) + c) / factor - c;
            let mut weights = vec![0.0; from as usize];
            for i in at.floor() as i64 - reach..=at.floor() as i64 + reach {
                let x = (narrow * (at - i as f64)).abs();
                let (x2, x3) = (x * x, x * x * x);
                let weight = match x {
                    ..=1.0 => 1.5 * x3 - 2.5 * x2 + 1.0,
                    ..=2.0 => -0.5 * x3 + 2.5 * x2 - 4.0 * x + 2.0,
                    _ => 0.0,
                };
                let mut at = i;
                while !(0..i64::from(from)).contains(&at) {
                    at = if at < 0 { -1 - at } else { 2 * i64::from(from) - 1 - at };
                }
                weights[at as usize] += weight;
            }
            let sum: f64 = weights.iter().sum();
            weights.iter().map(|weight| weight / sum).collect()
        };
        (0..to).map(row).collect()
    }
    let (columns, rows) = (
        axis(from.width, to.width, siting.horizontal),
        axis(from.height, to.height, siting.vertical),
    );
    let mut dst = Vec::new();
    for row in &rows {
        for column in &columns {
            let value = |y: usize, x: usize| row[y] * column[x] * src[y * from.columns() + x];
            dst.push(
                (0..from.rows())
                    .flat_map(|y| (0..from.columns()).map(move |x| value(y, x)))
                    .sum(),
            );
        }
    }
    dst
}

#[test]
fn an_impulse_enlarged_twice_is_the_kernel() {
    // Distances 0.25, 0.75, 1.25, 1.75 weigh 0.8671875, 0.2265625, -0.0703125, -0.0234375. At the left edge sample 1
    // is seen a second time, mirrored.
    let expected = [
        -0.0703125 - 0.0234375,
        0.2265625,
        0.8671875,
        0.8671875,
        0.2265625,
        -0.0703125,
        -0.0234375,
        0.0,
    ];
    assert_near(&both_axes(&[0.0, 1.0, 0.0, 0.0], 8), &expected, 1e-6);
}

#[test]
fn an_impulse_made_half_as_large_is_the_kernel_at_twice_its_width() {
    let inside = [-0.03515625, 0.43359375, 0.11328125, -0.01171875];
    assert_near(&both_axes(&[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], 4), &inside, 1e-6);
    let edge = [0.43359375 + 0.11328125, -0.03515625 - 0.01171875, 0.0, 0.0];
    assert_near(&both_axes(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 4), &edge, 1e-6);
}

#[test]
fn a_factor_of_one_and_a_half() {
    // Positions -1/6, 1/2, 7/6; keys(7/6) + keys(11/6) = -5/72.
    assert_near(&both_axes(&[0.0, 1.0], 3), &[-5.0 / 72.0, 0.5, 1.0 + 5.0 / 72.0], 1e-6);
}

#[test]
fn the_same_size_changes_no_bit() {
    let src: Vec<f32> = (0..35).map(|i| (i as f32 * 0.37).sin()).collect();
    assert_eq!(
        resampled(&Resampler::new(size(7, 5), size(7, 5)), &src, size(7, 5)),
        src
    );
}

#[test]
fn a_ramp_shows_where_samples_lie() {
    // The kernel reproduces straight lines, so away from the edges the value is the position.
    for (siting, c) in [(Siting::CENTRED, 0.5), (Siting::LEFT, 0.25)] {
        let src: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let (from, to) = (size(16, 1), size(40, 1));
        let dst = resampled(&Resampler::with_siting(from, to, siting), &src, to);
        for (j, value) in dst.iter().enumerate().skip(5).take(30) {
            assert!(
                (f64::from(*value) - ((j as f64 + c) / 2.5 - c)).abs() < 1e-5,
                "{siting:?} {j} {value}"
            );
        }
    }
}

#[test]
fn siting_is_per_axis() {
    let src: Vec<f32> = (0..12 * 12).map(|i| (i / 12) as f32).collect();
    let (from, to) = (size(12, 12), size(24, 24));
    let at = |siting| resampled(&Resampler::with_siting(from, to, siting), &src, to)[12 * 24 + 12];
    assert!((at(Siting::LEFT) - 5.75).abs() < 1e-5);
    assert!((at(Siting::TOP_LEFT) - 5.875).abs() < 1e-5);
}

#[test]
fn a_plane_that_belongs_to_an_odd_one_keeps_its_factor() {
    // Luma of 5 columns becomes 10, so chroma of 3 becomes 5, at twice the spacing and not 5/3 of it.
    let whole = Geometry {
        source: size(5, 2),
        target: size(10, 4),
    };
    let chroma = Resampler::for_part_of(whole, size(3, 1), size(5, 2), Siting::CENTRED);
    let wide = resampled(&Resampler::new(size(3, 1), size(6, 2)), &[1.0, 5.0, 2.0], size(6, 2));
    assert_near(
        &resampled(&chroma, &[1.0, 5.0, 2.0], size(5, 2))[..5],
        &wide[..5].iter().map(|v| f64::from(*v)).collect::<Vec<_>>(),
        1e-6,
    );
}

#[test]
fn integers_are_rounded_and_clamped() {
    // A step from 0 to the maximum overshoots on both sides: -0.0234375 - 0.0703125 = -0.09375 of it.
    let mut bytes = [7u8; 8];
    let step = Resampler::new(size(4, 1), size(8, 1));
    step.run(&[0u8, 0, 255, 255], &mut bytes, 255).unwrap();
    assert_eq!(bytes, [0, 0, 0, 52, 203, 255, 255, 255]);
    let mut words = [7u16; 8];
    step.run(&[0u16, 0, 1000, 1000], &mut words, 1023).unwrap();
    assert_eq!(words, [0, 0, 0, 203, 797, 1023, 1023, 1000]);
    assert_eq!(u8::from_f32(f32::NAN, 255), 0);
    assert_eq!(
        (u8::from_f32(1.4, 255), u8::from_f32(1.6, 255), u8::from_f32(-3.0, 255)),
        (1, 2, 0)
    );
    assert_eq!(
        (u16::from_f32(65534.6, 65535), u16::from_f32(1e9, 65535)),
        (65535, 65535)
    );
}

#[test]
fn wrong_lengths_are_refused() {
    let resampler = Resampler::new(size(2, 2), size(4, 4));
    let source = resampler.run(&[0u8; 5], &mut [0; 16], 255);
    assert!(matches!(
        source,
        Err(Error::LengthMismatch {
            what: "source plane",
            expected: 4,
            found: 5
        })
    ));
    let target = resampler.run(&[0u8; 4], &mut [0; 15], 255);
    assert!(matches!(
        target,
        Err(Error::LengthMismatch {
            what: "target plane",
            expected: 16,
            found: 15
        })
    ));
    Resampler::new(size(0, 2), size(0, 4))
        .run::<u8>(&[], &mut [], 255)
        .unwrap();
    Resampler::new(size(2, 2), size(3, 0))
        .run(&[0u8; 4], &mut [], 255)
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn equals_the_definition(
        from in (1u32..24, 1u32..24),
        to in (1u32..60, 1u32..150),
        siting in prop_oneof![Just(Siting::CENTRED), Just(Siting::LEFT), Just(Siting::TOP_LEFT)],
        seed in any::<u32>(),
    ) {
        let (from, to) = (size(from.0, from.1), size(to.0, to.1));
        let noise = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 / (1 << 24) as f32;
        let src: Vec<f32> = (0..from.pixels()).map(noise).collect();
        let dst = resampled(&Resampler::with_siting(from, to, siting), &src, to);
        let exact = slow(&src.iter().map(|v| f64::from(*v)).collect::<Vec<_>>(), from, to, siting);
        assert_near(&dst, &exact, 1e-5);
    }

    #[test]
    fn a_flat_plane_stays_flat(
        from in (1u32..200, 1u32..50), to in (1u32..200, 1u32..50), code in any::<u16>(), c in 0.0..1.0
    ) {
        let (from, to) = (size(from.0, from.1), size(to.0, to.1));
        let resampler = Resampler::with_siting(from, to, Siting { horizontal: c, vertical: c });
        let mut words = vec![0u16; to.pixels()];
        resampler.run(&vec![code; from.pixels()], &mut words, u16::MAX).unwrap();
        prop_assert!(words.iter().all(|word| *word == code));
        let ones = resampled(&resampler, &vec![1.0; from.pixels()], to);
        prop_assert!(ones.iter().all(|one| (one - 1.0).abs() < 1e-6));
    }
}

#[test]
#[ignore = "measures time: cargo test -p vdsr speed -- --ignored --nocapture"]
fn speed() {
    fn measure<T: Sample>(name: &str, value: T, max: T) {
        let (from, to) = (size(640, 360), size(1280, 720));
        let resampler = Resampler::new(from, to);
        let (src, mut dst) = (vec![value; from.pixels()], vec![value; to.pixels()]);
        let mut times: Vec<f64> = (0..200)
            .map(|_| {
                let start = Instant::now();
                resampler.run(&src, &mut dst, max).unwrap();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{name}: {:.2} ms best, {:.2} ms median of 200", times[0], times[100]);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        measure("u8, one core", 77u8, 255);
        measure("u16, one core", 77u16, 1023);
        measure("f32, one core", 0.3f32, 1.0);
    });
    measure("u8, all cores", 77u8, 255);
}
