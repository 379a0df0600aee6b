//! Workers as they are: a process each, with ffmpeg.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::super::report::{Figure, Goal, Report};
use super::super::service::driving;
use super::{Bench, Cores, Fleet, Member, pause, until};

/// What the engine takes for a frame.
const FRAME_MS: u32 = 200;
/// Frames of a batch.
const BATCH: u32 = 25;

/// A worker at the moment in which it has finished a frame.
struct Edge {
    at: Instant,
    frames: f64,
    busy_seconds: f64,
}

/// What a worker did between two edges.
struct Did {
    frames_per_second: f64,
    idle: f64,
}

/// One worker, then two, then four.
pub(super) fn scaling(bench: &Bench, report: &Report) -> Result<()> {
    driving(|| {
        let window = Duration::from_secs(u64::from(bench.pick(20, 6)));
        let fleet = Fleet::start(bench, "processes", "")?;
        // Seven workers' windows, and as much again for starts.
        let frames = 14 * 5 * u32::try_from(window.as_secs())?;
        let film = bench.sources.clip((160, 90), frames)?;
        let start = || fleet.worker(&format!("--engine wait --wait {FRAME_MS} --batch-frames {BATCH}"));
        let mut workers = vec![start()?];
        let job = fleet
            .client()
            .submit(&film, &json!({ "settings": { "preset": "ultrafast" } }));
        let cores = Cores::start()?;
        let mut phases = Vec::new();
        for count in [1, 2, 4] {
            while workers.len() < count {
                workers.push(start()?);
            }
            phases.push(phase(&workers, window)?);
        }
        let running = fleet.client().job(&job);
        ensure!(running["state"] == "running", "the film was over too early: {running}");
        let rates: Vec<f64> = phases
            .iter()
            .map(|all| all.iter().map(|did| did.frames_per_second).sum())
            .collect();
        let idle: Vec<Vec<f64>> = phases
            .iter()
            .map(|all| all.iter().map(|did| did.idle).collect())
            .collect();
        let scaled = [rates[1] / rates[0] / 2.0, rates[2] / rates[0] / 4.0];
        report.figure(&Figure {
            name: "scaling_to_four_processes",
            value: scaled[0].min(scaled[1]),
            unit: "of as many times what one does",
            goal: Goal::AtLeast(0.95),
            details: json!({ "frames_per_second": rates, "scaled": scaled, "cores": cores.used()? }),
        })?;
        let four = &idle[2];
        report.figure(&Figure {
            name: "engine_idle_between_batches",
            value: four.iter().sum::<f64>() / four.len() as f64,
            unit: "of the time, of four workers",
            goal: Goal::AtMost(0.02),
            details: json!({ "frame_ms": FRAME_MS, "batch_frames": BATCH, "idle": idle }),
        })
    })
}

/// What each of the workers does in a while, once all are at work.
fn phase(workers: &[Member], window: Duration) -> Result<Vec<Did>> {
    for worker in workers {
        // Its first batch is behind it.
        until("a first batch", || {
            Ok((frames(worker)? > f64::from(BATCH)).then_some(()))
        })?;
    }
    let before = workers.iter().map(edge).collect::<Result<Vec<_>>>()?;
    pause(window)?;
    let after = workers.iter().map(edge).collect::<Result<Vec<_>>>()?;
    let did = before.iter().zip(&after).map(|(before, after)| {
        let seconds = (after.at - before.at).as_secs_f64();
        Did {
            frames_per_second: (after.frames - before.frames) / seconds,
            idle: 1.0 - (after.busy_seconds - before.busy_seconds) / seconds,
        }
    });
    Ok(did.collect())
}

/// Waits for the next frame.
fn edge(worker: &Member) -> Result<Edge> {
    let (since, before) = (Instant::now(), frames(worker)?);
    loop {
        let now = frames(worker)?;
        let at = Instant::now();
        if now > before {
            let busy = worker
                .monitor
                .metric("clearfleet_worker_stage_busy_seconds_total{stage=\"infer\"}");
            return Ok(Edge {
                at,
                frames: now,
                busy_seconds: busy.context("no busy engine")?,
            });
        }
        ensure!(since.elapsed() < Duration::from_secs(10), "a worker has stopped");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn frames(worker: &Member) -> Result<f64> {
    let frames = worker.monitor.metric("clearfleet_worker_frames_total");
    frames.context("no frames are counted")
}
