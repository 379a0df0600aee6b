//! Twenty kills in a run of photos, films and an animation, while more of them come.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clearfleet_tests::{Call, Client, Frames, Server, World, decoded, film, film_of, photo};
use fastrand::Rng;
use serde_json::{Value, json};

use super::account::Account;
use super::{lossless, server};

const KILLS: usize = 20;

/// Frames of the long film, in batches of [`BATCH_FRAMES`].
const FRAMES: u64 = 60;
const BATCH_FRAMES: u32 = 6;

/// What the engine takes for a frame: batches take less than half a second.
const FRAME_MS: u32 = 40;

/// Batches and pictures that there are to do at least when the server is about to be killed.
const LEFT: usize = 15;

/// A kill comes up to this long after two batches or pictures were done.
const MOMENT_MS: u64 = 900;

/// What was cut off this often is let end: at the fifth time it would be taken for what kills the server.
const CUT_OFF: usize = 3;

/// What of a job is known to whoever submitted it: by the key of its request.
#[derive(Debug)]
struct Submission {
    file: PathBuf,
    settings: Value,
    /// Once it was acknowledged.
    job: Option<String>,
}

struct Run {
    world: World,
    server: Server,
    random: Rng,
    submissions: BTreeMap<String, Submission>,
    account: Account,
}

impl Run {
    fn new(seed: u64) -> Self {
        let world = World::new();
        photo(&world.path("photo.png"));
        film(&world.path("long.mp4"), FRAMES, &["-preset", "ultrafast"]);
        film(&world.path("short.mp4"), 13, &["-preset", "ultrafast"]);
        film_of(&world.path("animation.gif"), "32x24", 8, &["-pix_fmt", "rgb8"]);
        let server = server(&world, FRAME_MS, BATCH_FRAMES);
        Self {
            world,
            server,
            random: Rng::with_seed(seed),
            submissions: BTreeMap::new(),
            account: Account::default(),
        }
    }

    /// Plans to submit one more file of a kind.
    fn plan(&mut self, name: &str) {
        let settings = match name {
            "long.mp4" | "short.mp4" => lossless(),
            _ => json!({}),
        };
        let key = format!("{:03} {name}", self.submissions.len());
        let submission = Submission {
            file: self.world.path(name),
            settings,
            job: None,
        };
        self.submissions.insert(key, submission);
    }

    /// Batches and pictures that are planned and not done.
    fn left(&self) -> usize {
        let batches = |submission: &Submission| match submission.file.file_stem().and_then(|name| name.to_str()) {
            Some("long") => 10,
            Some("short") => 3,
            Some("animation") => 2,
            _ => 1,
        };
        let planned: usize = self.submissions.values().map(batches).sum();
        planned - self.account.finished()
    }

    /// Submits what is not acknowledged yet, each file with a key of its own, until the server is gone.
    fn submit(client: &Client, submissions: &mut BTreeMap<String, Submission>, gap: Duration) {
        for (key, submission) in submissions
            .iter_mut()
            .filter(|(_, submission)| submission.job.is_none())
        {
            let content = std::fs::read(&submission.file).expect("a file of the test's own");
            let name = submission.file.file_name().expect("a name").to_string_lossy();
            let mut path = format!("/v1/jobs?name={name}");
            for (setting, value) in submission.settings.as_object().expect("settings") {
                path += &format!("&{setting}={}", value.as_str().expect("a text"));
            }
            let Ok(answer) = client.try_send("POST", &path, &[("idempotency-key", key)], &content) else {
                return;
            };
            assert!(
                matches!(answer.status, 200 | 201),
                "{} {}",
                answer.status,
                answer.text()
            );
            submission.job = answer.json()["id"].as_str().map(str::to_owned);
            std::thread::sleep(gap);
        }
    }

