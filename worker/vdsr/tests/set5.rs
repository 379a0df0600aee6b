//! The shipped weights on Set5: the figures on their card. The pictures are not part of the repository.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end at the first surprise")]

use std::{env, path::PathBuf};

use vdsr::{Dataset, EngineKind, EngineOptions, Method, Precision, Weights, build_engine, evaluate};

/// The pictures' folder, where there is one.
fn set5() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let shared = env::var_os("CLEARFLEET_SHARED").map_or_else(beside, PathBuf::from);
    Some(shared.join("data/set5")).filter(|folder| folder.is_dir())
}

/// Scores of the embedded weights at ×2, ×3 and ×4; the network's to within `tolerance` dB.
fn expect_scores(kind: EngineKind, precision: Precision, tolerance: f64) {
    let Some(folder) = set5() else {
        println!("skipped: no data/set5 in CLEARFLEET_SHARED or ../shared");
        return;
    };
    let dataset = Dataset::open(&folder).unwrap();
    let options = EngineOptions {
        kind,
        precision,
        ..EngineOptions::default()
    };
    let engine = build_engine(&options, &Weights::embedded().unwrap()).unwrap();
    for (scale, bicubic, network) in [(2, 33.66, 37.103), (3, 30.39, 33.190), (4, 28.42, 30.965)] {
        let rows = evaluate(&*engine, &dataset, scale).unwrap();
        let expected = [
            (Method::Bicubic, bicubic, 0.01, 0),
            (Method::Vdsr, network, tolerance, 5),
        ];
        for (row, (method, psnr, tolerance, better)) in rows.iter().zip(expected) {
            assert_eq!((row.method, row.images, row.better_than_bicubic), (method, 5, better));
            assert!((row.psnr - psnr).abs() <= tolerance, "{row:?}, expected {psnr}");
        }
    }
}

#[test]
fn set5_scores_what_the_card_says() {
    expect_scores(EngineKind::Reference, Precision::F32, 0.02);
}

#[test]
fn set5_scores_the_same_on_the_engine_of_the_processor() {
    // Figures have three decimals.
    expect_scores(EngineKind::Cpu, Precision::F32, 0.0011);
}

#[test]
fn set5_scores_the_same_in_bfloat16_to_a_hundredth_of_a_decibel() {
    expect_scores(EngineKind::Cpu, Precision::Bf16, 0.01);
}
