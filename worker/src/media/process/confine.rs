//! The cage: what the kernel is told about a child between fork and exec.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::process::{Pid, Resource, Rlimit, Signal};

use super::ProcessLimits;
use crate::{Error, Result};

/// Folders with the libraries that ffmpeg is linked with, and the loader; those that exist are opened to it.
const LIBRARIES: [&str; 8] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/nix/store",
    "/gnu/store",
];

/// Single files, and folders without secrets, that the loader, the C library and the encoders look into.
///
/// Not `/proc/self`: opened here it would be this process, secrets included.
const READABLE: [&str; 7] = [
    "/etc/ld.so.cache",
    "/dev/urandom",
    "/dev/random",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
];

/// Everything that has to happen in the child, prepared so that nothing is left but system calls.
pub(super) struct Cage {
    parent: Pid,
    rlimits: [(Resource, Rlimit); 5],
    nice: i32,
    /// Nothing where the kernel has no Landlock.
    ruleset: Option<OwnedFd>,
}

impl Cage {
    /// A cage for `binary`, which may connect to `port` of TCP and open `scratch` for writing.
    pub(super) fn new(
        binary: &Path,
        port: Option<u16>,
        scratch: Option<&Path>,
        limits: ProcessLimits,
        deadline: Duration,
    ) -> Result<Self> {
        if let Some(path) = scratch {
            if !path.is_absolute() {
                return Err(Error::internal(format!(
                    "the scratch file {} has no absolute path",
                    path.display()
                )));
            }
            // Landlock's rules are about files that exist. What is in it is the child's to replace.
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(|e| Error::write(path.display(), e))?;
        }
        let ruleset = ruleset(binary, port, scratch)
            .map_err(|e| Error::internal("the rules that confine ffmpeg cannot be made").because(e))?;
        let both = |limit| Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        let writable = if scratch.is_some() {
            Rlimit {
                current: None,
                maximum: None,
            }
        } else {
            both(0)
        };
        Ok(Self {
            parent: rustix::process::getpid(),
            rlimits: [
                (Resource::As, both(limits.memory_bytes)),
                // The kernel's own deadline, in case that nobody is left to keep the real one.
                (
                    Resource::Cpu,
                    both((deadline.as_secs() + 1).saturating_mul(super::cores())),
                ),
                (Resource::Core, both(0)),
                (Resource::Nofile, both(limits.open_files)),
                (Resource::Fsize, writable),
            ],
            nice: limits.nice,
            ruleset,
        })
    }

    /// Confines the calling process, for good. Runs between fork and exec: system calls only, no allocation, no lock.
    pub(super) fn enter(&self) -> io::Result<()> {
        // A session of its own: a terminal's Ctrl-C reaches Clearfleet first, which then stops the child.
        rustix::process::setsid()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() != Some(self.parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        // Rust opens everything close-on-exec; a driver's library in this process may not. Needs Linux 5.11.
        // SAFETY: the call takes three numbers and touches no memory.
        unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        for (resource, limit) in &self.rlimits {
            rustix::process::setrlimit(*resource, *limit)?;
        }
        rustix::process::nice(self.nice)?;
        rustix::thread::set_no_new_privs(true)?;
        if let Some(ruleset) = &self.ruleset {
            // SAFETY: the descriptor is open, since `self` owns it; the call touches no memory.
            if unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0u32) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

/// The version of Landlock that the running kernel offers, 0 for none.
pub(super) fn landlock_abi() -> u32 {
    static VERSION: LazyLock<u32> = LazyLock::new(|| {
        const ASK_VERSION: u32 = 1;
        // SAFETY: with this flag the kernel takes a null pointer and a size of 0, and only answers with a number.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                std::ptr::null::<libc::c_void>(),
                0usize,
                ASK_VERSION,
            )
        };
        let version = u32::try_from(answer).unwrap_or(0);
        if version == 0 {
            tracing::warn!(
                "this kernel has no Landlock: ffmpeg runs with limits, but is not kept from files and ports"
            );
        }
        version
    });
    *VERSION
}

/// Landlock's rules, as far as the kernel knows them: no writing but to `scratch`, reading of libraries only, starting of
/// nothing else, TCP to `port` only, no signals to others.
fn ruleset(binary: &Path, port: Option<u16>, scratch: Option<&Path>) -> Result<Option<OwnedFd>, RulesetError> {
    if landlock_abi() == 0 {
        return Ok(None);
    }
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V6))?
        .handle_access(AccessNet::from_all(ABI::V6))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    for folder in LIBRARIES.iter().map(PathBuf::from).chain(own_libraries(binary)) {
        rules = allow(rules, &folder, read | AccessFs::Execute)?;
    }
    rules = allow(rules, binary, AccessFs::ReadFile | AccessFs::Execute)?;
    for path in READABLE {
        rules = allow(rules, Path::new(path), read)?;
    }
    rules = allow(rules, Path::new("/dev/null"), AccessFs::ReadFile | AccessFs::WriteFile)?;
    if let Some(path) = scratch {
        rules = allow(
            rules,
            path,
            AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate,
        )?;
    }
    if let Some(port) = port {
        rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    Ok(rules.into())
}

/// The folder of libraries beside a build that lives in a folder of its own, such as `/opt/ffmpeg/bin/ffmpeg`.
fn own_libraries(binary: &Path) -> Option<PathBuf> {
    Some(binary.parent()?.parent()?.join("lib"))
}

/// Adds a rule for what lies beneath `path`, if there is such a path.
fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        // What only folders have, such as listing, is left out for a file by the crate.
        Ok(opened) => rules.add_rule(PathBeneath::new(opened, access)),
        Err(_) => Ok(rules),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use super::*;
    use crate::media::process::Program;

    #[test]
    fn the_kernel_keeps_the_deadline_where_nobody_else_does() {
        let ffmpeg = Program::Ffmpeg.path().unwrap();
        let cage = Cage::new(ffmpeg, None, None, ProcessLimits::default(), Duration::ZERO).unwrap();
        let mut endless = Command::new(ffmpeg);
        endless.args([
            "-nostdin",
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=640x480",
            "-f",
            "null",
            "-",
        ]);
        // SAFETY: `Cage::enter` makes system calls only.
        unsafe { endless.pre_exec(move || cage.enter()) };
        let ended = endless.status().unwrap();
        assert_eq!(ended.signal(), Some(Signal::KILL.as_raw()), "{ended}");
    }
}
