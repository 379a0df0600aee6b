//! The network alone, as far as that can be seen from outside.

use anyhow::Result;
use serde_json::json;

use super::Bench;
use super::report::{Figure, Goal, Report, median};
use super::sources::expect_png;

/// Seconds for a small picture, start-up and files included, by megapixels of the result.
pub(super) fn reference_seconds_per_megapixel(bench: &Bench, report: &Report) -> Result<()> {
    const EDGE: u32 = 256;
    let source = bench.sources.still(EDGE, EDGE)?;
    let megapixels = f64::from(2 * EDGE).powi(2) / 1e6;
    let (mut runs, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..bench.pick(3, 1) {
        let result = bench.result("engine.png")?;
        let run = bench.upscale(&source, &result, "--engine reference --scale 2").run()?;
        expect_png(&result, (2 * EDGE, 2 * EDGE))?;
        runs.push(run.seconds / megapixels);
        cpu.push(run.cpu_seconds / megapixels);
    }
    report.figure(&Figure {
        name: "engine_reference_seconds_per_megapixel",
        value: median(&runs),
        unit: "s per megapixel of the result",
        goal: Goal::None,
        details: json!({ "megapixels": megapixels, "runs": runs, "cpu_seconds_per_megapixel": median(&cpu) }),
    })
}
