//! A running child and its end.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, ChildStdout, ExitStatus};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use clearfleet_common::{ErrorCode, Stop};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::Program;
use super::log::{self, Log};
use crate::{Error, Result};

/// How often a child's supervisor looks at the clock and at `Stop`.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// A confined child. Dropping it kills and reaps it.
pub(crate) struct Child {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    /// Names the process for good, unlike a pid, which may be another's once it is reaped.
    process: Arc<OwnedFd>,
    supervisor: Option<JoinHandle<Ending>>,
    log: Option<JoinHandle<Log>>,
    terms: Terms,
    #[cfg(test)]
    id: u32,
}

/// What a child was started under.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) program: Program,
    pub(super) stop: Stop,
    pub(super) deadline: Duration,
    pub(super) memory_bytes: u64,
    pub(super) url: Option<String>,
}

/// What a child that ended well said on the way; at most 100 lines of each, the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Warnings.
    pub(crate) warnings: Vec<String>,
    /// Errors that the child got over, such as damaged frames.
    pub(crate) errors: Vec<String>,
}

struct Ending {
    status: io::Result<ExitStatus>,
    killed: Option<Killed>,
}

#[derive(Clone, Copy)]
enum Killed {
    Stopped,
    Deadline,
}

impl Child {
    /// Takes over a process that has just been started.
    pub(super) fn supervise(mut process: std::process::Child, terms: Terms) -> Result<Self> {
        let failed = |e: io::Error| Error::internal(format!("{} cannot be supervised", terms.program)).because(e);
        let stdin = process.stdin.take();
        let stdout = process.stdout.take();
        let stderr = process.stderr.take();
        // Nobody has waited for it, so the pid is its own, ended or not.
        let opened = Pid::from_raw(process.id().cast_signed())
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
        let pidfd = match opened {
            Ok(fd) => Arc::new(fd),
            Err(e) => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(failed(e.into()));
            }
        };
        let mut child = Self {
            stdin,
            stdout,
            process: Arc::clone(&pidfd),
            supervisor: None,
            log: None,
            terms,
            #[cfg(test)]
            id: process.id(),
        };
        let (stop, deadline) = (child.terms.stop.clone(), child.terms.deadline);
        let name = |role| thread::Builder::new().name(format!("{}-{role}", child.terms.program));
        let supervisor = name("end")
            .spawn(move || watch(process, &pidfd, &stop, deadline))
            .map_err(failed_to_watch)?;
        let url = child.terms.url.clone();
        let log = stderr
            .map(|e| name("log").spawn(move || log::read(e, url.as_deref())))
            .transpose();
        child.supervisor = Some(supervisor);
        child.log = log.map_err(failed_to_watch)?;
        Ok(child)
    }

    /// The pipe into the child, if one was asked for and not taken yet.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// The pipe out of the child, if one was asked for and not taken yet.
    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// Waits for the end; pipes that were not taken are closed first. `what` says what was tried, as in "decoding".
    ///
    /// # Errors
    /// `code` if the child failed, with its last lines; [`ErrorCode::Stopped`] and [`ErrorCode::DeadlineExceeded`] if
    /// it was killed for that.
    pub(crate) fn finish(mut self, code: ErrorCode, what: &str) -> Result<Report> {
        drop(self.stdin.take());
        drop(self.stdout.take());
        let (Some(ending), log) = self.join() else {
            return Err(Error::internal(format!(
                "{what}: the end of {} was missed",
                self.terms.program
            )));
        };
        let program = self.terms.program;
        let status = ending
            .status
            .map_err(|e| Error::internal(format!("{what}: {program} cannot be waited for")).because(e))?;
        if status.success() {
            return Ok(Report {
                warnings: log.warnings,
                errors: log.errors,
            });
        }
        // A child also fails by itself when whoever was stopped has let go of its pipes.
        if matches!(ending.killed, Some(Killed::Stopped)) || self.terms.stop.is_stopped() {
            return Err(Error::stopped());
        }
        let cpu_used_up = status.signal() == Some(libc::SIGXCPU);
        let error = if matches!(ending.killed, Some(Killed::Deadline)) || cpu_used_up {
            let seconds = self.terms.deadline.as_secs_f64();
            let message = format!("{what}: {program} did not end within {seconds} s");
            Error::new(ErrorCode::DeadlineExceeded, message).with("limit", seconds)
        } else if log.out_of_memory {
            let limit = self.terms.memory_bytes;
            let message = format!(
                "{what}: {program} needs more than the {} MiB of memory that it may use",
                limit >> 20
            );
            Error::new(code, message).with("limit", limit)
        } else {
            Error::new(code, format!("{what}: {program} failed ({})", Exit(status)))
        };
        Err(error.with_ffmpeg(log.last.into()))
    }

    /// Its number, to look at it from outside.
    #[cfg(test)]
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    fn join(&mut self) -> (Option<Ending>, Log) {
        let ending = self.supervisor.take().and_then(|s| s.join().ok());
        let log = self.log.take().and_then(|l| l.join().ok()).unwrap_or_default();
        (ending, log)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.supervisor.is_some() {
            // It may have ended already.
            let _ = rustix::process::pidfd_send_signal(&*self.process, Signal::KILL);
            self.join();
        }
    }
}

fn failed_to_watch(error: io::Error) -> Error {
    Error::internal("no thread is left to watch ffmpeg").because(error)
}

/// Waits for the end of the process, or brings it about.
fn watch(mut process: std::process::Child, pidfd: &OwnedFd, stop: &Stop, deadline: Duration) -> Ending {
    let started = Instant::now();
    let killed = loop {
        if ended(pidfd) {
            break None;
        }
        let reason = if stop.is_stopped() {
            Killed::Stopped
        } else if started.elapsed() >= deadline {
            Killed::Deadline
        } else {
            continue;
        };
        // It may have ended at this moment.
        let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
        break Some(reason);
    };
    Ending {
        status: process.wait(),
        killed,
    }
}

/// Whether the process ended within the time of one look.
fn ended(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    match rustix::event::poll(&mut fds, Some(&LOOK_EVERY)) {
        Ok(n) => n > 0,
        Err(rustix::io::Errno::INTR) => false,
        // Not to be expected; the wait that follows is right in any case, though without a deadline.
        Err(error) => {
            tracing::error!(%error, "a child's end cannot be watched");
            true
        }
    }
}

/// An exit status for a person.
struct Exit(ExitStatus);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(libc::SIGSYS)) => f.write_str("a forbidden system call"),
            (None, Some(libc::SIGKILL)) => f.write_str("killed, perhaps by the system for want of memory"),
            (None, Some(libc::SIGXFSZ)) => f.write_str("it tried to write a file"),
            (None, signal) => write!(f, "signal {}", signal.unwrap_or(0)),
        }
    }
}
