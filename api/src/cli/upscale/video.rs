use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Container, EncodeSettings, JobId, Plan};
use clearfleet_common::storage::{ObjectKey, PlanKey};
use clearfleet_worker::media::codec::Ffmpeg;
use clearfleet_worker::media::probe::{self, Probe};
use clearfleet_worker::media::serve::SourceBytes;
use clearfleet_worker::media::sniff::{Kind, Picture};
use clearfleet_worker::steps::{FolderStore, JobContext, PlanRequest, Progress, assemble, plan, upscale};
use clearfleet_worker::{Error, Result};
use vdsr::Engine;

use super::outputs::{Job, unsupported};
use super::state::{Request, State};
use super::{Session, length};
use crate::cli::local;
use crate::cli::report::{Finished, Reporter};

const PLAN: PlanKey = PlanKey {
    job: JobId::LOCAL,
    plan: 0,
};

impl Session<'_> {
    /// Upscales a video in a state folder beside the output, and moves the result into place.
    pub(super) fn upscale_video(
        &self,
        job: &Job,
        source: &Arc<dyn SourceBytes>,
        kind: Kind,
        output: &Path,
    ) -> Result<Finished> {
        let container = container(output, kind)?;
        let served = Arc::new(self.server.register(Arc::clone(source)));
        let probe = probe::probe(&served, &self.limits, self.interrupt.stop())?;
        let request = self.request(job, &probe, container)?;
        let state_request = Request {
            source: request.source.clone(),
            target: request.target,
            encode: request.encode.clone(),
            stretch: request.stretch,
            filters: request.filters,
            deinterlace: request.deinterlace,
            pipeline: request.engine.clone(),
            batch_frames: request.batch_frames,
        };
        let state = State::open(output, &state_request, self.args.resume, self.args.overwrite)?;
        self.interrupt.working_in(state.folder(), true);
        let context = JobContext {
            meter: Arc::new(()),
            store: Arc::new(FolderStore::open(state.folder().to_owned())?),
            key: PLAN,
            server: Arc::clone(&self.server),
            codec: Arc::new(Ffmpeg),
            source: served,
            limits: self.limits,
            stop: self.interrupt.stop().clone(),
            worker: format!(
                "{}:{}",
                rustix::system::uname().nodename().to_string_lossy(),
                std::process::id()
            ),
        };
        match self.make(job, &context, &probe, &request, &state, output) {
            Ok(finished) => {
                state.remove();
                Ok(finished)
            }
            Err(e) => Err(kept_or_removed(e, &context, state)),
        }
    }

    fn request(&self, job: &Job, probe: &Probe, container: Container) -> Result<PlanRequest> {
        let stream = probe.video()?;
        let encode = EncodeSettings {
            codec: self.args.codec.unwrap_or(container.default_codec()),
            crf: self.args.crf,
            preset: self.args.preset.clone(),
            container,
        };
        let (width, height) = self
            .target
            .size_for(stream.width, stream.height)
            .unwrap_or((stream.width, stream.height));
        Ok(PlanRequest {
            target: self.target,
            encode,
            stretch: self.args.stretch(),
            filters: self.args.filters(),
            retouches: Vec::new(),
            deinterlace: self.args.deinterlace,
            source: local::identity(&job.input)?,
            engine: self.pipeline.clone(),
            pixels_per_second: self.args.engine.pixels_per_second(f64::from(width) * f64::from(height)),
            batch_frames: self.args.batch_frames,
            exact: false,
            earlier: Vec::new(),
        })
    }

    fn make(
        &self,
        job: &Job,
        context: &JobContext,
        probe: &Probe,
        request: &PlanRequest,
        state: &State,
        output: &Path,
    ) -> Result<Finished> {
        let mut planned = match stored_plan(context)? {
            Some(plan) => plan,
            None => plan(context, probe, request)?,
        };
        self.reporter
            .started(&job.input, output, &length(&**context.source.bytes()), Some(&planned));
        match self.batches(context, &planned) {
            Err(e) if e.code() == ErrorCode::FramesMismatch && !request.exact => {
                // The packets told other frames than decoding gives: once more, by the frames themselves.
                tracing::info!(error = %e, "planning anew by decoding");
                state.restart()?;
                planned = plan(
                    context,
                    probe,
                    &PlanRequest {
                        exact: true,
                        ..request.clone()
                    },
                )?;
                self.reporter
                    .started(&job.input, output, &length(&**context.source.bytes()), Some(&planned));
                self.batches(context, &planned)?;
            }
            result => result?,
        }
        let scratch = absolute(&state.folder().join("result"))?;
        self.reporter.assembling();
        assemble(context, &planned, probe, &scratch)?;
        if local::identity(&job.input)? != planned.source {
            return Err(Error::new(
                ErrorCode::InputUnreadable,
                "the source was changed while it was read",
            ));
        }
        let cannot = |e| Error::write(output.display(), e);
        let file = std::fs::File::open(&scratch).map_err(cannot)?;
        file.sync_all().map_err(cannot)?;
        let bytes = file.metadata().map_err(cannot)?.len();
        publish(&scratch, output, self.args.overwrite)?;
        let frames = planned.batches.iter().map(|b| b.len()).sum();
        Ok(Finished {
            frames,
            bytes,
            notes: planned.notes.clone(),
        })
    }

    /// Upscales all batches: each device takes the next that nobody has taken.
    fn batches(&self, context: &JobContext, planned: &Arc<Plan>) -> Result<()> {
        let progress: Arc<dyn Progress> = Arc::clone(&self.reporter) as Arc<Reporter>;
        let next = AtomicU64::new(0);
        let count = planned.batches.len() as u64;
        let work = |engine: &dyn Engine| {
            let mut batches = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < count));
            let done = upscale(context, planned, engine, &mut batches, &progress);
            if done.is_err() {
                // The others begin no further batch; what they have begun counts.
                next.store(count, Ordering::Relaxed);
            }
            done
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = self
                .others
                .iter()
                .map(|engine| scope.spawn(|| work(&**engine)))
                .collect();
            let first = work(&*self.first);
            let panicked = |_| Err(Error::internal("a device's thread panicked"));
            others
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(panicked))
                .fold(first, Result::and)
        })
    }
}

