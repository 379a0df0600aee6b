//! What became of each file, kept in the folder of the results: a restart submits nothing twice and goes on waiting.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clearfleet_common::job::JobId;
use clearfleet_common::{ErrorCode, Journal};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::scan::{Found, Version};
use crate::cli::client::{ClientError, Result};

/// Folder of the state, in that of the results.
const FOLDER: &str = ".clearfleet-watch";

/// Lines beyond those that count before the journal is written anew.
const SPARE: usize = 1000;

/// What becomes of one version of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Story {
    /// Makes one job of all attempts to submit it.
    pub(super) key: String,
    /// What is asked of the server, as it was when the file was first seen: an attempt after a restart with other
    /// settings must ask the same under the same key. Null once the server has it.
    pub(super) request: Value,
    /// Its job, once the server has it.
    pub(super) job: Option<JobId>,
    /// Where its result goes, from the folder of results on; said before it is put there.
    pub(super) output: Option<PathBuf>,
    /// Whether nothing more is to be done.
    pub(super) ended: bool,
}

/// A line of the journal; the last one of a version of a file counts.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    path: String,
    #[serde(flatten)]
    version: Version,
    key: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    request: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(default)]
    ended: bool,
}

/// The stories of all files. One process holds it.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    journal: Journal<Line>,
    stories: HashMap<Found, Story>,
    /// Whose result is, or will be, under a path.
    claims: HashMap<PathBuf, PathBuf>,
    _lock: File,
}

impl State {
    /// Opens the state in a folder of results, or begins one.
    ///
    /// # Errors
    /// `StateExists` if another process holds it; `OutputUnwritable`, `DiskFull`.
    pub(super) fn open(results: &Path) -> Result<Self> {
        let folder = results.join(FOLDER);
        let cannot = |e: std::io::Error| ClientError::write(folder.display(), &e);
        fs::create_dir_all(&folder).map_err(cannot)?;
        let lock = lock(&folder)?;
        // Downloads that a killed process left; no other one has any here.
        let parts = folder.join("parts");
        match fs::remove_dir_all(&parts) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(cannot(e)),
            _ => fs::create_dir(&parts).map_err(cannot)?,
        }
        let (journal, lines) = Journal::open(folder.join("journal")).map_err(cannot)?;
        let mut state = Self {
            journal,
            stories: HashMap::new(),
            claims: HashMap::new(),
            _lock: lock,
            folder: folder.clone(),
        };
        for line in lines {
            let (found, story) = line.read();
            state.remember(found, story);
        }
        state.compact().map_err(cannot)?;
        Ok(state)
    }

    /// Where downloads are until they are whole.
    pub(super) fn parts(&self) -> PathBuf {
        self.folder.join("parts")
    }

    /// What became of a file, if anything was begun.
    pub(super) fn story(&self, file: &Found) -> Option<&Story> {
        self.stories.get(file)
    }

    /// Files whose jobs are at the server and not ended.
    pub(super) fn under_way(&self) -> Vec<Found> {
        let waits = |story: &Story| story.job.is_some() && !story.ended;
        let mut files: Vec<Found> = self
            .stories
            .iter()
            .filter(|(_, story)| waits(story))
            .map(|(file, _)| file.clone())
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// The story of a file, begun with `request` where there is none.
    ///
    /// # Errors
    /// `OutputUnwritable`, `DiskFull`.
    pub(super) fn begin(&mut self, file: &Found, request: impl FnOnce() -> Value) -> Result<Story> {
        if let Some(story) = self.stories.get(file) {
            return Ok(story.clone());
        }
        let story = Story {
            key: Uuid::new_v4().to_string(),
            request: request(),
            job: None,
            output: None,
            ended: false,
        };
        self.note(file, story.clone())?;
        Ok(story)
    }

    /// Writes down how a story went on.
    ///
    /// # Errors
    /// `OutputUnwritable`, `DiskFull`.
    pub(super) fn note(&mut self, file: &Found, story: Story) -> Result<()> {
        let line = Line::of(file, &story);
        self.remember(file.clone(), story);
        let written = self.journal.append(&line).and_then(|()| {
            let superfluous = self.journal.lines() > self.stories.len() + SPARE;
            if superfluous { self.compact() } else { Ok(()) }
        });
        written.map_err(|e| ClientError::write(self.folder.display(), &e))
    }

    /// Whether a file of the results belongs to another source than `source`, or to none of ours.
    pub(super) fn is_taken(&self, output: &Path, exists: bool, source: &Path) -> bool {
        match self.claims.get(output) {
            Some(owner) => owner != source,
            None => exists,
        }
    }

    fn remember(&mut self, file: Found, story: Story) {
        if let Some(output) = &story.output {
            self.claims.insert(output.clone(), file.path.clone());
        }
        self.stories.insert(file, story);
    }

    fn compact(&mut self) -> std::io::Result<()> {
        let lines: Vec<Line> = self.stories.iter().map(|(file, story)| Line::of(file, story)).collect();
        self.journal.replace(&lines)
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let cannot = |e: std::io::Error| ClientError::write(path.display(), &e);
    let file = File::create(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message = format!("{} is in use by another process", folder.display());
            Err(ClientError::new(ErrorCode::StateExists, message))
        }
        Err(TryLockError::Error(e)) => Err(cannot(e)),
    }
}

