use std::collections::{BTreeMap, BTreeSet};

use crate::job::{ClassName, ControlMessage, JobId, OwnerId, PlannedFor, Record, SourceKind};

use super::audits::Audits;
use super::job::{Asked, Io, Job, Part, Ring, Turn};
use super::lanes::Lanes;
use super::moves;
use super::rules::scatter;
use super::sounds::Sounds;
use super::workers::Workers;
use super::{BatchSet, Effect, Input, KnownClass, Millis, Note, RecordVersion, Rules, Ticket};

/// Decides what is published when, and what records say. See the [module](super) for the protocol.
///
/// It has no clock, does no IO and draws no random numbers: the same inputs at the same moments give the same effects.
#[derive(Clone, Debug)]
pub struct Scheduler {
    pub(super) rules: Rules,
    pub(super) is_active: bool,
    pub(super) now: Millis,
    /// Since when all announcements are heard.
    pub(super) listening_since: Millis,
    pub(super) jobs: BTreeMap<JobId, Box<Job>>,
    /// Jobs whose record is being read for the first time.
    pub(super) unread: BTreeMap<JobId, Unread>,
    pub(super) lanes: Lanes,
    pub(super) workers: Workers,
    pub(super) audits: Audits,
    pub(super) sounds: Sounds,
    pub(super) alarms: BTreeSet<(Millis, JobId)>,
    /// When `active/` is listed next.
    pub(super) relist: Millis,
    /// Keys below `active/` without a record, and when each was seen first.
    pub(super) orphans: BTreeMap<JobId, Millis>,
    /// What was written down of classes, and when.
    pub(super) kept_classes: BTreeMap<ClassName, (Millis, KnownClass)>,
    pub(super) next_ticket: u64,
    pub(super) effects: Vec<Effect>,
    /// What happened in this call, for whoever counts.
    pub(super) notes: Vec<Note>,
}

/// A job of which no more is known than that there may be something to do.
#[derive(Clone, Debug)]
pub(super) struct Unread {
    pub(super) owner: OwnerId,
    pub(super) ticket: Ticket,
    /// When it is asked again.
    pub(super) due: Millis,
    /// Whether its key is below `active/`, so that there is something to do even for an ended job: delete the key.
    pub(super) is_listed: bool,
    pub(super) failures: u32,
}

impl Scheduler {
    /// A scheduler that is not active.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            is_active: false,
            now: Millis(0),
            listening_since: Millis(0),
            jobs: BTreeMap::new(),
            unread: BTreeMap::new(),
            lanes: Lanes::default(),
            workers: Workers::default(),
            audits: Audits::default(),
            sounds: Sounds::default(),
            alarms: BTreeSet::new(),
            relist: Millis(0),
            orphans: BTreeMap::new(),
            kept_classes: BTreeMap::new(),
            next_ticket: 0,
            effects: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes one input in at the moment `now` and tells what is to be done. While it is not active, it listens to
    /// announcements and does nothing else.
    pub fn handle(&mut self, input: Input, now: Millis) -> Vec<Effect> {
        self.now = self.now.max(now);
        self.notes.clear();
        match input {
            Input::Activated => self.activate(),
            Input::Deactivated => self.deactivate(),
            Input::Class(known) => self.workers.remember(known),
            Input::Announced(announcement) => self.announced(announcement),
            _ if !self.is_active => {}
            Input::BrokerBack => self.broker_back(),
            Input::Listed(jobs) => self.listed(jobs),
            // It is listed again in its turn.
            Input::ListFailed => {}
            Input::Read { job, ticket, found } => self.read(job, ticket, found),
            Input::Replaced { job, ticket, version } => self.replaced(job, ticket, version),
            Input::Lost { job, ticket } => self.answered(job, ticket, |this, job, _| {
                this.free_slot(job);
                job.look = true;
            }),
            Input::Markers { job, ticket, done } => self.markers(job, ticket, &done),
            Input::Deleted { job, ticket } => self.answered(job, ticket, |_, job, _| job.is_gone = true),
            Input::Failed { job, ticket } => self.failed(job, ticket),
            Input::PublishFailed(task) => self.publish_failed(&task),
            Input::Control(ControlMessage::Look { job, owner }) => self.look(job, owner),
            Input::Control(ControlMessage::Watch { job, plan, batch, .. }) => self.watch(job, plan, batch),
            Input::Control(ControlMessage::Report(report)) => self.report(report),
            Input::Control(ControlMessage::Wake) => {}
            Input::DeadLetter(task) => self.dead_letter(&task),
            Input::Tick => self.tick(),
        }
        self.fill();
        self.publish_audits();
        self.publish_sounds();
        std::mem::take(&mut self.effects)
    }

