use std::ops::ControlFlow;

use clearfleet_common::Stop;
use clearfleet_common::job::Marker;
use vdsr::{FrameFormat, Watch};

/// A frame before and after.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    /// Its batch.
    pub batch: u64,
    /// Its number within the batch, counted from 0.
    pub number: u64,
    /// Frames in the batch.
    pub of: u64,
    /// How the source's samples lie.
    pub source_format: FrameFormat,
    /// The decoded frame.
    pub source: &'a [u8],
    /// How the result's samples lie.
    pub target_format: FrameFormat,
    /// The upscaled frame, not yet encoded.
    pub target: &'a [u8],
}

/// Told what the upscale step has done. Calls come from the engine's thread, except [`batch_done`](Self::batch_done),
/// which comes from the thread that settles the batch.
pub trait Progress: Send + Sync {
    /// A part of the current frame is done; of long stills there are many.
    fn tile_done(&self, _done: usize, _total: usize) {}

    /// The engine begins with a batch of `frames` frames; the frames that are done next are its.
    fn batch_started(&self, _batch: u64, _frames: u64) {}

    /// A frame is upscaled: this is what it was and what became of it. The engine waits meanwhile.
    fn frame(&self, _frames: &Frames<'_>) {}

    /// One more frame is upscaled.
    fn frame_done(&self) {}

    /// A batch was finished before this run; nothing of it is done again.
    fn batch_found(&self, _batch: u64, _marker: &Marker) {}

    /// A batch is finished and counts. Its marker may be of another worker that was faster.
    fn batch_done(&self, _batch: u64, _marker: &Marker) {}
}

impl Progress for () {}

/// Passes the engine's tiles on, and the wish to stop back.
pub(super) struct Watching<'a> {
    pub(super) stop: &'a Stop,
    pub(super) progress: &'a dyn Progress,
}

impl Watch for Watching<'_> {
    fn tile_done(&self, done: usize, total: usize) -> ControlFlow<()> {
        self.progress.tile_done(done, total);
        if self.stop.is_stopped() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
