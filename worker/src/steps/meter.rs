use std::time::{Duration, Instant};

use clearfleet_common::job::Timings;

/// The stages of a film's production line, which overlap: the one that is busy all the time is the one that limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Stage {
    /// Reading the source from the store; reads may overlap.
    Fetch,
    /// Decoding, what it waits for bytes of the source included.
    Decode,
    /// The engine.
    Infer,
    /// Encoding.
    Encode,
    /// Handing results to the store, as long as the encoder or the picture waits for it.
    Upload,
}

/// Told by steps what they spend their time with. Calls come from several threads.
pub trait Meter: Send + Sync {
    /// A stage was busy for so long.
    fn busy(&self, _stage: Stage, _took: Duration) {}

    /// A stage worked on a batch from `since` to now, and was busy for `took` of that; without a batch, on the one that is
    /// being decoded.
    fn worked(&self, _batch: Option<u64>, _stage: Stage, _since: Instant, _took: Duration) {}

    /// A batch is finished: this is what its stages took.
    fn batch(&self, _timings: &Timings) {}

    /// Pixels of results were taken over from an earlier plan.
    fn reused(&self, _pixels: u64) {}
}

impl Meter for () {}
