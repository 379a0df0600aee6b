use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clearfleet_common::job::{PlanSummary, Progress, Step};
use clearfleet_common::schedule::BatchSet;

/// The rate is that of this long.
const WINDOW: Duration = Duration::from_secs(30);
/// Counts that the rate is made from are at least this far apart.
const DISTANCE: Duration = Duration::from_millis(500);
/// A rate is told once it is made from this long: the first frames of a batch come in a burst.
const SHORTEST: Duration = Duration::from_secs(1);

/// How far a job is, by what its workers said; they say it to everybody and nothing is kept, so what was said before this
/// process listened is not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveView {
    /// Frames done; of a still, its tiles.
    pub done: u64,
    /// Frames or tiles there are.
    pub total: u64,
    /// Batches that were seen to end.
    pub finished: Arc<BatchSet>,
    /// Frames or tiles a second over the last half minute.
    pub per_second: Option<f64>,
    /// Time left at this rate, in seconds.
    pub seconds_left: Option<f64>,
}

/// What is known of the work on one plan of one job.
#[derive(Debug)]
pub(super) struct Live {
    plan: u32,
    /// Frames done of each batch in work, and how many it has.
    in_work: BTreeMap<u64, (u64, u64)>,
    ended: Arc<BatchSet>,
    ended_frames: u64,
    /// Tiles of a picture, done and all; frames looked at while a plan is made or a result is put together do not count.
    tiles: Option<(u64, u64)>,
    counts: VecDeque<(Instant, u64)>,
}

impl Live {
    pub(super) fn new(plan: u32) -> Self {
        Self {
            plan,
            in_work: BTreeMap::new(),
            ended: Arc::default(),
            ended_frames: 0,
            tiles: None,
            counts: VecDeque::new(),
        }
    }

    /// Which plan it is about.
    pub(super) fn plan(&self) -> u32 {
        self.plan
    }

    /// Takes in what a worker said; says whether that changed anything.
    pub(super) fn take(&mut self, progress: &Progress, now: Instant) -> bool {
        match progress.step {
            Step::Upscale { batch, .. } => self.batch(batch, progress.done, progress.total),
            Step::Picture { .. } => self.tiles = Some((progress.done, progress.total)),
            Step::Plan { .. } | Step::Assemble { .. } | Step::Audit { .. } | Step::Sound { .. } => return false,
        }
        self.count(now);
        true
    }

    fn batch(&mut self, batch: u64, done: u64, total: u64) {
        if self.ended.contains(batch) {
            return;
        }
        if done < total {
            self.in_work.insert(batch, (done, total));
        } else {
            self.in_work.remove(&batch);
            Arc::make_mut(&mut self.ended).insert(batch);
            self.ended_frames += total;
        }
    }

    fn done(&self) -> u64 {
        let in_work: u64 = self.in_work.values().map(|(done, _)| done).sum();
        self.tiles.map_or(self.ended_frames + in_work, |(done, _)| done)
    }

    fn count(&mut self, now: Instant) {
        let done = self.done();
        if self
            .counts
            .back()
            .is_none_or(|(at, _)| now.duration_since(*at) >= DISTANCE)
        {
            self.counts.push_back((now, done));
        }
        // One count from before the window stays: the rate reaches back to it.
        while self
            .counts
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW)
        {
            self.counts.pop_front();
        }
    }

    /// Frames a second; nothing where too little is known.
    fn per_second(&self) -> Option<f64> {
        let ((first, before), (last, after)) = (self.counts.front()?, self.counts.back()?);
        let took = last.duration_since(*first);
        let done = after.saturating_sub(*before);
        (took >= SHORTEST && done > 0).then(|| done as f64 / took.as_secs_f64())
    }

    /// The view, of a job with this plan where it has one.
    pub(super) fn view(&self, plan: Option<&PlanSummary>) -> LiveView {
        let done = self.done();
        let said = self.tiles.map_or(0, |(_, total)| total);
        let total = match (self.tiles, plan) {
            (None, Some(plan)) => plan.frames,
            _ => said,
        };
        let per_second = self.per_second();
        LiveView {
            done,
            total,
            finished: Arc::clone(&self.ended),
            per_second,
            seconds_left: per_second.map(|rate| total.saturating_sub(done) as f64 / rate),
        }
    }
}

#[cfg(test)]
mod tests {
    use clearfleet_common::job::{JobId, OwnerId};

    use super::*;

    fn progress(step: Step, done: u64, total: u64) -> Progress {
        Progress {
            job: JobId::from_u128(1),
            owner: OwnerId::default(),
            step,
            done,
            total,
        }
    }

    fn upscaled(batch: u64, done: u64) -> Progress {
        progress(Step::Upscale { plan: 0, batch }, done, 10)
    }

    #[test]
    fn batches_in_work_and_ended_ones_add_up() {
        let (mut live, now) = (Live::new(0), Instant::now());
        live.take(&upscaled(0, 4), now);
        live.take(&upscaled(3, 7), now);
        assert_eq!((live.view(None).done, live.view(None).finished.len()), (11, 0));
        live.take(&upscaled(0, 10), now);
        // Late words of a batch that ended, or its second delivery, take nothing back.
        live.take(&upscaled(0, 5), now);
        // A batch that began again with another worker does.
        live.take(&upscaled(3, 1), now);
        assert_eq!((live.view(None).done, live.view(None).finished.len()), (11, 1));
        assert!(live.view(None).finished.contains(0));
    }

    #[test]
    fn the_rate_is_that_of_the_last_half_minute() {
        let (mut live, start) = (Live::new(0), Instant::now());
        for second in 0..100 {
            let speed = if second < 60 { 1 } else { 2 };
            let done = if speed == 1 { second } else { 60 + 2 * (second - 60) };
            live.take(
                &progress(Step::Picture { plan: 0 }, done, 200),
                start + Duration::from_secs(second),
            );
        }
        let view = live.view(None);
        assert_eq!((view.done, view.total), (138, 200));
        assert_eq!(view.per_second, Some(2.0));
        assert_eq!(view.seconds_left, Some(31.0));
    }

    #[test]
    fn nothing_is_told_of_a_rate_before_it_can_be_known() {
        let (mut live, start) = (Live::new(0), Instant::now());
        live.take(&upscaled(0, 5), start);
        assert_eq!(live.view(None).per_second, None);
        live.take(&upscaled(0, 9), start + Duration::from_millis(600));
        assert_eq!(live.view(None).per_second, None);
        assert!(!live.take(&progress(Step::Assemble { plan: 0 }, 5, 10), start));
    }
}
