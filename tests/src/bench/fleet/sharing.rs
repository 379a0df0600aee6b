//! Who waits for whom: owners for each other's films, photos for films.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clearfleet_tests::Client;
use serde_json::json;

use super::super::report::{Figure, Goal, Report, median, percentile};
use super::super::service::{driving, photo_done, times};
use super::{Bench, Cores, EDGE, Fleet, batches_done, pause, until};

/// Workers of both.
const WORKERS: u32 = 8;
/// Films of the owner who was there first.
const FILMS: u32 = 100;
/// What the engine takes for a frame while photos come.
const FRAME_MS: u32 = 200;

/// One owner has a hundred films, and another comes with one.
pub(super) fn fairness(bench: &Bench, report: &Report) -> Result<()> {
    driving(|| {
        let fleet = Fleet::start(bench, "fairness", "--require-keys")?;
        let first_key = std::fs::read_to_string(fleet.folder.join("admin.key"))?;
        let admin = fleet.client().with_key(first_key.trim());
        let owner = |name: &str| {
            let made = admin.json("POST", "/v1/keys", &json!({ "name": name, "owner": name }));
            let made = made.expect(201).json();
            let key = made["secret"].as_str().context("a key")?;
            anyhow::Ok(fleet.client().with_key(key))
        };
        let (many, one) = (owner("many")?, owner("one")?);
        // Batches of 0.4 s.
        let _planner = fleet.planner(10)?;
        let _stubs = fleet.stubs(WORKERS, 40)?;
        let short = bench.sources.clip((EDGE, EDGE), 900)?;
        let long = bench.sources.clip((EDGE, EDGE), 3600)?;
        let source = many.submit(&short, &json!({}));
        for n in 1..FILMS {
            let film = json!({ "source": { "job": source }, "name": format!("film {n}.mp4") });
            many.json("POST", "/v1/jobs", &film).expect(201);
        }
        // So many that they never run out, however slowly the others are planned.
        until("work on the first films", || Ok((running(&many)? >= 6).then_some(())))?;
        let came = Instant::now();
        let newcomer = one.submit(&long, &json!({}));
        until("work on the newcomer's film", || {
            Ok((batches_done(&one.job(&newcomer)).unwrap_or(0.0) > 4.0).then_some(()))
        })?;
        let waited = came.elapsed().as_secs_f64();
        let cores = Cores::start()?;
        let seen = || anyhow::Ok((done(&admin)?, batches_done(&one.job(&newcomer))?));
        let (all_before, one_before) = seen()?;
        pause(Duration::from_secs(u64::from(bench.pick(20, 8))))?;
        let (all_after, one_after) = seen()?;
        let (all_had, one_had) = (all_after - all_before, one_after - one_before);
        let film = one.job(&newcomer);
        ensure!(film["state"] == "running", "the film was over too early: {film}");
        ensure!(running(&many)? > 0, "the first owner's films were over too early");
        let share = one_had / all_had;
        report.figure(&Figure {
            name: "newcomers_share_off_equal",
            value: (share - 0.5).abs() / 0.5,
            unit: "of an equal share",
            goal: Goal::AtMost(0.1),
            details: json!({
                "workers": WORKERS,
                "films": FILMS,
                "batches_of_many": all_had - one_had,
                "batches_of_one": one_had,
                "seconds_to_the_first_batches": waited,
                "cores": cores.used()?,
            }),
        })
    })
}

/// An owner's films whose batches are being done.
fn running(client: &Client) -> Result<usize> {
    let listed = client.get("/v1/jobs?limit=200").expect(200).json();
    let jobs = listed["jobs"].as_array().context("a list")?;
    Ok(jobs.iter().filter(|job| job["state"] == "running").count())
}

/// Batches of all owners that are done.
fn done(admin: &Client) -> Result<f64> {
    let done = admin.metric("clearfleet_batches_done_total");
    Ok(done.unwrap_or(0.0))
}

/// Photos come every second while all workers have films.
pub(super) fn photos(bench: &Bench, report: &Report) -> Result<()> {
    driving(|| {
        let photos = bench.pick(40, 8);
        let fleet = Fleet::start(bench, "photos", "")?;
        let client = fleet.client();
        let stubs = fleet.stubs(WORKERS, FRAME_MS)?;
        let photo = bench.sources.still(64, 48)?;
        let idle = times(5, || photo_done(client, &photo))?;
        // Batches of 5 s.
        let film = fleet.planned(WORKERS * 5 * (photos + 30), 25)?;
        until("all workers at work", || {
            Ok((stubs.counts()?.frames >= f64::from(WORKERS * 5)).then_some(()))
        })?;
        let cores = Cores::start()?;
        let beside = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for n in 0..photos {
                let (beside, photo) = (&beside, &photo);
                scope.spawn(move || {
                    // A second apart, at moments that lie everywhere within a frame.
                    std::thread::sleep(Duration::from_millis(u64::from(1000 * n + n * 37 % FRAME_MS)));
                    let took = times(1, || photo_done(client, photo));
                    beside.lock().map(|mut all| all.push(took)).ok();
                });
            }
        });
        let cores = cores.used()?;
        let running = client.job(&film);
        ensure!(running["state"] == "running", "the film was over too early: {running}");
        let beside = beside.into_inner().unwrap_or_default();
        let took: Vec<f64> = beside.into_iter().collect::<Result<Vec<_>>>()?.concat();
        ensure!(
            took.len() == photos as usize,
            "{} of {photos} photos were made",
            took.len()
        );
        let waits: Vec<f64> = took.iter().map(|ms| (ms - median(&idle)).max(0.0)).collect();
        report.figure(&Figure {
            name: "photo_wait_beside_films_p95",
            value: percentile(&waits, 95),
            unit: "ms more than on idle workers",
            goal: Goal::AtMost(f64::from(2 * FRAME_MS + 200)),
            details: json!({
                "workers": WORKERS,
                "photos": photos,
                "frame_ms": FRAME_MS,
                "idle_ms": median(&idle),
                "median_ms": median(&waits),
                "slowest_ms": percentile(&waits, 100),
                "cores": cores,
            }),
        })
    })
}
