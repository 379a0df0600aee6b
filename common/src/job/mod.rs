//! A job's data: what was asked, what is planned, which frames there are, which batches are done; and the messages about
//! it. Knows no storage and no queue.

mod announcement;
mod failure;
mod filters;
mod hdr;
mod hook;
mod id;
mod ledger;
mod marker;
mod plan;
mod range;
mod record;
mod request;
mod settings;
mod sound;
mod state;
mod target;
mod task;
mod time;
mod trace_parent;

pub use announcement::{Announcement, Serves};
pub use failure::Failure;
pub use filters::{Denoise, Filters, Retouch, Retouched, Sharpen, SharpenError};
pub use hdr::{ContentLight, Hdr10, MasteringDisplay};
pub use hook::{Hook, HookEvent};
pub use id::{ClassName, IdError, JobId, OwnerId, WorkerId};
pub use ledger::{KeyPacket, Ledger, LedgerError, LedgerSlice};
pub use marker::{Marker, Timings};
pub use plan::{EncoderSpec, Plan, PlannedVideo, SegmentKind, SourceIdentity};
pub use range::{FrameRange, FrameRangeError};
pub use record::{JobResult, PlanSummary, PlannedFor, Record, Source, SourceLocation, Wanted};
pub use request::{ObjectAddress, OutputFormat, Preview, Priority, Request, Settings, SourceKind};
pub use settings::{Codec, Container, Crf, EncodeSettings, ParseSettingError, Stretch};
pub use sound::{PlannedSound, SoundEncoding, SoundTrack};
pub use state::{Command, IllegalCommand, State};
pub use target::{Scale, Target, TargetError};
pub use task::{Audited, ControlMessage, Event, Lane, NewerVersion, Outcome, Progress, Report, Step, Task, Topic};
pub use time::{Rational, TimeBase, TimeBaseError};
pub use trace_parent::TraceParent;

/// The version of records, plans, markers and messages that this build writes; a newer one is refused, an older one is
/// read.
pub const FORMAT_VERSION: u32 = 1;
