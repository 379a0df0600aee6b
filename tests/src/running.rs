//! The program at work, its children, and its end.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use serde_json::Value;

/// How long a call of the program may take.
pub const DEADLINE: Duration = Duration::from_secs(120);

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
    /// Takes over a process that has just been started with pipes.
    pub(super) fn of(mut child: Child) -> Self {
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
        Self {
            process: pidfd_open(pid, PidfdFlags::empty()).expect("a handle of the program"),
            child,
            pid,
            lines,
            seen: Vec::new(),
            readers: Some((out, err)),
            since: Instant::now(),
        }
    }

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

    /// The child with this among its arguments.
    ///
    /// # Panics
    /// If there is none.
    pub fn child(&self, argument: &str) -> Process {
        let mut children = self.children().into_iter();
        let found = children.find(|child| child.arguments.iter().any(|a| a == argument));
        found.unwrap_or_else(|| panic!("no child with {argument}"))
    }

    /// Waits until it has a child of this name at work; for calls without events.
    ///
    /// # Panics
    /// If it has none in time.
    pub fn until_child(&self, name: &str) {
        while !self.children().iter().any(|child| child.is(name)) {
            assert!(self.since.elapsed() < DEADLINE, "no {name} in {DEADLINE:?}");
            std::thread::yield_now();
        }
    }

    /// Number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
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
    pub fn end(self) -> Ended {
        let left = DEADLINE.saturating_sub(self.since.elapsed());
        self.end_within(left)
    }

    /// The same, however long it runs already.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn end_within(mut self, patience: Duration) -> Ended {
        assert!(
            has_ended(&self.process, patience),
            "not at its end after {:?}: {:#?}",
            self.since.elapsed(),
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
    /// Its command line, the program first.
    pub arguments: Vec<String>,
    handle: OwnedFd,
}

impl Process {
    fn open(pid: Pid) -> Option<Self> {
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let arguments = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
        let arguments = arguments.split(|byte| *byte == 0);
        Some(Self {
            arguments: arguments.map(|a| String::from_utf8_lossy(a).into_owned()).collect(),
            handle,
        })
    }

    /// Whether it is this program.
    pub fn is(&self, name: &str) -> bool {
        self.arguments
            .first()
            .is_some_and(|program| Path::new(program).ends_with(name))
    }

    /// Sends it a signal, if it is still there.
    pub fn signal(&self, signal: Signal) {
        // It may have ended just now.
        let _ = pidfd_send_signal(&self.handle, signal);
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

    /// What the one input that was done does not keep.
    ///
    /// # Panics
    /// If there are several, or none.
    pub fn notes(&self) -> Vec<String> {
        let finished = self.event("finished");
        let notes = finished["notes"].as_array().into_iter().flatten();
        notes.filter_map(|note| note.as_str().map(str::to_owned)).collect()
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
