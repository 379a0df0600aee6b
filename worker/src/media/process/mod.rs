//! ffmpeg and ffprobe as confined children: what they may read, write, use and how long they may run is fixed before
//! they start, because what they read is a stranger's.
//!
//! [`FfmpegCommand`] builds the command; the start itself is [`std::process::Command`]'s, because the crate's own adds `-n`,
//! which ffprobe does not know, and asks for three pipes.

mod child;
mod confine;
mod launcher;
pub(super) mod log;
mod program;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clearfleet_common::{ErrorCode, Stop};
use ffmpeg_sidecar::command::FfmpegCommand;

use crate::media::serve::ServedSource;
use crate::{Error, Result};

pub(crate) use child::Child;
#[allow(
    unused_imports,
    reason = "callers name what `Child::finish` returns when they keep it"
)]
pub(crate) use child::Report;
pub(crate) use program::{Program, ffmpeg_version};

/// What a child may use of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessLimits {
    /// Address space in bytes. Much of it is only reserved: up to 136 MiB for the stack and heap of each thread.
    pub(crate) memory_bytes: u64,
    /// Open files, sockets and pipes.
    pub(crate) open_files: u64,
    /// How far it stands back for others on the processor, from 0 to 19.
    pub(crate) nice: i32,
}

/// What a child may reach beside its own pipes: nothing, or one source behind the range server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Confinement {
    limits: ProcessLimits,
    source: Option<Reach>,
}

/// The one address that a child may connect to.
#[derive(Clone, Debug)]
struct Reach {
    url: String,
    port: u16,
}

/// A confined child that has not been started: a builder.
///
/// The child starts in `/` with an empty environment and has no stdin and no stdout unless they are asked for.
pub(crate) struct Launch {
    program: Program,
    command: FfmpegCommand,
    confinement: Confinement,
    writes: Option<PathBuf>,
}

impl ProcessLimits {
    /// What decoding frames of this size may use: a decoder holds up to 16 frames that others refer to, one for each
    /// thread, and filters a few, with at most 8 bytes a pixel.
    pub(crate) fn decoding(width: u32, height: u32) -> Self {
        let frames = 24 + cores();
        Self::default().and(pixels(width, height).saturating_mul(8 * frames))
    }

    /// What encoding frames of this size may use. Measured at 3840×2160 in 10 bit on 2 cores: 8.1 GB for SVT-AV1 at preset
    /// 4, 2.1 GB for x265 and x264, 1.9 GB for VP9, 1.7 GB for FFV1.
    pub(crate) fn encoding(width: u32, height: u32) -> Self {
        Self::default().and((8 << 30) + pixels(width, height).saturating_mul(2048))
    }

    /// The same for what nobody waits for: others on the processor go first.
    pub(crate) fn in_background(self) -> Self {
        Self { nice: 10, ..self }
    }

    fn and(self, memory_bytes: u64) -> Self {
        Self {
            memory_bytes: self.memory_bytes.saturating_add(memory_bytes),
            ..self
        }
    }
}

impl Default for ProcessLimits {
    /// What probing and copying streams may use.
    fn default() -> Self {
        Self {
            memory_bytes: (4 << 30) + ((256 << 20) * cores()),
            open_files: 64,
            nice: 0,
        }
    }
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u64)
}

fn pixels(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}

impl Confinement {
    /// A child that reads only its stdin.
    pub(crate) fn offline() -> Self {
        Self::default()
    }

    /// A child that reads `source` from the range server.
    pub(crate) fn reading(source: &ServedSource) -> Self {
        Self {
            source: Some(Reach {
                url: source.url().to_owned(),
                port: source.port(),
            }),
            ..Self::default()
        }
    }

    /// The same with other limits.
    #[must_use]
    pub(crate) fn with_limits(mut self, limits: ProcessLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Launch {
    /// A command that so far has only the arguments that every call has: quiet, not interactive, ffmpeg's output
    /// overwrites (it can open no file but the one named by [`Launch::writes`]).
    ///
    /// # Errors
    /// If the program is missing.
    pub(crate) fn new(program: Program, confinement: &Confinement) -> Result<Self> {
        let mut command = FfmpegCommand::new_with_path(program.path()?);
        command.args(["-hide_banner", "-loglevel", "level+warning"]);
        if program == Program::Ffmpeg {
            command.args(["-nostdin", "-y"]);
        }
        let inner = command.as_inner_mut();
        inner.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        inner.env_clear().env("AV_LOG_FORCE_NOCOLOR", "1").current_dir("/");
        Ok(Self {
            program,
            command,
            confinement: confinement.clone(),
            writes: None,
        })
    }

    /// Adds an argument.
    #[must_use]
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// The child reads a pipe, [`Child::take_stdin`]; else its stdin is empty.
    #[must_use]
    pub(crate) fn piped_stdin(mut self) -> Self {
        self.command.as_inner_mut().stdin(Stdio::piped());
        self
    }

    /// The child writes to a pipe, [`Child::take_stdout`]; else what it writes there is lost.
    #[must_use]
    pub(crate) fn piped_stdout(mut self) -> Self {
        self.command.as_inner_mut().stdout(Stdio::piped());
        self
    }

    /// The one file that the child may open for writing (and reading, which MP4's faststart needs). Absolute; made when
    /// it does not exist. It still has to be named in the arguments.
    #[must_use]
    pub(crate) fn writes(mut self, scratch: &Path) -> Self {
        self.writes = Some(scratch.to_owned());
        self
    }

    /// Starts the child. It is killed when `stop` is set and when it has run for `deadline`, within 50 ms, and when
    /// this process ends in whatever way.
    ///
    /// # Errors
    /// If it cannot be started, or somebody stopped the work before.
    pub(crate) fn spawn(mut self, stop: &Stop, deadline: Duration) -> Result<Child> {
        if stop.is_stopped() {
            return Err(Error::stopped());
        }
        let binary = self.program.path()?;
        let port = self.confinement.source.as_ref().map(|s| s.port);
        let cage = confine::Cage::new(binary, port, self.writes.as_deref(), self.confinement.limits, deadline)?;
        // SAFETY: `Cage::enter` makes system calls only; it neither allocates nor takes a lock, so it is safe in a child
        // forked from a process with threads.
        unsafe { self.command.as_inner_mut().pre_exec(move || cage.enter()) };
        let process = launcher::spawn(self.command).map_err(|e| {
            let message = format!(
                "{} cannot be started confined; it must be a program, not a script",
                binary.display()
            );
            Error::new(ErrorCode::FfmpegMissing, message).because(e)
        })?;
        Child::supervise(
            process,
            child::Terms {
                program: self.program,
                stop: stop.clone(),
                deadline,
                memory_bytes: self.confinement.limits.memory_bytes,
                url: self.confinement.source.map(|s| s.url),
            },
        )
    }
}
