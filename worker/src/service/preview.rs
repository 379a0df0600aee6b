//! A preview: a few frames of a video, planned, upscaled and put together as one task.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{
    Codec, Container, EncodeSettings, JobResult, Outcome, OutputFormat, Plan, PlanSummary, Preview, Record, SourceKind,
    Target,
};
use clearfleet_common::storage::KeyPrefix;
use image::{DynamicImage, ImageFormat};

use super::core::Core;
use super::holdings::Held;
use super::media::{self, Scratch};
use super::picture::INTERACTIVE_SECONDS;
use super::products;
use crate::media::probe::{self, Probe};
use crate::media::sniff::Kind;
use crate::steps::{self, Frames, JobContext, Progress};
use crate::{Error, Result};

/// Makes a preview: a picture of one frame, or what the job's result would be of some.
pub(super) fn preview(core: &Arc<Core>, held: &Arc<Held>, record: &Record, wanted: Preview) -> Result<Outcome> {
    let since = Instant::now();
    let number = held.task.step.plan();
    let job = core.context(record, held);
    let made = make(core, held, record, wanted, &job).map_err(|e| media::of_source(&job, e))?;
    let Made {
        plan,
        scratch,
        format,
        size,
    } = made;
    let stored = media::store_result(core, held, &job, &scratch, format)?;
    // All that led to it is of no use any more; where that stays, it goes with the job.
    let prefix = KeyPrefix::Plan(job.key);
    if let Err(error) = core.runtime.block_on(core.storage.delete_all(prefix)) {
        tracing::debug!(job = %job.key.job, %error, "a preview's batches stay until it expires");
    }
    let frames = plan.batches.iter().map(|range| range.len()).sum();
    let ticks = plan.until.unwrap_or(plan.zero) - plan.zero;
    let summary = PlanSummary {
        number,
        kind: SourceKind::Picture,
        class: record.request.class,
        pipeline: plan.pipeline.clone(),
        batches: 1,
        frames,
        batch_seconds: since.elapsed().as_secs_f64(),
        source_size: plan.video.source_size,
        target_size: size,
        seconds: plan.video.time_base.seconds(ticks),
        format,
        notes: plan.notes.clone(),
        exact: true,
        has_sound: false,
        fingerprint: None,
    };
    let result = JobResult {
        key: stored.key.to_string(),
        plan: number,
        bytes: stored.bytes,
        sha256: stored.sha256,
        format,
        size,
        frames,
        notes: plan.notes.clone(),
        destination: None,
    };
    Ok(Outcome::Finished {
        result,
        plan: Some(summary),
    })
}

/// A preview in a file.
struct Made {
    plan: Arc<Plan>,
    scratch: Scratch,
    format: OutputFormat,
    size: (u32, u32),
}

fn make(core: &Arc<Core>, held: &Arc<Held>, record: &Record, wanted: Preview, job: &JobContext) -> Result<Made> {
    let kind = media::sniffed(&**job.source.bytes(), record, &core.limits)?;
    if matches!(kind, Kind::Still(_)) {
        let message = "a still picture has no preview: it is one step itself";
        return Err(Error::new(ErrorCode::SettingsInvalid, message));
    }
    let probe = held.part("probe", || probe::probe(&job.source, &core.limits, &job.stop))?;
    let is_picture = wanted.frames == 1;
    let plan = plan(core, record, wanted, job, &probe, kind)?;
    let shown = Arc::new(Shown {
        held: Arc::clone(held),
        colours: is_picture.then(|| products::Colours::of(&plan.video)),
        picture: Mutex::default(),
    });
    let engine = core.engine.for_task(held.lane, held.task.owner, job.stop.clone());
    let progress = Arc::clone(&shown) as Arc<dyn Progress>;
    steps::upscale(job, &plan, &engine, &mut (0..plan.batches.len() as u64), &progress)?;
    let scratch = Scratch::new(&core.scratch)?;
    if is_picture {
        let taken = shown.picture.lock().unwrap_or_else(PoisonError::into_inner).take();
        let picture = taken.ok_or_else(|| Error::internal("no frame went through the engine"))?;
        let picture = upright(picture, plan.video.rotation);
        let cannot = |e| Error::new(ErrorCode::EncodeFailed, "the picture cannot be written").because(e);
        picture
            .save_with_format(scratch.path(), ImageFormat::Png)
            .map_err(cannot)?;
        let size = (picture.width(), picture.height());
        return Ok(Made {
            plan,
            scratch,
            format: OutputFormat::Png,
            size,
        });
    }
    held.part("remux", || steps::assemble(job, &plan, &probe, scratch.path()))?;
    let (format, size) = (media::format_of(plan.container), plan.video.target_size);
    Ok(Made {
        plan,
        scratch,
        format,
        size,
    })
}

/// One frame is kept as it is until it becomes a picture; several are encoded as the job's result is.
fn plan(
    core: &Core,
    record: &Record,
    wanted: Preview,
    job: &JobContext,
    probe: &Probe,
    kind: Kind,
) -> Result<Arc<Plan>> {
    let mut request = media::request(core, record, probe, kind, false)?;
    request.engine.clone_from(&core.fingerprint);
    request.pixels_per_second = core.engine.pixels_per_second();
    if wanted.frames == 1 {
        request.encode = EncodeSettings {
            codec: Codec::Ffv1,
            crf: None,
            preset: None,
            container: Container::Mkv,
        };
        // The picture is turned upright, and an exact size is that of the upright one.
        if let Target::Exact(width, height) = request.target
            && probe.video()?.orientation.rotation % 180 == 90
        {
            request.target = Target::Exact(height, width);
        }
    }
    steps::plan_preview(job, probe, &request, wanted.frames, INTERACTIVE_SECONDS)
}

fn upright(picture: DynamicImage, rotation: u32) -> DynamicImage {
    match rotation {
        90 => picture.rotate90(),
        180 => picture.rotate180(),
        270 => picture.rotate270(),
        _ => picture,
    }
}

/// Counts frames, and keeps the last one where a picture is wanted.
struct Shown {
    held: Arc<Held>,
    colours: Option<products::Colours>,
    picture: Mutex<Option<DynamicImage>>,
}

impl Progress for Shown {
    fn batch_started(&self, batch: u64, frames: u64) {
        let (done, total) = self.held.progress().unwrap_or_default();
        let total = if batch == 0 { frames } else { total + frames };
        self.held.set_progress(done, total);
    }

    fn frame(&self, frames: &Frames<'_>) {
        if let Some(colours) = &self.colours {
            let picture = colours.whole(&frames.target_format, frames.target);
            *self.picture.lock().unwrap_or_else(PoisonError::into_inner) = Some(picture.into());
        }
    }

    fn frame_done(&self) {
        self.held.frame_done();
    }
}
