use std::ops::ControlFlow;

use clearfleet_common::Stop;
use clearfleet_common::job::Marker;
use vdsr::Watch;

/// Told what the upscale step has done. Calls come from the engine's thread, except [`batch_done`](Self::batch_done),
/// which comes from the thread that settles the batch.
pub trait Progress: Send + Sync {
    /// A part of the current frame is done; of long stills there are many.
    fn tile_done(&self, _done: usize, _total: usize) {}

    /// One more frame is upscaled.
    fn frame_done(&self) {}

    /// A batch was finished before this run; nothing of it is done again.
    fn batch_found(&self, _batch: u64, _marker: &Marker) {}

    /// A batch is finished and counts.
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
