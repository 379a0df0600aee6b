//! The program under test, and how it is called.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::running::{Ended, Running};

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

/// Where the built `clearfleet-worker` is: beside the program.
fn worker_program() -> PathBuf {
    let path = program().with_file_name("clearfleet-worker");
    assert!(
        path.is_file(),
        "{} does not exist: run `cargo build -p clearfleet-worker` first",
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

    /// The same of another program.
    pub fn of(program: &Path) -> Self {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let ours = ["CLEARFLEET_", "OTEL_"].iter().any(|prefix| text.starts_with(prefix));
            if ours && name != "CLEARFLEET_FFMPEG" && name != "CLEARFLEET_FFPROBE" {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null());
        Self(command)
    }

    /// `clearfleet-worker` with no argument yet.
    pub fn worker() -> Self {
        Self::of(&worker_program())
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
        Running::of(self.0.spawn().expect("the program can be started"))
    }
}

impl Default for Call {
    fn default() -> Self {
        Self::new()
    }
}
