//! A job of 10,000 batches that cost nothing: how many a second, what the server holds of it, what asking costs.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::super::machine::{MIB, Peak, resident};
use super::super::report::{Figure, Goal, Report};
use super::super::service::driving;
use super::{Bench, Cores, Fleet, batches_done, until};

/// Workers, each of which has two batches in hand.
const WORKERS: u32 = 16;
/// Shares of the job between which it is measured.
const MEASURED: (f64, f64) = (0.1, 0.95);
/// Times that a job is asked for.
const POLLS: u32 = 200;

/// What the server was seen to be at some time.
struct Seen {
    at: Instant,
    done: f64,
    bytes: u64,
}

pub(super) fn alone(bench: &Bench, report: &Report) -> Result<()> {
    driving(|| {
        let batches = bench.pick(10_000, 1000);
        let fleet = Fleet::start(bench, "orchestration", "")?;
        let since = Instant::now();
        let job = fleet.planned(batches, 1)?;
        let planned = since.elapsed().as_secs_f64();
        let pid = fleet.server.running().pid();
        let look = |share: f64| {
            until("the batches", || {
                let done = batches_done(&fleet.client().job(&job))?;
                let reached = done >= share * f64::from(batches);
                let (at, bytes) = (Instant::now(), resident(pid)?);
                Ok(reached.then_some(Seen { at, done, bytes }))
            })
        };
        let _stubs = fleet.stubs(WORKERS, 0)?;
        let first = look(MEASURED.0)?;
        let cores = Cores::start()?;
        let last = look(MEASURED.1)?;
        let cores = cores.used()?;
        let seconds = (last.at - first.at).as_secs_f64();
        report.figure(&Figure {
            name: "orchestrated_batches_per_second",
            value: (last.done - first.done) / seconds,
            unit: "batches/s",
            goal: Goal::AtLeast(400.0),
            details: json!({
                "workers": WORKERS,
                "batches": batches,
                "planning_seconds": planned,
                "cores": cores,
            }),
        })?;
        look(1.0)?;
        let mut peak = Peak::default();
        peak.look(pid);
        report.figure(&Figure {
            name: "server_memory_of_many_batches",
            value: peak.process as f64 / MIB,
            unit: "MiB",
            goal: Goal::Below(200.0),
            details: json!({
                "batches": batches,
                "mib_at_a_tenth": first.bytes as f64 / MIB,
                "mib_near_the_end": last.bytes as f64 / MIB,
            }),
        })?;
        report.figure(&Figure {
            name: "store_requests_per_progress_poll",
            value: requests_per_poll(&fleet, &job)?,
            unit: "requests",
            goal: Goal::AtMost(1.0),
            details: json!({ "batches": batches, "polls": POLLS }),
        })
    })
}

/// Calls of the store for each time that the job is asked for.
fn requests_per_poll(fleet: &Fleet<'_>, job: &str) -> Result<f64> {
    let client = fleet.client();
    let requests = || {
        let counted = client.metric("clearfleet_storage_requests_total");
        counted.context("no requests are counted")
    };
    let before = requests()?;
    for _ in 0..POLLS {
        let told = client.job(job);
        ensure!(batches_done(&told)? > 0.0, "no progress is told: {told}");
    }
    Ok((requests()? - before) / f64::from(POLLS))
}
