//! When two worlds are the same: what counts are differences of times, generations and numbers, not their values.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::world::{Control, TICK, World};
use crate::job::{ControlMessage, JobId, Outcome, Record, Step, Task};
use crate::schedule::job::{Asked, Job};
use crate::schedule::{Effect, Input, Millis, Scheduler, Ticket};

/// The least generation and the least plan number of each job that anybody still remembers.
type Least = BTreeMap<JobId, (u64, u32)>;

struct Canon<'a> {
    world: &'a World,
    least: Least,
    hasher: DefaultHasher,
}

/// A number that is equal for worlds in which the same can happen.
pub(super) fn canonical(world: &World) -> u64 {
    let mut canon = Canon {
        world,
        least: least(world),
        hasher: DefaultHasher::new(),
    };
    canon.world();
    canon.hasher.finish()
}

fn least(world: &World) -> Least {
    let mut least = Least::new();
    let mut see = |job: JobId, generation: u64, number: u32| {
        let entry = least.entry(job).or_insert((generation, number));
        *entry = (entry.0.min(generation), entry.1.min(number));
    };
    let mut tasks: Vec<&Task> = Vec::new();
    let mut records: Vec<&Record> = world.store.records.values().map(|stored| &stored.record).collect();
    tasks.extend(world.queues.values().flatten().map(|message| &message.task));
    tasks.extend(
        world
            .workers
            .iter()
            .flat_map(|worker| &worker.held)
            .map(|held| &held.task),
    );
    tasks.extend(world.control.iter().filter_map(|message| match message {
        Control::Message(ControlMessage::Report(report)) => Some(&report.task),
        Control::Dead(task) => Some(task),
        Control::Message(_) => None,
    }));
    for process in &world.processes {
        for effect in process.todo.iter().chain(&process.half) {
            match effect {
                Effect::Replace { record, .. } => records.push(record),
                Effect::Publish { task, .. } => tasks.push(task),
                _ => {}
            }
        }
        for answer in &process.answers {
            match answer {
                Input::Read {
                    found: Some((record, _)),
                    ..
                } => records.push(record),
                Input::PublishFailed(task) => tasks.push(task),
                _ => {}
            }
        }
        for job in process.scheduler.jobs.values() {
            records.push(&job.record);
            if let Some(Asked::Replace(record)) = job.io.as_ref().map(|io| &io.asked) {
                records.push(record);
            }
            let oldest = job.flights.values().map(|flight| flight.generation).min();
            see(job.id(), oldest.unwrap_or(u64::MAX), u32::MAX);
        }
        tasks.extend(process.scheduler.workers.held());
    }
    for task in tasks {
        see(task.job, task.generation, task.step.plan());
    }
    for record in records {
        let followed = record.plan.as_ref().map_or(u32::MAX, |plan| plan.number);
        see(
            record.id,
            record.generation,
            followed.min(record.next_plan.saturating_sub(1)),
        );
    }
    least
}

