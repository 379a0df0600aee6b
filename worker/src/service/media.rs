//! The steps that need no engine: plan, assemble, and the sound of streams.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clearfleet_common::config::Limits;
use clearfleet_common::job::{
    Container, JobResult, LedgerSlice, Outcome, OutputFormat, Plan, PlanSummary, Record, SourceIdentity, SourceKind,
    Task,
};
use clearfleet_common::storage::{ObjectKey, PlanKey};
use clearfleet_common::{ErrorCode, Stop};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::core::Core;
use super::deliver::deliver;
use super::holdings::Held;
use super::source::ObjectSource;
use super::{products, store};
use crate::media::probe::{self, Probe};
use crate::media::serve::SourceBytes;
use crate::media::sniff::{self, Kind, Picture};
use crate::steps::{self, JobContext, PlanRequest, Store, pipeline_digest, read_json};
use crate::{Error, Result};

/// Earlier plans that are looked at before one is made anew.
const EARLIER: usize = 4;

/// What is read of a stored result at a time.
const PIECE: usize = 256 << 10;

/// Plans a video, or says that it is a picture.
pub(super) fn plan(core: &Arc<Core>, held: &Held, record: &Record, exact: bool) -> Result<Outcome> {
    let job = core.context(record, held);
    let made = (|| {
        let kind = sniffed(&**job.source.bytes(), record, &core.limits)?;
        if matches!(kind, Kind::Still(_)) {
            return Ok(None);
        }
        let probe = held.part("probe", || probe::probe(&job.source, &core.limits, &job.stop))?;
        products::thumbnail_of_video(&job, &probe);
        let request = request(core, record, &probe, kind, exact)?;
        held.part("ledger", || steps::plan(&job, &probe, &request)).map(Some)
    })();
    match made.map_err(|e| of_source(&job, e))? {
        Some(plan) => summary(core, &held.task, &plan, exact).map(Outcome::Planned),
        None => Ok(Outcome::IsPicture),
    }
}

/// Says what a source is by its content, and refuses what Clearfleet does not read or what is too large.
pub(super) fn sniffed(source: &dyn SourceBytes, record: &Record, limits: &Limits) -> Result<Kind> {
    if source.len() > limits.bytes {
        let message = format!("{} bytes are over the limit of {}", source.len(), limits.bytes);
        let error = Error::new(ErrorCode::InputTooLarge, message);
        return Err(error.with("limit", limits.bytes).with("found", source.len()));
    }
    sniff::sniff(source, Some(Path::new(&record.request.name)))
}

/// Where a read of the source failed beneath a step, that is the error: what ffmpeg says of it is not the cause.
pub(super) fn of_source(job: &JobContext, error: Error) -> Error {
    match job.source.take_failure() {
        Some(failure) if error.code() != ErrorCode::Stopped => Error::unreadable(failure),
        _ => error,
    }
}

pub(super) fn request(core: &Core, record: &Record, probe: &Probe, kind: Kind, exact: bool) -> Result<PlanRequest> {
    let settings = &record.request.settings;
    let planned_for = record.planned_for.as_ref();
    let own = || (record.request.class == core.class).then(|| core.fingerprint.clone());
    // Another time the scheduler may have heard of one.
    let unknown = || {
        Error::internal(format!(
            "no worker of the class {} was ever heard of",
            record.request.class
        ))
    };
    let fingerprint = planned_for.and_then(|planned_for| planned_for.fingerprint.clone());
    let rate = planned_for.map(|planned_for| planned_for.pixels_per_second);
    Ok(PlanRequest {
        target: settings.target,
        encode: settings.encode(container(record, probe.demuxer, kind)?),
        stretch: record.request.stretch,
        filters: settings.filters,
        retouches: record.request.retouches.clone(),
        deinterlace: settings.deinterlace,
        source: SourceIdentity {
            bytes: record.source.bytes,
            tag: record.source.etag.clone(),
        },
        engine: fingerprint.or_else(own).ok_or_else(unknown)?,
        pixels_per_second: rate
            .filter(|rate| *rate > 0.0)
            .unwrap_or_else(|| core.engine.pixels_per_second()),
        batch_frames: core.batch_frames,
        exact,
        earlier: earlier(record),
    })
}

/// Numbers of earlier plans that the planner may go on from: those of the result first, which is whole, then the latest.
fn earlier(record: &Record) -> Vec<u32> {
    // The last number is that of the plan that is being made.
    let kept = record.segments_gone.unwrap_or(0)..record.next_plan.saturating_sub(1);
    let of_result = record
        .result
        .as_ref()
        .map(|result| result.plan)
        .filter(|plan| kept.contains(plan));
    let others = kept.rev().filter(|plan| Some(*plan) != of_result);
    of_result.into_iter().chain(others).take(EARLIER).collect()
}

