//! A process that serves a store and writes to it is killed at random moments, again and again on the same folder: what
//! it had been told is written must be there, whole, and nothing that nobody wrote.
//!
//! The process is this test's program once more, told by its environment to be the victim.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use clearfleet_common::job::JobId;
use clearfleet_common::storage::{KeyPrefix, Listed, ObjectKey, Storage};
use futures::TryStreamExt as _;
use uuid::Uuid;

use crate::backend::noise;
use crate::embedded::{blob_files, open};
use crate::writes::content;

const FOLDER: &str = "CLEARFLEET_TEST_VICTIM_FOLDER";
const ROUND: &str = "CLEARFLEET_TEST_VICTIM_ROUND";
const ROUNDS: u64 = 32;
/// Each writes to keys of its own, one thing at a time.
const WRITERS: u64 = 6;
const KEYS: u64 = 4;

/// What a writer says before it does something and once it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    writer: u64,
    key: u64,
    /// What the object is to hold; nothing where it is deleted.
    seed: Option<u64>,
    done: bool,
}

impl Step {
    fn line(self) -> String {
        let seed = self.seed.map_or("-".to_owned(), |seed| seed.to_string());
        let verb = if self.done { "did" } else { "does" };
        format!("victim {verb} {} {} {seed}\n", self.writer, self.key)
    }

    fn parse(line: &str) -> Option<Self> {
        // The test harness may have begun the line.
        let words: Vec<&str> = line.get(line.find("victim ")?..)?.split(' ').collect();
        let [_, verb, writer, key, seed] = words[..] else {
            return None;
        };
        Some(Self {
            writer: writer.parse().ok()?,
            key: key.parse().ok()?,
            seed: if seed == "-" { None } else { Some(seed.parse().ok()?) },
            done: verb == "did",
        })
    }
}

fn key(writer: u64, key: u64) -> ObjectKey {
    let job = JobId::from_u128(u128::from(writer * KEYS + key));
    // Records and contents lie under different prefixes.
    if key == 0 {
        ObjectKey::Active(job)
    } else {
        ObjectKey::Result(job, Uuid::nil())
    }
}

/// What an object that was written with a seed holds: most are small, some are sent in parts.
fn data(seed: u64) -> Bytes {
    let length = match seed % 8 {
        0 => (8 << 20) + (seed % 1000) as usize * 1000,
        1 => 200_000,
        _ => (seed % 5000) as usize,
    };
    noise(seed, length)
}

/// The victim: returns at once in a usual run of the tests.
#[test]
fn victim() {
    let (Some(folder), Ok(round)) = (std::env::var_os(FOLDER), std::env::var(ROUND)) else {
        return;
    };
    let round: u64 = round.parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (storage, _server) = open(Path::new(&folder)).await;
        let writers = (0..WRITERS).map(|writer| tokio::spawn(write_on(storage.clone(), round, writer)));
        futures::future::join_all(writers).await;
    });
}

fn say(step: Step) {
    // One call: lines of several writers do not mix.
    std::io::stderr().lock().write_all(step.line().as_bytes()).unwrap();
}

async fn write_on(storage: Storage, round: u64, writer: u64) {
    for turn in 0_u64.. {
        // Seeds are never used twice.
        let seed = (round * 1_000_000 + turn) * WRITERS + writer;
        let step = Step {
            writer,
            key: seed / WRITERS % 7 % KEYS,
            seed: (turn % 5 != 4).then_some(seed),
            done: false,
        };
        let key = key(writer, step.key);
        say(step);
        act(&storage, key, step.seed, turn).await;
        say(Step { done: true, ..step });
    }
}

/// Writes in each of the ways there are.
async fn act(storage: &Storage, key: ObjectKey, seed: Option<u64>, turn: u64) {
    let name = key.to_string();
    let Some(seed) = seed else {
        return storage.delete(&name).await.unwrap();
    };
    let data = data(seed);
    let there = storage.stat(&name).await.unwrap();
    match there {
        Some(there) if turn.is_multiple_of(2) && data.len() < 1 << 20 => {
            assert!(storage.replace(key, data, &there.version).await.unwrap().is_some());
        }
        None if turn.is_multiple_of(2) && data.len() < 1 << 20 => {
            assert!(storage.create(key, data).await.unwrap().is_some());
        }
        there => {
            let mut writer = storage.write(key, "video/mp4").await.unwrap();
            writer.write(data).await.unwrap();
            if there.is_none() {
                assert!(writer.finish_new().await.unwrap().is_some());
            } else {
                writer.finish().await.unwrap();
            }
        }
    }
}

