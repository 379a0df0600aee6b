//! The engine in bfloat16. How near it is to the reference is a matter of what is rounded: 8 bits from layer to layer.

use super::*;
use crate::engine::Precision;

fn engine(weights: &Weights, strip: Option<u32>, path: Path) -> Cpu<Bf16Kernels> {
    Cpu::with_path(weights, strip, path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn every_path_is_near_the_reference_and_strips_do_not_show(
        from in (1u32..24, 1u32..24), factor in 1.0..2.5f64, depth in 2usize..5, strip in 8u32..60, seed in any::<u32>()
    ) {
        let weights = Recipe::random(depth, CHANNELS, seed).weights();
        let reference = build_engine(&EngineOptions::default(), &weights).unwrap();
        let source = noise(size(from.0, from.1), seed);
        let target = Geometry::scaled(source.size(), factor).unwrap().target;
        let expected = upscale(&*reference, &source, target);
        for path in Path::available::<Bf16Kernels>() {
            let whole = upscale(&engine(&weights, None, path), &source, target);
            let found = difference(&expected, &whole);
            prop_assert!(found <= 0.03, "{}: {}", path, found);
            let in_strips = upscale(&engine(&weights, Some(strip), path), &source, target);
            prop_assert!(whole == in_strips, "{} in strips of {}", path, strip);
        }
    }
}

#[test]
fn every_path_is_near_the_reference_with_the_shipped_weights() {
    let weights = Weights::embedded().unwrap();
    let reference = build_engine(&EngineOptions::default(), &weights).unwrap();
    let (source, target) = (noise(size(34, 25), 7), size(68, 50));
    let expected = upscale(&*reference, &source, target);
    for path in Path::available::<Bf16Kernels>() {
        let found = difference(&expected, &upscale(&engine(&weights, None, path), &source, target));
        // Not equal: it would not be bfloat16.
        assert!((1e-4..2e-2).contains(&found), "{path}: {found}");
    }
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let weights = Recipe::random(5, CHANNELS, 3).weights();
    let (source, target) = (noise(size(61, 37), 1), size(122, 74));
    for path in Path::available::<Bf16Kernels>() {
        let engine = engine(&weights, Some(40), path);
        let alone = on_threads(1, || upscale(&engine, &source, target));
        assert_eq!(on_threads(5, || upscale(&engine, &source, target)), alone, "{path}");
    }
}

#[test]
fn the_fingerprint_names_the_precision() {
    let weights = Recipe::random(2, CHANNELS, 3).weights();
    let found = engine(&weights, None, Path::Portable).fingerprint();
    assert_eq!(found, "cpu/bf16/portable/direct/strip2048");
    let options = EngineOptions {
        kind: EngineKind::Cpu,
        precision: Precision::Bf16,
        ..EngineOptions::default()
    };
    let found = build_engine(&options, &weights).unwrap().fingerprint();
    assert!(found.starts_with("cpu/bf16/"), "{found}");
}
