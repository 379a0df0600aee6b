//! Where ffmpeg and ffprobe are, and how old.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use std::{env, fmt};

use clearfleet_common::{ErrorCode, Stop};
use ffmpeg_sidecar::log_parser::try_parse_version;
use rustix::fs::Access;

use super::{Confinement, Launch};
use crate::{Error, Result};

/// The oldest ffmpeg that Clearfleet works with.
const OLDEST: (u32, u32) = (5, 1);

/// One of ffmpeg's two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Decodes, encodes, remuxes.
    Ffmpeg,
    /// Says what a file holds.
    Ffprobe,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Ffmpeg => "ffmpeg",
            Self::Ffprobe => "ffprobe",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Ffmpeg => "CLEARFLEET_FFMPEG",
            Self::Ffprobe => "CLEARFLEET_FFPROBE",
        }
    }

    /// The file to start, links followed: named by the variable, or found in `PATH`. Looked for until found once.
    pub(super) fn path(self) -> Result<&'static Path> {
        static FOUND: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
        let slot = &FOUND[self as usize];
        if let Some(path) = slot.get() {
            return Ok(path);
        }
        let found = find(self, env::var_os(self.variable()), env::var_os("PATH"))?;
        Ok(slot.get_or_init(|| found))
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn find(program: Program, named: Option<OsString>, path: Option<OsString>) -> Result<PathBuf> {
    let (name, variable) = (program.name(), program.variable());
    let named = named.filter(|n| !n.is_empty());
    let wanted = named.as_deref().unwrap_or(OsStr::new(name));
    let candidates: Vec<PathBuf> = if Path::new(wanted).components().count() > 1 {
        vec![PathBuf::from(wanted)]
    } else {
        env::split_paths(&path.unwrap_or_default())
            .map(|folder| folder.join(wanted))
            .collect()
    };
    let usable = |file: &PathBuf| file.is_file() && rustix::fs::access(file, Access::EXEC_OK).is_ok();
    let found = candidates
        .into_iter()
        .find(usable)
        .and_then(|file| file.canonicalize().ok());
    found.ok_or_else(|| {
        let message = match &named {
            Some(file) => format!(
                "{variable} names {}, which is not a program here",
                file.to_string_lossy()
            ),
            None => format!(
                "{name} is not installed: install ffmpeg {}.{} or newer (on Debian and Ubuntu `apt install ffmpeg`), \
                 or name the program in {variable}",
                OLDEST.0, OLDEST.1
            ),
        };
        Error::new(ErrorCode::FfmpegMissing, message)
    })
}

/// ffmpeg's version, major and minor; asked once.
///
/// # Errors
/// [`ErrorCode::FfmpegMissing`] if it is missing or older than 5.1.
pub(crate) fn ffmpeg_version() -> Result<(u32, u32)> {
    static KNOWN: Mutex<Option<(u32, u32)>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(version) = *known {
        return Ok(version);
    }
    let mut child = Launch::new(Program::Ffmpeg, &Confinement::offline())?
        .arg("-version")
        .piped_stdout()
        .spawn(&Stop::new(), Duration::from_secs(20))?;
    let mut said = String::new();
    if let Some(stdout) = child.take_stdout() {
        // What cannot be read is not a version either, and is answered below.
        let _ = stdout.take(64 << 10).read_to_string(&mut said);
    }
    child.finish(ErrorCode::FfmpegMissing, "asking ffmpeg for its version")?;
    let version = check_version(&said)?;
    *known = Some(version);
    Ok(version)
}

fn check_version(said: &str) -> Result<(u32, u32)> {
    let (oldest, first) = (
        format!("{}.{}", OLDEST.0, OLDEST.1),
        said.lines().next().unwrap_or_default(),
    );
    match parse_version(said) {
        Some(version) if version >= OLDEST => Ok(version),
        Some((major, minor)) => {
            let message = format!("ffmpeg {major}.{minor} is too old: Clearfleet needs {oldest} or newer");
            Err(Error::new(ErrorCode::FfmpegMissing, message)
                .with("expected", oldest)
                .with("found", format!("{major}.{minor}")))
        }
        None => Err(Error::new(
            ErrorCode::FfmpegMissing,
            format!("ffmpeg does not say which version it is: {first:?}"),
        )),
    }
}

/// The release, or for a build between releases the one that its libavformat belongs to.
fn parse_version(said: &str) -> Option<(u32, u32)> {
    let name = try_parse_version(said.lines().next()?)?;
    let mut parts = name.trim_start_matches('n').split(['.', '-', '+']).map(str::parse);
    if let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next())
        && major < 1000
    {
        return Some((major, minor));
    }
    let library = said.lines().find_map(|l| l.trim().strip_prefix("libavformat"))?;
    let mut parts = library.split(['.', '/']).map(|p| p.trim().parse::<u32>());
    match (parts.next()?.ok()?, parts.next()?.ok()?) {
        (major @ 60.., _) => Some((major - 54, 0)),
        (59, minor) => Some((5, u32::from(minor >= 27))),
        (major, _) => Some((major.checked_sub(54)?, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_old_ones_refused() {
        let parse = |first: &str| {
            parse_version(&format!(
                "{first} Copyright (c)\nlibavformat    61.  7.100 / 61.  7.100\n"
            ))
        };
        assert_eq!(parse("ffmpeg version 5.1.9-0+deb12u1"), Some((5, 1)));
        assert_eq!(parse("ffmpeg version n7.0"), Some((7, 0)));
        assert_eq!(parse("ffmpeg version N-109542-g1bf1bd7"), Some((7, 0)));
        assert_eq!(parse("ffmpeg version 2023-01-18-git-ba36e6ed52"), Some((7, 0)));
        assert_eq!(parse("no version at all"), None);
        let old = check_version("ffmpeg version 4.4.2 Copyright").unwrap_err();
        assert_eq!(old.code(), ErrorCode::FfmpegMissing);
        assert_eq!(old.details().get("found").map(String::as_str), Some("4.4"));
        assert_eq!(check_version("").unwrap_err().code(), ErrorCode::FfmpegMissing);
    }

    #[test]
    fn a_missing_program_says_what_to_install() {
        let error = find(Program::Ffprobe, None, Some("/nowhere".into())).unwrap_err();
        assert_eq!(error.code(), ErrorCode::FfmpegMissing);
        assert!(error.message().contains("apt install ffmpeg"), "{error}");
        let error = find(Program::Ffmpeg, Some("/nowhere/ffmpeg".into()), None).unwrap_err();
        assert!(
            error.message().contains("CLEARFLEET_FFMPEG names /nowhere/ffmpeg"),
            "{error}"
        );
        assert!(find(Program::Ffmpeg, Some("sh".into()), Some("/bin".into())).is_ok());
    }
}
