//! By-products for people to look at: a thumbnail of the source, and one frame of each batch before and after. They are
//! made as they can be, and never fail a task.

mod rgb;
#[cfg(test)]
mod tests;

use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{JobId, Plan};
use clearfleet_common::storage::{ObjectKey, PlanKey};
use image::codecs::webp::WebPEncoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, RgbImage};

pub(super) use self::rgb::Colours;
use super::core::Core;
use super::store::ObjectStore;
use crate::media::input::source_arguments;
use crate::media::probe::Probe;
use crate::media::process::{Confinement, Launch, ProcessLimits, Program};
use crate::media::still::StillReader;
use crate::steps::{Frames, JobContext, Store};
use crate::{Error, Result};

/// The longer side of a thumbnail in pixels at most.
const THUMBNAIL: u32 = 320;
/// Pictures with more pixels than this get no thumbnail: decoding them a second time is not cheap any more.
const THUMBNAIL_OF: u64 = 100_000_000;
/// How long ffmpeg may take for a thumbnail.
const DEADLINE: Duration = Duration::from_secs(30);
/// Width and height in pixels of the part of a frame that a pair shows at most.
const PAIR: (u32, u32) = (960, 720);

/// Stores a thumbnail of a still picture.
pub(super) fn thumbnail_of_picture(job: &JobContext) {
    let made = || {
        let reader = StillReader::open(&**job.source.bytes(), &job.limits, &job.stop)?;
        let (width, height) = reader.size();
        if u64::from(width) * u64::from(height) > THUMBNAIL_OF {
            return Ok(None);
        }
        let pixels = reader.decode()?.pixels;
        let small = if width.max(height) > THUMBNAIL {
            pixels.thumbnail(THUMBNAIL, THUMBNAIL)
        } else {
            pixels
        };
        webp(&small).map(Some)
    };
    store_thumbnail(job, made());
}

/// Stores a thumbnail of a video's first frame.
pub(super) fn thumbnail_of_video(job: &JobContext, probe: &Probe) {
    store_thumbnail(
        job,
        first_frame(job, probe).and_then(|frame| webp(&frame.into())).map(Some),
    );
}

fn store_thumbnail(job: &JobContext, made: Result<Option<Vec<u8>>>) {
    let stored = made.and_then(|bytes| match bytes {
        Some(bytes) => job.store.put(ObjectKey::Thumbnail(job.key.job), &bytes),
        None => Ok(()),
    });
    if let Err(error) = stored {
        tracing::debug!(job = %job.key.job, %error, "there is no thumbnail");
        // Whatever the source's reads came to here, the step that follows reads for itself.
        drop(job.source.take_failure());
    }
}

/// The first frame as it is shown, at a thumbnail's size.
fn first_frame(job: &JobContext, probe: &Probe) -> Result<RgbImage> {
    let stream = probe.video()?;
    let (width, height) = match stream.orientation.rotation % 180 {
        90 => (stream.height, stream.width),
        _ => (stream.width, stream.height),
    };
    let (width, height) = within(width, height, (THUMBNAIL, THUMBNAIL));
    let limits = ProcessLimits::decoding(stream.width, stream.height);
    let confinement = Confinement::reading(&job.source).with_limits(limits);
    let mut child = Launch::new(Program::Ffmpeg, &confinement)?
        .args(source_arguments(&job.source, probe.demuxer))
        .args(["-map", &format!("0:{}", stream.index), "-frames:v", "1"])
        .args([
            "-vf",
            &format!("scale={width}:{height}:flags=area"),
            "-pix_fmt",
            "rgb24",
        ])
        .args(["-f", "rawvideo", "pipe:1"])
        .piped_stdout()
        .spawn(&job.stop, DEADLINE)?;
    let mut bytes = Vec::new();
    if let Some(stdout) = child.take_stdout() {
        let most = u64::from(width) * u64::from(height) * 3;
        let unread = |e| Error::internal("ffmpeg's picture cannot be read").because(e);
        stdout.take(most).read_to_end(&mut bytes).map_err(unread)?;
    }
    child.finish(ErrorCode::DecodeFailed, "making a thumbnail")?;
    let short = || Error::new(ErrorCode::DecodeFailed, "the video has no first frame");
    RgbImage::from_raw(width, height, bytes).ok_or_else(short)
}