    /// What happened in the last call of [`handle`](Self::handle), for whoever counts.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Whether this scheduler is the one that schedules.
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    fn activate(&mut self) {
        self.deactivate();
        self.is_active = true;
        self.listening_since = self.now;
        self.relist = self.now;
        self.relist_if_due();
    }

    fn deactivate(&mut self) {
        // What it has heard of workers stays true for as long as announcements do.
        let workers = std::mem::take(&mut self.workers);
        let kept_classes = std::mem::take(&mut self.kept_classes);
        *self = Self {
            workers,
            kept_classes,
            now: self.now,
            // No answer to a question of before can be taken for one of afterwards.
            next_ticket: self.next_ticket,
            ..Self::new(self.rules.clone())
        };
    }

    /// Does something with a job and whatever follows from it.
    pub(super) fn with(&mut self, id: JobId, act: impl FnOnce(&mut Self, &mut Job)) {
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        act(self, &mut job);
        self.advance(&mut job);
        self.consider_sound(&mut job);
        if job.is_gone {
            self.forget(&mut job);
            return;
        }
        self.stand_in_lines(&mut job);
        self.set_alarm(&mut job);
        self.jobs.insert(id, job);
    }

    fn forget(&mut self, job: &mut Job) {
        self.forget_sound(job);
        self.land_all(job);
        self.leave_lines(job);
        self.free_slot(job);
        if let Some(alarm) = job.alarm.take() {
            self.alarms.remove(&(alarm, job.id()));
        }
    }

    /// Takes up a job whose record was read for the first time here, or was changed by another scheduler: what was
    /// published for it, nobody knows.
    pub(super) fn adopt(&mut self, job: &mut Job) {
        self.land_all(job);
        self.free_slot(job);
        job.verdict = None;
        job.fresh = false;
        job.plan = None;
        job.follow_plan();
        // A job that ended or was paused just now may still be at workers that did not say so yet.
        let changed = Millis::from(job.record.changed).min(self.now).after(self.rules.listen);
        let listened = self.listening_since.after(self.rules.listen);
        job.fence = Some(self.now.max(listened).max(changed));
    }

