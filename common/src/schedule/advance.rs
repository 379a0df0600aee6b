use std::collections::BTreeSet;

use crate::job::{Command, JobId, OwnerId, Record, State};

use super::job::{Asked, Job, Part};
use super::moves::{self, Stage};
use super::scheduler::{Scheduler, Unread, seed};
use super::{Effect, ListedJob, Millis, RecordVersion, Ticket};

impl Scheduler {
    /// Takes the next step that a job's record, and what is known beside it, call for. It asks storage one thing at a
    /// time and goes on with the answer, so that wherever a crash stops it, the record tells where it was.
    pub(super) fn advance(&mut self, job: &mut Job) {
        if job.is_gone || job.io.is_some() || job.io_wait.is_some_and(|until| self.now < until) {
            return;
        }
        job.io_wait = None;
        if job.look {
            self.read_record(job);
        } else if let Some(record) = moves::obey(&job.record, self.now) {
            self.replace(job, record);
        } else if job.record.state.is_ended() {
            self.end(job);
        } else if let Some(record) = self.judged(job) {
            self.replace(job, record);
        } else {
            self.work(job);
        }
    }

    fn read_record(&mut self, job: &mut Job) {
        job.look = false;
        let ticket = self.ask(job, Asked::Read);
        let (job, owner) = (job.id(), job.owner());
        self.effects.push(Effect::Read { job, owner, ticket });
    }

    fn judged(&self, job: &mut Job) -> Option<Record> {
        let verdict = job.verdict.as_ref()?;
        let record = moves::judge(&job.record, verdict, self.now);
        if record.is_none() {
            job.verdict = None;
        }
        record
    }

    /// Nothing happens any more: the key below `active/` goes, or everything.
    fn end(&mut self, job: &mut Job) {
        let (id, owner) = (job.id(), job.owner());
        if job.record.pending() == Some(Command::Delete) {
            let ticket = self.ask(job, Asked::Delete);
            let mut others = self.jobs.values();
            let keep_source = others.any(|other| other.record.source.location == job.record.source.location);
            self.effects.push(Effect::Delete {
                job: id,
                owner,
                ticket,
                keep_source,
            });
        } else {
            let ticket = self.ask(job, Asked::Settle);
            let webhook = job.record.request.webhook.clone();
            self.effects.push(Effect::Settle {
                job: id,
                owner,
                ticket,
                webhook,
            });
        }
    }

    fn work(&mut self, job: &mut Job) {
        let stage = moves::stage(&job.record);
        let has_plan = job.record.plan.is_some();
        if job.record.state == State::Queued && !has_plan {
            // What was published before is about numbers that nobody asks for any more: there is no need to listen.
            job.fence = None;
            return;
        }
        if stage == Stage::Batches && !job.listed {
            let plan = moves::number(&job.record);
            let ticket = self.ask(job, Asked::Markers);
            let job = job.id();
            self.effects.push(Effect::ListMarkers { job, plan, ticket });
            return;
        }
        if stage == Stage::Batches && job.is_complete() {
            let record = moves::assemble(&job.record, self.now);
            self.replace(job, record);
            return;
        }
        if job.fence.is_some_and(|until| self.now < until) {
            return;
        }
        let next = match stage {
            Stage::Idle => (job.record.state == State::Queued).then(|| moves::go_on(&job.record, self.now)),
            _ if job.fence.is_some() => Some(moves::raise(&job.record, !self.is_held(job))),
            Stage::Batches => None,
            Stage::Planning | Stage::Picture | Stage::Assembling => {
                let waits = job.again.get(&Part::Whole).is_some_and(|at| *at > self.now);
                let is_out = job.fresh || job.flights.contains_key(&Part::Whole);
                (!waits && !is_out).then(|| moves::raise(&job.record, true))
            }
        };
        if let Some(record) = next {
            self.replace(job, record);
        }
    }

    /// Whether a live worker holds the one step of a job's stage.
    fn is_held(&self, job: &Job) -> bool {
        let step = moves::whole_step(&job.record);
        self.workers
            .holding(job.id())
            .any(|(_, task, _)| Some(task.step) == step)
    }

    /// Somebody says that a job's record has changed.
    pub(super) fn look(&mut self, id: JobId, owner: OwnerId) {
        if self.jobs.contains_key(&id) {
            self.with(id, |_, job| job.look = true);
        } else {
            let is_listed = self.unread.get(&id).is_some_and(|unread| unread.is_listed);
            self.read_first(id, owner, is_listed);
        }
    }

    /// Reads a record for the first time. One that is being read is read again: it may have changed meanwhile.
    pub(super) fn read_first(&mut self, id: JobId, owner: OwnerId, is_listed: bool) {
        let ticket = self.ticket();
        let due = self.now.after(self.rules.answer);
        let failures = self.unread.get(&id).map_or(0, |unread| unread.failures);
        let unread = Unread {
            owner,
            ticket,
            due,
            is_listed,
            failures,
        };
        self.unread.insert(id, unread);
        self.effects.push(Effect::Read { job: id, owner, ticket });
    }

