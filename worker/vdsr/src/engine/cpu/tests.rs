mod bf16;

use std::{ops::ControlFlow, sync::atomic::AtomicUsize, sync::atomic::Ordering};

use proptest::prelude::*;

use super::*;
use crate::{
    engine::{EngineOptions, build_engine},
    geometry::Size,
    ops::conv3x3::CHANNELS,
    weights::testing::Recipe,
};

fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

fn noise(size: Size, seed: u32) -> Plane<f32> {
    let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 / (1 << 24) as f32;
    Plane::from_vec(size, (0..size.pixels()).map(value).collect()).unwrap()
}

fn upscale(engine: &dyn Engine, source: &Plane<f32>, target: Size) -> Plane<f32> {
    let mut session = engine.open(Geometry::new(source.size(), target).unwrap()).unwrap();
    let mut result = Plane::new(target, f32::NAN);
    session.upscale(source, &mut result, &()).unwrap();
    result
}

fn difference(a: &Plane<f32>, b: &Plane<f32>) -> f32 {
    let pairs = a.data().iter().zip(b.data());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// As many threads as asked for, whatever the machine has.
fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn every_path_equals_the_reference(
        from in (1u32..24, 1u32..24), factor in 1.0..2.5f64, depth in 2usize..5, strip in 8u32..60, seed in any::<u32>()
    ) {
        let weights = Recipe::random(depth, CHANNELS, seed).weights();
        let reference = build_engine(&EngineOptions::default(), &weights).unwrap();
        let source = noise(size(from.0, from.1), seed);
        let target = Geometry::scaled(source.size(), factor).unwrap().target;
        let expected = upscale(&*reference, &source, target);
        for path in Path::available::<F32Kernels>() {
            let engine = Cpu::<F32Kernels>::with_path(&weights, Some(strip), path).unwrap();
            let found = difference(&expected, &upscale(&engine, &source, target));
            prop_assert!(found <= 1e-4, "{}: {}", path, found);
        }
    }
}

#[test]
fn every_path_equals_the_reference_with_the_shipped_weights() {
    let weights = Weights::embedded().unwrap();
    let reference = build_engine(&EngineOptions::default(), &weights).unwrap();
    let (source, target) = (noise(size(34, 25), 7), size(68, 50));
    let expected = upscale(&*reference, &source, target);
    for path in Path::available::<F32Kernels>() {
        for strip in [None, Some(24)] {
            let engine = Cpu::<F32Kernels>::with_path(&weights, strip, path).unwrap();
            let found = difference(&expected, &upscale(&engine, &source, target));
            assert!(found <= 2e-5, "{path}, strips of {strip:?}: {found}");
        }
    }
}

#[test]
fn the_bits_depend_on_neither_threads_nor_planes_before() {
    let engine = Cpu::<F32Kernels>::new(&Recipe::random(5, CHANNELS, 3).weights(), Some(40)).unwrap();
    let (source, target) = (noise(size(61, 37), 1), size(122, 74));
    let alone = on_threads(1, || upscale(&engine, &source, target));
    assert_eq!(on_threads(5, || upscale(&engine, &source, target)), alone);

    let mut session = engine.open(Geometry::new(source.size(), target).unwrap()).unwrap();
    let mut result = Plane::new(target, 0.0);
    session.upscale(&noise(source.size(), 9), &mut result, &()).unwrap();
    assert_ne!(result, alone);
    let stopped = session.upscale(&noise(source.size(), 5), &mut result, &StopAfter::new(30));
    assert!(matches!(stopped, Err(Error::Stopped)));
    session.upscale(&source, &mut result, &()).unwrap();
    assert_eq!(result, alone);
}

/// Stops after some reports, and checks that they count up to the total.
struct StopAfter {
    most: usize,
    seen: AtomicUsize,
}

impl StopAfter {
    fn new(most: usize) -> Self {
        Self {
            most,
            seen: AtomicUsize::new(0),
        }
    }
}

