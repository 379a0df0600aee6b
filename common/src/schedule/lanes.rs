use std::collections::{BTreeMap, BTreeSet};

use crate::job::{JobId, OwnerId, Priority, Record, State, Step, Task};

use super::job::{Flight, Job, Part, Ring, part};
use super::moves::{self, Stage};
use super::scheduler::Scheduler;
use super::turns::{Place, Turns};
use super::{Destination, Effect};

/// How much is in the queues, and who stands in line for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<Ring, Lane>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    pub(super) turns: Turns,
    /// Tasks that were published for it and not settled, and places that are kept.
    out: u32,
}

impl Lanes {
    pub(super) fn take(&mut self, ring: Ring) {
        self.lanes.entry(ring).or_default().out += 1;
    }

    pub(super) fn free(&mut self, ring: Ring) {
        if let Some(lane) = self.lanes.get_mut(&ring) {
            lane.out = lane.out.saturating_sub(1);
        }
    }

    pub(super) fn join(&mut self, ring: Ring, owner: OwnerId, job: JobId, priority: Priority) -> Place {
        self.lanes.entry(ring).or_default().turns.join(owner, job, priority)
    }

    pub(super) fn leave(&mut self, ring: Ring, owner: OwnerId, place: Place) {
        if let Some(lane) = self.lanes.get_mut(&ring) {
            lane.turns.leave(owner, place);
        }
    }

    /// What is published for a line, and who stands in it.
    pub(super) fn lane(&self, ring: Ring) -> Option<&Lane> {
        self.lanes.get(&ring)
    }

    /// How many owners have a turn before each owner that waits, in the line where that are fewest.
    pub(super) fn places(&self) -> BTreeMap<OwnerId, u64> {
        let mut places = BTreeMap::new();
        for lane in self.lanes.values() {
            for (_, owner, _, before) in lane.turns.in_line() {
                let place = before as u64;
                places
                    .entry(owner)
                    .and_modify(|first: &mut u64| *first = place.min(*first))
                    .or_insert(place);
            }
        }
        places
    }

    /// Tasks in a queue or at workers.
    pub(super) fn out(&self, ring: Ring) -> u32 {
        self.lanes.get(&ring).map_or(0, |lane| lane.out)
    }

    /// What is out, and who waits in which order.
    #[cfg(test)]
    pub(super) fn summary(&self) -> Vec<(Ring, u32, Vec<JobId>)> {
        let summary = |(ring, lane): (&Ring, &Lane)| {
            let in_line = lane.turns.in_line().map(|(job, ..)| job).collect();
            (*ring, lane.out, in_line)
        };
        self.lanes.iter().map(summary).collect()
    }

    /// The lines in which somebody waits.
    fn waiting(&self) -> Vec<Ring> {
        let waiting = self.lanes.iter().filter(|(_, lane)| !lane.turns.is_empty());
        waiting.map(|(ring, _)| *ring).collect()
    }

    fn next(&mut self, ring: Ring) -> Option<JobId> {
        self.lanes.get_mut(&ring)?.turns.next()
    }
}

impl Scheduler {
    /// Publishes until the queues hold enough: a little more than the workers take at once, so that none waits for the
    /// scheduler and hardly anything has to be taken back.
    pub(super) fn fill(&mut self) {
        for ring in self.lanes.waiting() {
            let window = self.rules.per_worker * self.workers.live(ring.destination()) + self.rules.spare;
            while self.lanes.out(ring) < window {
                let Some(job) = self.lanes.next(ring) else {
                    break;
                };
                self.with(job, |this, job| this.take_turn(job, ring));
            }
        }
    }

    fn take_turn(&mut self, job: &mut Job, ring: Ring) {
        // It joins again behind the others, if there is more to give out.
        let is_front = job.front.is_some_and(|(front, _)| front == ring);
        let turn = if is_front { &mut job.front } else { &mut job.turn };
        let has = turn.take();
        self.stand(job, has, None);
        match moves::stage(&job.record) {
            Stage::Idle if job.record.state == State::Queued => self.begin(job),
            Stage::Idle => {}
            Stage::Batches => {
                let batch = if is_front {
                    job.watched(self.now).next()
                } else {
                    job.next_batch(self.now)
                };
                if let (Some(batch), Some(plan)) = (batch, job.plan) {
                    self.publish(job, Step::Upscale { plan, batch }, ring);
                }
            }
            Stage::Planning | Stage::Picture | Stage::Assembling => self.publish_whole(job),
        }
    }