impl Canon<'_> {
    fn put(&mut self, value: impl Hash) {
        value.hash(&mut self.hasher);
    }

    /// Things that can happen in any order.
    fn unordered<T>(&mut self, things: &[T], put: impl Fn(&mut Self, &T)) {
        let mut hashes = Vec::new();
        for thing in things {
            let outer = std::mem::take(&mut self.hasher);
            put(self, thing);
            hashes.push(std::mem::replace(&mut self.hasher, outer).finish());
        }
        hashes.sort_unstable();
        self.put(hashes);
    }

    /// Steps of time until a moment; 0 if it is over.
    fn until(&mut self, at: Option<Millis>) {
        let tick = TICK.as_millis() as u64;
        let left = at.map(|at| at.0.saturating_sub(self.world.now.0).div_ceil(tick));
        self.put(left);
    }

    /// Steps of time since a moment, as far as they matter.
    fn age(&mut self, since: Millis, most: u64) {
        let tick = TICK.as_millis() as u64;
        let age = (self.world.now.0.saturating_sub(since.0) / tick).min(most);
        self.put(age);
    }

    fn generation(&mut self, job: JobId, generation: u64) {
        let least = self.least.get(&job).map_or(0, |least| least.0);
        self.put(generation.saturating_sub(least));
    }

    fn number(&mut self, job: JobId, number: u32) {
        let least = self.least.get(&job).map_or(0, |least| least.1);
        self.put(i64::from(number) - i64::from(least));
    }

    fn task(&mut self, task: &Task) {
        self.put((task.job, task.alone));
        self.generation(task.job, task.generation);
        self.step(task.job, task.step);
    }

    fn step(&mut self, job: JobId, step: Step) {
        self.put(std::mem::discriminant(&step));
        self.put((step.batch(), matches!(step, Step::Plan { exact: true, .. })));
        self.number(job, step.plan());
    }

    fn outcome(&mut self, outcome: &Outcome) {
        self.put(std::mem::discriminant(outcome));
        if let Outcome::Failed { failure, transient } = outcome {
            self.put((failure.code, *transient));
        }
    }

    fn record(&mut self, record: &Record) {
        self.put((record.id, record.state, record.pending_commands().collect::<Vec<_>>()));
        // A command that was heard is remembered for its number alone.
        self.put(record.wanted.map(|wanted| wanted.serial).unwrap_or(0) - record.heard);
        self.generation(record.id, record.generation);
        self.number(record.id, record.next_plan);
        match &record.plan {
            Some(plan) => {
                self.put((plan.batches, plan.exact, plan.kind));
                self.number(record.id, plan.number);
            }
            None => self.put(false),
        }
        let planned = record.planned_for.as_ref();
        self.put(planned.map(|p| (p.kind, p.turns, p.bulk, p.exact, p.fingerprint.clone())));
        self.put((
            record.result.is_some(),
            record.failure.as_ref().map(|failure| failure.code),
        ));
    }

    fn is_current(&self, job: JobId, version: &str) -> bool {
        let stored = self.world.store.records.get(&job);
        stored.is_some_and(|stored| stored.version.to_string() == version)
    }

    fn world(&mut self) {
        let world = self.world;
        self.put((world.budget, world.wasteful, world.api));
        for stored in world.store.records.values() {
            self.record(&stored.record);
        }
        self.put(&world.store.active);
        for ((job, plan), batches) in &world.store.markers {
            if self.is_remembered(*job, *plan) {
                self.number(*job, *plan);
                self.put((job, batches));
            }
        }
        for ((job, plan, batch), made) in &world.made {
            if self.is_remembered(*job, *plan) {
                self.number(*job, *plan);
                self.put((job, batch, made));
            }
        }
        for (queue, messages) in world.queues.iter().filter(|(_, messages)| !messages.is_empty()) {
            self.put((queue, messages.len()));
            for message in messages {
                self.task(&message.task);
                self.put(message.deliveries);
            }
        }
        self.put(world.control.len());
        world.control.iter().for_each(|message| self.control(message));
        world.workers.iter().for_each(|worker| self.worker(worker));
        self.put(world.processes.len());
        for process in &world.processes {
            self.put((process.consumes, process.todo.len(), process.half.len()));
            self.unordered(&process.todo, |this, effect| this.effect(effect, &process.scheduler));
            self.unordered(&process.half, |this, effect| this.effect(effect, &process.scheduler));
            self.unordered(&process.answers, |this, answer| this.answer(answer, &process.scheduler));
            self.scheduler(&process.scheduler);
        }
    }

    fn is_remembered(&self, job: JobId, plan: u32) -> bool {
        self.least.get(&job).is_some_and(|least| plan >= least.1)
    }

    fn control(&mut self, message: &Control) {
        self.put(std::mem::discriminant(message));
        match message {
            Control::Message(ControlMessage::Report(report)) => {
                self.put(&report.worker);
                self.task(&report.task);
                self.outcome(&report.outcome);
            }
            Control::Message(ControlMessage::Look { job, .. }) => self.put(job),
            Control::Message(ControlMessage::Watch { job, plan, batch, .. }) => {
                self.put((job, batch));
                self.number(*job, *plan);
            }
            Control::Message(ControlMessage::Wake) => {}
            Control::Dead(task) => self.task(task),
        }
    }

    fn worker(&mut self, worker: &super::world::Worker) {
        self.put((worker.lives, worker.silent, worker.held.is_some()));
        if let Some(held) = &worker.held {
            self.task(&held.task);
            self.put((
                held.from,
                held.phase,
                held.message.as_ref().map(|message| message.deliveries),
            ));
            self.put(held.outcome.is_some());
            held.outcome.iter().for_each(|outcome| self.outcome(outcome));
        }
    }

    fn awaits(scheduler: &Scheduler, job: JobId, ticket: Ticket) -> bool {
        let known = scheduler
            .jobs
            .get(&job)
            .and_then(|job| job.io.as_ref())
            .map(|io| io.ticket);
        let unread = scheduler.unread.get(&job).map(|unread| unread.ticket);
        known == Some(ticket) || unread == Some(ticket)
    }

    fn effect(&mut self, effect: &Effect, scheduler: &Scheduler) {
        self.put(std::mem::discriminant(effect));
        match effect {
            Effect::ListActive
            | Effect::KeepClass(_)
            | Effect::KeepFailure { .. }
            | Effect::KeepSoundFailure { .. }
            | Effect::Distrust(_) => {}
            Effect::Read { job, ticket, .. }
            | Effect::ListMarkers { job, ticket, .. }
            | Effect::Settle { job, ticket, .. }
            | Effect::Delete { job, ticket, .. } => self.put((job, Self::awaits(scheduler, *job, *ticket))),
            Effect::Replace {
                ticket,
                record,
                expected,
            } => {
                let is_current = self.is_current(record.id, &expected.0);
                self.put((Self::awaits(scheduler, record.id, *ticket), is_current));
                self.record(record);
            }
            Effect::Publish { to, task } => {
                self.put(to);
                self.task(task);
            }
            Effect::KeepActive { job, .. } | Effect::DropActive { job } => self.put(job),
        }
    }

    fn answer(&mut self, answer: &Input, scheduler: &Scheduler) {
        self.put(std::mem::discriminant(answer));
        match answer {
            Input::Listed(jobs) => {
                for listed in jobs {
                    self.put(listed.job);
                    let version = listed.record.as_ref().map(|(_, version)| version);
                    let known = scheduler.jobs.get(&listed.job).map(|job| &job.version);
                    self.put((version.is_some(), version == known));
                }
            }
            Input::Read { job, ticket, found } => {
                self.put((job, Self::awaits(scheduler, *job, *ticket), found.is_some()));
                if let Some((record, version)) = found {
                    let known = scheduler.jobs.get(job).map(|job| &job.version);
                    let is_current = self.is_current(*job, &version.0);
                    self.put((is_current, known == Some(version)));
                    self.record(record);
                }
            }
            Input::Replaced { job, ticket, version } => {
                let is_current = self.is_current(*job, &version.0);
                self.put((job, Self::awaits(scheduler, *job, *ticket), is_current));
            }
            Input::Lost { job, ticket } | Input::Deleted { job, ticket } | Input::Failed { job, ticket } => {
                self.put((job, Self::awaits(scheduler, *job, *ticket)));
            }
            Input::Markers { job, ticket, done } => self.put((job, Self::awaits(scheduler, *job, *ticket), done)),
            Input::PublishFailed(task) => self.task(task),
            _ => {}
        }
    }

    fn scheduler(&mut self, scheduler: &Scheduler) {
        self.put(scheduler.is_active);
        self.age(scheduler.listening_since, 6);
        self.until(Some(scheduler.relist));
        for (id, unread) in &scheduler.unread {
            self.put((id, unread.is_listed, unread.failures.min(3)));
            self.until(Some(unread.due));
        }
        for (id, since) in &scheduler.orphans {
            self.put(id);
            self.age(*since, 60);
        }
        scheduler.jobs.values().for_each(|job| self.job(job));
        self.put(scheduler.lanes.summary());
        for (key, seen) in scheduler.workers.seen() {
            self.put(key);
            self.age(seen, 6);
        }
        for worker in scheduler.workers.ages() {
            self.put(worker.0);
            self.age(worker.1, 2);
            for idle in worker.2 {
                self.put(idle.is_some());
                self.age(idle.unwrap_or_default(), 2);
            }
        }
        let held: Vec<Task> = scheduler.workers.held().cloned().collect();
        held.iter().for_each(|task| self.task(task));
    }

    fn job(&mut self, job: &Job) {
        self.record(&job.record);
        let is_current = self.is_current(job.id(), &job.version.0);
        self.put((
            is_current,
            job.look,
            job.io_failures.min(3),
            job.fresh,
            job.listed,
            job.next,
        ));
        self.put((&job.done, job.slot, job.turn.map(|(ring, _)| ring), job.unlisted));
        self.put(job.io.as_ref().map(|io| std::mem::discriminant(&io.asked)));
        if let Some(Asked::Replace(record)) = job.io.as_ref().map(|io| &io.asked) {
            self.record(record);
        }
        self.until(job.io.as_ref().map(|io| io.due));
        self.until(job.io_wait);
        self.until(job.fence);
        self.until(job.alarm);
        let playhead = job.playhead(self.world.now);
        self.put((playhead.map(|at| at.batch), job.front.map(|(ring, _)| ring)));
        self.until(playhead.map(|at| at.until));
        self.put(job.verdict.as_ref().map(|verdict| format!("{:?}", verdict.found)));
        for plan in [job.verdict.as_ref().map(|verdict| verdict.plan), job.plan] {
            self.put(plan.is_some());
            self.number(job.id(), plan.unwrap_or_default());
        }
        for (part, flight) in &job.flights {
            self.put((part, flight.alone, flight.ring, &flight.holder));
            self.generation(job.id(), flight.generation);
            self.age(flight.since, 2);
        }
        for (part, trouble) in &job.trouble {
            // Workers that may not do a batch are counted for the wait alone, which does not get longer here.
            self.put((part, trouble.attempts, trouble.strangers.min(1), trouble.alone));
        }
        for (part, at) in &job.again {
            self.put(part);
            self.until(Some(*at));
        }
    }
}