/// The container of the result: what was asked for, else the source's own if it holds the codec asked for, else Matroska.
fn container(record: &Record, demuxer: &str, kind: Kind) -> Result<Container> {
    let settings = &record.request.settings;
    let extension = Path::new(&record.request.name).extension().unwrap_or_default();
    let named = |name: &str| extension.eq_ignore_ascii_case(name);
    if let Some(format) = settings.format {
        // An animated PNG mostly goes by the plain name.
        return match (format.container(), kind) {
            (Some(container), _) => Ok(container),
            (None, Kind::Animation(Picture::Png)) if format == OutputFormat::Png => Ok(Container::Apng),
            (None, _) => {
                let message =
                    format!("what moves is not written as {format}; there are mp4, mov, mkv, webm, gif, apng, webp");
                Err(Error::new(ErrorCode::SettingsInvalid, message).with("found", format))
            }
        };
    }
    let own = match (kind, demuxer) {
        (Kind::Animation(Picture::Gif), _) => Container::Gif,
        (Kind::Animation(Picture::Png), _) => Container::Apng,
        (Kind::Animation(Picture::WebP), _) => Container::Webp,
        (_, "mov") if named("mov") || named("qt") => Container::Mov,
        (_, "mov") => Container::Mp4,
        (_, "matroska") if named("webm") => Container::Webm,
        _ => Container::Mkv,
    };
    let holds = settings.codec.is_none_or(|codec| own.holds(codec));
    Ok(if holds { own } else { Container::Mkv })
}

/// The file format of a container.
pub(super) fn format_of(container: Container) -> OutputFormat {
    match container {
        Container::Mp4 => OutputFormat::Mp4,
        Container::Mov => OutputFormat::Mov,
        Container::Mkv => OutputFormat::Mkv,
        Container::Webm => OutputFormat::Webm,
        Container::Gif => OutputFormat::Gif,
        Container::Apng => OutputFormat::Apng,
        Container::Webp => OutputFormat::Webp,
    }
}

/// The report of a plan that was written before.
pub(super) async fn stored_summary(core: &Core, task: &Task, plan: &Arc<Plan>, exact: bool) -> Result<Outcome> {
    let key = PlanKey {
        job: task.job,
        plan: task.step.plan(),
    };
    let slice = async |batch: u64| -> Result<LedgerSlice> {
        let stored = core
            .storage
            .get(ObjectKey::Ledger(key, batch))
            .await
            .map_err(store::failed)?;
        let missing = || Error::internal(format!("batch {batch} has no ledger"));
        read_json(&stored.ok_or_else(missing)?.body, "ledger")
    };
    let (first, last) = (slice(0).await?, slice(plan.batches.len() as u64 - 1).await?);
    let own = pipeline_digest(&core.fingerprint, &plan.demuxer, &plan.video, &plan.encoder);
    let record = core.storage.record(task.owner, task.job).await.map_err(store::failed)?;
    let class = record.map_or(core.class, |(record, _)| record.request.class);
    Ok(Outcome::Planned(PlanSummary {
        number: key.plan,
        kind: SourceKind::Video,
        class,
        pipeline: plan.pipeline.clone(),
        batches: plan.batches.len() as u64,
        frames: plan.batches.iter().map(|range| range.len()).sum(),
        batch_seconds: plan.batch_seconds,
        source_size: plan.video.source_size,
        target_size: plan.video.target_size,
        seconds: plan.video.time_base.seconds(last.end() - first.pts()[0]),
        format: format_of(plan.container),
        notes: plan.notes.clone(),
        exact,
        has_sound: plan.sound.is_some(),
        fingerprint: (own == plan.pipeline).then(|| core.fingerprint.clone()),
    }))
}

fn summary(core: &Core, task: &Task, plan: &Arc<Plan>, exact: bool) -> Result<PlanSummary> {
    match core.runtime.block_on(stored_summary(core, task, plan, exact))? {
        Outcome::Planned(summary) => Ok(summary),
        other => Err(Error::internal(format!("a plan became {other:?}"))),
    }
}

/// Puts a result together, stores it, reads it back.
pub(super) fn assemble(core: &Arc<Core>, held: &Held, record: &Record, plan: &Arc<Plan>) -> Result<Outcome> {
    let job = core.context(record, held);
    let scratch = Scratch::new(&core.scratch)?;
    let made = held
        .part("probe", || probe::probe(&job.source, &core.limits, &job.stop))
        .and_then(|probe| held.part("remux", || steps::assemble(&job, plan, &probe, scratch.path())));
    made.map_err(|e| of_source(&job, e))?;
    let format = format_of(plan.container);
    let stored = store_result(core, held, &job, &scratch, format)?;
    let checked = held.part("check", || check_stored(core, &job, &stored, plan));
    let delivered = checked.and_then(|()| deliver(core, held, &job, record, &stored, format.content_type()));
    let destination = delivered.inspect_err(|_| stored.take_back(core))?;
    Ok(Outcome::Finished {
        result: JobResult {
            key: stored.key.to_string(),
            plan: job.key.plan,
            bytes: stored.bytes,
            sha256: stored.sha256,
            format,
            size: plan.video.target_size,
            frames: plan.batches.iter().map(|range| range.len()).sum(),
            notes: plan.notes.clone(),
            destination,
        },
        plan: None,
    })
}

