//! The program under test: how it is called, watched and ended.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

/// How long a call of the program may take.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Who the program runs as where rights must be missing; on Linux this is `nobody`.
const NOBODY: u32 = 65_534;

/// Where the built program is: `CLEARFLEET_BIN`, else beside the test's own executable.
///
/// # Panics
/// If there is none: it is not built by building the tests.
pub fn program() -> PathBuf {
    let beside = || {
        let own = std::env::current_exe().expect("the test's own path");
        let mut folder = own.parent().expect("an executable is in a folder");
        if folder.ends_with("deps") {
            folder = folder.parent().expect("deps is in a folder");
        }
        folder.join("clearfleet")
    };
    let path = std::env::var_os("CLEARFLEET_BIN").map_or_else(beside, PathBuf::from);
    assert!(
        path.is_file(),
        "{} does not exist: run `cargo build -p clearfleet` first, or name the program in CLEARFLEET_BIN",
        path.display()
    );
    path
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A call of the program that is being put together.
#[derive(Debug)]
pub struct Call(Command);

impl Call {
    /// `clearfleet` with no argument yet, and without settings that whoever runs the tests has in their environment.
    pub fn new() -> Self {
        Self::of(&program())
    }

    fn of(program: &Path) -> Self {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let ours = name.to_string_lossy().starts_with("CLEARFLEET_");
            if ours && name != "CLEARFLEET_FFMPEG" && name != "CLEARFLEET_FFPROBE" {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null());
        Self(command)
    }

    /// `clearfleet upscale` by plain enlargement.
    pub fn upscale() -> Self {
        Self::new().args(["upscale", "--engine", "bicubic"])
    }

    /// The same call by somebody who may not read or write everything. Root becomes nobody, with a copy of the program
    /// in `folder`, which they can reach.
    #[must_use]
    pub fn without_rights(self, folder: &Path) -> Self {
        if !is_root() {
            return self;
        }
        let copy = folder.join(".program");
        std::fs::copy(program(), &copy).expect("the program can be copied");
        let mut call = Self::of(&copy).args(self.0.get_args());
        call.0.uid(NOBODY).gid(NOBODY);
        call
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.0.args(args);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it in this folder.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn run(self) -> Ended {
        self.start().end()
    }

    /// Runs it to its end, which must be a good one.
    ///
    /// # Panics
    /// If it fails.
    pub fn succeed(self) -> Ended {
        let ended = self.run();
        assert_eq!(ended.code(), Some(0), "{ended:#?}");
        ended
    }

    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(mut self) -> Running {
        self.0.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.0.spawn().expect("the program can be started");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut stderr = child.stderr.take().expect("stderr is a pipe");
        let (sender, lines) = channel();
        let out = std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = Vec::new();
            while matches!(stdout.read_until(b'\n', &mut line), Ok(1..)) {
                // The test may have seen enough.
                let _ = sender.send(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
        });
        let err = std::thread::spawn(move || {
            let mut said = Vec::new();
            // What was read before a broken pipe still counts.
            let _ = stderr.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        });
        let pid = Pid::from_child(&child);
        Running {
            process: pidfd_open(pid, PidfdFlags::empty()).expect("a handle of the program"),
            child,
            pid,
            lines,
            seen: Vec::new(),
            readers: Some((out, err)),
            since: Instant::now(),
        }
    }
}

impl Default for Call {
    fn default() -> Self {
        Self::new()
    }
}

/// The program at work. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pid: Pid,
    process: OwnedFd,
    lines: Receiver<String>,
    seen: Vec<String>,
    readers: Option<(JoinHandle<()>, JoinHandle<String>)>,
    since: Instant,
}

impl Running {
    /// Reads events until one is what is waited for, and returns that.
    ///
    /// # Panics
    /// If the program ends before, or takes too long.
    pub fn until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let left = DEADLINE.saturating_sub(self.since.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    let event = parsed(&line);
                    if wanted(&event) {
                        return event;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("nothing of it in {DEADLINE:?}: {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("the program ended before: {:#?}", self.seen),
            }
        }
    }

    /// Reads events until `count` of this name have come.
    ///
    /// # Panics
    /// As [`until`](Self::until).
    pub fn until_event(&mut self, name: &str, count: usize) {
        let mut left = count;
        self.until(|event| {
            left -= usize::from(event["event"] == name);
            left == 0
        });
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the program is there");
    }

    /// Its children: the ffmpegs that are at work just now.
    ///
    /// # Panics
    /// If the program has ended.
    pub fn children(&self) -> Vec<Process> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let mut found = Vec::new();
        for task in std::fs::read_dir(tasks).expect("the program's threads") {
            // A thread may have ended meanwhile.
            let listed = task.and_then(|task| std::fs::read_to_string(task.path().join("children")));
            let listed = listed.unwrap_or_default();
            let pids = listed.split_whitespace().filter_map(|pid| pid.parse().ok());
            found.extend(pids.filter_map(Pid::from_raw).filter_map(Process::open));
        }
        found
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn end(mut self) -> Ended {
        let left = DEADLINE.saturating_sub(self.since.elapsed());
        assert!(
            has_ended(&self.process, left),
            "not at its end after {DEADLINE:?}: {:#?}",
            self.seen
        );
        let (status, peak_bytes) = reap(self.pid);
        let took = self.since.elapsed();
        let (out, err) = self.readers.take().expect("taken only here");
        out.join().expect("stdout can be read");
        let stderr = err.join().expect("stderr can be read");
        let mut lines = std::mem::take(&mut self.seen);
        lines.extend(self.lines.try_iter());
        Ended {
            status,
            stdout: lines,
            stderr,
            peak_bytes,
            took,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.readers.is_some() {
            // It may have ended just now.
            let _ = kill_process(self.pid, Signal::KILL);
            reap(self.pid);
        }
    }
}

/// A process that is somebody else's child.
#[derive(Debug)]
pub struct Process {
    /// Its name, such as `ffmpeg`.
    pub name: String,
    handle: OwnedFd,
}

impl Process {
    fn open(pid: Pid) -> Option<Self> {
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let name = std::fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).ok()?;
        Some(Self {
            name: name.trim_end().to_owned(),
            handle,
        })
    }

    /// Whether it is gone, or goes within `patience`.
    pub fn goes_within(&self, patience: Duration) -> bool {
        has_ended(&self.handle, patience)
    }
}

fn has_ended(process: &OwnedFd, patience: Duration) -> bool {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    let patience = Timespec::try_from(patience).expect("a deadline of minutes");
    loop {
        match poll(&mut fds, Some(&patience)) {
            Ok(ended) => return ended == 1,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => panic!("a process cannot be waited for: {e}"),
        }
    }
}

/// Takes the end of a child: how it ended, and the largest memory that it or one of its own children had, in bytes.
fn reap(pid: Pid) -> (ExitStatus, u64) {
    let mut status = 0;
    // SAFETY: a `rusage` is numbers only, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to places of this function that outlive the call.
    let found = unsafe { libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, 0, &raw mut usage) };
    assert_eq!(found, pid.as_raw_nonzero().get(), "the program is waited for once");
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0) << 10;
    (ExitStatus::from_raw(status), peak)
}

/// How a call ended.
#[derive(Debug)]
pub struct Ended {
    status: ExitStatus,
    /// Lines of standard output.
    pub stdout: Vec<String>,
    /// Standard error.
    pub stderr: String,
    /// The largest memory of the program or one of its children.
    pub peak_bytes: u64,
    /// From start to end.
    pub took: Duration,
}

impl Ended {
    /// The exit code; nothing if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// What `--json` printed.
    ///
    /// # Panics
    /// If a line is no JSON.
    pub fn events(&self) -> Vec<Value> {
        self.stdout.iter().map(|line| parsed(line)).collect()
    }

    /// The events of this name.
    pub fn named(&self, name: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["event"] == name);
        events
    }

    /// The one event of this name.
    ///
    /// # Panics
    /// If there is none, or more than one.
    pub fn event(&self, name: &str) -> Value {
        match self.named(name).as_slice() {
            [event] => event.clone(),
            found => panic!("{} events {name:?}, expected one: {self:#?}", found.len()),
        }
    }
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON ({e}): {line}"))
}
