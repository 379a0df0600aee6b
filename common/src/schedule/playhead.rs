use crate::job::JobId;

use super::Millis;
use super::job::{Job, Part, Ring};
use super::moves::{self, Stage};
use super::scheduler::Scheduler;

/// Batches that somebody who looks at a film waits for: the one under the playhead, and the one after it.
const AHEAD: u64 = 2;

/// Where somebody looks at a film that is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Playhead {
    /// A batch of the plan that the job follows.
    pub(super) batch: u64,
    /// When it is forgotten, unless somebody names it again.
    pub(super) until: Millis,
}

impl Scheduler {
    /// Somebody waits for a batch. A job of which no batches are made now does not remember it: whoever still waits when
    /// they are says so again.
    pub(super) fn watch(&mut self, id: JobId, plan: u32, batch: u64) {
        self.with(id, |this, job| {
            if moves::stage(&job.record) == Stage::Batches && job.plan == Some(plan) && batch < job.batches() {
                let until = this.now.after(this.rules.watched);
                job.playhead = Some(Playhead { batch, until });
            }
        });
    }
}

impl Job {
    /// The playhead, while it counts.
    pub(super) fn playhead(&self, now: Millis) -> Option<Playhead> {
        self.playhead.filter(|playhead| now < playhead.until)
    }

    /// The batches that somebody waits for and that can be published now. One that is out already stays where it is, and
    /// one that failed waits for its time.
    pub(super) fn watched(&self, now: Millis) -> impl Iterator<Item = u64> {
        let playhead = self.playhead(now);
        let batches = playhead.map_or(0..0, |at| at.batch..self.batches().min(at.batch + AHEAD));
        batches.filter(move |batch| {
            let part = Part::Batch(*batch);
            let may = self.again.get(&part).is_none_or(|at| *at <= now);
            may && !self.done.contains(*batch) && !self.flights.contains_key(&part)
        })
    }

    /// The line that it should stand in for what is under the playhead.
    pub(super) fn wanted_front(&self, now: Millis) -> Option<Ring> {
        let may = !self.is_busy() && self.listed && moves::stage(&self.record) == Stage::Batches;
        let waits = may && self.watched(now).next().is_some();
        waits.then(|| Ring::Interactive(self.class()))
    }
}
