//! What it takes to know a film's frames: time before the first is worked on, and what is written down of them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::Bench;
use super::machine::MIB;
use super::report::{Figure, Goal, Report, median};
use super::sources::Pace;

/// Frames a second of the worker that planning is compared with.
const WORKER_RATE: f64 = 60.0;

/// Frames of a batch that such a worker gets: half a minute's would be more than a batch may hold.
const BATCH: u32 = 1000;

const ARGUMENTS: &str = "--engine bicubic --scale 2 --preset ultrafast --overwrite";

/// Seconds from the start to the event `started` (probe, ledger, plan) for a film in 1080p, over what a worker of 60 frames
/// a second takes for all of it.
pub(super) fn share(bench: &Bench, report: &Report) -> Result<()> {
    let frames = bench.pick(18_000, 1200);
    let source = bench.sources.film((1920, 1080), frames, Pace::Even)?;
    let result = bench.result("planned.mp4")?;
    let mut runs = Vec::new();
    for _ in 0..bench.pick(5, 1) {
        // It leaves its state behind, which is why the next has to overwrite it.
        let call = bench.upscale(&source, &result, ARGUMENTS);
        runs.push(call.until("started").run()?.event("started")?.0);
    }
    report.figure(&Figure {
        name: "planning_share",
        value: median(&runs) * WORKER_RATE / f64::from(frames),
        unit: "seconds before the first frame / (frames / 60)",
        goal: Goal::AtMost(0.03),
        details: json!({
            "frames": frames,
            "source_mib": fs::metadata(&source)?.len() as f64 / MIB,
            "seconds": runs,
        }),
    })
}

/// What plan and ledgers of a film of two days' frames take in the store, each compressed by itself.
pub(super) fn size(bench: &Bench, report: &Report) -> Result<()> {
    let frames = bench.pick(172_800, 3000);
    let even = compressed(bench, frames, Pace::Even, BATCH)?;
    let uneven = compressed(bench, frames, Pace::Uneven, BATCH)?;
    // Slow workers get small batches, and each has a ledger.
    let smallest = compressed(bench, frames, Pace::Even, 12)?;
    report.figure(&Figure {
        name: "plan_and_ledgers",
        value: uneven,
        unit: "MB compressed, of uneven frames",
        goal: Goal::AtMost(2.0),
        details: json!({
            "frames": frames,
            "batch_frames": BATCH,
            "even_mb": even,
            "even_mb_in_batches_of_12": smallest,
        }),
    })
}

/// Megabytes of a film's plan and ledgers.
fn compressed(bench: &Bench, frames: u32, pace: Pace, batch: u32) -> Result<f64> {
    let source = bench.sources.film((160, 90), frames, pace)?;
    let result = bench.result("written.mp4")?;
    let call = bench.upscale(&source, &result, &format!("{ARGUMENTS} --batch-frames {batch}"));
    let (_, started) = call.until("started").run()?.event("started")?;
    ensure!(started["frames"] == frames, "{frames} frames became {started}");
    let state = result.with_added_extension("clearfleet");
    let files = files(&state)?;
    let of_plan = |path: &&PathBuf| path.ends_with("plan.json") || path.parent().is_some_and(|p| p.ends_with("ledger"));
    let written: Vec<&PathBuf> = files.iter().filter(of_plan).collect();
    let expected = 1 + frames.div_ceil(batch) as usize;
    ensure!(
        written.len() == expected,
        "{} files in place of {expected}",
        written.len()
    );
    let sizes = written.into_iter().map(|path| gzipped(path));
    Ok(sizes.sum::<Result<usize>>()? as f64 / 1e6)
}

fn gzipped(path: &Path) -> Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&fs::read(path)?)?;
    Ok(encoder.finish()?.len())
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("the state in {}", folder.display()))? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => found.extend(files(&entry.path())?),
            false => found.push(entry.path()),
        }
    }
    Ok(found)
}
