//! What the API returns of jobs: types of its own, so that records can change without their readers noticing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{
    ClassName, Codec, Denoise, Failure, JobId, JobResult, OutputFormat, PlanSummary, Priority, Record, Retouch,
    Settings, SourceKind, State, Stretch,
};
use clearfleet_common::schedule::BatchSet;
use jiff::Timestamp;
use serde::Serialize;
use strum::VariantArray;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::finished::runs;
use super::jobs::result_name;
use crate::records::Snapshot;

/// What a scheduler in this process knows of a job that is in no record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Finished batches of the current plan.
    pub finished: BatchSet,
    /// How many jobs of the class come first; 0 for one that is worked on.
    pub place_in_line: Option<u64>,
}

/// What the scheduler tells the API, where it runs in the same process.
pub trait QueueView: Send + Sync + fmt::Debug {
    /// How a job stands; nothing where this process's scheduler is not the active one, or does not know the job.
    fn standing(&self, job: JobId) -> Option<Standing>;

    /// Seconds until a class's workers are through with all that waits for them, jobs not yet planned included.
    fn backlog_seconds(&self, class: ClassName) -> Option<f64>;
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct JobView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub id: JobId,
    /// File name of the source.
    pub name: String,
    /// What the source is; a guess until a worker has looked at it.
    #[schema(inline, value_type = SourceKindName)]
    pub kind: SourceKind,
    /// The job of which it is a preview; null for every other.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub preview_of: Option<JobId>,
    /// Where it is; a command that was accepted is taken as carried out.
    #[schema(inline, value_type = StateName)]
    pub state: State,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When the state changed last.
    #[schema(value_type = String, format = DateTime)]
    pub changed: Timestamp,
    /// When work on it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
    /// What the result shall be like.
    pub settings: SettingsView,
    /// Which part of a video, in seconds of its own clock: `[start, end)`, where null is the video's own; null for the whole.
    #[schema(min_items = 2, max_items = 2)]
    pub range: Option<[Option<f64>; 2]>,
    /// Parts of a video that were asked for again with other filters; a later one goes before those before it.
    pub retouches: Vec<RetouchView>,
    /// Who comes first among one owner's jobs.
    #[schema(inline, value_type = PriorityName)]
    pub priority: Priority,
    /// The pool of workers.
    #[schema(value_type = String)]
    pub class: ClassName,
    /// The source.
    pub source: SourceView,
    /// How far it is.
    pub progress: ProgressView,
    /// How the work is cut; null before it is planned.
    pub plan: Option<PlanView>,
    /// The result; after a redo began, the one before until the new one is there.
    pub result: Option<ResultView>,
    /// Why it failed.
    pub failure: Option<FailureView>,
    /// What happened on the way that a person should know, oldest first.
    pub notes: Vec<String>,
    /// Addresses of what there is of it.
    pub links: LinksView,
}

/// What a result shall be like; null follows from the source.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SettingsView {
    /// A factor such as `2` or a size such as `1920x1080`.
    pub target: String,
    /// File format.
    #[schema(inline, value_type = Option<OutputFormatName>)]
    pub format: Option<OutputFormat>,
    /// Codec of a video.
    #[schema(inline, value_type = Option<CodecName>)]
    pub codec: Option<Codec>,
    /// Constant quality of a video.
    pub crf: Option<u8>,
    /// The encoder's preset.
    pub preset: Option<String>,
    /// Quality of a JPEG.
    pub quality: Option<u8>,
    /// How much noise is taken away before it is enlarged.
    #[schema(inline, value_type = DenoiseName)]
    pub denoise: Denoise,
    /// How much finer detail is raised before it is enlarged, from 0 to 1.
    pub sharpen: f64,
    /// Whether an interlaced video's frames are made progressive.
    pub deinterlace: bool,
}

