//! The program under test.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A call of the program that runs.
pub(crate) struct Running(Option<Child>);

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Starts `clearfleet` in a folder, with words of arguments.
pub(crate) fn start(folder: &Path, args: &[&str]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clearfleet"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CLEARFLEET_") {
            command.env_remove(name);
        }
    }
    command.args(args).current_dir(folder).stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    Running(Some(child.expect("the program starts")))
}

impl Running {
    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let child = self.0.take().expect("it ends once");
        let id = Pid::from_child(&child);
        let (ended, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || ended.send(child.wait_with_output()));
        let output = wait.recv_timeout(SOON).unwrap_or_else(|_| {
            kill_process(id, Signal::KILL).expect("it runs");
            let output = wait.recv().expect("it was killed").expect("its output");
            panic!("it did not end in time: {:#?}", Ended::from(output));
        });
        output.expect("its output").into()
    }

    fn signal(&self, signal: Signal) {
        let child = self.0.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it runs");
    }

    /// Kills it at once.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
        assert_eq!(self.end().code, None, "it was killed");
    }

    /// Asks it to end.
    pub(crate) fn terminate(self) -> Ended {
        self.signal(Signal::TERM);
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended already.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// The events on its standard output.
    pub(crate) fn events(&self) -> Vec<Value> {
        let events = self.stdout.lines().map(serde_json::from_str);
        events.collect::<Result<_, _>>().expect("a JSON document a line")
    }

    /// Events of one name.
    pub(crate) fn named(&self, name: &str) -> Vec<Value> {
        self.events()
            .into_iter()
            .filter(|event| event["event"] == name)
            .collect()
    }
}

/// Waits until something is so.
pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    let since = Instant::now();
    while !so() {
        assert!(since.elapsed() < SOON, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Names of all files below a folder, sorted, without those of the watch's state.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name();
    let names = entries
        .into_iter()
        .map(|entry| entry.expect("a folder that can be read"));
    let files = names.filter(|entry| entry.file_type().is_file());
    let names = files.map(|entry| {
        entry
            .path()
            .strip_prefix(folder)
            .expect("below it")
            .display()
            .to_string()
    });
    names.filter(|name| !name.starts_with(".clearfleet-watch/")).collect()
}
