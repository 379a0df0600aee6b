//! Batches of an earlier plan that a new one takes over.

use clearfleet_common::job::{EncoderSpec, Filters, LedgerSlice, Marker, Plan, PlannedVideo};
use clearfleet_common::storage::{ObjectKey, PlanKey};

use super::JobContext;
use super::plan::{PlanRequest, pipeline_digest};
use super::store::Created;
use super::upscale::{read_json, write_json};
use crate::Result;

/// An earlier plan of the same job, of the same source and pipeline but for what is done before frames are enlarged: where
/// that is the same too, its frames are those that would be made again.
pub(super) struct Earlier {
    key: PlanKey,
    plan: Plan,
}

impl Earlier {
    /// The first of some earlier plans that made the same of the same source.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn find(
        job: &JobContext,
        request: &PlanRequest,
        (demuxer, video, encoder): (&str, &PlannedVideo, &EncoderSpec),
    ) -> Result<Option<Self>> {
        let digest = |demuxer: &str, video: &PlannedVideo, encoder: &EncoderSpec| {
            pipeline_digest(&request.engine, demuxer, video, encoder)
        };
        let wanted = digest(demuxer, &unfiltered(video), encoder);
        let fits = |plan: &Plan| {
            plan.source == request.source
                && plan.pipeline == digest(&plan.demuxer, &plan.video, &plan.encoder)
                && wanted == digest(&plan.demuxer, &unfiltered(&plan.video), &plan.encoder)
        };
        for number in &request.earlier {
            let key = PlanKey {
                job: job.key.job,
                plan: *number,
            };
            let Some(stored) = job.store.get(ObjectKey::Plan(key))? else {
                continue;
            };
            let plan: Plan = read_json(&stored, "plan")?;
            if fits(&plan) {
                return Ok(Some(Self { key, plan }));
            }
        }
        Ok(None)
    }

    /// Its number.
    pub(super) fn number(&self) -> u32 {
        self.key.plan
    }

    /// Frames of its batches, but for the last: cut the same way, all of them can be taken over.
    pub(super) fn batch_frames(&self) -> u64 {
        self.plan.batches.first().map_or(1, |range| range.len())
    }

    /// Writes markers of the new plan, which makes `video`, for its batches that are done in this one: those of the same
    /// frames at the same times, to which the same is done. Says how many.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn hand_over(
        &self,
        job: &JobContext,
        video: &PlannedVideo,
        batches: impl Iterator<Item = LedgerSlice>,
    ) -> Result<u64> {
        let done = job.store.finished(self.key)?;
        let mut taken = 0;
        for (new, slice) in (0..).zip(batches) {
            let old = self.plan.batches.iter().position(|range| *range == slice.range());
            let Some(old) = old.map(|old| old as u64).filter(|old| done.binary_search(old).is_ok()) else {
                continue;
            };
            let frames = slice.range().start()..slice.range().end();
            let filtered_alike = frames
                .into_iter()
                .all(|n| self.plan.video.filters_of(n) == video.filters_of(n));
            if filtered_alike && self.hand_over_one(job, old, new, &slice)? {
                taken += 1;
                let (width, height) = self.plan.video.target_size;
                let pixels = width as u64 * height as u64;
                job.meter.reused(slice.range().len() * pixels);
            }
        }
        Ok(taken)
    }

    fn hand_over_one(&self, job: &JobContext, old: u64, new: u64, slice: &LedgerSlice) -> Result<bool> {
        let Some(ledger) = job.store.get(ObjectKey::Ledger(self.key, old))? else {
            return Ok(false);
        };
        let before: LedgerSlice = read_json(&ledger, "ledger")?;
        if !before.same_frames(slice) {
            return Ok(false);
        }
        let Some(marker) = job.store.get(ObjectKey::Marker(self.key, old))? else {
            return Ok(false);
        };
        let marker: Marker = read_json(&marker, "marker")?;
        if let Some(pair) = job.store.get(ObjectKey::Pair(self.key, old))? {
            job.store.put(ObjectKey::Pair(job.key, new), &pair)?;
        }
        let created = job
            .store
            .create(ObjectKey::Marker(job.key, new), &write_json(&marker)?)?;
        Ok(created == Created::New)
    }
}

/// A video to whose frames nothing is done before they are enlarged.
fn unfiltered(video: &PlannedVideo) -> PlannedVideo {
    PlannedVideo {
        filters: Filters::default(),
        retouched: Vec::new(),
        ..video.clone()
    }
}
