use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;
use crate::{geometry::Size, resample::Resampler, weights::testing::Recipe};

fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

fn noise(size: Size, seed: u32) -> Plane<f32> {
    let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 / (1 << 24) as f32;
    Plane::from_vec(size, (0..size.pixels()).map(value).collect()).unwrap()
}

fn options(kind: EngineKind, tile: Option<u32>) -> EngineOptions {
    EngineOptions {
        kind,
        tile,
        ..EngineOptions::default()
    }
}

fn upscale(weights: &Weights, options: &EngineOptions, source: &Plane<f32>, target: Size) -> Plane<f32> {
    let engine = build_engine(options, weights).unwrap();
    let mut session = engine.open(Geometry::new(source.size(), target).unwrap()).unwrap();
    let mut result = Plane::new(target, f32::NAN);
    session.upscale(source, &mut result, &()).unwrap();
    result
}

/// The largest difference between a tiled plane and the same plane as one tile.
fn difference_by_tiling(weights: &Weights, source: &Plane<f32>, target: Size, tile: u32) -> f32 {
    let run = |tile| upscale(weights, &options(EngineKind::Reference, Some(tile)), source, target);
    let (tiled, whole) = (run(tile), run(4096));
    tiled
        .data()
        .iter()
        .zip(whole.data())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// Remembers what it is told, and stops after some tiles.
struct Counter {
    stop_after: usize,
    seen: Mutex<Vec<(usize, usize)>>,
}

impl Counter {
    fn new(stop_after: usize) -> Self {
        Self {
            stop_after,
            seen: Mutex::default(),
        }
    }
}

impl Watch for Counter {
    fn tile_done(&self, done: usize, total: usize) -> ControlFlow<()> {
        self.seen.lock().unwrap().push((done, total));
        if done == self.stop_after {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn tiles_change_nothing(
        from in (4u32..40, 4u32..40), factor in 1.0..3.0f64, tile in 8u32..48, seed in any::<u32>()
    ) {
        let weights = Recipe::random(4, 8, seed).weights();
        let side = |length: u32| (f64::from(length) * factor).round() as u32;
        let (source, target) = (noise(size(from.0, from.1), seed), size(side(from.0), side(from.1)));
        prop_assert!(difference_by_tiling(&weights, &source, target, tile) <= 1e-5);
    }
}

#[test]
fn tiles_change_nothing_with_the_shipped_weights() {
    let weights = Weights::embedded().unwrap();
    assert!(difference_by_tiling(&weights, &noise(size(34, 25), 7), size(68, 50), 24) <= 1e-5);
}

#[test]
fn the_network_adds_something() {
    let weights = Recipe::random(4, 8, 3).weights();
    let (source, target) = (noise(size(9, 7), 1), size(18, 14));
    let [with, without] = [EngineKind::Reference, EngineKind::Bicubic]
        .map(|kind| upscale(&weights, &options(kind, None), &source, target));
    let difference: f32 = with.data().iter().zip(without.data()).map(|(a, b)| (a - b).abs()).sum();
    assert!(difference / 252.0 > 0.01, "{difference}");
}

#[test]
fn a_session_gives_the_same_for_the_same_plane_again() {
    let engine = build_engine(
        &options(EngineKind::Reference, Some(16)),
        &Recipe::random(4, 8, 3).weights(),
    )
    .unwrap();
    let mut session = engine.open(Geometry::new(size(20, 11), size(30, 22)).unwrap()).unwrap();
    let mut results = [1, 2, 1].map(|seed| {
        let mut target = Plane::new(size(30, 22), 0.0);
        session.upscale(&noise(size(20, 11), seed), &mut target, &()).unwrap();
        target
    });
    assert_eq!(results[0], results[2]);
    assert_ne!(results[0], results[1]);
    // A stopped plane leaves no trace either.
    let stopped = session.upscale(&noise(size(20, 11), 5), &mut results[1], &Counter::new(2));
    assert!(matches!(stopped, Err(Error::Stopped)));
    session.upscale(&noise(size(20, 11), 1), &mut results[1], &()).unwrap();
    assert_eq!(results[0], results[1]);
}

#[test]
fn the_watch_hears_of_each_tile_and_can_stop() {
    let engine = build_engine(
        &options(EngineKind::Reference, Some(16)),
        &Recipe::random(2, 4, 3).weights(),
    )
    .unwrap();
    let mut session = engine.open(Geometry::new(size(20, 10), size(40, 20)).unwrap()).unwrap();
    let mut target = Plane::new(size(40, 20), 0.0);
    let all = Counter::new(usize::MAX);
    session.upscale(&noise(size(20, 10), 1), &mut target, &all).unwrap();
    assert_eq!(
        all.seen.into_inner().unwrap(),
        [(1, 6), (2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]
    );
    let some = Counter::new(2);
    assert!(matches!(
        session.upscale(&noise(size(20, 10), 1), &mut target, &some),
        Err(Error::Stopped)
    ));
    assert_eq!(some.seen.into_inner().unwrap(), [(1, 6), (2, 6)]);
}

#[test]
fn wait_is_bicubic_after_the_stated_time() {
    let weights = Recipe::random(1, 1, 0).weights();
    let (source, target) = (noise(size(9, 7), 1), size(18, 14));
    let mut expected = Plane::new(target, 0.0);
    Resampler::new(source.size(), target)
        .run(source.data(), expected.data_mut(), 1.0)
        .unwrap();
    let wait = EngineOptions {
        wait: Duration::from_millis(70),
        ..options(EngineKind::Wait, None)
    };
    let start = Instant::now();
    assert_eq!(upscale(&weights, &wait, &source, target), expected);
    assert!(start.elapsed() >= Duration::from_millis(70));
    assert_eq!(
        upscale(&weights, &options(EngineKind::Bicubic, None), &source, target),
        expected
    );
}

#[test]
fn wait_stops_before_its_time() {
    let wait = EngineOptions {
        wait: Duration::from_secs(3600),
        ..options(EngineKind::Wait, None)
    };
    let engine = build_engine(&wait, &Recipe::random(1, 1, 0).weights()).unwrap();
    let mut session = engine.open(Geometry::new(size(2, 2), size(4, 4)).unwrap()).unwrap();
    let found = session.upscale(
        &noise(size(2, 2), 1),
        &mut Plane::new(size(4, 4), 0.0),
        &Counter::new(2),
    );
    assert!(matches!(found, Err(Error::Stopped)));
}

#[test]
fn what_is_not_finite_is_an_error() {
    let engine = build_engine(
        &options(EngineKind::Reference, None),
        &Recipe::random(2, 4, 3).weights(),
    )
    .unwrap();
    let mut session = engine.open(Geometry::new(size(6, 6), size(12, 12)).unwrap()).unwrap();
    for bad in [f32::NAN, f32::INFINITY] {
        let mut source = noise(size(6, 6), 1);
        source.row_mut(3)[2] = bad;
        let found = session.upscale(&source, &mut Plane::new(size(12, 12), 0.0), &());
        assert!(matches!(found, Err(Error::NotFinite)), "{found:?}");
    }
}

#[test]
fn planes_tiles_and_geometries_that_do_not_fit_are_refused() {
    let weights = Recipe::random(2, 64, 3).weights();
    for kind in [
        EngineKind::Reference,
        EngineKind::Cpu,
        EngineKind::Bicubic,
        EngineKind::Wait,
    ] {
        let engine = build_engine(&options(kind, None), &weights).unwrap();
        assert_eq!(engine.kind(), kind);
        let mut session = engine.open(Geometry::new(size(4, 4), size(8, 8)).unwrap()).unwrap();
        let small = session.upscale(&noise(size(4, 3), 1), &mut Plane::new(size(8, 8), 0.0), &());
        assert!(matches!(small, Err(Error::SizeMismatch { found, .. }) if found == size(4, 3)));
        let large = session.upscale(&noise(size(4, 4), 1), &mut Plane::new(size(8, 9), 0.0), &());
        assert!(matches!(large, Err(Error::SizeMismatch { expected, .. }) if expected == size(8, 8)));
        let unchecked = Geometry {
            source: size(4, 4),
            target: size(3, 8),
        };
        assert!(matches!(engine.open(unchecked), Err(Error::FactorOutOfRange { .. })));
    }
    let tiny = build_engine(&options(EngineKind::Reference, Some(7)), &weights);
    assert!(matches!(tiny, Err(Error::BadTile { found: 7, .. })));
}

#[test]
fn fingerprints_tell_engines_and_tiles_apart_and_stay_the_same() {
    let weights = Recipe::random(2, 64, 3).weights();
    let print = |kind, tile| build_engine(&options(kind, tile), &weights).unwrap().fingerprint();
    let all = [
        print(EngineKind::Reference, None),
        print(EngineKind::Reference, Some(64)),
        print(EngineKind::Cpu, None),
        print(EngineKind::Cpu, Some(64)),
        print(EngineKind::Bicubic, None),
        print(EngineKind::Wait, None),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one), "{one}");
    }
    assert_eq!(print(EngineKind::Reference, None), all[0]);
}

#[test]
fn engines_are_named_in_lower_case() {
    for (kind, name) in [
        (EngineKind::Reference, "reference"),
        (EngineKind::Cpu, "cpu"),
        (EngineKind::Bicubic, "bicubic"),
        (EngineKind::Wait, "wait"),
    ] {
        assert_eq!(kind.to_string(), name);
        assert_eq!(name.parse::<EngineKind>().unwrap(), kind);
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{name}\""));
    }
    assert!(matches!("cuda".parse::<EngineKind>(), Err(Error::UnknownEngine { found }) if found == "cuda"));
}
