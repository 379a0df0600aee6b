use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::JobId;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::scan::{Found, Version};
use super::state::{State, Story};
use crate::cli::client::{Client, ClientError, JobView, Reporter, RequestArgs, Result, described};
use crate::cli::submit::done;

/// How long a file waits after a passing failure: by then the client itself has tried for a while.
const LATER: Duration = Duration::from_secs(30);

/// What all files share on their way.
pub(super) struct Work {
    client: Client,
    request: RequestArgs,
    pub(super) source: PathBuf,
    pub(super) results: PathBuf,
    /// Whether a passing failure ends it.
    once: bool,
    reporter: Arc<Reporter>,
    state: Mutex<State>,
    /// One upload at a time: several would only make each other slower.
    uploading: Semaphore,
}

impl Work {
    /// Opens the state in the folder of results.
    ///
    /// # Errors
    /// As [`State::open`].
    pub(super) fn open(
        client: Client,
        request: RequestArgs,
        source: PathBuf,
        results: PathBuf,
        once: bool,
        reporter: Arc<Reporter>,
    ) -> Result<Self> {
        Ok(Self {
            client,
            request,
            state: Mutex::new(State::open(&results)?),
            source,
            results,
            once,
            reporter,
            uploading: Semaphore::new(1),
        })
    }

    /// Files whose jobs are at the server.
    pub(super) fn under_way(&self) -> Vec<Found> {
        self.state().under_way()
    }

    /// Whether nothing more is to be done for a file.
    pub(super) fn is_through(&self, file: &Found) -> bool {
        self.state().story(file).is_some_and(|story| story.ended)
    }

    /// A file's job, if the server has it.
    pub(super) fn job(&self, file: &Found) -> Option<JobId> {
        self.state().story(file).and_then(|story| story.job)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits a file if it is not, waits for its result and puts it into its place, or what went wrong.
    ///
    /// # Errors
    /// Why there is no result. It is written down too, unless it is a passing failure and nothing waits for it to pass.
    pub(super) async fn bring(&self, file: &Found) -> Result<()> {
        loop {
            let error = match self.attempt(file).await {
                Ok(()) => return Ok(()),
                Err(error) if passes(&error) => error,
                Err(error) => match self.bury(file, &error) {
                    Ok(()) => return Err(error),
                    Err(unwritten) => unwritten,
                },
            };
            if self.once {
                return Err(error);
            }
            let told = described(&error, None);
            let seconds = LATER.as_secs();
            self.reporter
                .said(Some(&file.path), &format!("again in {seconds} s: {}", told.trim_end()));
            tokio::time::sleep(LATER).await;
        }
    }

    fn begin(&self, file: &Found) -> Result<Story> {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        self.state().begin(file, || self.request.document(&name))
    }

    async fn attempt(&self, file: &Found) -> Result<()> {
        let mut story = self.begin(file)?;
        let job = match story.job {
            Some(job) => job,
            None => match self.submit(file, &mut story).await? {
                Some(job) => job,
                None => return Ok(()),
            },
        };
        let ended = self.client.follow(job, &mut |_| ()).await?;
        done(&ended)?;
        self.fetch(file, story, &ended).await
    }

    /// Uploads a file; nothing if it is not there any more, or became another one meanwhile.
    async fn submit(&self, file: &Found, story: &mut Story) -> Result<Option<JobId>> {
        let path = self.source.join(&file.path);
        let turn = self.uploading.acquire().await;
        let same = || Version::of(&path).is_ok_and(|version| version == file.version);
        if !same() {
            return Ok(None);
        }
        let request = &story.request;
        let job = self.client.submit(&path, request, &story.key, &mut |_, _| ()).await?.id;
        drop(turn);
        if !same() {
            // What was sent may be half of each. The other version is found by the next look.
            self.reporter
                .said(Some(&file.path), "it changed while it was sent, and is sent again");
            story.ended = true;
            self.state().note(file, story.clone())?;
            if let Err(error) = self.client.cancel(job).await {
                tracing::warn!(%job, %error, "a job of half a file cannot be cancelled, or has ended");
            }
            return Ok(None);
        }
        (story.job, story.request) = (Some(job), Value::Null);
        self.state().note(file, story.clone())?;
        self.reporter.submitted(&file.path, job);
        Ok(Some(job))
    }

    /// Downloads the result and gives it its place.
    async fn fetch(&self, file: &Found, mut story: Story, ended: &JobView) -> Result<()> {
        let parts = self.state().parts();
        let download = self.client.download(ended, &parts).await?;
        let (output, bytes) = (self.place(file, Path::new(&download.name), ended.id), download.bytes);
        // Said before it is there: after a crash between the two, the file is known as ours.
        story.output = Some(output.clone());
        self.state().note(file, story.clone())?;
        let path = self.results.join(&output);
        make_folder_of(&path)?;
        download.keep(&path, true)?;
        // Of an earlier version, or of an earlier attempt.
        let stale = self.results.join(error_name(&file.path));
        match fs::remove_file(&stale) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(ClientError::write(stale.display(), &e)),
            _ => {}
        }
        story.ended = true;
        self.state().note(file, story)?;
        let notes = ended.result.as_ref().map(|result| result.notes.as_slice());
        let notes = notes.unwrap_or_default();
        self.reporter
            .finished(&file.path, ended.id, Some((&path, bytes)), notes);
        Ok(())
    }

    /// The path of a result from the folder of results on: the source's with the result's extension; where that is
    /// somebody else's, with both extensions, and at last with the job's id.
    fn place(&self, file: &Found, proposed: &Path, job: JobId) -> PathBuf {
        let extension = proposed.extension().unwrap_or_default();
        let short = file.path.with_extension(extension);
        let long = file.path.with_added_extension(extension);
        let longest = file
            .path
            .with_added_extension(job.to_string())
            .with_added_extension(extension);
        let state = self.state();
        let free = |path: &&PathBuf| {
            let exists = fs::symlink_metadata(self.results.join(path)).is_ok();
            !state.is_taken(path, exists, &file.path)
        };
        [&short, &long].into_iter().find(free).unwrap_or(&longest).clone()
    }

    /// Writes down why there is no result.
    fn bury(&self, file: &Found, error: &ClientError) -> Result<()> {
        let mut story = self.begin(file)?;
        let mut state = self.state();
        let path = self.results.join(error_name(&file.path));
        let cannot = |e: &std::io::Error| ClientError::write(path.display(), e);
        make_folder_of(&path)?;
        let mut text = tempfile::NamedTempFile::new_in(state.parts()).map_err(|e| cannot(&e))?;
        let written = std::io::Write::write_all(&mut text, described(error, story.job).as_bytes());
        written
            .and_then(|()| text.as_file().sync_all())
            .map_err(|e| cannot(&e))?;
        text.persist(&path).map_err(|e| cannot(&e.error))?;
        story.ended = true;
        state.note(file, story)
    }
}

/// Whether waiting may help: the server or the disk is not as it should be, and the file is not to blame.
fn passes(error: &ClientError) -> bool {
    let outside = [
        ErrorCode::Unauthorized,
        ErrorCode::Forbidden,
        ErrorCode::InsufficientStorage,
        ErrorCode::DiskFull,
        ErrorCode::OutputUnwritable,
    ];
    error.is_transient() || outside.contains(&error.code())
}

fn error_name(path: &Path) -> PathBuf {
    path.with_added_extension("error.txt")
}

fn make_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|e| ClientError::write(format_args!("the folder {}", folder.display()), &e))
}