    /// A record was read.
    pub(super) fn read(&mut self, id: JobId, ticket: Ticket, found: Option<(Box<Record>, RecordVersion)>) {
        if self.unread.get(&id).is_some_and(|unread| unread.ticket == ticket) {
            self.read_the_first_time(id, found);
        } else {
            self.answered(id, ticket, |this, job, asked| this.read_again(job, &asked, found));
        }
    }

    fn read_the_first_time(&mut self, id: JobId, found: Option<(Box<Record>, RecordVersion)>) {
        let is_listed = self.unread.remove(&id).is_some_and(|unread| unread.is_listed);
        let Some((record, version)) = found else {
            return;
        };
        // Of an ended job nothing is left to do but to delete the key below `active/` that led here.
        if record.state.is_active() || record.pending().is_some() || is_listed {
            let mut job = Box::new(Job::new(*record, version));
            self.adopt(&mut job);
            self.jobs.insert(id, job);
            self.with(id, |_, _| {});
        }
    }

    fn read_again(&mut self, job: &mut Job, asked: &Asked, found: Option<(Box<Record>, RecordVersion)>) {
        let Some((record, version)) = found else {
            job.is_gone = true;
            return;
        };
        if version == job.version {
            job.is_gone = *asked == Asked::Settle;
            return;
        }
        let before = std::mem::replace(&mut job.record, *record);
        job.version = version;
        let is_over = job.record.state.is_ended() && job.record.pending().is_none();
        if *asked == Asked::Settle && !is_over {
            // Whoever changed it wrote the key before, and it was deleted just now.
            let (job, owner) = (job.id(), job.owner());
            self.effects.push(Effect::KeepActive { job, owner });
        }
        if !is_same_work(&before, &job.record) {
            self.adopt(job);
        }
    }

    /// All keys below `active/`: what is new is read, what has changed is read again.
    pub(super) fn listed(&mut self, listed: Vec<ListedJob>) {
        let mut seen = BTreeSet::new();
        let mut orphans = BTreeSet::new();
        for ListedJob { job, record } in listed {
            seen.insert(job);
            match record {
                Some((owner, version)) => self.listed_job(job, owner, &version),
                None => {
                    orphans.insert(job);
                    self.listed_orphan(job);
                }
            }
        }
        self.orphans.retain(|job, _| orphans.contains(job));
        let unlisted: Vec<JobId> = self.jobs.keys().filter(|job| !seen.contains(*job)).copied().collect();
        for job in unlisted {
            self.with(job, Self::missed_in_listing);
        }
    }

    fn listed_job(&mut self, id: JobId, owner: OwnerId, version: &RecordVersion) {
        match self.jobs.get_mut(&id) {
            Some(job) => {
                job.unlisted = 0;
                // While a question is open, what was listed may be older than what is known.
                if job.version != *version && job.io.is_none() {
                    self.with(id, |_, job| job.look = true);
                }
            }
            None => match self.unread.get_mut(&id) {
                Some(unread) => unread.is_listed = true,
                None => self.read_first(id, owner, true),
            },
        }
    }

    fn listed_orphan(&mut self, job: JobId) {
        let since: Millis = *self.orphans.entry(job).or_insert(self.now);
        let is_known = self.jobs.contains_key(&job);
        if !is_known && self.now >= since.after(self.rules.orphan) {
            self.effects.push(Effect::DropActive { job });
        }
    }

    /// An active job without its key would be forgotten with this scheduler. Once may be chance: it may be younger than
    /// the listing.
    fn missed_in_listing(&mut self, job: &mut Job) {
        job.unlisted += 1;
        if job.record.state.is_active() && job.unlisted > 1 {
            job.unlisted = 0;
            let (job, owner) = (job.id(), job.owner());
            self.effects.push(Effect::KeepActive { job, owner });
        }
    }

    /// Asks again what storage has not answered about records that are read for the first time.
    pub(super) fn read_overdue(&mut self) {
        let now = self.now;
        let overdue: Vec<_> = self.unread.iter().filter(|(_, unread)| unread.due <= now).collect();
        let overdue: Vec<_> = overdue
            .into_iter()
            .map(|(id, unread)| (*id, unread.owner, unread.is_listed))
            .collect();
        for (id, owner, is_listed) in overdue {
            self.read_first(id, owner, is_listed);
        }
    }

    /// The wait before a part is tried once more.
    pub(super) fn backoff(&self, job: &Job, part: Part, failures: u32) -> Millis {
        let number = match part {
            Part::Whole => 0,
            Part::Batch(batch) => batch + 1,
        };
        self.now.after(self.rules.wait_after(failures, seed(job.id(), number)))
    }
}

/// Whether one record follows from the other by what people may change alone.
fn is_same_work(before: &Record, after: &Record) -> bool {
    let work = |record: &Record| {
        let plan = record.plan.as_ref().map(|plan| plan.number);
        (record.state, record.generation, record.next_plan, record.heard, plan)
    };
    work(before) == work(after)
}