    /// Asks storage something about a job.
    pub(super) fn ask(&mut self, job: &mut Job, asked: Asked) -> Ticket {
        let ticket = self.ticket();
        let due = self.now.after(self.rules.answer);
        job.io = Some(Io { ticket, asked, due });
        ticket
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Replaces a job's record.
    pub(super) fn replace(&mut self, job: &mut Job, record: Record) {
        let record = Box::new(record);
        let ticket = self.ask(job, Asked::Replace(record.clone()));
        let expected = job.version.clone();
        self.effects.push(Effect::Replace {
            ticket,
            record,
            expected,
        });
    }

    /// Takes an answer in, if it is one to the question that the job waits for.
    pub(super) fn answered(&mut self, id: JobId, ticket: Ticket, act: impl FnOnce(&mut Self, &mut Job, Asked)) {
        let waits = |job: &Job| job.io.as_ref().is_some_and(|io| io.ticket == ticket);
        if !self.jobs.get(&id).is_some_and(|job| waits(job)) {
            return;
        }
        self.with(id, |this, job| {
            if let Some(io) = job.io.take() {
                job.io_failures = 0;
                job.io_wait = None;
                act(this, job, io.asked);
            }
        });
    }

    fn failed(&mut self, id: JobId, ticket: Ticket) {
        if let Some(unread) = self.unread.get_mut(&id).filter(|unread| unread.ticket == ticket) {
            unread.failures += 1;
            let wait = self.rules.wait_after(unread.failures, seed(id, 0));
            unread.due = self.now.after(wait);
        }
        let waits = |job: &Job| job.io.as_ref().is_some_and(|io| io.ticket == ticket);
        if self.jobs.get(&id).is_some_and(|job| waits(job)) {
            self.with(id, Self::give_up_question);
        }
    }

    /// What was asked may have happened or not: after a wait, the record is read and all is decided anew.
    pub(super) fn give_up_question(&mut self, job: &mut Job) {
        self.free_slot(job);
        job.io = None;
        job.look = true;
        job.io_failures += 1;
        let wait = self.rules.wait_after(job.io_failures, seed(job.id(), 0));
        job.io_wait = Some(self.now.after(wait));
    }

    fn replaced(&mut self, id: JobId, ticket: Ticket, version: RecordVersion) {
        self.answered(id, ticket, |this, job, asked| {
            if let Asked::Replace(record) = asked {
                this.entered(job, *record, version);
            }
        });
    }

    /// The record is as the scheduler wanted it.
    fn entered(&mut self, job: &mut Job, record: Record, version: RecordVersion) {
        let before = std::mem::replace(&mut job.record, record);
        job.version = version;
        let after = &job.record;
        let is_raised = after.generation != before.generation;
        let is_renumbered = after.next_plan != before.next_plan;
        if is_raised {
            self.notes.push(Note::Raised);
        }
        if after.state.is_ended() && !before.state.is_ended() {
            let code = after.failure.as_ref().map(|failure| failure.code);
            self.notes.push(Note::Ended {
                state: after.state,
                code,
            });
        }
        if before.state.is_ended() && !after.state.is_ended() {
            job.trouble.clear();
            job.again.clear();
        }
        if moves::stage(&before) != moves::stage(after) {
            job.trouble.remove(&Part::Whole);
        }
        job.verdict
            .take_if(|verdict| moves::judge(after, verdict, self.now).is_none());
        job.follow_plan();
        if is_raised {
            job.fresh = is_renumbered || moves::stage(&job.record) == moves::Stage::Assembling;
            let is_fenced = job.fence.take_if(|until| *until <= self.now).is_some();
            if !is_fenced && !job.flights.is_empty() && job.record.plan.is_some() {
                // What was out a moment ago, somebody may have taken a moment ago: nothing is published before that
                // would have been heard.
                job.fence = job.fence.max(Some(self.now.after(self.rules.listen)));
            }
            let before = self.land_all(job);
            self.keep_held(job, &before);
        }
        self.use_slot(job);
    }

    fn markers(&mut self, id: JobId, ticket: Ticket, done: &BatchSet) {
        self.answered(id, ticket, |this, job, _| {
            let batches = job.batches();
            job.done.extend_below(done, batches);
            job.listed = true;
            let is_done = |part: &Part| match part {
                Part::Batch(batch) => job.done.contains(*batch),
                Part::Whole => false,
            };
            let landed: Vec<_> = job.flights.keys().copied().filter(is_done).collect();
            job.again.retain(|part, _| !is_done(part));
            landed.into_iter().for_each(|part| this.land(job, part));
        });
    }

    /// What a plan of a job is made for, as things are now.
    pub(super) fn plan_for(&self, job: &Job) -> PlannedFor {
        let class = job.class();
        let best = self.workers.best_ever(class);
        let rate = best.as_ref().map_or(0.0, |best| best.pixels_per_second);
        let pixels_per_second = if rate > 0.0 { rate } else { self.rules.fallback(class) };
        let request = &job.record.request;
        let before = job.record.planned_for.as_ref();
        let kind = job.kind();
        let is_large = || self.rules.picture_is_large(request, pixels_per_second);
        PlannedFor {
            kind,
            turns: before.map_or(0, |before| before.turns),
            bulk: before.map_or_else(|| kind == SourceKind::Picture && is_large(), |before| before.bulk),
            exact: before.is_some_and(|before| before.exact),
            fingerprint: best.filter(|_| kind == SourceKind::Video).map(|best| best.fingerprint),
            pixels_per_second,
        }
    }

    /// Frees the place in a queue that was kept for a job.
    pub(super) fn free_slot(&mut self, job: &mut Job) {
        if let Some(ring) = job.slot.take() {
            self.lanes.free(ring);
        }
    }

    fn leave_lines(&mut self, job: &mut Job) {
        job.turn = self.stand(job, job.turn, None);
        job.front = self.stand(job, job.front, None);
    }

    /// Puts a job into the lines where it should stand, and takes it out of those where it should not.
    fn stand_in_lines(&mut self, job: &mut Job) {
        job.turn = self.stand(job, job.turn, job.wanted_ring(self.now));
        if job.turn.is_some() {
            job.ready.get_or_insert(self.now);
        } else if !job.is_busy() {
            job.ready = None;
        }
        job.front = self.stand(job, job.front, job.wanted_front(self.now));
    }

    /// The place of a job in the line that it should stand in: the one that it has, or one behind all others.
    pub(super) fn stand(&mut self, job: &Job, has: Option<Turn>, wanted: Option<Ring>) -> Option<Turn> {
        let priority = job.record.request.priority;
        if let Some((ring, place)) = has {
            if Some(ring) == wanted && place.priority() == priority {
                return has;
            }
            self.lanes.leave(ring, job.owner(), place);
        }
        wanted.map(|ring| (ring, self.lanes.join(ring, job.owner(), job.id(), priority)))
    }
}

/// A number for scattering the waits of a job's parts.
pub(super) fn seed(job: JobId, part: u64) -> u64 {
    let bits = job.as_u128();
    scatter((bits ^ (bits >> 64)) as u64) ^ part
}