impl Watch for StopAfter {
    fn tile_done(&self, done: usize, total: usize) -> ControlFlow<()> {
        assert_eq!(done, self.seen.fetch_add(1, Ordering::Relaxed) + 1);
        assert!(done <= total);
        if done == self.most || done == total {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

#[test]
fn the_watch_hears_of_every_step_of_every_strip() {
    // 3 strips; 4 bands of rows and 2 steps to the second layer.
    let engine = Cpu::<F32Kernels>::new(&Recipe::random(2, CHANNELS, 3).weights(), Some(16)).unwrap();
    let mut session = engine.open(Geometry::new(size(24, 8), size(48, 16)).unwrap()).unwrap();
    let watch = StopAfter::new(usize::MAX);
    let ended = session.upscale(&noise(size(24, 8), 1), &mut Plane::new(size(48, 16), 0.0), &watch);
    assert!(matches!(ended, Err(Error::Stopped)));
    assert_eq!(watch.seen.into_inner(), 3 * (4 + 2));
}

#[test]
fn what_is_not_finite_is_an_error() {
    let engine = Cpu::<F32Kernels>::new(&Recipe::random(3, CHANNELS, 3).weights(), None).unwrap();
    let mut session = engine.open(Geometry::new(size(6, 6), size(12, 12)).unwrap()).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut source = noise(size(6, 6), 1);
        source.row_mut(3)[2] = bad;
        let found = session.upscale(&source, &mut Plane::new(size(12, 12), 0.0), &());
        assert!(matches!(found, Err(Error::NotFinite)), "{found:?}");
    }
}

#[test]
fn sums_that_overflow_between_layers_are_an_error() {
    let mut recipe = Recipe::random(4, CHANNELS, 3);
    for (name, _, _, bytes) in &mut recipe.tensors {
        if name == "conv01.weight" || name == "conv02.weight" {
            *bytes = 1e30f32.to_le_bytes().repeat(bytes.len() / 4);
        }
    }
    let weights = recipe.weights();
    engines::<F32Kernels>(&weights).for_each(|engine| expect_overflow(&engine));
    engines::<Bf16Kernels>(&weights).for_each(|engine| expect_overflow(&engine));
}

fn engines<K: Kernels>(weights: &Weights) -> impl Iterator<Item = Cpu<K>> {
    Path::available::<K>().map(|path| Cpu::with_path(weights, None, path).unwrap())
}

fn expect_overflow(engine: &dyn Engine) {
    let mut session = engine.open(Geometry::new(size(9, 9), size(9, 9)).unwrap()).unwrap();
    let found = session.upscale(&noise(size(9, 9), 1), &mut Plane::new(size(9, 9), 0.0), &());
    assert!(
        matches!(found, Err(Error::NotFinite)),
        "{}: {found:?}",
        engine.fingerprint()
    );
}

#[test]
fn networks_and_strips_that_do_not_fit_are_refused() {
    let refusal = |depth, width, strip| Cpu::<F32Kernels>::new(&Recipe::random(depth, width, 3).weights(), strip).err();
    let found = refusal(3, 8, None);
    assert!(
        matches!(
            found,
            Some(Error::NetworkShape {
                channels: 64,
                found_channels: 8,
                found_layers: 3
            })
        ),
        "{found:?}"
    );
    let found = refusal(1, CHANNELS, None);
    assert!(
        matches!(found, Some(Error::NetworkShape { found_layers: 1, .. })),
        "{found:?}"
    );
    let found = refusal(2, CHANNELS, Some(7));
    assert!(
        matches!(found, Some(Error::BadTile { least: 8, found: 7 })),
        "{found:?}"
    );
}

#[test]
fn the_fingerprint_names_path_and_strips() {
    let weights = Recipe::random(2, CHANNELS, 3).weights();
    let print = |strip| {
        let engine = Cpu::<F32Kernels>::with_path(&weights, strip, Path::Portable).unwrap();
        engine.fingerprint()
    };
    assert_eq!(print(None), "cpu/f32/portable/winograd4/strip2048");
    assert_eq!(print(Some(640)), "cpu/f32/portable/winograd4/strip640");
}
