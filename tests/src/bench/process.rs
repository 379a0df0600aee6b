//! Calls of other programs: timed, under a deadline, and gone when the bench is.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::{Value, json};

use super::interrupt;
use super::machine::{self, Peak};

/// How long a call may take unless it says otherwise.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// How often a call is looked at; its end is noticed at once.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// Lines of a failed call's standard error that are told.
const LAST_LINES: usize = 8;

/// A program to be called.
pub(super) struct Call {
    command: Command,
    deadline: Duration,
    memory: bool,
    until: Option<&'static str>,
}

/// A line of standard output and when it came, in seconds since the start.
struct Line {
    seconds: f64,
    text: String,
}

/// A call that went well.
pub(super) struct Ended {
    /// From before the start to the end.
    pub(super) seconds: f64,
    /// Time on processors, of all processes that the program waited for too.
    pub(super) cpu_seconds: f64,
    /// Zeros unless memory was watched.
    pub(super) peak: Peak,
    lines: Vec<Line>,
}

impl Call {
    /// A call without arguments yet, and without the settings that whoever runs the bench has in their environment.
    pub(super) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.as_encoded_bytes().starts_with(b"CLEARFLEET_")) {
            command.env_remove(name);
        }
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec there are two system calls; nothing is allocated and no lock is taken.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                match rustix::process::getppid() == Some(parent) {
                    true => Ok(()),
                    false => Err(rustix::io::Errno::SRCH.into()),
                }
            });
        }
        Self {
            command,
            deadline: DEADLINE,
            memory: false,
            until: None,
        }
    }

    /// ffmpeg, quiet, not interactive, overwriting.
    pub(super) fn ffmpeg() -> Self {
        Self::new("ffmpeg").args(["-hide_banner", "-nostdin", "-y", "-v", "error"])
    }

    pub(super) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(super) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(super) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Looks at memory while it runs, which costs a little time.
    pub(super) fn watching_memory(mut self) -> Self {
        self.memory = true;
        self
    }

    /// Ends it at this event.
    pub(super) fn until(mut self, event: &'static str) -> Self {
        self.until = Some(event);
        self
    }

    /// Runs it to its end.
    pub(super) fn run(mut self) -> Result<Ended> {
        let name = self.command.get_program().to_string_lossy().into_owned();
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let cpu_before = machine::own_cpu_seconds()?;
        let since = Instant::now();
        let running = Running::start(&mut self.command, since).with_context(|| format!("{name} cannot be started"))?;
        let mut peak = Peak::default();
        let mut lines = Vec::new();
        let ended_by_itself = loop {
            if running.has_ended()? {
                break true;
            }
            interrupt::check()?;
            let limit = self.deadline;
            ensure!(
                since.elapsed() < limit,
                "{name} did not end within {} s",
                limit.as_secs()
            );
            if self.memory {
                peak.look(running.child.id());
            }
            let seen = lines.len();
            lines.extend(running.lines.try_iter());
            let mut events = lines[seen..].iter().filter_map(Line::event);
            if self.until.is_some() && events.any(|event| event["event"].as_str() == self.until) {
                break false;
            }
        };
        let seconds = since.elapsed().as_secs_f64();
        let (status, last_words) = running.finish(&mut lines)?;
        if ended_by_itself && !status.success() {
            let event = lines.last().map(|line| line.text.as_str()).unwrap_or_default();
            bail!("{name} failed ({status}): {last_words}{event}");
        }
        Ok(Ended {
            seconds,
            cpu_seconds: machine::own_cpu_seconds()? - cpu_before,
            peak,
            lines,
        })
    }
}

impl Line {
    fn event(&self) -> Option<Value> {
        serde_json::from_str(&self.text).ok()
    }
}

impl Ended {
    /// Standard output.
    pub(super) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    /// The first event of this name, and when it came, in seconds since the start.
    pub(super) fn event(&self, name: &str) -> Result<(f64, Value)> {
        let mut events = self.lines.iter().filter_map(|line| Some((line.seconds, line.event()?)));
        let found = events.find(|(_, event)| event["event"] == name);
        found.with_context(|| format!("there was no event {name:?}"))
    }

    /// Fails unless the result has this many frames.
    pub(super) fn expect_frames(&self, expected: u32) -> Result<()> {
        let found = self.event("finished")?.1["frames"].as_u64();
        ensure!(found == Some(expected.into()), "{expected} frames became {found:?}");
        Ok(())
    }

    /// Where the time of an upscaled video went: seconds before the first frame and after the last batch, and what the
    /// batches say about their stages, in sums; stages and batches overlap.
    pub(super) fn phases(&self) -> Result<Value> {
        let events: Vec<Value> = self.lines.iter().filter_map(Line::event).collect();
        let sum = |name: &str| -> f64 { events.iter().filter_map(|event| event["timings"][name].as_f64()).sum() };
        Ok(json!({
            "planning_seconds": self.event("started")?.0,
            "decode_seconds": sum("decode_seconds"),
            "infer_seconds": sum("infer_seconds"),
            "encode_seconds": sum("encode_seconds"),
            "batches_seconds": sum("total_seconds"),
            "assembling_seconds": self.seconds - self.event("assembling")?.0,
        }))
    }
}

/// A process that runs; dropped, it is killed.
struct Running {
    child: Child,
    process: OwnedFd,
    lines: Receiver<Line>,
    last_words: Option<JoinHandle<String>>,
}

impl Running {
    fn start(command: &mut Command, since: Instant) -> Result<Self> {
        let mut child = command.spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed()).context("a process without a number")?;
        let process = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error.into());
            }
        };
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || read_lines(stdout, since, &sender));
        }
        let last_words = child
            .stderr
            .take()
            .map(|stderr| thread::spawn(move || last_lines(stderr)));
        Ok(Self {
            child,
            process,
            lines,
            last_words,
        })
    }

    /// Whether it ended within the time of one look.
    fn has_ended(&self) -> Result<bool> {
        let mut fds = [PollFd::new(&self.process, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&LOOK_EVERY)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reaps it, killing it if need be; adds the lines that are left, and returns its last words.
    fn finish(mut self, lines: &mut Vec<Line>) -> Result<(ExitStatus, String)> {
        let _ = self.child.kill();
        let status = self.child.wait()?;
        lines.extend(self.lines.iter());
        let last_words = self.last_words.take().and_then(|thread| thread.join().ok());
        Ok((status, last_words.unwrap_or_default()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Reaped already, it stays so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(stdout: impl Read, since: Instant, lines: &Sender<Line>) {
    for text in BufReader::new(stdout).lines().map_while(Result::ok) {
        let seconds = since.elapsed().as_secs_f64();
        if lines.send(Line { seconds, text }).is_err() {
            return;
        }
    }
}

fn last_lines(stderr: impl Read) -> String {
    let mut last = VecDeque::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        last.push_back(line + "\n");
        if last.len() > LAST_LINES {
            last.pop_front();
        }
    }
    last.into_iter().collect()
}

/// The number of video packets in a file.
pub(super) fn count_frames(path: &Path) -> Result<u32> {
    let count = Call::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-count_packets"])
        .args(["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"])
        .arg(path)
        .run()?
        .text();
    let number = count.trim().trim_end_matches(',').parse();
    number.with_context(|| format!("ffprobe counted {count:?} frames"))
}
