//! `make upgrade-test`: processes of a fleet are replaced, one by one and under load, by those of another version, and back.

mod load;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clearfleet_tests::{Call, Client, DEADLINE, Ended, Frames, Server, Signal, decoded, id_of, program};
use serde_json::json;

use super::{FRAMES, Fleet, Worker, lossless};
use load::{Kind, Load, PATIENCE, Site, Taken, Upload};

/// The folder with the programs of the version before.
const PREVIOUS: &str = "CLEARFLEET_UPGRADE_PREVIOUS";
/// Frames of a batch.
const BATCH: u64 = 5;
/// A batch takes most of a second: it is done within the grace, and so is the next one that a worker has taken.
const WORKER: &str = "--engine wait --wait 120 --batch-frames 5 --grace 5";
/// What no process may say: that it cannot read what another wrote, or that a queue is not as it should be.
const COMPLAINTS: [&str; 4] = [
    "panicked",
    "a message is given back",
    "cannot be read and is dropped",
    "is not as it must be",
];

/// The programs of a version.
#[derive(Clone, Debug)]
struct Version {
    name: &'static str,
    programs: PathBuf,
    /// Options of its servers that the other version may not know.
    serve: &'static str,
}

impl Version {
    /// That of this clone. It audits much: whatever audits say, the version before may not know.
    fn present() -> Self {
        let programs = program().parent().expect("a program is in a folder").to_owned();
        Self {
            name: "new",
            programs,
            serve: "--audit-share 1",
        }
    }

    fn previous() -> Self {
        let folder = std::env::var_os(PREVIOUS).map(PathBuf::from);
        let folder = folder.filter(|folder| folder.join("clearfleet").is_file());
        Self {
            name: "old",
            programs: folder.unwrap_or_else(|| panic!("{PREVIOUS} names no folder with programs: make upgrade-test")),
            serve: "",
        }
    }

    fn server(&self, fleet: &Fleet, at: usize) -> Server {
        let data = fleet.world.path(format!("server-{at}"));
        let args = format!("{} --require-keys {}", fleet.options(), self.serve);
        let server = Server::of_program(&self.programs.join("clearfleet"), &data, &args);
        fleet.until(|| (server.client().get("/readyz").status == 200).then_some(()));
        server
    }

    fn worker(&self, fleet: &Fleet) -> Worker {
        let call = Call::of(&self.programs.join("clearfleet-worker"));
        let worker = fleet.worker_of(call.args(["run", "--scratch"]).arg(fleet.world.folder()), WORKER);
        fleet.until(|| (worker.ask("/readyz").0 == 200).then_some(()));
        worker
    }
}

/// A client with the key that the fleet's first server has made.
fn admin(fleet: &Fleet, server: &Server) -> Client {
    let key = std::fs::read_to_string(fleet.world.path("server-0/admin.key")).expect("the first key");
    server.client().with_key(key.trim())
}

/// A key of one more owner.
fn key(admin: &Client, owner: &str) -> String {
    let made = admin.json("POST", "/v1/keys", &json!({ "name": owner, "owner": owner }));
    let made = made.expect(201).json();
    made["secret"].as_str().expect("a secret").to_owned()
}

/// Whether a server schedules.
fn schedules(server: &Server) -> bool {
    server.client().metric("clearfleet_scheduler_active") == Some(1.0)
}

/// A fleet that is rolled under load.
struct Rolled {
    fleet: Fleet,
    servers: Vec<Server>,
    workers: Vec<Worker>,
    load: Load,
    since: Instant,
    /// Frames, and batches that were audited, of workers that are gone.
    frames: f64,
    audits: f64,
    dead_letters: f64,
    /// Workers that were replaced.
    replaced: u64,
    keys: [String; 3],
    uploads: Vec<JoinHandle<()>>,
}

