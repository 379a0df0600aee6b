//! The page's first view and its list, in Chromium.

use anyhow::{Context as _, Result, ensure};
use clearfleet_tests::in_chromium;
use serde_json::{Value, json};

use super::super::Bench;
use super::super::report::{Figure, Goal, Report, median, percentile};
use super::super::service::{driving, make_jobs, server};

/// What the first view costs, and how smoothly a list of thousands scrolls.
pub(super) fn view(bench: &Bench, report: &Report) -> Result<()> {
    driving(|| {
        let (jobs, views) = (bench.pick(2000, 300), bench.pick(9, 2));
        let mut server = server(bench, "view", "--engine bicubic");
        make_jobs(bench, server.client(), jobs)?;
        let input = json!({ "url": server.client().url(), "views": views, "jobs": jobs });
        let found =
            in_chromium("bench-view.mjs", &input).context("Chromium, Node or the scripts' packages are missing")?;
        server.stop();
        let view = |field: &str| numbers(&found["views"], |view| &view[field]);
        let frames = numbers(&found["frames"], |frame| frame)?;
        let (bytes, seconds) = (view("bytes")?, view("seconds")?);
        report.figure(&Figure {
            name: "page_first_view_kb",
            value: median(&bytes) / 1000.0,
            unit: "kB of page, script and style as they are sent",
            goal: Goal::Below(120.0),
            details: json!({}),
        })?;
        report.figure(&Figure {
            name: "page_first_view_seconds",
            value: median(&seconds),
            unit: "s from the request to the list painted, nothing cached",
            goal: Goal::Below(1.0),
            details: json!({ "jobs": jobs, "runs": seconds }),
        })?;
        report.figure(&Figure {
            name: "page_list_frame_p95",
            value: percentile(&frames, 95),
            unit: "ms a frame of a screen while the list scrolls",
            goal: Goal::AtMost(20.0),
            details: json!({
                "jobs": jobs,
                "frames": frames.len(),
                "median_ms": median(&frames),
                "p99_ms": percentile(&frames, 99),
                "longest_ms": percentile(&frames, 100),
            }),
        })
    })
}

/// A number of each of what a script found.
fn numbers(all: &Value, of: impl Fn(&Value) -> &Value) -> Result<Vec<f64>> {
    let all = all.as_array().context("a script found no list")?;
    ensure!(!all.is_empty(), "a script found nothing");
    let numbers = all.iter().map(|one| of(one).as_f64());
    numbers
        .collect::<Option<_>>()
        .context("a script found something that is no number")
}
