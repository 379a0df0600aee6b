//! Batches of an earlier plan that a new one takes over.

use clearfleet_common::job::{LedgerSlice, Marker, Plan, SourceIdentity};
use clearfleet_common::storage::{ObjectKey, PlanKey};

use super::JobContext;
use super::store::Created;
use super::upscale::{read_json, write_json};
use crate::Result;

/// An earlier plan of the same job, of the same source and pipeline: its frames are those that would be made again.
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
        numbers: &[u32],
        source: &SourceIdentity,
        pipeline: &str,
    ) -> Result<Option<Self>> {
        for number in numbers {
            let key = PlanKey {
                job: job.key.job,
                plan: *number,
            };
            let Some(stored) = job.store.get(ObjectKey::Plan(key))? else {
                continue;
            };
            let plan: Plan = read_json(&stored, "plan")?;
            if plan.source == *source && plan.pipeline == pipeline {
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

    /// Writes markers of the new plan for its batches that are done in this one: those of the same frames at the same
    /// times. Says how many.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn hand_over(&self, job: &JobContext, batches: impl Iterator<Item = LedgerSlice>) -> Result<u64> {
        let done = job.store.finished(self.key)?;
        let mut taken = 0;
        for (new, slice) in (0..).zip(batches) {
            let old = self.plan.batches.iter().position(|range| *range == slice.range());
            let Some(old) = old.map(|old| old as u64).filter(|old| done.binary_search(old).is_ok()) else {
                continue;
            };
            if self.hand_over_one(job, old, new, &slice)? {
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
        if before != *slice {
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