    /// Lets the server work, and kills it at a random moment that is at least two batches or pictures after its start, and
    /// after the end of jobs that it was killed at too often.
    fn once(&mut self) {
        let client = self.server.client().clone();
        // By the log: a server that has just started does not know yet what others have finished. Up to two that were in
        // flight may have been finished without a line in it, so it takes four to be sure of two.
        let before = self.account.finished() + 2;
        let gap = Duration::from_millis(self.random.u64(0..300));
        let moment = Duration::from_millis(self.random.u64(0..MOMENT_MS));
        std::thread::scope(|scope| {
            let submissions = &mut self.submissions;
            let submitter = scope.spawn({
                let client = client.clone();
                move || Self::submit(&client, submissions, gap)
            });
            let mut all = client.events("/v1/events", None);
            while finished(&client) < before + 2 {
                all.next().expect("the stream goes on");
            }
            for job in self.account.cut_off(CUT_OFF) {
                client.done(job);
            }
            std::thread::sleep(moment);
            let killed = self.server.kill();
            self.account.run(&killed);
            submitter.join().expect("submitting");
        });
        self.server.start_again();
    }
}

/// Batches and pictures that are done, as the server says.
fn finished(client: &Client) -> usize {
    let jobs = client.get("/v1/jobs?limit=200").expect(200).json();
    let jobs = jobs["jobs"].as_array().expect("jobs").clone();
    let done = jobs.iter().filter_map(|job| job["progress"]["batches_done"].as_u64());
    done.map(|done| usize::try_from(done).expect("a few batches")).sum()
}

#[test]
fn twenty_kills_lose_nothing_and_repeat_only_what_was_in_flight() {
    let seed = std::env::var("CLEARFLEET_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("CLEARFLEET_TEST_SEED={seed}");
    let since = Instant::now();
    let mut run = Run::new(seed);
    let kinds = ["photo.png", "short.mp4", "photo.png", "animation.gif"];
    for kill in 0..KILLS {
        run.plan(kinds[kill % kinds.len()]);
        // However fast the machine is, there is something to kill.
        while run.left() < LEFT {
            run.plan("long.mp4");
        }
        run.once();
    }
    let took = since.elapsed();
    let client = run.server.client().clone();
    Run::submit(&client, &mut run.submissions, Duration::ZERO);
    assert_all_done(&run, &client);
    run.account.run(&run.server.stop());
    run.account.assert_no_finished_batch_again();
    let (batches, again, most) = (run.account.batches(), run.account.again(), run.account.most_in_flight());
    println!("{KILLS} kills in {took:?}; {batches} batches, {again} begun again, {most} in flight at most");
    assert!(most <= 3, "a worker holds one interactive and two bulk tasks: {most}");
    assert!(
        usize::try_from(again).is_ok_and(|again| again <= KILLS * most),
        "{again} of {batches}"
    );
    assert!(
        batches >= 40 && again > 0,
        "{batches} batches, {again} begun again: nothing was tried"
    );
}

/// Every request made one job, and each of them is done and holds what its source does.
fn assert_all_done(run: &Run, client: &Client) {
    let mut expected: BTreeMap<&PathBuf, Frames> = BTreeMap::new();
    for (key, submission) in &run.submissions {
        let job = submission
            .job
            .as_deref()
            .unwrap_or_else(|| panic!("{key} was never taken"));
        let done = client.done(job);
        client.assert_verified(job);
        let result = run.world.path(done["result"]["name"].as_str().expect("a name"));
        client.download(&format!("/v1/jobs/{job}/result"), &result);
        let expected = expected
            .entry(&submission.file)
            .or_insert_with(|| upscaled(run, submission, &result));
        let found = decoded(&result, 0);
        assert_eq!((&found.pts, &found.sums), (&expected.pts, &expected.sums), "{key}");
    }
    let listed = client.get("/v1/jobs?limit=200").json();
    let listed = listed["jobs"].as_array().map(Vec::len);
    assert_eq!(listed, Some(run.submissions.len()), "one job a request");
}

/// What an undisturbed `clearfleet upscale` makes of it.
fn upscaled(run: &Run, submission: &Submission, result: &std::path::Path) -> Frames {
    let out = run
        .world
        .path("undisturbed")
        .with_extension(result.extension().expect("an extension"));
    let mut call = Call::upscale().arg("--overwrite");
    if let Some(codec) = submission.settings["codec"].as_str() {
        call = call.args(["--codec", codec]);
    }
    call.arg(&submission.file).arg(&out).succeed();
    decoded(&out, 0)
}
