//! What `clearfleet serve` makes of large uploads, many jobs, and photos beside a film.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use clearfleet_tests::{Client, Server, id_of};
use serde_json::{Value, json};

use super::Bench;
use super::machine::{MIB, Peak, resident};
use super::process::Call;
use super::report::{Figure, Goal, Report, median, percentile};

/// What the engine `wait` takes for a frame of a film that is not to be waited for.
const FRAME_MS: u32 = 200;

/// Threads that make many jobs: writes to disk are waited for together.
const MAKERS: usize = 8;

/// Runs what drives a server as tests do, where what cannot be is a panic.
pub(super) fn driving<T>(measure: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(measure)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        Err(anyhow!(
            said.unwrap_or_else(|| "the server does not do what it should".to_owned())
        ))
    })
}

pub(super) fn server(bench: &Bench, name: &str, args: &str) -> Server {
    Server::of_program(&bench.program, &bench.folder.path().join(name), args)
}

/// The rate of an upload over that of `cp` and fsync of the same file on the same disk; memory above idle meanwhile.
pub(super) fn upload(bench: &Bench, report: &Report) -> Result<()> {
    driving(|| {
        let bytes = u64::from(bench.pick(2048, 256)) << 20;
        let source = incompressible(&bench.result("upload.bin")?, bytes)?;
        let mut server = server(bench, "uploads", "--engine bicubic");
        let (mut ours, mut plain, mut above_idle) = (Vec::new(), Vec::new(), 0_u64);
        for _ in 0..bench.pick(3, 1) {
            plain.push(copied(&source, &bench.result("copy.bin")?)?);
            fs::remove_file(bench.folder.path().join("copy.bin"))?;
            let pid = server.running().pid();
            let idle = resident(pid)?;
            // From now on the kernel notes the peak anew.
            fs::write(format!("/proc/{pid}/clear_refs"), "5").context("the peak of memory")?;
            let since = Instant::now();
            let made = server
                .client()
                .upload_file("/v1/jobs?name=film.bin&start=false", &source)
                .expect(201);
            ours.push(since.elapsed().as_secs_f64());
            let mut peak = Peak::default();
            peak.look(pid);
            above_idle = above_idle.max(peak.process.saturating_sub(idle));
            let job = id_of(&made.json());
            ensure!(made.json()["source"]["bytes"] == bytes, "another length is stored");
            server
                .client()
                .send("DELETE", &format!("/v1/jobs/{job}"), &[], b"")
                .expect(204);
        }
        server.stop();
        fs::remove_file(&source)?;
        let ratios: Vec<f64> = ours.iter().zip(&plain).map(|(ours, plain)| plain / ours).collect();
        let rate = |seconds: &[f64]| bytes as f64 / MIB / median(seconds);
        report.figure(&Figure {
            name: "upload_rate_vs_cp_and_fsync",
            value: median(&ratios),
            unit: "bytes/s over bytes/s of cp and fsync",
            goal: Goal::AtLeast(0.7),
            details: json!({
                "mib": bytes >> 20,
                "runs": ratios,
                "mib_per_second": rate(&ours),
                "cp_mib_per_second": rate(&plain),
            }),
        })?;
        report.figure(&Figure {
            name: "upload_memory_above_idle",
            value: above_idle as f64 / MIB,
            unit: "MiB",
            goal: Goal::Below(150.0),
            details: json!({ "mib": bytes >> 20 }),
        })
    })
}