/// What may be at a key: what was there for certain, and what may have come after.
#[derive(Clone, Debug, Default)]
struct Possible {
    certain: Option<u64>,
    after: Option<Option<u64>>,
}

/// Lets the victim write, kills it after a number of steps and a moment, and notes what it said.
fn kill_one(folder: &Path, round: u64, possible: &mut BTreeMap<(u64, u64), Possible>) -> u64 {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::victim", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let random = Uuid::new_v4().as_u128();
    let (steps, moment) = (
        (random % 150) as u64,
        Duration::from_micros((random >> 64) as u64 % 20_000),
    );
    let lines = BufReader::new(victim.stderr.take().unwrap());
    let (mut seen, mut acknowledged) = (0, 0);
    let mut killer = None;
    let mut said = Vec::new();
    for line in lines.lines() {
        let line = line.unwrap();
        said.push(line.clone());
        let Some(step) = Step::parse(&line) else { continue };
        let at = possible.entry((step.writer, step.key)).or_default();
        if step.done {
            *at = Possible {
                certain: step.seed,
                after: None,
            };
            acknowledged += 1;
        } else {
            at.after = Some(step.seed);
        }
        seen += 1;
        if seen > steps && killer.is_none() {
            let pid = rustix::process::Pid::from_child(&victim);
            killer = Some(std::thread::spawn(move || {
                std::thread::sleep(moment);
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }));
        }
    }
    let killer = killer.unwrap_or_else(|| panic!("the victim ended by itself: {}", said.join("\n")));
    killer.join().unwrap();
    let status = victim.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9),
        "{}",
        said.join("\n")
    );
    acknowledged
}

/// Opens what is left and compares it with what may be there; afterwards it is certain.
async fn check(folder: &Path, round: u64, possible: &mut BTreeMap<(u64, u64), Possible>) {
    let (storage, server) = open(folder).await;
    storage.abort_stale_writes(Duration::ZERO).await.unwrap();
    let listed: Vec<Listed> = storage.list(KeyPrefix::All).try_collect().await.unwrap();
    let mut listed: BTreeMap<String, Listed> = listed.into_iter().map(|listed| (listed.key.clone(), listed)).collect();
    for ((writer, number), possible) in possible.iter_mut() {
        let name = key(*writer, *number).to_string();
        let candidates = [Some(possible.certain), possible.after].into_iter().flatten();
        let found = match listed.remove(&name) {
            None => None,
            Some(listed) => {
                let content = content(&storage, &name).await;
                assert_eq!(content.len() as u64, listed.bytes);
                Some(content)
            }
        };
        let mut fitting = candidates.filter(|seed| seed.map(data) == found);
        let Some(seed) = fitting.next() else {
            let bytes = found.map(|content| content.len());
            panic!("round {round}: {name} holds {bytes:?} bytes that are none of {possible:?}");
        };
        *possible = Possible {
            certain: seed,
            after: None,
        };
    }
    assert_eq!(listed, BTreeMap::new(), "round {round}: objects that nobody wrote");
    server.shutdown().await;

    // One file each, and two or three for those that were sent in parts.
    let files: usize = possible
        .values()
        .filter_map(|possible| possible.certain)
        .map(|seed| data(seed).len().div_ceil(8 << 20).max(1))
        .sum();
    assert_eq!(blob_files(folder), files, "round {round}");
    assert_eq!(std::fs::read_dir(folder.join("incoming")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_any_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut possible = BTreeMap::new();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        acknowledged += tokio::task::block_in_place(|| kill_one(folder.path(), round, &mut possible));
        check(folder.path(), round, &mut possible).await;
    }
    println!("{acknowledged} acknowledged writes in {ROUNDS} rounds");
    assert!(acknowledged > 10 * ROUNDS, "{acknowledged} writes say little");
}
