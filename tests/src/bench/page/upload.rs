//! Uploads as the page makes them.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use clearfleet_tests::{Client, id_of};
use serde_json::json;

use super::super::Bench;
use super::super::report::{Figure, Goal, Report, median};
use super::super::service::{driving, incompressible, server};

/// `Upload-Metadata` of a job that waits: `film.bin`, `{"start": false}`.
const WAITS: &str = "filename ZmlsbS5iaW4=,settings eyJzdGFydCI6IGZhbHNlfQ==";

/// The time of an upload by the tus protocol over that of one streamed `POST` of the same file.
pub(super) fn by_tus(bench: &Bench, report: &Report) -> Result<()> {
    driving(|| {
        let bytes = u64::from(bench.pick(1024, 128)) << 20;
        let source = incompressible(&bench.result("tus.bin")?, bytes)?;
        let mut server = server(bench, "tus", "--engine bicubic");
        let client = server.client().clone();
        let (mut tus, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..bench.pick(5, 1) {
            plain.push(uploaded(&client, bytes, || {
                let path = "/v1/jobs?name=film.bin&start=false";
                id_of(&client.upload_file(path, &source).expect(201).json())
            })?);
            tus.push(uploaded(&client, bytes, || sent(&client, &source))?);
        }
        server.stop();
        fs::remove_file(&source)?;
        let ratios: Vec<f64> = tus.iter().zip(&plain).map(|(tus, plain)| tus / plain).collect();
        report.figure(&Figure {
            name: "tus_upload_over_post",
            value: median(&ratios),
            unit: "s over s of one streamed POST",
            goal: Goal::AtMost(1.5),
            details: json!({
                "mib": bytes >> 20,
                "runs": ratios,
                "seconds": median(&tus),
                "post_seconds": median(&plain),
            }),
        })
    })
}

fn sent(client: &Client, source: &Path) -> String {
    let upload = client.tus_upload_file(WAITS, source);
    upload.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Seconds of an upload whose job waits; the job is deleted.
fn uploaded(client: &Client, bytes: u64, upload: impl FnOnce() -> String) -> Result<f64> {
    let since = Instant::now();
    let job = upload();
    let took = since.elapsed().as_secs_f64();
    let made = client.job(&job);
    ensure!(
        made["state"] == "paused" && made["source"]["bytes"] == bytes,
        "something else is stored: {made}"
    );
    client.send("DELETE", &format!("/v1/jobs/{job}"), &[], b"").expect(204);
    Ok(took)
}