/// Writes a file that no disk stores smaller than it is, and that looks like none that is refused at once.
pub(super) fn incompressible(path: &Path, bytes: u64) -> Result<PathBuf> {
    let mut random = File::open("/dev/urandom")?.take(8 << 20);
    let mut block = Vec::new();
    random.read_to_end(&mut block)?;
    // The head of a raw H.264 stream.
    block[..8].copy_from_slice(&[0, 0, 0, 1, 0x67, 0x64, 0, 0x1f]);
    let mut file = File::create(path)?;
    for _ in 0..bytes / block.len() as u64 {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    Ok(path.to_owned())
}

/// Seconds of `cp` and fsync.
fn copied(from: &Path, to: &Path) -> Result<f64> {
    let since = Instant::now();
    Call::new("cp").arg(from).arg(to).run()?;
    File::open(to)?.sync_all()?;
    Ok(since.elapsed().as_secs_f64())
}

/// A page of the list, a search, and the start, with many jobs.
pub(super) fn many_jobs(bench: &Bench, report: &Report) -> Result<()> {
    driving(|| {
        let count = bench.pick(10_000, 500);
        let mut server = server(bench, "many", "--engine bicubic");
        make_jobs(bench, server.client(), count)?;
        let client = server.client().clone();
        let runs = bench.pick(40, 10);
        let page = times(runs, || {
            let page = client.get("/v1/jobs").expect(200).json();
            ensure!(
                page["jobs"].as_array().is_some_and(|jobs| jobs.len() == 50),
                "no page of 50 jobs"
            );
            Ok(())
        })?;
        let search = times(runs, || {
            let found = client.get("/v1/jobs?q=no+7.png&limit=200").expect(200).json();
            ensure!(
                found["jobs"].as_array().is_some_and(|jobs| jobs.len() == 1),
                "the job is not found"
            );
            Ok(())
        })?;
        let since = Instant::now();
        server.stop();
        let stopped = since.elapsed().as_secs_f64();
        let mut starts = Vec::new();
        for _ in 0..bench.pick(3, 1) {
            let since = Instant::now();
            server.start_again();
            server.client().get("/v1/jobs").expect(200);
            starts.push(since.elapsed().as_secs_f64());
            server.stop();
        }
        let figure = |name, milliseconds: &[f64], goal| Figure {
            name,
            value: median(milliseconds),
            unit: "ms",
            goal,
            details: json!({ "jobs": count, "slowest": milliseconds.iter().copied().fold(0.0, f64::max) }),
        };
        report.figure(&figure("list_page_of_many_jobs", &page, Goal::Below(50.0)))?;
        report.figure(&figure("search_in_many_jobs", &search, Goal::Below(100.0)))?;
        report.figure(&Figure {
            name: "start_with_many_jobs",
            value: median(&starts),
            unit: "s to the first list",
            goal: Goal::Below(5.0),
            details: json!({ "jobs": count, "runs": starts, "stop_seconds": stopped }),
        })
    })
}

/// Makes jobs of one source that wait, by some threads at a time.
pub(super) fn make_jobs(bench: &Bench, client: &Client, count: u32) -> Result<()> {
    let photo = bench.sources.still(64, 48)?;
    let source = client.submit(&photo, &json!({ "start": false }));
    let makers = u32::try_from(MAKERS)?;
    std::thread::scope(|scope| {
        let made: Vec<_> = (0..makers)
            .map(|first| {
                let source = &source;
                scope.spawn(move || {
                    for n in (first..count - 1).step_by(MAKERS) {
                        let request =
                            json!({ "source": { "job": source }, "name": format!("no {n}.png"), "start": false });
                        client.json("POST", "/v1/jobs", &request).expect(201);
                    }
                })
            })
            .collect();
        let ended = made.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended
            .collect::<Result<Vec<()>, _>>()
            .map_err(|_| anyhow!("jobs cannot be made"))
    })?;
    Ok(())
}

/// Milliseconds of each run.
pub(super) fn times(runs: u32, run: impl Fn() -> Result<()>) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let since = Instant::now();
        run()?;
        times.push(since.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

/// How much longer a photo takes while a film is in work on the one worker than on an idle one.
pub(super) fn photo_during_film(bench: &Bench, report: &Report) -> Result<()> {
    driving(|| {
        let photos = bench.pick(40, 8);
        let mut server = server(
            bench,
            "film",
            &format!("--engine wait --wait {FRAME_MS} --batch-frames 25"),
        );
        let client = server.client().clone();
        let photo = bench.sources.still(64, 48)?;
        let film = bench.sources.clip((160, 90), 3000)?;
        let idle = times(5, || photo_done(&client, &photo))?;
        let job = client.submit(&film, &json!({ "settings": { "preset": "ultrafast" } }));
        client.until(&job, |job| job["progress"]["done"].as_u64() > Some(0));
        let mut beside = Vec::new();
        for n in 0..photos {
            // At moments that lie everywhere within a frame.
            std::thread::sleep(Duration::from_millis(u64::from(n * 37 % FRAME_MS)));
            beside.extend(times(1, || photo_done(&client, &photo))?);
        }
        ensure!(
            client.job(&job)["state"] == "running",
            "the film was over before the photos"
        );
        client.command(&job, "cancel");
        server.stop();
        let waits: Vec<f64> = beside.iter().map(|ms| (ms - median(&idle)).max(0.0)).collect();
        report.figure(&Figure {
            name: "photo_wait_during_film_p95",
            value: percentile(&waits, 95),
            unit: "ms more than on an idle worker",
            goal: Goal::AtMost(f64::from(2 * FRAME_MS + 200)),
            details: json!({
                "photos": photos,
                "frame_ms": FRAME_MS,
                "idle_ms": median(&idle),
                "median_ms": median(&waits),
                "slowest_ms": percentile(&waits, 100),
            }),
        })
    })
}

/// A photo, from the request to the event that says that it is done.
pub(super) fn photo_done(client: &Client, photo: &Path) -> Result<()> {
    let job = client.submit(photo, &json!({}));
    client.done(&job);
    Ok(())
}

/// The scheduler alone, which `common/examples/schedule.rs` measures: its figures are passed on.
pub(super) fn scheduler(bench: &Bench, report: &Report) -> Result<()> {
    let example = bench.program.with_file_name("examples").join("schedule");
    ensure!(
        example.is_file(),
        "{} does not exist: run `cargo build --release -p clearfleet-common --example schedule` first",
        example.display()
    );
    let said = Call::new(&example).run()?.text();
    let figures: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(!figures.is_empty(), "it measured nothing");
    figures.iter().try_for_each(|figure| report.passed_on(figure))
}
