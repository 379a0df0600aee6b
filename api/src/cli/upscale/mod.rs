//! `clearfleet upscale`: each input in turn, one after the other.

mod args;
mod outputs;

mod state;
mod still;
mod video;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clearfleet_common::ErrorCode;
use clearfleet_common::config::Limits;
use clearfleet_common::job::Target;
use clearfleet_worker::media::serve::{SourceBytes, SourceServer};
use clearfleet_worker::media::sniff::{self, Kind};
use clearfleet_worker::{Error, Result};
use vdsr::Engine;

pub(super) use args::UpscaleArgs;
use outputs::Job;

use super::exit::exit_code;
use super::interrupt::Interrupt;
use super::local;
use super::report::{Finished, Reporter};
use clearfleet_worker::cli::{Device, Devices};

/// What all inputs of one call share.
struct Session<'a> {
    args: &'a UpscaleArgs,
    target: Target,
    limits: Limits,
    /// The engine of the first device: it does all pictures.
    first: Arc<dyn Engine>,
    /// Those of further devices, which take batches of videos too.
    others: Vec<Arc<dyn Engine>>,
    /// Fingerprint of the engine and digest of the weights.
    pipeline: String,
    interrupt: Interrupt,
    server: Arc<SourceServer>,
    reporter: Arc<Reporter>,
}

/// Runs the command.
pub(super) fn run(args: &UpscaleArgs) -> ExitCode {
    let reporter = Arc::new(Reporter::new(args.json, args.quiet));
    let code = match start(args, &reporter) {
        Ok((session, jobs)) => work(&session, &jobs),
        Err(e) => {
            reporter.failed(None, &e);
            exit_code(e.code())
        }
    };
    ExitCode::from(code)
}

fn start<'a>(args: &'a UpscaleArgs, reporter: &Arc<Reporter>) -> Result<(Session<'a>, Vec<Job>)> {
    let target = args
        .target()
        .map_err(|e| Error::new(ErrorCode::TargetInvalid, e.to_string()))?;
    let jobs = outputs::jobs(args, target)?;
    let Devices { first, others, weights } = args.engine.devices()?;
    let first = first.engine()?;
    let session = Session {
        args,
        target,
        limits: args.limits.into(),
        pipeline: format!("{} {}", first.fingerprint(), weights.digest()),
        first,
        others: others.iter().map(Device::engine).collect::<Result<_>>()?,
        interrupt: Interrupt::listen()?,
        server: SourceServer::start()?,
        reporter: Arc::clone(reporter),
    };
    Ok((session, jobs))
}

/// Does all jobs; the exit code is that of the first failure.
fn work(session: &Session<'_>, jobs: &[Job]) -> u8 {
    let mut code = 0;
    for job in jobs {
        let since = Instant::now();
        let done = session.upscale(job);
        match done {
            Ok(Some(finished)) => session.reporter.finished(&job.input, &finished, since.elapsed()),
            Ok(None) => session.reporter.skipped(&job.input),
            Err(e) => {
                session.reporter.failed(Some(&job.input), &e);
                code = if code == 0 { exit_code(e.code()) } else { code };
                if e.code() == ErrorCode::Stopped {
                    break;
                }
            }
        }
    }
    if jobs.len() > 1 {
        session.reporter.summary();
    }
    code
}

impl Session<'_> {
    /// Does one job; nothing where a folder held a file that is neither picture nor video.
    fn upscale(&self, job: &Job) -> Result<Option<Finished>> {
        if self.interrupt.stop().is_stopped() {
            return Err(Error::stopped());
        }
        let source = local::open(&job.input, &self.limits)?;
        let kind = match sniff::sniff(&*source, Some(&job.input)) {
            Ok(kind) => kind,
            Err(_) if job.from_folder => return Ok(None),
            Err(e) => return Err(e),
        };
        let output = outputs::output(self.args, job, kind)?;
        outputs::check(self.args, &job.input, &output)?;
        let finished = match kind {
            Kind::Still(_) => self.upscale_still(job, &source, &output),
            _ => self.upscale_video(job, &source, kind, &output),
        };
        self.interrupt.tidy();
        match finished {
            // Of a folder's files, what turns out to hold no video (a sound, a font) is not what was meant.
            Err(e) if job.from_folder && e.code() == ErrorCode::InputNoVideo => Ok(None),
            finished => finished.map(Some),
        }
    }
}

/// Length of a source in bytes as a person reads it.
fn length(source: &dyn SourceBytes) -> String {
    indicatif::HumanBytes(source.len()).to_string()
}
