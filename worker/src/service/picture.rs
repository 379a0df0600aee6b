//! A still picture: one step from the source to the stored result.

use std::sync::Arc;
use std::time::Instant;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{JobResult, Lane, Outcome, OutputFormat, PlanSummary, Record, SourceKind};
use sha2::{Digest, Sha256};

use super::core::Core;
use super::deliver::deliver;
use super::holdings::Held;
use super::media::{self, Scratch};
use super::products;
use crate::media::sniff::{Kind, Picture};
use crate::media::still::{StillFormat, StillReader};
use crate::steps::{self, JobContext, PictureReport, PictureRequest, Progress};
use crate::{Error, Result};

/// What is estimated to take longer is no task for the interactive lane.
pub(super) const INTERACTIVE_SECONDS: f64 = 60.0;

/// Upscales a picture, or says that it is a video, or for the interactive lane as long as one.
pub(super) fn picture(core: &Arc<Core>, held: &Arc<Held>, record: &Record) -> Result<Outcome> {
    let since = Instant::now();
    let number = held.task.step.plan();
    let job = core.context(record, held);
    let source = job.source.bytes();
    let Kind::Still(kind) = media::sniffed(&**source, record, &core.limits)? else {
        return Ok(Outcome::IsVideo);
    };
    let (format, still) = format(record.request.settings.format, kind)?;
    products::thumbnail_of_picture(&job);
    if held.lane == Lane::Interactive && is_long(core, record, &job)? {
        return Ok(Outcome::IsVideo);
    }
    let request = PictureRequest {
        target: record.request.settings.target,
        format: still,
        quality: record.request.settings.quality,
        filters: record.request.settings.filters,
    };
    let scratch = Scratch::new(&core.scratch)?;
    let cannot = |e| Error::write("the picture", e);
    let mut file = std::fs::File::create_new(scratch.path()).map_err(cannot)?;
    let engine = core.engine.for_task(held.lane, held.task.owner, job.stop.clone());
    let progress = Tiles(Arc::clone(held));
    let (limits, stop) = (&core.limits, &job.stop);
    let made = held.part("compute", || {
        steps::picture(&**source, &request, &engine, limits, stop, &progress, &mut file)
    })?;
    drop(file);
    let stored = media::store_result(core, held, &job, &scratch, format)?;
    let delivered = deliver(core, held, &job, record, &stored, format.content_type());
    let destination = delivered.inspect_err(|_| stored.take_back(core))?;
    let plan = summary(core, record, number, format, &made, since.elapsed().as_secs_f64());
    Ok(Outcome::Finished {
        result: JobResult {
            key: stored.key.to_string(),
            plan: number,
            bytes: stored.bytes,
            sha256: stored.sha256,
            format,
            size: made.target_size,
            frames: 1,
            notes: made.notes,
            destination,
        },
        plan: Some(plan),
    })
}

/// Whether the engine will take longer than somebody waits for.
fn is_long(core: &Core, record: &Record, job: &JobContext) -> Result<bool> {
    let (width, height) = StillReader::open(&**job.source.bytes(), &core.limits, &job.stop)?.size();
    // What is not offered is refused by the step itself.
    let target = record.request.settings.target.size_for(width, height);
    let pixels = target.map_or(0.0, |(width, height)| f64::from(width) * f64::from(height));
    Ok(pixels / core.engine.pixels_per_second() > INTERACTIVE_SECONDS)
}

/// What the result is written as: what was asked for, else what the source is.
fn format(asked: Option<OutputFormat>, source: Picture) -> Result<(OutputFormat, StillFormat)> {
    let format = asked.unwrap_or(match source {
        Picture::Png => OutputFormat::Png,
        Picture::Jpeg => OutputFormat::Jpg,
        Picture::Gif => OutputFormat::Gif,
        Picture::Bmp => OutputFormat::Bmp,
        Picture::WebP => OutputFormat::Webp,
        Picture::Tiff => OutputFormat::Tiff,
    });
    match StillFormat::from_extension(format.extension()) {
        Some(still) => Ok((format, still)),
        None => {
            let message = format!("a picture is not written as {format}; there are png, jpg, webp, tiff, bmp, gif");
            Err(Error::new(ErrorCode::SettingsInvalid, message).with("found", format))
        }
    }
}

fn summary(
    core: &Core,
    record: &Record,
    number: u32,
    format: OutputFormat,
    made: &PictureReport,
    seconds: f64,
) -> PlanSummary {
    let mut pipeline = Sha256::new();
    pipeline.update(format!(
        "{} {format} {:?}",
        core.fingerprint, record.request.settings.quality
    ));
    if !record.request.settings.filters.is_none() {
        pipeline.update(format!("{:?}", record.request.settings.filters));
    }
    PlanSummary {
        number,
        kind: SourceKind::Picture,
        class: record.request.class,
        pipeline: steps::hex(&pipeline.finalize()),
        batches: 1,
        frames: 1,
        batch_seconds: seconds,
        source_size: made.source_size,
        target_size: made.target_size,
        seconds: 0.0,
        format,
        notes: made.notes.clone(),
        exact: false,
        has_sound: false,
        fingerprint: None,
    }
}

/// Counts tiles: of a still they are what there is to count.
struct Tiles(Arc<Held>);

impl Progress for Tiles {
    fn tile_done(&self, done: usize, total: usize) {
        self.0.set_progress(done as u64, total as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_stays_what_it_is_unless_asked_otherwise() {
        assert_eq!(
            format(None, Picture::Jpeg).unwrap(),
            (OutputFormat::Jpg, StillFormat::Jpeg)
        );
        assert_eq!(
            format(None, Picture::WebP).unwrap(),
            (OutputFormat::Webp, StillFormat::WebP)
        );
        let asked = format(Some(OutputFormat::Tiff), Picture::Png).unwrap();
        assert_eq!(asked, (OutputFormat::Tiff, StillFormat::Tiff));
        let refused = format(Some(OutputFormat::Mp4), Picture::Png).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::SettingsInvalid);
    }
}