impl Rolled {
    fn new(fleet: Fleet, version: &Version) -> Self {
        let servers: Vec<Server> = (0..2).map(|at| version.server(&fleet, at)).collect();
        let workers = (0..3).map(|_| version.worker(&fleet)).collect();
        let admin = admin(&fleet, &servers[0]);
        let keys = ["anna", "ben", "cleo"].map(|owner| key(&admin, owner));
        let [anna, ben, cleo] = keys.clone();
        let urls = servers.iter().map(|server| server.client().url().to_owned());
        let site = Arc::new(Site::new(fleet.world.folder().to_owned(), urls.collect()));
        let clients = [
            (Kind::Film, anna.clone()),
            (Kind::Film, ben),
            (Kind::Film, cleo),
            (Kind::Photo, anna),
        ];
        Self {
            load: Load::start(site, &clients),
            fleet,
            servers,
            workers,
            since: Instant::now(),
            frames: 0.0,
            audits: 0.0,
            dead_letters: 0.0,
            replaced: 0,
            keys,
            uploads: Vec::new(),
        }
    }

    /// Replaces a server, as an operator does, in the middle of an upload to it.
    fn server(&mut self, at: usize, version: &Version) {
        let scheduled = schedules(&self.servers[at]);
        self.say(&format!(
            "server {at} becomes {}, scheduling: {scheduled}",
            version.name
        ));
        let upload = Upload::begin(&self.load.site, at, &self.keys[at]);
        self.dead_letters += dead_letters(&self.servers[at]);
        self.uploads.push(upload.end_when_stopping());
        let ended = self.servers[at].stop();
        assert_calm(&format!("server {at} before it became {}", version.name), &ended);
        self.servers[at] = version.server(&self.fleet, at);
        self.load.site.moved(at, self.servers[at].client().url());
        self.load.films(1);
    }

    /// Replaces a worker.
    fn worker(&mut self, at: usize, version: &Version) {
        self.say(&format!("worker {at} becomes {}", version.name));
        self.replaced += 1;
        let worker = self.workers.remove(at);
        worker.running.signal(Signal::TERM);
        let (frames, audits) = last_words(&worker);
        self.frames += frames;
        self.audits += audits;
        let ended = worker.running.end_within(DEADLINE);
        assert_eq!(ended.code(), Some(0), "{ended:#?}");
        assert_calm(&format!("worker {at} before it became {}", version.name), &ended);
        self.workers.insert(at, version.worker(&self.fleet));
        self.load.films(1);
    }

    fn say(&self, what: &str) {
        let taken = self.load.site.taken().len();
        println!(
            "{:>5.1} s {what}; {taken} jobs so far",
            self.since.elapsed().as_secs_f64()
        );
    }

    /// Every job is done as if nobody had been replaced, and hardly anything was done twice.
    fn assert_unharmed(mut self) {
        self.say("the load ends");
        let site = Arc::clone(&self.load.site);
        self.load.stop();
        for upload in self.uploads.drain(..) {
            upload.join().expect("an upload was not taken");
        }
        site.all_done();
        println!("the longest request took {:?} of {PATIENCE:?}", site.longest());
        let taken = site.taken();
        assert_told(&self.servers, &taken, &self.keys);
        assert_results(&self.fleet, &self.servers[0], &taken);
        self.dead_letters += self.servers.iter().map(dead_letters).sum::<f64>();
        assert_eq!(self.dead_letters, 0.0, "workers died of tasks, or could not read them");
        for worker in self.workers.drain(..) {
            self.frames += worker.frames();
            self.audits += audits(&worker);
            worker.running.signal(Signal::TERM);
            assert_calm("a worker at the end", &worker.running.end_within(DEADLINE));
        }
        for server in &mut self.servers {
            assert_calm("a server at the end", &server.stop());
        }
        let films = taken.iter().filter(|job| job.kind == Kind::Film).count() as u64;
        let least = films * FRAMES;
        println!(
            "{films} films of {FRAMES} frames and {} photos; {} frames were done where {least} had to be, {} batches audited",
            taken.len() as u64 - films,
            self.frames,
            self.audits
        );
        // Frames of audits are not among them. A worker that ends may give back what it has begun.
        let most = (least + self.replaced * BATCH) as f64;
        assert!(self.frames <= most, "{} frames, {most} at most", self.frames);
    }
}

