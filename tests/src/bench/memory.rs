//! How much memory the program holds: steady for videos of any length, bounded for large pictures.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::Bench;
use super::machine::{GIB, MIB, Peak};
use super::report::{Figure, Goal, Report};
use super::sources::{Pace, expect_png};

/// A film of 172,800 frames takes this long at most.
const LONG_DEADLINE: Duration = Duration::from_secs(3600);

/// The network at 8000x6000 takes this long at most.
const SLOW_DEADLINE: Duration = Duration::from_secs(3 * 3600);

/// Peak memory for a long film over that for a short one of the same size.
pub(super) fn long_vs_short(bench: &Bench, report: &Report) -> Result<()> {
    let (long, short) = (bench.pick(172_800, 3000), 200);
    let mut peaks = [Peak::default(); 2];
    for (peak, frames) in peaks.iter_mut().zip([long, short]) {
        let source = bench.sources.film((160, 90), frames, Pace::Uneven)?;
        let result = bench.result("memory.mp4")?;
        // Batches of one length: both films have two at a time in the works.
        let arguments = "--engine bicubic --scale 2 --preset ultrafast --batch-frames 100";
        let call = bench.upscale(&source, &result, arguments).watching_memory();
        let run = call.deadline(LONG_DEADLINE).run()?;
        run.expect_frames(frames)?;
        *peak = run.peak;
    }
    let figure = |name, of: fn(&Peak) -> u64, goal| {
        let [long_bytes, short_bytes] = peaks.each_ref().map(|peak| of(peak) as f64);
        Figure {
            name,
            value: long_bytes / short_bytes,
            unit: "peak memory over that of the short film",
            goal,
            details: json!({
                "frames": long,
                "frames_short": short,
                "peak_mib": long_bytes / MIB,
                "peak_short_mib": short_bytes / MIB,
            }),
        }
    };
    report.figure(&figure("memory_long_vs_short", |peak| peak.process, Goal::AtMost(1.10)))?;
    report.figure(&figure(
        "memory_long_vs_short_with_ffmpeg",
        |peak| peak.tree,
        Goal::None,
    ))
}

/// Peak memory for a picture of 48 megapixels: with the network if there is time for it; else with bicubic, and with
/// the network for a smaller one.
pub(super) fn still_8000x6000(bench: &Bench, report: &Report) -> Result<()> {
    const NAME: &str = "still_8000x6000_peak_memory";
    let large = (4000, 3000);
    if bench.slow {
        let peak = still(bench, large, "reference")?;
        return report.figure(&still_figure(NAME, Goal::Below(2.5), "reference", large, peak));
    }
    let bicubic = still(bench, large, "bicubic")?;
    report.figure(&still_figure(NAME, Goal::Below(2.5), "bicubic", large, bicubic))?;
    let small = if bench.quick { (400, 300) } else { (1000, 750) };
    let small_bicubic = still(bench, small, "bicubic")?;
    let reference = still(bench, small, "reference")?;
    let mut figure = still_figure("still_small_peak_memory", Goal::None, "reference", small, reference);
    // Tiles bound what the network adds to the picture's own memory, whatever the picture's size.
    let network = reference.process.saturating_sub(small_bicubic.process);
    figure.details["bicubic_gib"] = json!(small_bicubic.process as f64 / GIB);
    figure.details["estimated_8000x6000_gib"] = json!((bicubic.process + network) as f64 / GIB);
    report.figure(&figure)
}

fn still(bench: &Bench, (width, height): (u32, u32), engine: &str) -> Result<Peak> {
    let source = bench.sources.still(width, height)?;
    let result = bench.result("still.png")?;
    eprintln!("bench: {width}x{height} with {engine}");
    let run = bench
        .upscale(&source, &result, &format!("--engine {engine} --scale 2"))
        .watching_memory()
        .deadline(SLOW_DEADLINE)
        .run()?;
    expect_png(&result, (2 * width, 2 * height))?;
    Ok(run.peak)
}

fn still_figure(name: &'static str, goal: Goal, engine: &str, (width, height): (u32, u32), peak: Peak) -> Figure {
    Figure {
        name,
        value: peak.process as f64 / GIB,
        unit: "GiB",
        goal,
        details: json!({
            "engine": engine,
            "source": format!("{width}x{height}"),
            "result": format!("{}x{}", 2 * width, 2 * height),
            "with_descendants_gib": peak.tree as f64 / GIB,
        }),
    }
}
