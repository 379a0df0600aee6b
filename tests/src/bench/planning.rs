//! How long it takes before the first frame is worked on.

use anyhow::Result;
use serde_json::json;

use super::Bench;
use super::report::{Figure, Goal, Report, median};

/// Seconds from the start to the event `started` for a long clip: probe, ledger, plan.
pub(super) fn share(bench: &Bench, report: &Report) -> Result<()> {
    let frames = bench.pick(20_000, 3000);
    let source = bench.sources.clip((160, 90), frames)?;
    let arguments = "--engine bicubic --scale 2 --preset ultrafast --overwrite";
    let whole = bench.upscale(&source, &bench.result("planned.mp4")?, arguments).run()?;
    whole.expect_frames(frames)?;
    let mut runs = vec![whole.event("started")?.0];
    for _ in 0..bench.pick(2, 0) {
        // It leaves its state behind, which is why the next has to overwrite it.
        let call = bench.upscale(&source, &bench.result("planned.mp4")?, arguments);
        runs.push(call.until("started").run()?.event("started")?.0);
    }
    report.figure(&Figure {
        name: "planning_share",
        value: median(&runs),
        unit: "s to the event started",
        goal: Goal::None,
        details: json!({
            "frames": frames,
            "runs": runs,
            "whole_run_seconds": whole.seconds,
            "share_of_whole_run": runs[0] / whole.seconds,
        }),
    })
}
