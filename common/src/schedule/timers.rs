use crate::job::{State, Task};

use super::job::{Flight, Job, part};
use super::moves::{self, Stage};
use super::scheduler::Scheduler;
use super::{Destination, Effect, Millis};

impl Scheduler {
    /// When time alone gives it something to do: the moment of the next [`Input::Tick`](super::Input::Tick) that is
    /// needed.
    pub fn next_due(&self) -> Option<Millis> {
        if !self.is_active {
            return None;
        }
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let unread = self.unread.values().map(|unread| unread.due).min();
        let expiry = self.workers.next_expiry(self.rules.silence);
        let audit = self.audits.next_due(self.now, &self.rules);
        let sound = self.sounds.next_due(self.now);
        let dues = [alarm, unread, expiry, audit, sound, Some(self.relist)];
        dues.into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) {
        self.workers.expire(self.now, self.rules.silence);
        while let Some((at, id)) = self.alarms.first().copied().filter(|(at, _)| *at <= self.now) {
            self.alarms.remove(&(at, id));
            self.with(id, |this, job| {
                job.alarm = None;
                this.look_at_clocks(job);
            });
        }
        self.read_overdue();
        self.relist_if_due();
    }

    fn look_at_clocks(&mut self, job: &mut Job) {
        if job.io.as_ref().is_some_and(|io| io.due <= self.now) {
            self.give_up_question(job);
        }
        let due: Vec<_> = job
            .flights
            .iter()
            .filter(|(_, flight)| job.flight_due(flight, &self.rules) <= self.now)
            .map(|(part, flight)| (*part, flight.clone()))
            .collect();
        for (part, flight) in due {
            if flight.generation < job.record.generation {
                // Its holder is gone, and nobody who gets the old task takes it for one that counts.
                self.land(job, part);
                job.again.insert(part, self.now);
            } else if self.is_lost(job, flight.ring.destination()) {
                self.suspect(job);
            }
        }
    }

    /// Whether somebody who could take what lies in a queue has had nothing to do for a while.
    fn is_lost(&self, job: &Job, to: Destination) -> bool {
        let of_batches = moves::stage(&job.record) == Stage::Batches;
        let fingerprint = job.fingerprint().filter(|_| of_batches);
        self.workers.is_idle(to, fingerprint, self.now, self.rules.silence)
    }

    /// What was published for a job may be lost: listen, then publish anew.
    pub(super) fn suspect(&mut self, job: &mut Job) {
        let is_begun = !matches!(job.record.state, State::Uploading | State::Queued);
        if is_begun && job.fence.is_none() {
            job.fence = Some(self.now.after(self.rules.listen));
        }
    }

    pub(super) fn publish_failed(&mut self, task: &Task) {
        if task.step.is_audit() {
            self.audit_lost(task, true);
            return;
        }
        if task.step.is_sound() {
            self.sound_unpublished(task);
            return;
        }
        self.with(task.job, |this, job| {
            let is_awaited = |flight: &Flight| flight.generation == task.generation;
            if job.flights.get(&part(task.step)).is_some_and(is_awaited) {
                this.suspect(job);
            }
        });
    }

    /// The broker was away, and with it everything that was published.
    pub(super) fn broker_back(&mut self) {
        self.listening_since = self.now;
        self.audits_are_lost();
        self.sounds_are_lost();
        let ids: Vec<_> = self.jobs.keys().copied().collect();
        for id in ids {
            self.with(id, |this, job| {
                // A queued job listens for what was published before it was queued, if for anything.
                job.fence.take_if(|_| job.record.state != State::Queued);
                this.suspect(job);
            });
        }
    }

    /// Lists `active/` when it is time; a lost hint is found then.
    pub(super) fn relist_if_due(&mut self) {
        if self.relist > self.now {
            return;
        }
        self.relist = self.now.after(self.rules.relist);
        self.effects.push(Effect::ListActive);
        let ids: Vec<_> = self.jobs.keys().copied().collect();
        for id in ids {
            self.with(id, Self::consider_others);
        }
    }

    /// Makes sure that a job is looked at when its time comes. Only the first alarm counts: what is due later is found
    /// then.
    pub(super) fn set_alarm(&mut self, job: &mut Job) {
        let due = job.next_due(self.now, &self.rules);
        if due != job.alarm {
            if let Some(alarm) = job.alarm.take() {
                self.alarms.remove(&(alarm, job.id()));
            }
            if let Some(due) = due {
                job.alarm = Some(due);
                self.alarms.insert((due, job.id()));
            }
        }
    }
}
