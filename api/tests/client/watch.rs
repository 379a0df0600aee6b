use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::call::{Ended, Running, files, start, until};
use super::stub::{Rules, Stub, upscaled};

/// A folder with `in` and what is said to be in it.
struct World(TempDir);

impl World {
    fn with(sources: &[(&str, &str)]) -> Self {
        let world = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(world.path("in")).expect("a folder");
        for (name, content) in sources {
            world.put(name, content);
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: &str) {
        let path = self.path("in").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    fn watch(&self, stub: &Stub, args: &[&str]) -> Running {
        let url = stub.url();
        let fixed = ["watch", "in", "out", "--json", "--settle", "0.3", "--server", &url];
        start(self.0.path(), &[&fixed, args].concat())
    }

    fn once(&self, stub: &Stub) -> Ended {
        self.watch(stub, &["--once"]).end()
    }

    fn result(&self, name: &str) -> String {
        let path = self.path("out").join(name);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }
}

fn text(content: &str) -> String {
    String::from_utf8(upscaled(content.as_bytes())).expect("text")
}

/// Every file with its content and times.
fn everything(folder: &Path) -> Vec<(String, Vec<u8>, std::time::SystemTime)> {
    let files = files(folder).into_iter();
    files
        .map(|name| {
            let path = folder.join(&name);
            let modified = fs::metadata(&path)
                .and_then(|metadata| metadata.modified())
                .expect("a file");
            (name, fs::read(path).expect("a file"), modified)
        })
        .collect()
}

#[test]
fn everything_that_is_there_is_done_once() {
    let failure = json!({ "code": "input_damaged", "message": "it is cut off", "causes": ["no moov"], "attempts": 1 });
    let refusal = json!({ "code": "input_unsupported", "detail": "Clearfleet does not read text" });
    let rules = Rules {
        failures: [("broken.mp4".to_owned(), failure)].into(),
        refused: [("notes.txt".to_owned(), (422, refusal))].into(),
        extension: Some("webp"),
        ..Rules::default()
    };
    let stub = Stub::start(rules);
    let sources = [
        ("a.png", "photo a"),
        ("inner/deep/b.jpg", "photo b"),
        ("inner/broken.mp4", "film"),
        ("notes.txt", "Dear diary"),
        (".hidden.png", "secret"),
    ];
    let world = World::with(&sources);
    let before = everything(&world.path("in"));
    let ended = world.once(&stub);
    assert_eq!(ended.code, Some(3), "that of a failure: {ended:#?}");
    let results = [
        "a.webp",
        "inner/broken.mp4.error.txt",
        "inner/deep/b.webp",
        "notes.txt.error.txt",
    ];
    assert_eq!(files(&world.path("out")), results);
    assert_eq!(
        (world.result("a.webp"), world.result("inner/deep/b.webp")),
        (text("photo a"), text("photo b"))
    );
    let job = &stub
        .seen()
        .jobs
        .iter()
        .find(|job| job.file_name == "broken.mp4")
        .expect("a job")
        .id
        .clone();
    assert_eq!(
        world.result("inner/broken.mp4.error.txt"),
        format!("it is cut off [input_damaged]\n  because: no moov\n  job: {job}\n")
    );
    assert_eq!(
        world.result("notes.txt.error.txt"),
        "Clearfleet does not read text [input_unsupported]\n"
    );
    assert_eq!(everything(&world.path("in")), before, "sources are not touched");

    // Again: nothing is left to do.
    let uploads = stub.seen().uploads.len();
    let ended = world.once(&stub);
    assert_eq!((ended.code, stub.seen().uploads.len(), uploads), (Some(0), uploads, 4));
    assert_eq!(
        ended.named("summary")[0],
        json!({ "event": "summary", "finished": 0, "failed": 0 })
    );
}

#[test]
fn killed_while_it_waits_it_goes_on_waiting_and_submits_nothing_twice() {
    let stub = Stub::start(Rules {
        endless: true,
        ..Rules::default()
    });
    let world = World::with(&[("a.png", "a"), ("b.png", "b"), ("c/c.png", "c")]);
    for round in 0..3 {
        let running = world.watch(&stub, &[]);
        until("it waits for all jobs", || {
            stub.seen().listeners.len() >= 3 * (round + 1)
        });
        running.kill();
    }
    fs::remove_file(world.path("in/a.png")).expect("a file");
    stub.seen().rules.endless = false;
    let ended = world.once(&stub);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(stub.seen().uploads.len(), 3);
    assert_eq!(files(&world.path("out")), ["a.png", "b.png", "c/c.png"]);
    assert_eq!((world.result("a.png"), world.result("c/c.png")), (text("a"), text("c")));
}

#[test]
fn killed_before_it_knows_its_job_it_finds_the_same_job() {
    let stub = Stub::start(Rules {
        silent: true,
        ..Rules::default()
    });
    let world = World::with(&[("a.png", "a")]);
    let running = world.watch(&stub, &["--scale", "3"]);
    until("the server has the file", || stub.seen().jobs.len() == 1);
    running.kill();
    stub.seen().rules.silent = false;
    // The settings of the first time count: else one key would stand for two requests.
    let ended = world.watch(&stub, &["--once", "--scale", "4"]).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let seen = stub.seen();
    assert_eq!((seen.jobs.len(), seen.uploads.len()), (1, 2));
    assert_eq!(seen.uploads[0], seen.uploads[1]);
    assert_eq!(seen.jobs[0].request["settings"]["target"], "3");
    assert_eq!(world.result("a.png"), text("a"));
}

#[test]
fn a_file_is_taken_when_it_has_settled_and_nobody_writes_to_it() {
    let (stub, world) = (Stub::start(Rules::default()), World::with(&[]));
    let mut writer = File::create(world.path("in/slow.png")).expect("a file");
    let running = world.watch(&stub, &[]);
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) {
        writer.write_all(b"x").expect("a byte");
        std::thread::sleep(Duration::from_millis(100));
    }
    // It keeps still from here on, but somebody still may write.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(stub.seen().uploads, [""; 0], "it was taken before it was whole");
    drop(writer);
    until("its result", || world.path("out/slow.png").exists());
    let whole = fs::read(world.path("in/slow.png")).expect("a file");
    assert_eq!(&*stub.seen().jobs[0].file, whole);
    assert_eq!(running.terminate().code, Some(0));
}

#[test]
fn what_changes_is_done_anew_and_replaces_its_result() {
    let (stub, world) = (Stub::start(Rules::default()), World::with(&[("a.png", "first")]));
    let failure = json!({ "code": "input_damaged", "message": "it is cut off" });
    stub.seen().rules.failures.insert("a.png".to_owned(), failure);
    let running = world.watch(&stub, &[]);
    until("the error", || world.path("out/a.png.error.txt").exists());
    stub.seen().rules.failures.clear();
    world.put("a.png", "second, longer");
    until("the result", || world.path("out/a.png").exists());
    assert_eq!(world.result("a.png"), text("second, longer"));
    until("the error's end", || !world.path("out/a.png.error.txt").exists());
    world.put("a.png", "third, even longer");
    until("the next result", || {
        world.result("a.png") == text("third, even longer")
    });
    let ended = running.terminate();
    assert_eq!((ended.code, stub.names().len()), (Some(0), 3), "{ended:#?}");
    assert_eq!(files(&world.path("out")), ["a.png"]);
}

#[test]
fn no_result_takes_the_place_of_another_file() {
    let rules = Rules {
        extension: Some("png"),
        ..Rules::default()
    };
    let (stub, world) = (
        Stub::start(rules),
        World::with(&[("a.jpg", "one"), ("a.png", "two"), ("b.png", "three")]),
    );
    fs::create_dir(world.path("out")).expect("a folder");
    fs::write(world.path("out/b.png"), "precious").expect("a file");
    let ended = world.watch(&stub, &["--once", "--at-once", "1"]).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(files(&world.path("out")), ["a.png", "a.png.png", "b.png", "b.png.png"]);
    assert_eq!(
        (world.result("a.png"), world.result("a.png.png")),
        (text("one"), text("two"))
    );
    assert_eq!(
        (world.result("b.png"), world.result("b.png.png")),
        ("precious".to_owned(), text("three"))
    );
}

#[test]
fn two_do_not_watch_for_one_folder() {
    let stub = Stub::start(Rules {
        endless: true,
        ..Rules::default()
    });
    let world = World::with(&[("a.png", "a")]);
    let running = world.watch(&stub, &[]);
    until("the first has begun", || !stub.seen().jobs.is_empty());
    let ended = world.once(&stub);
    assert_eq!(
        (ended.code, &ended.named("failed")[0]["code"]),
        (Some(4), &json!("state_exists"))
    );
    let ended = running.terminate();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(stub.seen().uploads.len(), 1);
}

#[test]
fn stopped_before_its_end_it_says_so() {
    let stub = Stub::start(Rules {
        endless: true,
        ..Rules::default()
    });
    let world = World::with(&[("a.png", "a")]);
    let running = world.watch(&stub, &["--once"]);
    until("it waits", || !stub.seen().listeners.is_empty());
    assert_eq!(running.terminate().code, Some(130));
}

#[test]
fn a_job_that_was_deleted_is_a_failure() {
    let stub = Stub::start(Rules {
        endless: true,
        ..Rules::default()
    });
    let world = World::with(&[("a.png", "a")]);
    let running = world.watch(&stub, &[]);
    until("it waits", || !stub.seen().listeners.is_empty());
    running.kill();
    stub.seen().jobs.clear();
    let ended = world.once(&stub);
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(
        world
            .result("a.png.error.txt")
            .starts_with("there is no such job [not_found]\n")
    );
}
