//! Watching a film while it is made, in Chromium: on workers that upscale at twice real time.

use anyhow::{Context as _, Result, ensure};
use clearfleet_tests::{Client, in_chromium};
use serde_json::{Value, json};

use super::super::Bench;
use super::super::fleet::Fleet;
use super::super::report::{Figure, Goal, Report, median};
use super::super::service::driving;

/// What the engine takes for a frame, in milliseconds: films have 30 a second.
const FRAME_MS: u32 = 16;
/// Frames of a batch: five seconds of film.
const BATCH: u32 = 150;
/// What a worker takes for a batch.
const BATCH_SECONDS: f64 = (FRAME_MS * BATCH) as f64 / 1000.0;
/// Where viewers jump to, one after the other, as parts of a film that has hardly begun.
const JUMPS: [f64; 5] = [0.9, 0.45, 0.7, 0.3, 0.6];

/// From the first finished batch to the first picture that moves, and five minutes of it.
pub(super) fn plays(bench: &Bench, report: &Report) -> Result<()> {
    driving(|| {
        let seconds = bench.pick(300, 20);
        let found = watched(
            bench,
            "watch_plays",
            1,
            30 * (seconds + 30),
            &json!({ "seconds": seconds }),
        )?;
        let number = |field: &str| found[field].as_f64().with_context(|| format!("no {field} in {found}"));
        report.figure(&Figure {
            name: "watch_starts",
            value: number("starts")?,
            unit: "s after the first batch is done",
            goal: Goal::AtMost(BATCH_SECONDS + 2.0),
            details: json!({ "batch_seconds": BATCH_SECONDS }),
        })?;
        report.figure(&Figure {
            name: "watch_stalls",
            value: number("stalls")?,
            unit: "times that the film stood still",
            goal: Goal::AtMost(0.0),
            details: json!({ "seconds": seconds, "stood_still_seconds": number("stood")? }),
        })
    })
}

/// From a jump to where nothing is made yet to a picture that moves there.
pub(super) fn jumps(bench: &Bench, report: &Report) -> Result<()> {
    driving(|| {
        for (name, workers, batches) in [("watch_jump", 1, 2.0), ("watch_jump_of_four_workers", 4, 1.0)] {
            let jumps = &JUMPS[..usize::try_from(bench.pick(5, 2))?];
            // It takes four workers a minute and a half.
            let found = watched(bench, name, workers, 24_000, &json!({ "jumps": jumps }))?;
            let jumps = found["jumps"].as_array().context("no jumps")?;
            let seconds: Vec<f64> = jumps.iter().filter_map(Value::as_f64).collect();
            ensure!(
                seconds.len() == JUMPS.len().min(jumps.len()),
                "no times of jumps in {found}"
            );
            report.figure(&Figure {
                name,
                value: seconds.iter().copied().fold(0.0, f64::max),
                unit: "s until it plays there, the longest",
                goal: Goal::AtMost(batches * BATCH_SECONDS + 3.0),
                details: json!({ "batch_seconds": BATCH_SECONDS, "runs": seconds, "median": median(&seconds) }),
            })?;
        }
        Ok(())
    })
}

/// What a viewer finds of a film that some workers have only begun.
fn watched(bench: &Bench, name: &str, workers: u32, frames: u32, task: &Value) -> Result<Value> {
    let film = bench.sources.clip((160, 90), frames)?;
    let fleet = Fleet::start(bench, &name.replace('_', "-"), "")?;
    let worker = || fleet.worker(&format!("--engine wait --wait {FRAME_MS} --batch-frames {BATCH}"));
    let _workers = (0..workers).map(|_| worker()).collect::<Result<Vec<_>>>()?;
    let job = submitted(fleet.client(), &film);
    let mut input = json!({ "url": fleet.client().url(), "job": job });
    for (field, value) in task.as_object().into_iter().flatten() {
        input[field] = value.clone();
    }
    in_chromium("bench-watch.mjs", &input).context("Chromium, Node or the scripts' packages are missing")
}

fn submitted(client: &Client, film: &std::path::Path) -> String {
    client.submit(film, &json!({ "settings": { "preset": "ultrafast" } }))
}
