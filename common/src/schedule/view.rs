use std::collections::BTreeMap;

use crate::job::{ClassName, JobId, OwnerId, Request, SourceKind, State};

use super::job::{Job, Ring};
use super::scheduler::Scheduler;
use super::workers::LiveWorker;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Jobs that stand in line with it and have a turn before its next; 0 if that step is out already.
    pub jobs_ahead: u64,
    /// Seconds of work of one engine that come before its next step: what is out, and the turns of the others.
    pub seconds_ahead: f64,
    /// Seconds of work of one engine that it still is itself; none while it is paused.
    pub own_seconds: f64,
    /// Finished batches; nothing while there is no plan.
    pub batches_done: Option<u64>,
}

/// What a class has to do, and with what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassView {
    /// The class.
    pub class: ClassName,
    /// Workers that take work.
    pub workers: u32,
    /// Pixels of results that they make in a second, together.
    pub pixels_per_second: f64,
    /// Jobs that have not ended.
    pub jobs: u64,
    /// Seconds of work of one engine that all jobs still are, those not yet planned included.
    pub backlog_seconds: f64,
}

impl Scheduler {
    /// Where a job stands; nothing for one that has ended, or that this scheduler does not know of.
    pub fn place(&self, id: JobId) -> Option<Place> {
        let job = self.jobs.get(&id).filter(|job| job.record.state.is_active())?;
        let (jobs_ahead, seconds_ahead) = job.turn.map_or((0, 0.0), |(ring, _)| self.ahead(id, job, ring));
        Some(Place {
            jobs_ahead,
            seconds_ahead,
            own_seconds: self.own_seconds(job),
            batches_done: job.plan.map(|_| job.done.len()),
        })
    }

    /// Every class that has jobs or workers, by name.
    pub fn classes(&self) -> Vec<ClassView> {
        let mut classes: BTreeMap<ClassName, (u64, f64)> = BTreeMap::new();
        for worker in self.workers.all() {
            classes.entry(worker.class).or_default();
        }
        for job in self.jobs.values().filter(|job| job.record.state.is_active()) {
            let (jobs, seconds) = classes.entry(job.class()).or_default();
            *jobs += 1;
            *seconds += self.own_seconds(job);
        }
        let seen = |(class, (jobs, backlog_seconds)): (ClassName, (u64, f64))| ClassView {
            class,
            workers: self.workers.live(Ring::Bulk(class).destination()),
            pixels_per_second: self.workers.total_rate(class),
            jobs,
            backlog_seconds,
        };
        classes.into_iter().map(seen).collect()
    }

    /// All live workers.
    pub fn live_workers(&self) -> Vec<LiveWorker> {
        self.workers.all()
    }

    /// Seconds of work of one engine that a job with this request, and a source of this many bytes, is expected to be.
    pub fn guess_seconds(&self, request: &Request, bytes: u64) -> f64 {
        self.rules
            .guess_seconds(request, bytes, self.engine_rate(request.class))
    }

    /// Pixels a second of one engine of a class.
    fn engine_rate(&self, class: ClassName) -> f64 {
        let known = self.workers.best_ever(class).map(|known| known.pixels_per_second);
        known
            .filter(|rate| *rate > 0.0)
            .unwrap_or_else(|| self.rules.fallback(class))
    }

    /// Seconds of work of one engine that a job still is.
    fn own_seconds(&self, job: &Job) -> f64 {
        let record = &job.record;
        match &record.plan {
            Some(_) if matches!(record.state, State::Assembling | State::Paused) => 0.0,
            Some(plan) => plan.batches.saturating_sub(job.done.len()) as f64 * plan.batch_seconds,
            None if record.state == State::Paused => 0.0,
            None => self.guess_seconds(&record.request, record.source.bytes),
        }
    }

    /// Seconds of work of one engine that a job gives out in one turn.
    fn turn_seconds(&self, job: &Job) -> f64 {
        match (&job.record.plan, job.kind()) {
            (Some(plan), _) => plan.batch_seconds,
            (None, SourceKind::Picture) => self.own_seconds(job),
            (None, SourceKind::Video) => 0.0,
        }
    }

    /// Turns that a job can still take in a line.
    fn turns_left(&self, job: &Job, ring: Ring) -> u64 {
        if job.front.is_some_and(|(front, _)| front == ring) {
            return job.watched(self.now).count() as u64;
        }
        let missing = job.batches().saturating_sub(job.done.len() + job.flights.len() as u64);
        if job.record.plan.is_some() { missing } else { 1 }
    }

    /// Jobs and seconds of work before the next turn of a job that stands in a line, as it is now: owners one after the
    /// other, as long as each has something to give out.
    fn ahead(&self, id: JobId, job: &Job, ring: Ring) -> (u64, f64) {
        let Some(lane) = self.lanes.lane(ring) else {
            return (0, 0.0);
        };
        let in_line: Vec<_> = lane.turns.in_line().collect();
        let Some((_, own_owner, own_round, own_before)) = in_line.iter().find(|(other, ..)| *other == id).copied()
        else {
            return (0, 0.0);
        };
        let mut left: BTreeMap<OwnerId, u64> = BTreeMap::new();
        let mut jobs = 0;
        let published = f64::from(self.lanes.out(ring)) * self.turn_seconds(job);
        let mut seconds = published;
        for (other, owner, _, before) in in_line {
            // Its owner has one turn in each round before its own, and one more in the round of its own if it is earlier.
            let rounds = own_round as u64 + u64::from(before < own_before);
            let rounds = left.entry(owner).or_insert(rounds);
            let Some(other_job) = self.jobs.get(&other).filter(|_| other != id && *rounds > 0) else {
                continue;
            };
            // Jobs of one owner take turns themselves; of others all that they have may come first.
            let turns = if owner == own_owner {
                1
            } else {
                self.turns_left(other_job, ring).min(*rounds)
            };
            *rounds -= turns.min(*rounds);
            jobs += 1;
            seconds += turns as f64 * self.turn_seconds(other_job);
        }
        (jobs, seconds)
    }
}
