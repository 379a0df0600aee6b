//! What the pipeline costs beside engine and encoder.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Bench;
use super::process::{Call, Ended, count_frames};
use super::report::{Figure, Goal, Report, median};

const SOURCE: (u32, u32) = (640, 360);

/// What the engine `wait` sleeps for each frame.
const WAIT_MS: u32 = 20;

/// What clearfleet gives the encoder for a clip of 30 frames a second (`worker/src/media/encoder.rs`). The results'
/// own notes of the encoder's options are compared, so that a change there does not pass unnoticed.
const ENCODER: &str =
    "-c:v libx264 -preset medium -crf 18 -threads 4 -x264-params cpu-independent=1:fps=30/1 -pix_fmt yuv420p";

/// Wall time of the whole process over what the engine alone would take.
pub(super) fn overhead_wait(bench: &Bench, report: &Report) -> Result<()> {
    let frames = bench.pick(1500, 150);
    let source = bench.sources.clip(SOURCE, frames)?;
    let ideal = f64::from(frames) * f64::from(WAIT_MS) / 1000.0;
    let mut runs = Vec::new();
    for _ in 0..bench.pick(3, 1) {
        let result = bench.result("wait.mp4")?;
        let arguments = format!("--engine wait --wait {WAIT_MS} --scale 2");
        let run = bench.upscale(&source, &result, &arguments).run()?;
        run.expect_frames(frames)?;
        runs.push(run);
    }
    let ratios: Vec<f64> = runs.iter().map(|run| run.seconds / ideal).collect();
    let encoder = plain_ffmpeg(&source, &bench.result("plain.mp4")?)?;
    report.figure(&Figure {
        name: "pipeline_overhead_wait",
        value: median(&ratios),
        unit: "wall time / (frames x 20 ms)",
        goal: Goal::AtMost(1.15),
        details: json!({
            "frames": frames,
            "runs": ratios,
            "cpu_seconds": runs.iter().map(|run| run.cpu_seconds).collect::<Vec<_>>(),
            "phases": phases(&runs)?,
            // Where this is above 1, the encoder alone cannot keep up with the engine on this machine, now.
            "plain_ffmpeg_ratio": encoder.seconds / ideal,
            "plain_ffmpeg_cpu_seconds": encoder.cpu_seconds,
        }),
    })
}

/// Frames a second with the engine `bicubic` over those of ffmpeg alone, which scales and encodes in one process.
pub(super) fn bicubic_rate_vs_ffmpeg(bench: &Bench, report: &Report) -> Result<()> {
    let frames = bench.pick(600, 150);
    let source = bench.sources.clip(SOURCE, frames)?;
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for pair in 0..bench.pick(5, 2) {
        let (our_result, plain_result) = (bench.result("bicubic.mp4")?, bench.result("plain.mp4")?);
        let run = bench
            .upscale(&source, &our_result, "--engine bicubic --scale 2")
            .run()?;
        run.expect_frames(frames)?;
        ours.push(run);
        plain.push(plain_ffmpeg(&source, &plain_result)?);
        if pair == 0 {
            let found = count_frames(&plain_result)?;
            ensure!(found == frames, "ffmpeg made {found} frames of {frames}");
            expect_same_encoder(&our_result, &plain_result)?;
        }
    }
    let pairs = || ours.iter().zip(&plain);
    let ratios: Vec<f64> = pairs().map(|(our, plain)| plain.seconds / our.seconds).collect();
    let cpu_ratios: Vec<f64> = pairs()
        .map(|(our, plain)| our.cpu_seconds / plain.cpu_seconds)
        .collect();
    let rates = |runs: &[Ended]| -> Vec<f64> { runs.iter().map(|run| f64::from(frames) / run.seconds).collect() };
    report.figure(&Figure {
        name: "bicubic_rate_vs_ffmpeg",
        value: median(&ratios),
        unit: "frames/s over frames/s of ffmpeg",
        goal: Goal::AtLeast(0.8),
        details: json!({
            "frames": frames,
            "pairs": ratios,
            "frames_per_second": rates(&ours),
            "ffmpeg_frames_per_second": rates(&plain),
            "cpu_seconds_over_ffmpeg": median(&cpu_ratios),
            "phases": phases(&ours)?,
        }),
    })
}

fn phases(runs: &[Ended]) -> Result<Value> {
    runs.iter().map(Ended::phases).collect()
}

fn plain_ffmpeg(source: &Path, result: &Path) -> Result<Ended> {
    let (width, height) = (2 * SOURCE.0, 2 * SOURCE.1);
    Call::ffmpeg()
        .arg("-i")
        .arg(source)
        .args(["-vf", &format!("scale={width}:{height}:flags=bicubic")])
        .args(ENCODER.split_whitespace())
        .args(["-c:a", "copy"])
        .arg(result)
        .run()
}

/// Fails unless x264 notes the same options in both files.
fn expect_same_encoder(one: &Path, other: &Path) -> Result<()> {
    let (one, other) = (x264_options(one)?, x264_options(other)?);
    ensure!(one == other, "the encoders' options differ:\n{one}\n{other}");
    Ok(())
}

/// The options that x264 writes into the first frame.
fn x264_options(path: &Path) -> Result<String> {
    const MARK: &[u8] = b"H.264/MPEG-4 AVC codec";
    let bytes = fs::read(path)?;
    let at = bytes.windows(MARK.len()).position(|window| window == MARK);
    let note = &bytes[at.with_context(|| format!("{} has no note by x264", path.display()))?..];
    let end = note.iter().position(|byte| *byte == 0).unwrap_or(note.len());
    Ok(String::from_utf8_lossy(&note[..end]).into_owned())
}