    /// A queued job's turn has come: its record says so before anything is published.
    fn begin(&mut self, job: &mut Job) {
        let record = moves::begin(&job.record, self.plan_for(job), self.now);
        let ring = match (record.state, &record.planned_for) {
            (State::Planning, _) => Ring::Plan,
            (_, Some(planned)) if planned.bulk => Ring::Bulk(job.class()),
            _ => Ring::Interactive(job.class()),
        };
        self.lanes.take(ring);
        job.slot = Some(ring);
        self.replace(job, record);
    }

    /// Publishes what the kept place was kept for.
    pub(super) fn use_slot(&mut self, job: &mut Job) {
        if job.slot.is_some() {
            self.free_slot(job);
            if job.fresh && job.fence.is_none() && job.record.pending().is_none() {
                self.publish_whole(job);
            }
        }
    }

    fn publish_whole(&mut self, job: &mut Job) {
        if let Some(step) = moves::whole_step(&job.record) {
            job.fresh = false;
            self.publish(job, step, job.whole_ring());
        }
    }

    fn publish(&mut self, job: &mut Job, step: Step, ring: Ring) {
        let record: &Record = &job.record;
        let part = part(step);
        let alone = job.trouble.get(&part).is_some_and(|trouble| trouble.alone);
        let task = Task {
            alone,
            trace: record.trace.clone(),
            ..Task::new(record.id, record.owner, record.generation, step)
        };
        // What is under the playhead is wanted since now, however long the film has stood in line.
        let is_front = matches!((part, ring), (Part::Batch(_), Ring::Interactive(_)));
        let ready = if is_front { None } else { job.ready.take() };
        let ready = ready.unwrap_or(self.now);
        let flight = Flight {
            generation: record.generation,
            alone,
            ring,
            since: self.now,
            ready: Some(ready),
            holder: None,
        };
        // One that comes again, or out of order, leaves batches before it that are to be published.
        if let Part::Batch(batch) = part
            && job.next_new() == Some(batch)
        {
            job.next = batch + 1;
        }
        job.again.remove(&part);
        let to: Destination = ring.destination();
        self.launch(job, part, flight);
        self.effects.push(Effect::Publish { to, task });
    }

    fn launch(&mut self, job: &mut Job, part: Part, flight: Flight) {
        self.land(job, part);
        self.lanes.take(flight.ring);
        job.flights.insert(part, flight);
    }

    /// A task is settled, or does not count any more.
    pub(super) fn land(&mut self, job: &mut Job, part: Part) {
        if let Some(flight) = job.flights.remove(&part) {
            self.lanes.free(flight.ring);
        }
    }

    /// Of what is out, nothing counts any more; tells what that was.
    pub(super) fn land_all(&mut self, job: &mut Job) -> BTreeMap<Part, Flight> {
        let flights = std::mem::take(&mut job.flights);
        flights.values().for_each(|flight| self.lanes.free(flight.ring));
        job.next = 0;
        flights
    }

    /// After the generation was raised: what a worker holds is still worth having, and is not published beside it.
    /// `before` is what was out.
    pub(super) fn keep_held(&mut self, job: &mut Job, before: &BTreeMap<Part, Flight>) {
        let mut seen = BTreeSet::new();
        let held: Vec<_> = self
            .workers
            .holding(job.id())
            .filter(|(_, task, _)| moves::concerns(&job.record, task.step) && seen.insert(task.step))
            .map(|(worker, task, said)| (worker.clone(), task.clone(), said))
            .collect();
        for (worker, task, since) in held {
            let part = part(task.step);
            if matches!(part, Part::Batch(batch) if job.done.contains(batch)) {
                continue;
            }
            let ring = match (part, before.get(&part)) {
                (Part::Batch(_), Some(flight)) => flight.ring,
                _ => job.ring_of(task.step),
            };
            let flight = Flight {
                generation: task.generation,
                alone: task.alone,
                ring,
                since,
                ready: before.get(&part).and_then(|flight| flight.ready),
                holder: Some(worker),
            };
            job.again.remove(&part);
            self.launch(job, part, flight);
        }
    }
}