fn container(output: &Path, kind: Kind) -> Result<Container> {
    let extension = output
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    match Container::from_extension(&extension) {
        Some(container) => Ok(container),
        None if extension == "png" && matches!(kind, Kind::Animation(Picture::Png)) => Ok(Container::Apng),
        None => Err(unsupported(output, "a video", "mp4, mov, mkv, webm, gif, apng, webp")),
    }
}

fn stored_plan(context: &JobContext) -> Result<Option<Arc<Plan>>> {
    let Some(bytes) = context.store.get(ObjectKey::Plan(PLAN))? else {
        return Ok(None);
    };
    let plan = serde_json::from_slice(&bytes);
    plan.map(|plan| Some(Arc::new(plan)))
        .map_err(|e| Error::internal("the stored plan cannot be read").because(e))
}

/// A failed run's state is kept only where there is something to go on from.
fn kept_or_removed(error: Error, context: &JobContext, state: State) -> Error {
    match context.store.finished(PLAN) {
        Ok(batches) if !batches.is_empty() => error.with("resume", state.folder().display()),
        _ => {
            state.remove();
            error
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::write(path.display(), e))
}

/// Moves a finished file to its name; without `overwrite` never over another.
pub(super) fn publish(scratch: &Path, output: &Path, overwrite: bool) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let moved = match overwrite {
        true => std::fs::rename(scratch, output),
        false => match renameat_with(CWD, scratch, CWD, output, RenameFlags::NOREPLACE) {
            // Some network file systems cannot promise it; the check before the work has to do.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => std::fs::rename(scratch, output),
            moved => moved.map_err(Into::into),
        },
    };
    moved.map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            let message = format!(
                "{} was made by somebody else meanwhile; --overwrite replaces it",
                output.display()
            );
            Error::new(ErrorCode::OutputExists, message).because(e)
        }
        _ => Error::write(output.display(), e),
    })
}
