//! `clearfleet serve` under test: started in a folder of the test's own, killed, stopped, started again on the same data.

mod answer;
mod client;
mod events;
mod raw;
mod receiver;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

pub use answer::Answer;
pub use client::{Client, Upload};
pub use events::{Event, Events};
pub use raw::Raw;
pub use receiver::{Receiver, Reply, Told};

use super::program::{Call, program};
use super::running::{Ended, Running};

/// How long a server may take to stop: work in hand is given [`GRACE`] seconds.
const STOPS_IN: Duration = Duration::from_secs(60);

/// What work in hand is given after SIGTERM, in seconds.
const GRACE: &str = "2";

/// A server, and how to start it again.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    data: PathBuf,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    running: Option<Running>,
    client: Option<Client>,
}

impl Server {
    /// Starts one that upscales without a network, keeps its data in this folder, and asks nobody for a key.
    ///
    /// # Panics
    /// If it does not take requests in time.
    pub fn start(data: &Path) -> Self {
        Self::with(data, "--engine bicubic")
    }

    /// The same with other arguments, in place of `--engine bicubic`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn with(data: &Path, args: &str) -> Self {
        let mut server = Self::prepared(data, args);
        server.start_again();
        server
    }

    /// The same, not started yet.
    pub fn prepared(data: &Path, args: &str) -> Self {
        Self::of(program(), data, args)
    }

    fn of(program: PathBuf, data: &Path, args: &str) -> Self {
        Self {
            program,
            data: data.to_owned(),
            args: args.split_whitespace().map(str::to_owned).collect(),
            environment: Vec::new(),
            running: None,
            client: None,
        }
    }

    /// The same of another program, started.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn of_program(program: &Path, data: &Path, args: &str) -> Self {
        let mut server = Self::of(program.to_owned(), data, args);
        server.start_again();
        server
    }

    /// The same, which logs what this filter says (`CLEARFLEET_LOG`); [`Ended::stderr`] is the log.
    #[must_use]
    pub fn logging(self, filter: &str) -> Self {
        self.env("CLEARFLEET_LOG", filter).env("NO_COLOR", "1")
    }

    /// The same with a variable in its environment, whenever it is started.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it again on its data, on another port.
    ///
    /// # Panics
    /// If it runs, or does not take requests in time.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "the server runs");
        let mut call = Call::of(&self.program)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--json",
                "--grace",
                GRACE,
                "--data-dir",
            ])
            .arg(&self.data)
            .args(&self.args);
        for (name, value) in &self.environment {
            call = call.env(name, value);
        }
        let mut running = call.start();
        let event = running.until(|event| event["event"] == "listening");
        let url = event["url"].as_str().expect("an address");
        self.client = Some(Client::new(url));
        self.running = Some(running);
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A client that shows no key.
    ///
    /// # Panics
    /// If it was never started.
    pub fn client(&self) -> &Client {
        self.client.as_ref().expect("it was started")
    }

    /// A call of the program that is told this server's address: `clearfleet submit`, `keys` and so on.
    pub fn call(&self, command: &str) -> Call {
        Call::new().arg(command).env("CLEARFLEET_SERVER", self.client().url())
    }

    /// The process.
    ///
    /// # Panics
    /// If it does not run.
    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("the server runs")
    }

    /// Kills it, as a crash or a power cut would, and waits until it is gone with all ffmpegs that it had at work.
    ///
    /// # Panics
    /// If it does not run, or ended by itself before.
    pub fn kill(&mut self) -> Ended {
        let running = self.running.take().expect("the server runs");
        let children = running.children();
        running.signal(Signal::KILL);
        let ended = running.end_within(STOPS_IN);
        assert_eq!(ended.signal(), Some(Signal::KILL.as_raw()), "{ended:#?}");
        for child in children {
            assert!(child.goes_within(STOPS_IN), "{:?} lives on", child.arguments);
        }
        assert_no_panic(&ended);
        ended
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Panics
    /// If it does not run, does not end in time, or not with exit code 0.
    pub fn stop(&mut self) -> Ended {
        let running = self.running.take().expect("the server runs");
        running.signal(Signal::TERM);
        let ended = running.end_within(STOPS_IN);
        assert_eq!(ended.code(), Some(0), "{ended:#?}");
        assert_no_panic(&ended);
        ended
    }

    /// Stops it and starts it again.
    ///
    /// # Panics
    /// As [`stop`](Self::stop) and [`start_again`](Self::start_again).
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }
}

fn assert_no_panic(ended: &Ended) {
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

/// The id of a job.
///
/// # Panics
/// If it has none.
pub fn id_of(job: &Value) -> String {
    job["id"].as_str().expect("a job has an id").to_owned()
}
