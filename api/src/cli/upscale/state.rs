//! The state of a video's run: a folder beside the output, laid out as the store of a job, that `--resume` goes on from.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{EncodeSettings, Filters, SourceIdentity, Stretch, Target};
use clearfleet_worker::{Error, Result};
use serde::{Deserialize, Serialize};

use super::outputs::parent;

/// What the name of a state folder ends with.
pub(super) const STATE_SUFFIX: &str = ".clearfleet";

/// The longest name that file systems take, in bytes.
const LONGEST_NAME: usize = 255;

/// What a run was asked for: only the same request goes on from its state.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) source: SourceIdentity,
    pub(super) target: Target,
    pub(super) encode: EncodeSettings,
    pub(super) stretch: Stretch,
    #[serde(default)]
    pub(super) filters: Filters,
    #[serde(default)]
    pub(super) deinterlace: bool,
    pub(super) pipeline: String,
    pub(super) batch_frames: Option<u64>,
}

/// A state folder that this process holds.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    _lock: File,
}

impl State {
    /// Opens the state of `output`: an earlier run's where `resume` says so and it was asked for the same, else anew.
    ///
    /// # Errors
    /// `StateExists` if an earlier run left its state and neither `resume` nor `overwrite` says what to do with it, if
    /// it was asked for something else, or if it is still at work; `OutputUnwritable`, `DiskFull`.
    pub(super) fn open(output: &Path, request: &Request, resume: bool, overwrite: bool) -> Result<Self> {
        let folder = parent(output).join(name(output.file_name().unwrap_or_default()));
        let shown = folder.display();
        let made = match fs::create_dir(&folder) {
            Ok(()) => true,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => false,
            Err(e) => return Err(Error::write(format_args!("the folder {shown}"), e)),
        };
        let lock = lock(&folder)?;
        let state = Self { folder, _lock: lock };
        let exists = |message: String| Err(Error::new(ErrorCode::StateExists, message));
        match state.request() {
            _ if made => {}
            Some(earlier) if resume && earlier == *request => {
                state.sweep();
                return Ok(state);
            }
            // Without a request the run ended before it began.
            None => state.clear()?,
            Some(_) if overwrite => state.clear()?,
            Some(_) if resume => {
                let shown = state.folder.display();
                return exists(format!(
                    "{shown} is of a run with other settings or another source; --overwrite begins anew"
                ));
            }
            Some(_) => {
                let shown = state.folder.display();
                return exists(format!(
                    "{shown} is of an interrupted run; --resume goes on, --overwrite begins anew"
                ));
            }
        }
        let bytes =
            serde_json::to_vec_pretty(request).map_err(|e| Error::internal("a request cannot be stored").because(e))?;
        let path = state.folder.join("request.json");
        fs::write(&path, bytes).map_err(|e| Error::write(path.display(), e))?;
        Ok(state)
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Deletes all that a run leaves but the lock.
    fn clear(&self) -> Result<()> {
        let cannot = |e| Error::write(self.folder.display(), e);
        for entry in fs::read_dir(&self.folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            let removed = match path.is_dir() {
                true => fs::remove_dir_all(&path),
                false if path.file_name() == Some(OsStr::new("lock")) => Ok(()),
                false => fs::remove_file(&path),
            };
            removed.map_err(cannot)?;
        }
        Ok(())
    }

    /// Deletes what was planned and made, not what was asked for.
    ///
    /// # Errors
    /// `OutputUnwritable`.
    pub(super) fn restart(&self) -> Result<()> {
        let jobs = self.folder.join("jobs");
        fs::remove_dir_all(&jobs).map_err(|e| Error::write(jobs.display(), e))
    }

    /// Deletes the folder.
    pub(super) fn remove(self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "a state folder is left behind");
        }
    }

    fn request(&self) -> Option<Request> {
        serde_json::from_slice(&fs::read(self.folder.join("request.json")).ok()?).ok()
    }

    /// Deletes what a killed process had half-written; whole objects have names of their own.
    fn sweep(&self) {
        let files = walkdir::WalkDir::new(&self.folder).into_iter().flatten();
        for file in files.filter(|f| f.file_type().is_file() && f.file_name().as_bytes().starts_with(b".tmp")) {
            // What cannot be deleted now is deleted with the folder.
            let _ = fs::remove_file(file.path());
        }
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|e| Error::write(path.display(), e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message = format!("{} is in use by another process", folder.display());
            Err(Error::new(ErrorCode::StateExists, message))
        }
        Err(TryLockError::Error(e)) => Err(Error::write(path.display(), e)),
    }
}

/// `film.mkv.clearfleet`; where that is too long, the name's beginning and a digest of the whole.
fn name(output: &OsStr) -> OsString {
    let mut name = output.to_owned();
    name.push(STATE_SUFFIX);
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let digest = output.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        // FNV-1a: only names of one folder must differ.
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let start: String = output.to_string_lossy().chars().take(40).collect();
    format!("{start}-{digest:016x}{STATE_SUFFIX}").into()
}

#[cfg(test)]
mod tests {
    use clearfleet_common::job::{Codec, Container};

    use super::*;

    fn request(crf: u8) -> Request {
        Request {
            source: SourceIdentity {
                bytes: 5,
                tag: "t".to_owned(),
            },
            target: Target::Exact(4, 4),
            encode: EncodeSettings {
                codec: Codec::H264,
                crf: Some(crf),
                preset: None,
                container: Container::Mp4,
            },
            stretch: Stretch::default(),
            filters: Filters::default(),
            deinterlace: false,
            pipeline: "p".to_owned(),
            batch_frames: None,
        }
    }

    #[test]
    fn an_earlier_run_is_gone_on_with_only_by_the_same_request() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        let state = State::open(&output, &request(1), false, false).unwrap();
        let kept = state.folder().join("kept");
        fs::write(&kept, "batch").unwrap();
        let in_use = State::open(&output, &request(1), true, false).unwrap_err();
        assert!(in_use.to_string().contains("in use"), "{in_use}");
        drop(state);

        let code = |resume, crf| {
            State::open(&output, &request(crf), resume, false)
                .map(drop)
                .map_err(|e| e.code())
        };
        assert_eq!(code(false, 1), Err(ErrorCode::StateExists));
        assert_eq!(code(true, 2), Err(ErrorCode::StateExists));
        assert_eq!(code(true, 1), Ok(()));
        assert!(kept.exists());
        let anew = State::open(&output, &request(2), false, true).unwrap();
        assert!(!kept.exists());
        anew.remove();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn half_written_objects_are_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        let state = State::open(&output, &request(1), false, false).unwrap();
        let half = state.folder().join(".tmpA1b2C3");
        fs::write(&half, "half").unwrap();
        drop(state);
        State::open(&output, &request(1), true, false).unwrap();
        assert!(!half.exists());
    }

    #[test]
    fn long_names_get_a_short_state_folder() {
        let long = OsString::from("가".repeat(84));
        assert!(name(&long).len() <= LONGEST_NAME);
        assert_ne!(name(&long), name(&OsString::from("가".repeat(83) + "나")));
        assert_eq!(name(OsStr::new("a.mp4")), "a.mp4.clearfleet");
    }
}