/// A part of a video that was asked for again with other filters.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RetouchView {
    /// The part, in seconds of the video's own clock; null is the video's own begin or end.
    #[schema(min_items = 2, max_items = 2)]
    pub range: [Option<f64>; 2],
    /// How much noise is taken away.
    #[schema(inline, value_type = DenoiseName)]
    pub denoise: Denoise,
    /// How much finer detail is raised, from 0 to 1.
    pub sharpen: f64,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SourceView {
    /// Its length.
    pub bytes: u64,
    /// Bytes of it that have come; of an upload that goes on, as far as this server heard of it.
    pub received: u64,
    /// Its media type.
    pub content_type: String,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProgressView {
    /// Frames done; tiles of a picture.
    pub done: u64,
    /// Frames or tiles there are; 0 as long as that is not known.
    pub total: u64,
    /// Finished batches.
    pub batches_done: u64,
    /// Batches there are; 0 as long as that is not known.
    pub batches: u64,
    /// Which batches are finished, in order: runs `[first, one past the last]`. Of too many runs only the longest are
    /// told.
    #[schema(value_type = Vec<[u64; 2]>)]
    pub finished: Vec<(u64, u64)>,
    /// Frames or tiles a second over the last half minute.
    pub frames_per_second: Option<f64>,
    /// Time left at that rate.
    pub seconds_left: Option<f64>,
    /// How many jobs come first; null where no scheduler of this server knows it.
    pub place_in_line: Option<u64>,
}

/// How the work is cut.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PlanView {
    /// Frames.
    pub frames: u64,
    /// Batches.
    pub batches: u64,
    /// Width and height of the source in pixels.
    pub source_size: [u32; 2],
    /// Width and height of the result in pixels.
    pub target_size: [u32; 2],
    /// Length of the part that is upscaled; 0 for a picture.
    pub seconds: f64,
    /// Engine, model and encoder: results of equal pipelines are equal.
    pub pipeline: String,
    /// What the result will not hold as the source did.
    pub notes: Vec<String>,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ResultView {
    /// File name that it is downloaded under.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Its media type.
    pub content_type: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames; 1 for a picture.
    pub frames: u64,
    /// What it does not hold as the source did.
    pub notes: Vec<String>,
    /// Where it was written beside its place here, as `s3://bucket/key`.
    pub destination: Option<String>,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FailureView {
    /// The stable code.
    #[schema(inline, value_type = ErrorCodeName)]
    pub code: ErrorCode,
    /// A sentence for a person.
    pub message: String,
    /// The causes beneath, outermost first.
    pub causes: Vec<String>,
    /// The values it is about.
    pub details: BTreeMap<String, String>,
    /// ffmpeg's last lines, oldest first.
    pub ffmpeg: Vec<String>,
    /// The batch that failed.
    pub batch: Option<u64>,
    /// Who tried last.
    pub worker: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
}

/// Addresses, relative to the server's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinksView {
    /// The job itself.
    #[serde(rename = "self")]
    pub itself: String,
    /// What happens to it, as it happens.
    pub events: String,
    /// The source; null where it is not there yet, or not kept here any more.
    pub source: Option<String>,
    /// A playlist to watch the video by, while it is made too; null where it is not planned yet or no player shows it.
    pub stream: Option<String>,
    /// The result; null where there is none.
    pub result: Option<String>,
}

/// Declares what stands in the document for enums that are written by their names.
macro_rules! names {
    ($($name:ident = $of:ty;)*) => {$(
        #[doc = concat!("The names of [`", stringify!($of), "`].")]
        pub(super) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let names = <$of>::VARIANTS.iter().map(|value| <&str>::from(*value));
                let text = ObjectBuilder::new().schema_type(Type::String);
                text.enum_values(Some(names.collect::<Vec<&str>>())).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

names! {
    SourceKindName = SourceKind;
    StateName = State;
    PriorityName = Priority;
    OutputFormatName = OutputFormat;
    CodecName = Codec;
    DenoiseName = Denoise;
    ErrorCodeName = ErrorCode;
}

impl JobView {
    /// The view of a job; nothing of one that is to be deleted.
    pub fn new(snapshot: &Snapshot, scheduler: Option<&Arc<dyn QueueView>>) -> Option<Self> {
        let record = &*snapshot.record;
        let state = record.apparent_state()?;
        let standing = scheduler.and_then(|scheduler| scheduler.standing(record.id));
        Some(Self {
            id: record.id,
            name: record.request.name.clone(),
            kind: record.plan.as_ref().map_or(record.request.kind, |plan| plan.kind),
            preview_of: record.request.preview.map(|preview| preview.of),
            state,
            created: record.created,
            changed: record.changed,
            started: record.started,
            ended: record.ended,
            settings: SettingsView::from(&record.request.settings),
            range: range(record.request.stretch),
            retouches: record.request.retouches.iter().map(RetouchView::from).collect(),
            priority: record.request.priority,
            class: record.request.class,
            source: SourceView::new(snapshot),
            progress: ProgressView::new(snapshot, standing),
            plan: record.plan.as_ref().map(PlanView::from),
            result: record.result.as_ref().map(|result| ResultView::new(record, result)),
            failure: (state == State::Failed)
                .then(|| record.failure.as_ref().map(FailureView::from))
                .flatten(),
            notes: record.notes.clone(),
            links: LinksView::new(record, state),
        })
    }
}

fn range(stretch: Stretch) -> Option<[Option<f64>; 2]> {
    (!stretch.is_whole()).then_some([stretch.start, stretch.end])
}

impl From<&Settings> for SettingsView {
    fn from(settings: &Settings) -> Self {
        Self {
            target: settings.target.to_string(),
            format: settings.format,
            codec: settings.codec,
            crf: settings.crf,
            preset: settings.preset.clone(),
            quality: settings.quality,
            denoise: settings.filters.denoise,
            sharpen: settings.filters.sharpen.get(),
            deinterlace: settings.deinterlace,
        }
    }
}

impl From<&Retouch> for RetouchView {
    fn from(retouch: &Retouch) -> Self {
        Self {
            range: [retouch.stretch.start, retouch.stretch.end],
            denoise: retouch.filters.denoise,
            sharpen: retouch.filters.sharpen.get(),
        }
    }
}

impl SourceView {
    fn new(snapshot: &Snapshot) -> Self {
        let source = &snapshot.record.source;
        Self {
            bytes: source.bytes,
            received: if source.has_come() {
                source.bytes
            } else {
                snapshot.received
            },
            content_type: source.content_type.clone(),
        }
    }
}

impl ProgressView {
    fn new(snapshot: &Snapshot, standing: Option<Standing>) -> Self {
        let record = &snapshot.record;
        let (frames, batches) = record.plan.as_ref().map_or((0, 0), |plan| (plan.frames, plan.batches));
        if record.state == State::Done {
            return Self {
                done: frames,
                total: frames,
                batches_done: batches,
                batches,
                finished: (batches > 0).then_some((0, batches)).into_iter().collect(),
                frames_per_second: None,
                seconds_left: None,
                place_in_line: None,
            };
        }
        let live = snapshot.live.clone().unwrap_or_default();
        let standing = standing.unwrap_or_default();
        let mut finished = standing.finished;
        finished.extend_below(&live.finished, batches);
        let batches_done = finished.len();
        // Batches that ended before this process listened are known by their number alone.
        let at_least = match batches {
            0 => 0,
            _ => (frames as f64 * batches_done.min(batches) as f64 / batches as f64) as u64,
        };
        Self {
            done: live.done.max(at_least),
            total: live.total.max(frames),
            batches_done,
            batches,
            finished: runs(&finished),
            frames_per_second: live.per_second,
            seconds_left: live.seconds_left,
            place_in_line: standing.place_in_line,
        }
    }
}

impl From<&PlanSummary> for PlanView {
    fn from(plan: &PlanSummary) -> Self {
        Self {
            frames: plan.frames,
            batches: plan.batches,
            source_size: plan.source_size.into(),
            target_size: plan.target_size.into(),
            seconds: plan.seconds,
            pipeline: plan.pipeline.clone(),
            notes: plan.notes.clone(),
        }
    }
}

impl ResultView {
    fn new(record: &Record, result: &JobResult) -> Self {
        Self {
            name: result_name(record, result),
            bytes: result.bytes,
            sha256: result.sha256.clone(),
            content_type: result.format.content_type().to_owned(),
            width: result.size.0,
            height: result.size.1,
            frames: result.frames,
            notes: result.notes.clone(),
            destination: result.destination.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message.clone(),
            causes: failure.causes.clone(),
            details: failure.details.clone(),
            ffmpeg: failure.ffmpeg.clone(),
            batch: failure.batch,
            worker: failure.worker.as_ref().map(ToString::to_string),
            attempts: failure.attempts,
        }
    }
}

impl LinksView {
    fn new(record: &Record, state: State) -> Self {
        let itself = format!("/v1/jobs/{}", record.id);
        let kept = state != State::Expired;
        Self {
            events: format!("{itself}/events"),
            source: (kept && record.source.has_come()).then(|| format!("{itself}/source")),
            stream: (kept && record.is_streamed()).then(|| format!("{itself}/stream.m3u8")),
            result: record
                .result
                .as_ref()
                .filter(|_| kept)
                .map(|_| format!("{itself}/result")),
            itself,
        }
    }
}