/// Names are bytes; what JSON or a reader would stumble over is written in hex.
const HEX: &AsciiSet = &CONTROLS.add(b'%');

fn written(path: &Path) -> String {
    percent_encode(path.as_os_str().as_bytes(), HEX).to_string()
}

fn read(text: &str) -> PathBuf {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    OsStr::from_bytes(&bytes).into()
}

impl Line {
    fn of(file: &Found, story: &Story) -> Self {
        Self {
            path: written(&file.path),
            version: file.version,
            key: story.key.clone(),
            request: story.request.clone(),
            job: story.job,
            output: story.output.as_deref().map(written),
            ended: story.ended,
        }
    }

    fn read(self) -> (Found, Story) {
        let file = Found {
            path: read(&self.path),
            version: self.version,
        };
        let story = Story {
            key: self.key,
            request: self.request,
            job: self.job,
            output: self.output.as_deref().map(read),
            ended: self.ended,
        };
        (file, story)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &[u8]) -> Found {
        let version = Version { bytes: 3, modified: -5 };
        let path = OsStr::from_bytes(path).into();
        Found { path, version }
    }

    #[test]
    fn a_story_goes_on_where_a_killed_process_left_it() {
        let folder = tempfile::tempdir().unwrap();
        let source = file(b"a/b \xff%41.png");
        let mut state = State::open(folder.path()).unwrap();
        let begun = state.begin(&source, || "asked".into()).unwrap();
        let again = state.begin(&source, || "asked otherwise".into()).unwrap();
        assert_eq!(again, begun, "one key and one request for one file");
        assert!(state.under_way().is_empty(), "no job yet");
        drop(state);

        let mut state = State::open(folder.path()).unwrap();
        assert_eq!(state.story(&source), Some(&begun));
        let submitted = Story {
            job: Some(JobId::from_u128(7)),
            ..begun
        };
        state.note(&source, submitted.clone()).unwrap();
        fs::write(state.parts().join("half"), "x").unwrap();
        drop(state);

        let mut state = State::open(folder.path()).unwrap();
        assert_eq!(state.under_way(), std::slice::from_ref(&source));
        assert_eq!(fs::read_dir(state.parts()).unwrap().count(), 0);
        let ended = Story {
            output: Some("a/b.png".into()),
            ended: true,
            ..submitted
        };
        state.note(&source, ended.clone()).unwrap();
        drop(state);

        let state = State::open(folder.path()).unwrap();
        assert!(state.under_way().is_empty());
        assert_eq!(state.story(&source), Some(&ended));
        let newer = Found {
            version: Version { bytes: 4, modified: 0 },
            ..source
        };
        assert_eq!(state.story(&newer), None);
    }

    #[test]
    fn a_result_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(folder.path()).unwrap();
        let (one, other) = (file(b"a.png"), file(b"a.jpg"));
        let output = Path::new("a.webp");
        assert!(!state.is_taken(output, false, &one.path));
        assert!(state.is_taken(output, true, &one.path), "somebody else's file");
        let mut story = state.begin(&one, || Value::Null).unwrap();
        story.output = Some(output.into());
        state.note(&one, story).unwrap();
        assert!(!state.is_taken(output, true, &one.path));
        assert!(state.is_taken(output, false, &other.path));
    }

    #[test]
    fn a_state_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let refused = State::open(folder.path()).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::StateExists);
        drop(state);
        State::open(folder.path()).unwrap();
    }

    proptest! {
        #[test]
        fn every_name_is_read_as_it_was_written(name in prop::collection::vec(1u8..=255, 1..20)) {
            let path = PathBuf::from(OsStr::from_bytes(&name));
            prop_assert_eq!(read(&written(&path)), path);
        }
    }
}
