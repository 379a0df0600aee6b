//! What is in the folder, and whether somebody still writes to it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

/// What tells a file from what it was, or becomes, under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) bytes: u64,
    /// Nanoseconds since 1970.
    pub(super) modified: i64,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Found {
    /// From the watched folder on.
    pub(super) path: PathBuf,
    pub(super) version: Version,
}

impl Version {
    /// The version that is there now.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self::from(&fs::metadata(path)?))
    }
}

impl From<&fs::Metadata> for Version {
    fn from(metadata: &fs::Metadata) -> Self {
        let seconds = metadata.mtime().saturating_mul(1_000_000_000);
        Self {
            bytes: metadata.len(),
            modified: seconds.saturating_add(metadata.mtime_nsec()),
        }
    }
}

/// The regular files of a folder and its inner folders in order of their names, without hidden ones and without those
/// under `skip`; and what could not be read. Links are not followed.
pub(super) fn scan(folder: &Path, skip: &Path) -> (Vec<Found>, Vec<walkdir::Error>) {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|e| e.depth() == 0 || (!hidden(e.file_name()) && e.path() != skip)) {
        let found = entry.and_then(|entry| {
            let inner = entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_owned();
            let found = entry.file_type().is_file().then(|| entry.metadata()).transpose()?;
            Ok(found.map(|metadata| Found {
                path: inner,
                version: Version::from(&metadata),
            }))
        });
        match found {
            Ok(found) => files.extend(found),
            // What went away meanwhile is simply not there.
            Err(e) if e.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) && e.depth() > 0 => {}
            Err(e) => errors.push(e),
        }
    }
    (files, errors)
}

/// Which files have kept still, and since when.
#[derive(Debug, Default)]
pub(super) struct Settling(HashMap<PathBuf, (Version, Instant)>);

impl Settling {
    /// Takes in what is there now; returns what has not changed for `still`. What is left out of `found` is forgotten.
    pub(super) fn look(&mut self, found: &[Found], still: Duration, now: Instant) -> Vec<Found> {
        let mut seen = HashMap::with_capacity(found.len());
        let mut settled = Vec::new();
        for file in found {
            let since = match self.0.get(&file.path) {
                Some((version, since)) if *version == file.version => *since,
                _ => now,
            };
            if now.duration_since(since) >= still {
                settled.push(file.clone());
            }
            seen.insert(file.path.clone(), (file.version, since));
        }
        self.0 = seen;
        settled
    }

    /// Somebody writes to a file: it begins to settle anew.
    pub(super) fn disturb(&mut self, path: &Path, now: Instant) {
        if let Some((_, since)) = self.0.get_mut(path) {
            *since = now;
        }
    }
}

/// Device and inode of every file that a process has open for writing, as far as this process may know: those of other
/// users and of other containers stay unknown.
pub(super) fn written_to() -> HashSet<(u64, u64)> {
    let numbered = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name())
            .filter(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
    };
    let mut written = HashSet::new();
    for process in numbered(Path::new("/proc")) {
        let process = Path::new("/proc").join(process);
        for number in numbered(&process.join("fd")) {
            let info = fs::read_to_string(process.join("fdinfo").join(&number)).unwrap_or_default();
            if !writes(&info) {
                continue;
            }
            if let Ok(metadata) = fs::metadata(process.join("fd").join(&number))
                && metadata.is_file()
            {
                written.insert((metadata.dev(), metadata.ino()));
            }
        }
    }
    written
}

/// Whether a descriptor's flags, in octal, say that it can write.
fn writes(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    // O_WRONLY and O_RDWR.
    flags.is_some_and(|flags| flags & 3 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, bytes: u64, modified: i64) -> Found {
        let path = path.into();
        let version = Version { bytes, modified };
        Found { path, version }
    }

    #[test]
    fn a_file_settles_when_it_has_not_changed_for_long_enough() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        let mut look = |files: &[Found], after: u64| {
            let settled = settling.look(files, Duration::from_secs(2), start + Duration::from_secs(after));
            settled
                .into_iter()
                .map(|file| file.path.display().to_string())
                .collect::<Vec<_>>()
        };
        let still = found("still", 1, 1);
        assert!(look(&[still.clone(), found("grows", 1, 1)], 0).is_empty());
        assert!(look(&[still.clone(), found("grows", 2, 1)], 1).is_empty());
        assert_eq!(
            look(&[still.clone(), found("grows", 2, 1), found("rewritten", 5, 1)], 2),
            ["still"]
        );
        assert_eq!(
            look(&[still.clone(), found("grows", 2, 1), found("rewritten", 5, 2)], 3),
            ["still", "grows"]
        );
        assert_eq!(look(&[found("rewritten", 5, 2)], 5), ["rewritten"]);
        assert!(look(&[still], 6).is_empty(), "it was away");
    }

    #[test]
    fn a_disturbed_file_settles_anew() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        let files = [found("a", 1, 1)];
        let still = Duration::from_secs(2);
        settling.look(&files, still, start);
        settling.disturb(Path::new("a"), start + Duration::from_secs(1));
        assert!(settling.look(&files, still, start + Duration::from_secs(2)).is_empty());
        assert_eq!(settling.look(&files, still, start + Duration::from_secs(3)), files);
    }

    #[test]
    fn only_visible_regular_files_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for inner in ["b", ".hidden", "out"] {
            fs::create_dir(path(inner)).unwrap();
        }
        for file in ["b/film.mkv", "a.png", ".part", ".hidden/x", "out/result.png"] {
            fs::write(path(file), "abc").unwrap();
        }
        std::os::unix::fs::symlink(path("a.png"), path("link.png")).unwrap();
        let (files, errors) = scan(folder.path(), &path("out"));
        let names: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
        assert_eq!(names, ["a.png", "b/film.mkv"]);
        assert_eq!(files[0].version, Version::of(&path("a.png")).unwrap());
        assert_eq!((files[0].version.bytes, errors.len()), (3, 0));
        let (none, errors) = scan(&path("nowhere"), &path("out"));
        assert_eq!((none.len(), errors.len()), (0, 1));
    }

    #[test]
    fn a_file_that_is_open_for_writing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let writer = fs::File::create(&path).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let identity = (metadata.dev(), metadata.ino());
        assert!(written_to().contains(&identity));
        drop(writer);
        let _reader = fs::File::open(&path).unwrap();
        assert!(!written_to().contains(&identity));
    }

    #[test]
    fn flags_say_who_writes() {
        assert!(writes("pos:\t0\nflags:\t0100001\nmnt_id:\t29\n"));
        assert!(writes("flags:\t02\n"));
        assert!(!writes("flags:\t0100000\n"));
        assert!(!writes(""));
    }
}