fn dead_letters(server: &Server) -> f64 {
    server.client().metric("clearfleet_dead_letters_total").unwrap_or(0.0)
}

fn audits(worker: &Worker) -> f64 {
    worker.metric("clearfleet_worker_tasks_total{step=\"audit\"}")
}

/// Frames and audits of a worker that was asked to stop, as far as it still tells.
fn last_words(worker: &Worker) -> (f64, f64) {
    let monitor = Client::new(&worker.monitor);
    let mut said = (worker.frames(), audits(worker));
    let since = Instant::now();
    while monitor.try_send("GET", "/healthz", &[], b"").is_ok() {
        if let Ok(answer) = monitor.try_send("GET", "/metrics", &[], b"") {
            said = counted(&answer.text());
        }
        assert!(since.elapsed() < DEADLINE, "a worker does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    said
}

/// The same of its metrics as text.
fn counted(metrics: &str) -> (f64, f64) {
    let sum = |name: &str, label: &str| {
        let lines = metrics
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum()
    };
    (
        sum("clearfleet_worker_frames_total", ""),
        sum("clearfleet_worker_tasks_total", "step=\"audit\""),
    )
}

/// A process has ended well, and did not complain of what others wrote. Of an audit, which its own version may not know, a
/// server may say that it drops the report: nothing waits for that.
fn assert_calm(who: &str, ended: &Ended) {
    let is_of_an_audit = |line: &str| line.contains("is dropped") && line.contains("unknown variant `audit");
    let complains = |line: &&str| COMPLAINTS.iter().any(|what| line.contains(what)) && !is_of_an_audit(line);
    let complaints: Vec<&str> = ended.stderr.lines().filter(complains).collect();
    assert!(complaints.is_empty(), "{who}: {complaints:#?}");
}

/// The ids of all jobs of an owner, page by page.
fn listed(client: &Client) -> Vec<String> {
    let (mut ids, mut path) = (Vec::new(), "/v1/jobs?limit=50".to_owned());
    loop {
        let page = client.get(&path).expect(200).json();
        ids.extend(page["jobs"].as_array().expect("jobs").iter().map(id_of));
        let Some(next) = page["next"].as_str() else { return ids };
        path = format!("/v1/jobs?limit=50&cursor={next}");
    }
}

/// Every server tells of every job, to its owner, in its list and by itself.
fn assert_told(servers: &[Server], taken: &[Taken], keys: &[String]) {
    for (server, key) in servers
        .iter()
        .flat_map(|server| keys.iter().map(move |key| (server, key)))
    {
        let client = server.client().with_key(key);
        let own = taken.iter().filter(|job| job.key == *key);
        let mut own: Vec<&str> = own.map(|job| job.id.as_str()).collect();
        let mut listed = listed(&client);
        listed.sort_unstable();
        own.sort_unstable();
        assert_eq!(listed, own);
        for id in own {
            assert_eq!(client.job(id)["state"], "done", "{:#}", client.job(id));
        }
    }
}

/// Every result is what `clearfleet upscale` makes of the file, frame by frame.
fn assert_results(fleet: &Fleet, server: &Server, taken: &[Taken]) {
    let expected = |kind: Kind, to: &str, args: &[&str]| -> Frames {
        let to = fleet.world.path(to);
        let call = Call::upscale().arg("--overwrite").args(args);
        call.arg(fleet.world.path(kind.file())).arg(&to).succeed();
        decoded(&to, 0)
    };
    let film = expected(Kind::Film, "expected.mkv", &["--codec", "ffv1"]);
    let photo = expected(Kind::Photo, "expected.png", &[]);
    assert_eq!((film.sums.len() as u64, photo.sums.len()), (FRAMES, 1));
    for job in taken {
        let file = fleet.world.path(format!("result-{}", job.id));
        let client = server.client().with_key(&job.key);
        client.download(&format!("/v1/jobs/{}/result", job.id), &file);
        let found = decoded(&file, 0);
        match job.kind {
            Kind::Film => assert_eq!((&found.pts, &found.sums), (&film.pts, &film.sums), "{job:?}"),
            Kind::Photo => assert_eq!(found.sums, photo.sums, "{job:?}"),
        }
    }
}

/// Servers and workers become those of this version in an order in which every kind meets every other, whichever of them
/// schedules. Then they become those of the version before, servers first: these publish nothing that workers do not know.
#[test]
#[ignore = "it wants programs of another version: make upgrade-test"]
fn a_fleet_is_rolled_there_and_back_under_load() {
    let (old, new) = (Version::previous(), Version::present());
    let Some(fleet) = Fleet::start() else { return };
    let mut rolled = Rolled::new(fleet, &old);
    rolled.load.films(1);
    rolled.server(0, &new);
    rolled.worker(0, &new);
    rolled.server(1, &new);
    rolled.worker(1, &new);
    rolled.worker(2, &new);
    rolled.say("all is new");
    rolled.load.films(4);
    rolled.server(0, &old);
    rolled.server(1, &old);
    rolled.worker(0, &old);
    rolled.worker(1, &old);
    rolled.worker(2, &old);
    rolled.say("all is old");
    rolled.load.films(2);
    rolled.assert_unharmed();
}

/// Jobs and commands that one version takes, another schedules, and workers of both do.
fn assert_understood(scheduler: &Version, other: &Version) {
    let Some(fleet) = Fleet::start() else { return };
    let first = scheduler.server(&fleet, 0);
    fleet.until(|| schedules(&first).then_some(()));
    let second = other.server(&fleet, 1);
    let workers = [scheduler, other, other].map(|version| version.worker(&fleet));
    fleet.until(|| (first.client().metric("clearfleet_workers{class=\"default\"}") == Some(3.0)).then_some(()));
    // A record of one, read by the other.
    let key = key(&admin(&fleet, &second), "anna");
    let [first_says, second_says] = [&first, &second].map(|server| server.client().with_key(&key));
    for (asked, told) in [(&second_says, &first_says), (&first_says, &second_says)] {
        let film = asked.submit_with(&fleet.world.path("film.mp4"), &lossless());
        told.until(&film, |job| super::batches_done(job) >= 2);
        asked.command(&film, "pause");
        let since = Instant::now();
        told.until(&film, |job| job["state"] == "paused");
        println!("it was paused in {:?}", since.elapsed());
        told.command(&film, "resume");
        let photo = asked.submit_with(&fleet.world.path("photo.png"), &json!({}));
        told.done(&photo);
        told.done(&film);
        let jobs = [(Kind::Film, film), (Kind::Photo, photo)].map(|(kind, id)| Taken {
            id,
            kind,
            key: key.clone(),
        });
        assert_results(&fleet, &first, &jobs);
    }
    assert!(schedules(&first), "the scheduler has changed");
    assert_eq!(dead_letters(&first), 0.0);
    // A worker that does not know audits might have got them.
    assert_eq!(workers.iter().map(audits).sum::<f64>(), 0.0);
    for worker in &workers {
        worker.running.signal(Signal::TERM);
    }
    for worker in workers {
        assert_calm("a worker", &worker.running.end_within(DEADLINE));
    }
    for mut server in [first, second] {
        assert_calm("a server", &server.stop());
    }
}

#[test]
#[ignore = "it wants programs of another version: make upgrade-test"]
fn a_scheduler_of_the_version_before_understands_this_one() {
    assert_understood(&Version::previous(), &Version::present());
}

#[test]
#[ignore = "it wants programs of another version: make upgrade-test"]
fn the_scheduler_understands_the_version_before() {
    assert_understood(&Version::present(), &Version::previous());
}
