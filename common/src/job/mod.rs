//! A job's data: what was asked, what is planned, which frames there are, which batches are done.

mod ledger;
mod marker;
mod plan;
mod range;
mod settings;
mod target;
mod time;

pub use ledger::{Ledger, LedgerError, LedgerSlice};
pub use marker::{Marker, Timings};
pub use plan::{EncoderSpec, Plan, PlannedVideo, SegmentKind, SourceIdentity};
pub use range::{FrameRange, FrameRangeError};
pub use settings::{Codec, Container, EncodeSettings, ParseSettingError, Stretch};
pub use target::{Scale, Target, TargetError};
pub use time::{Rational, TimeBase, TimeBaseError};

/// The version of records, plans and markers that this build writes; a newer one is refused, an older one is read.
pub const FORMAT_VERSION: u32 = 1;