/// The size made smaller in proportion until it fits, each side at least 1.
fn within(width: u32, height: u32, most: (u32, u32)) -> (u32, u32) {
    let shrink = (f64::from(most.0) / f64::from(width))
        .min(f64::from(most.1) / f64::from(height))
        .min(1.0);
    let side = |edge: u32| ((f64::from(edge) * shrink).round() as u32).max(1);
    (side(width), side(height))
}

fn webp(picture: &DynamicImage) -> Result<Vec<u8>> {
    let picture = if picture.color().has_alpha() {
        DynamicImage::from(picture.to_rgba8())
    } else {
        DynamicImage::from(picture.to_rgb8())
    };
    let mut bytes = Cursor::new(Vec::new());
    let failed = |e| Error::new(ErrorCode::EncodeFailed, "a picture cannot be written").because(e);
    picture
        .write_with_encoder(WebPEncoder::new_lossless(&mut bytes))
        .map_err(failed)?;
    Ok(bytes.into_inner())
}

/// Takes one frame of each batch, before and after, and stores both in one picture beside each other: the left half is
/// the source, enlarged bicubically to the size of the result. Of large frames it is the middle, pixel by pixel.
pub(super) struct PairTaker {
    store: Arc<ObjectStore>,
    key: PlanKey,
    colours: rgb::Colours,
    /// A pair is being made: one at a time, so that they never hold up the line.
    busy: Arc<AtomicBool>,
    broken: Arc<OnceLock<()>>,
}

impl PairTaker {
    /// For the batches of one plan.
    pub(super) fn new(core: &Core, plan: &Plan, job: JobId, number: u32) -> Self {
        Self {
            store: Arc::clone(&core.store),
            key: PlanKey { job, plan: number },
            colours: rgb::Colours::of(&plan.video),
            busy: Arc::default(),
            broken: Arc::default(),
        }
    }

    /// Takes the middle frame of a batch, unless another pair is still being made.
    pub(super) fn look_at(&self, frames: &Frames<'_>) {
        if frames.number != frames.of / 2 || self.broken.get().is_some() || self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let target = rgb::Part::middle(frames.target_format.size, PAIR);
        let source = target.of_source(frames.source_format.size, frames.target_format.size);
        let before = self.colours.part(&frames.source_format, frames.source, source);
        let after = self.colours.part(&frames.target_format, frames.target, target);
        let (store, busy, broken) = (
            Arc::clone(&self.store),
            Arc::clone(&self.busy),
            Arc::clone(&self.broken),
        );
        let key = ObjectKey::Pair(self.key, frames.batch);
        let make = move || {
            let made = webp(&beside(&before, &after).into()).and_then(|bytes| store.put(key, &bytes));
            if let Err(error) = made {
                // Once is enough: what fails for one batch fails for the next.
                tracing::debug!(%key, %error, "there are no pairs");
                broken.get_or_init(|| ());
            }
            busy.store(false, Ordering::Release);
        };
        if std::thread::Builder::new().name("pair".to_owned()).spawn(make).is_err() {
            self.broken.get_or_init(|| ());
        }
    }
}

/// Two pictures beside each other, the first enlarged to the size of the second.
fn beside(before: &RgbImage, after: &RgbImage) -> RgbImage {
    let (width, height) = after.dimensions();
    let before = imageops::resize(before, width, height, FilterType::CatmullRom);
    let mut both = RgbImage::new(2 * width, height);
    imageops::replace(&mut both, &before, 0, 0);
    imageops::replace(&mut both, after, i64::from(width), 0);
    both
}
