//! The steps of a job, one file each: plan, upscale, assemble; a still picture is one step of its own.
//!
//! They run on the thread that calls them and work over a [`Store`], so that a command on local files and a worker of
//! the fleet run the same code. Every step may be done twice: what it writes is whole or not there, and a batch
//! counts once, by its marker. The sound of a stream is no part of a job. An audit writes nothing: it does one again and compares.

mod assemble;
mod audit;
mod draft;
mod meter;
mod notes;
mod picture;
mod plan;
mod progress;
mod reuse;
mod sound;
mod store;
mod stretch;
mod upscale;

use std::sync::Arc;

use clearfleet_common::Stop;
use clearfleet_common::config::Limits;
use clearfleet_common::storage::PlanKey;

pub use assemble::assemble;
pub use audit::audit;
pub(crate) use draft::draft;
pub use meter::{Meter, Stage};
pub use picture::{PictureReport, PictureRequest, picture};
pub use plan::{PlanRequest, plan, plan_preview};
pub(crate) use plan::{pipeline_digest, timed};
pub use progress::{Frames, Progress};
pub use sound::sound;
pub(crate) use store::hex;
pub use store::{Created, FolderStore, ObjectWriter, Store};
pub use upscale::upscale;
pub(crate) use upscale::{BATCH_DETAIL, read_json, write_json};

use crate::media::codec::Codec;
use crate::media::serve::{ServedSource, SourceServer};

/// What the steps of one job share.
#[derive(Clone)]
pub struct JobContext {
    /// Where plan, segments and markers lie.
    pub store: Arc<dyn Store>,
    /// Which plan of which job.
    pub key: PlanKey,
    /// What ffmpeg reads sources from.
    pub server: Arc<SourceServer>,
    /// What decodes and encodes.
    pub codec: Arc<dyn Codec>,
    /// The source of the job.
    pub source: Arc<ServedSource>,
    /// What a source may be at most.
    pub limits: Limits,
    /// Asks the steps to stop.
    pub stop: Stop,
    /// Told what steps spend their time with.
    pub meter: Arc<dyn Meter>,
    /// Who does the work, for markers.
    pub worker: String,
}
