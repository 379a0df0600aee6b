use std::collections::BTreeMap;
use std::time::Duration;

use crate::job::{ClassName, JobId, OwnerId, Request, SourceKind, State};

use super::job::{Job, Ring};
use super::scheduler::Scheduler;
use super::workers::LiveWorker;
use super::{BatchSet, Destination, Millis};

/// Where a job stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Jobs that stand in line with it and have a turn before its next; 0 if that step is out already.
    pub jobs_ahead: u64,
    /// Seconds of work of one engine that come before its next step: what is out, and the turns of the others.
    pub seconds_ahead: f64,
    /// Seconds of work of one engine that it still is itself; none while it is paused.
    pub own_seconds: f64,
    /// Finished batches of its plan.
    pub finished: BatchSet,
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

/// What waits for a queue of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneView {
    /// Which queue.
    pub queue: Destination,
    /// Tasks in it or at workers, and jobs that stand in line to publish their next one.
    pub tasks: u64,
    /// How long that one has waited for a worker which waited longest, its time in line included; zero where nothing waits.
    pub oldest: Duration,
}

/// What an owner has to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnerView {
    /// Whose.
    pub owner: OwnerId,
    /// Seconds of work of one engine that all its jobs still are.
    pub backlog_seconds: f64,
    /// Tasks of its jobs that are out now, by all tasks that are: its share of the workers.
    pub share: f64,
    /// Owners that have a turn before it, in the line where that are fewest; 0 where nothing of it waits.
    pub place: u64,
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
            finished: job.done.clone(),
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

    /// Every queue that something is published for or waits for, and the media queue.
    pub fn lanes(&self) -> Vec<LaneView> {
        let mut lanes: BTreeMap<Destination, (u64, Option<Millis>)> = BTreeMap::new();
        lanes.entry(Destination::Media).or_default();
        let mut count = |queue, tasks, ready: Option<Millis>| {
            let (all, oldest) = lanes.entry(queue).or_default();
            *all += tasks;
            *oldest = [*oldest, ready].into_iter().flatten().min();
        };
        for job in self.jobs.values() {
            if let Some(ring) = job.turn.map(|(ring, _)| ring).or(job.slot) {
                count(ring.destination(), 1, job.ready);
            }
            for flight in job.flights.values() {
                // One that is held waits no more.
                let ready = flight.ready.filter(|_| flight.holder.is_none());
                count(flight.ring.destination(), 1, ready);
            }
        }
        let seen = |(queue, (tasks, oldest)): (Destination, (u64, Option<Millis>))| LaneView {
            queue,
            tasks,
            oldest: oldest.map_or(Duration::ZERO, |since| self.now.since(since)),
        };
        lanes.into_iter().map(seen).collect()
    }

    /// The owners with the most work to be done, `most` of them, the one with the most first.
    pub fn owners(&self, most: usize) -> Vec<OwnerView> {
        let mut owners: BTreeMap<OwnerId, (f64, u64)> = BTreeMap::new();
        for job in self.jobs.values().filter(|job| job.record.state.is_active()) {
            let (seconds, out) = owners.entry(job.owner()).or_default();
            *seconds += self.own_seconds(job);
            *out += job.flights.len() as u64;
        }
        let all: u64 = owners.values().map(|(_, out)| out).sum();
        let mut owners: Vec<_> = owners.into_iter().collect();
        owners.sort_by(|(_, one), (_, other)| other.0.total_cmp(&one.0));
        owners.truncate(most);
        let places = self.lanes.places();
        let seen = |(owner, (backlog_seconds, out)): (OwnerId, (f64, u64))| OwnerView {
            owner,
            backlog_seconds,
            share: if all == 0 { 0.0 } else { out as f64 / all as f64 },
            place: places.get(&owner).copied().unwrap_or(0),
        };
        owners.into_iter().map(seen).collect()
    }

    /// All live workers.
    pub fn live_workers(&self) -> Vec<LiveWorker> {
        self.workers.all()
    }

    /// Live workers of which audits have shown that they make wrong pictures.
    pub fn distrusted(&self) -> usize {
        self.workers.all().iter().filter(|worker| worker.distrusted).count()
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
