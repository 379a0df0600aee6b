//! One long job on many workers: how much of what their engines could do gets done.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::super::report::{Figure, Goal, Report};
use super::super::service::driving;
use super::{Bench, Cores, EDGE, Fleet, batches_done, pause, until};

/// Frames of a batch.
const BATCH: u32 = 10;

/// A fleet and its job.
struct Shape {
    name: &'static str,
    figure: &'static str,
    workers: u32,
    /// What an engine takes for a frame.
    frame_ms: u32,
    /// Batches that a worker does while it is measured.
    batches: u32,
    goal: f64,
}

pub(super) fn of_64_workers(bench: &Bench, report: &Report) -> Result<()> {
    let shape = Shape {
        name: "64",
        figure: "throughput_64_workers_of_2_s_batches",
        workers: bench.pick(64, 16),
        frame_ms: 200,
        batches: bench.pick(10, 4),
        goal: 0.95,
    };
    driving(|| throughput(bench, report, &shape))
}

pub(super) fn of_256_workers(bench: &Bench, report: &Report) -> Result<()> {
    let shape = Shape {
        name: "256",
        figure: "throughput_256_workers_of_8_s_batches",
        workers: bench.pick(256, 64),
        frame_ms: 800,
        batches: bench.pick(4, 2),
        goal: 0.9,
    };
    driving(|| throughput(bench, report, &shape))
}

fn throughput(bench: &Bench, report: &Report, shape: &Shape) -> Result<()> {
    let Shape { workers, frame_ms, .. } = *shape;
    let fleet = Fleet::start(bench, shape.name, "")?;
    let stubs = fleet.stubs(workers, frame_ms)?;
    // A batch before it is measured, and some that are still there at its end.
    let job = fleet.planned(workers * BATCH * (shape.batches + 4), BATCH)?;
    until("the first batches", || {
        Ok((stubs.counts()?.batches >= f64::from(workers)).then_some(()))
    })?;
    let cores = Cores::start()?;
    let (first, settled) = (stubs.counts()?, batches_done(&fleet.client().job(&job))?);
    pause(Duration::from_millis(u64::from(shape.batches * BATCH * frame_ms)))?;
    let (last, at_end) = (stubs.counts()?, fleet.client().job(&job));
    ensure!(at_end["state"] == "running", "the job was over too early");
    let seconds = last.seconds - first.seconds;
    let ideal = f64::from(workers) * 1000.0 / f64::from(frame_ms);
    report.figure(&Figure {
        name: shape.figure,
        value: (last.frames - first.frames) / seconds / ideal,
        unit: "of what the engines could do",
        goal: Goal::AtLeast(shape.goal),
        details: json!({
            "workers": workers,
            "batch_seconds": f64::from(BATCH * frame_ms) / 1000.0,
            "seconds": seconds,
            "batches_per_second": (last.batches - first.batches) / seconds,
            "settled_batches_per_second": (batches_done(&at_end)? - settled) / seconds,
            "edge": EDGE,
            "cores": cores.used()?,
        }),
    })
}