/// Writes the sound of the plan's stream.
pub(super) fn sound(core: &Arc<Core>, held: &Held, record: &Record, plan: &Plan) -> Result<Outcome> {
    let job = core.context(record, held);
    let written = held.part("sound", || steps::sound(&job, plan));
    written.map_err(|e| of_source(&job, e))?;
    Ok(Outcome::SoundDone)
}

/// A file that is gone when this is dropped, in a folder of its own.
pub(super) struct Scratch {
    /// Dropped, it deletes the file.
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Scratch {
    /// A name in `parent`, where no file is yet.
    pub(super) fn new(parent: &Path) -> Result<Self> {
        let cannot = |e| Error::write(format_args!("a scratch file in {}", parent.display()), e);
        let parent = std::path::absolute(parent).map_err(cannot)?;
        let folder = tempfile::Builder::new().prefix("clearfleet-").tempdir_in(parent);
        let folder = folder.map_err(cannot)?;
        Ok(Self {
            path: folder.path().join("result"),
            _folder: folder,
        })
    }

    /// The name, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A result in the store.
pub(super) struct StoredResult {
    pub(super) key: ObjectKey,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl StoredResult {
    /// Deletes a result that is none; where that fails, the daily sweep does.
    pub(super) fn take_back(&self, core: &Core) {
        if let Err(error) = core.store.delete(self.key) {
            tracing::debug!(key = %self.key, %error, "a result that is none stays until it is swept");
        }
    }
}

/// Stores a finished file as a result of the job, and reads it back: what is stored has the file's digest and length.
pub(super) fn store_result(
    core: &Core,
    held: &Held,
    job: &JobContext,
    scratch: &Scratch,
    format: OutputFormat,
) -> Result<StoredResult> {
    let key = ObjectKey::Result(job.key.job, Uuid::new_v4());
    let unread = |e| Error::internal("the finished file cannot be read").because(e);
    let mut file = std::fs::File::open(scratch.path()).map_err(unread)?;
    let expected = digest(&mut file, &job.stop)?;
    file.seek(SeekFrom::Start(0)).map_err(unread)?;
    let store = core.store.metered(held.meter(&core.metrics));
    let mut object = store.write_as(key, format.content_type())?;
    copy(&mut file, &job.stop, |piece| {
        object.write_all(piece).map_err(|e| Error::write("the result", e))
    })?;
    let (bytes, sha256) = object.finish()?;
    let stored = StoredResult { key, bytes, sha256 };
    let found = held.part("read_back", || {
        let mut back = core.store.read(&key.to_string())?;
        digest(&mut *back, &job.stop)
    });
    match found {
        Ok(found) if found == expected && found == (stored.bytes, stored.sha256.clone()) => Ok(stored),
        Ok((bytes, sha256)) => {
            stored.take_back(core);
            let error = Error::new(ErrorCode::VerifyMismatch, "the stored result is not what was made");
            let error = error.with("expected_bytes", expected.0).with("found_bytes", bytes);
            Err(error.with("expected_sha256", expected.1).with("found_sha256", sha256))
        }
        Err(error) => {
            stored.take_back(core);
            Err(error)
        }
    }
}

/// Looks into the stored result the way a player does: that its video is there, at its size.
fn check_stored(core: &Core, job: &JobContext, stored: &StoredResult, plan: &Plan) -> Result<()> {
    let key = stored.key.to_string();
    let gone = || Error::new(ErrorCode::VerifyMismatch, "the stored result is gone");
    let stat = core.runtime.block_on(core.storage.stat(&key)).map_err(store::failed)?;
    let version = stat.ok_or_else(gone)?.version;
    let source = ObjectSource::of(core.storage.clone(), core.runtime.clone(), &key, version, stored.bytes);
    let served = core.server.register(Arc::new(source));
    let probe = probe::probe(&served, &core.limits, &job.stop)?;
    let (width, height) = plan.video.target_size;
    let found = probe
        .streams
        .iter()
        .any(|stream| (stream.width, stream.height) == (width, height));
    if found {
        return Ok(());
    }
    let error = Error::new(ErrorCode::VerifyMismatch, "the stored result does not hold the video");
    Err(error.with("expected", format_args!("{width}x{height}")))
}

/// Length and SHA-256 of all there is to read.
fn digest(from: &mut dyn Read, stop: &Stop) -> Result<(u64, String)> {
    let (mut bytes, mut digest) = (0, Sha256::new());
    copy(from, stop, |piece| {
        bytes += piece.len() as u64;
        digest.update(piece);
        Ok(())
    })?;
    Ok((bytes, steps::hex(&digest.finalize())))
}

/// Reads to the end, piece by piece, unless told to stop.
pub(super) fn copy(from: &mut dyn Read, stop: &Stop, mut to: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        if stop.is_stopped() {
            return Err(Error::stopped());
        }
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => to(&piece[..read])?,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::internal("the result cannot be read back").because(e)),
        }
    }
}
