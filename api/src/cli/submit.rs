//! `clearfleet submit`: sends files to a server, one after the other, and waits for what comes of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Failure, JobId, State};
use uuid::Uuid;

use super::client::{self, Client, ClientError, JobView, Reporter, RequestArgs, Result, ServerArgs, Stage};
use super::exit::exit_code;

/// Send pictures and videos to a server.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  clearfleet submit photo.jpg --server http://127.0.0.1:8080 --wait\n  \
    clearfleet submit *.mkv --server https://clearfleet.example --wait -o larger/ --codec h265 --crf 22"
)]
pub(super) struct SubmitArgs {
    /// Pictures and videos.
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,

    /// Wait until each is done, and download its result.
    #[arg(long)]
    wait: bool,
    /// Where results go; the folder is made if need be [default: here].
    #[arg(long, short, value_name = "DIR", requires = "wait", value_hint = ValueHint::DirPath)]
    output: Option<PathBuf>,
    /// Replace files that exist in the folder.
    #[arg(long, requires = "wait")]
    overwrite: bool,

    /// Print events as JSON, one a line, on standard output.
    #[arg(long)]
    json: bool,
    /// Print errors only.
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,

    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    request: RequestArgs,
}

/// Runs the command.
pub(super) fn run(args: &SubmitArgs) -> ExitCode {
    let reporter = Reporter::new(args.json, args.quiet, true);
    let work = async {
        let client = prepare(args).await?;
        let mut submission = Submission {
            args,
            client,
            reporter: &reporter,
            waits_for: None,
        };
        tokio::select! {
            code = submission.all() => return Ok(code),
            stop = client::stop_asked() => stop?,
        }
        let message = "stopped before the end".to_owned();
        let (input, job) = submission.waits_for.unzip();
        if let Some(job) = job {
            reporter.said(input.as_deref(), &format!("the server goes on with job {job}"));
        }
        reporter.failed(input.as_deref(), job, &ClientError::new(ErrorCode::Stopped, message));
        Ok(exit_code(ErrorCode::Stopped))
    };
    let code = client::block_on(work).flatten().unwrap_or_else(|e| {
        reporter.failed(None, None, &e);
        exit_code(e.code())
    });
    ExitCode::from(code)
}

async fn prepare(args: &SubmitArgs) -> Result<Client> {
    if let Some(folder) = &args.output {
        let made = std::fs::create_dir_all(folder);
        made.map_err(|e| ClientError::write(format_args!("the folder {}", folder.display()), &e))?;
    }
    let client = Client::new(&args.server)?;
    client.greet().await?;
    Ok(client)
}

struct Submission<'a> {
    args: &'a SubmitArgs,
    client: Client,
    reporter: &'a Reporter,
    /// The file whose job is at the server.
    waits_for: Option<(PathBuf, JobId)>,
}

impl Submission<'_> {
    /// Does all files; the exit code is that of the first failure.
    async fn all(&mut self) -> u8 {
        let mut code = 0;
        for file in &self.args.files {
            if let Err(e) = self.one(file).await {
                let job = self.waits_for.as_ref().map(|(_, job)| *job);
                self.reporter.failed(Some(file), job, &e);
                code = if code == 0 { exit_code(e.code()) } else { code };
            }
            self.waits_for = None;
        }
        if self.args.files.len() > 1 {
            self.reporter.summary();
        }
        code
    }

    async fn one(&mut self, file: &Path) -> Result<()> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let request = self.args.request.document(&name);
        let reporter = self.reporter;
        let mut told = |done, total| reporter.progress(file, Stage::Upload, done, total, None);
        // One key for all attempts at this file, so that the server makes one job of them.
        let key = Uuid::new_v4().to_string();
        let job = self.client.submit(file, &request, &key, &mut told).await?;
        self.waits_for = Some((file.to_owned(), job.id));
        reporter.submitted(file, job.id);
        if !self.args.wait {
            reporter.finished(file, job.id, None, &[]);
            return Ok(());
        }
        let mut told = |job: &JobView| {
            let progress = job.progress;
            let stage = Stage::Job(job.state);
            reporter.progress(file, stage, progress.done, progress.total, progress.place_in_line);
        };
        let ended = self.client.follow(job.id, &mut told).await?;
        done(&ended)?;
        let folder = self.args.output.as_deref().unwrap_or(Path::new("."));
        let download = self.client.download(&ended, folder).await?;
        let (output, bytes) = (folder.join(&download.name), download.bytes);
        download.keep(&output, self.args.overwrite)?;
        let notes = ended.result.map(|result| result.notes).unwrap_or_default();
        reporter.finished(file, ended.id, Some((&output, bytes)), &notes);
        Ok(())
    }
}

/// Makes sure that an ended job has a result.
///
/// # Errors
/// Why it has none.
pub(super) fn done(job: &JobView) -> Result<()> {
    match (job.state, &job.failure) {
        (State::Done, _) => Ok(()),
        (_, Some(failure)) => Err(failure.clone().into()),
        (State::Cancelled, None) => Err(ClientError::new(ErrorCode::Stopped, "somebody cancelled the job")),
        (State::Expired, None) => Err(ClientError::new(
            ErrorCode::Gone,
            "its result was deleted after its time",
        )),
        (state, None) => {
            Err(Failure::new(ErrorCode::Internal, format!("the job is {state}, and nobody says why")).into())
        }
    }
}
