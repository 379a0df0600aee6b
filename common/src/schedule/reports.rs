use std::time::Duration;

use crate::ErrorCode;
use crate::job::{
    Announcement, ClassName, Failure, JobResult, Outcome, PlanSummary, PlannedFor, Report, SourceKind, Step, Task,
    WorkerId,
};

use super::job::{Job, Part, part};
use super::moves::{self, Found, Stage, Verdict};
use super::scheduler::Scheduler;
use super::{Effect, KnownClass, Note};

/// A change of a class's rate by this share is written down.
const WORTH_KEEPING: f64 = 0.05;

impl Scheduler {
    /// What became of a task. It may come twice, late, or be about what does not count any more.
    pub(super) fn report(&mut self, report: Report) {
        let task = &report.task;
        if task.step.is_audit() {
            self.audit_reported(report);
        } else if task.step.is_sound() {
            self.sound_reported(report);
        } else if self.jobs.contains_key(&task.job) {
            self.with(task.job, |this, job| this.take_report(job, report));
        } else if !self.unread.contains_key(&task.job) {
            // Somebody works on a job that is not known here: its record says whether there is anything to do.
            self.look(task.job, task.owner);
        }
    }

    fn take_report(&mut self, job: &mut Job, report: Report) {
        self.note_start(job, &report);
        let Report {
            worker, task, outcome, ..
        } = report;
        if outcome == Outcome::BatchDone {
            self.batch_done(job, task.step, &worker);
            return;
        }
        if !moves::concerns(&job.record, task.step) {
            return;
        }
        match outcome {
            Outcome::Planned(plan) => self.planned(job, &task, plan),
            Outcome::Finished { result, plan } => self.finished(job, &task, result, plan),
            Outcome::IsPicture => find(job, Found::Kind(SourceKind::Picture)),
            Outcome::IsVideo => find(job, Found::Kind(SourceKind::Video)),
            Outcome::LedgerMismatch(failure) => {
                let failure = job.blame(part(task.step), Some(worker), failure);
                find(job, Found::Inexact(failure));
            }
            Outcome::Failed { failure, transient } => self.attempt_failed(job, worker, &task, failure, transient),
            Outcome::Returned => self.attempt_ended(job, &task, |_, _| {}),
            Outcome::OtherFingerprint => self.stranger(job, &task),
            Outcome::BatchDone | Outcome::Audited(_) | Outcome::SoundDone => {}
        }
    }

    /// How long a task waited for its worker: by the clock of this process alone, since the worker says how long it had it.
    fn note_start(&mut self, job: &Job, report: &Report) {
        let task = &report.task;
        let flight = job.flights.get(&part(task.step));
        let flight = flight.filter(|flight| flight.generation == task.generation);
        if let Some((flight, held)) = flight.zip(report.held_seconds)
            && let Some(ready) = flight.ready
            && let Ok(held) = Duration::try_from_secs_f64(held)
        {
            let waited = self.now.since(ready).saturating_sub(held);
            let queue = flight.ring.destination();
            self.notes.push(Note::Started { queue, waited });
        }
    }

    /// The marker is there, whoever made it and whenever: it counts in every generation of its plan.
    fn batch_done(&mut self, job: &mut Job, step: Step, worker: &WorkerId) {
        if let Step::Upscale { plan, batch } = step
            && job.plan == Some(plan)
            && batch < job.batches()
        {
            let part = Part::Batch(batch);
            if !job.done.contains(batch) {
                self.notes.push(Note::BatchDone { class: job.class() });
                self.consider_audit(job, plan, batch, worker);
            }
            job.done.insert(batch);
            self.land(job, part);
            job.again.remove(&part);
            job.trouble.remove(&part);
        }
    }

    fn planned(&mut self, job: &mut Job, task: &Task, plan: PlanSummary) {
        if matches!(task.step, Step::Plan { .. }) {
            self.land(job, Part::Whole);
            find(job, Found::Planned(plan));
        }
    }

    fn finished(&mut self, job: &mut Job, task: &Task, result: JobResult, plan: Option<PlanSummary>) {
        if matches!(task.step, Step::Assemble { .. } | Step::Picture { .. }) {
            self.land(job, Part::Whole);
            find(job, Found::Finished(result, plan));
        }
    }

    /// An attempt is over without a result: `then` says what follows beside that the part is free again. Nothing, if the
    /// attempt is not the one that is waited for.
    fn attempt_ended(&mut self, job: &mut Job, task: &Task, then: impl FnOnce(&mut Self, &mut Job)) {
        let part = part(task.step);
        let is_awaited = job
            .flights
            .get(&part)
            .is_some_and(|flight| flight.generation == task.generation);
        if is_awaited {
            self.land(job, part);
            job.again.insert(part, self.now);
            then(self, job);
        }
    }

    fn attempt_failed(&mut self, job: &mut Job, worker: WorkerId, task: &Task, failure: Failure, transient: bool) {
        let part = part(task.step);
        self.attempt_ended(job, task, |this, job| match failure.code {
            // It was told to stop.
            ErrorCode::Stopped => {}
            // A full store says nothing against the job.
            ErrorCode::DiskFull => find(job, Found::Full(job.blame(part, Some(worker), failure))),
            _ => {
                let trouble = job.trouble.entry(part).or_default();
                trouble.attempts += 1;
                let attempts = trouble.attempts;
                let failure = job.blame(part, Some(worker), failure);
                this.keep_failure(job, part, &failure);
                if transient && attempts < this.rules.attempts {
                    this.notes.push(Note::Retried { code: failure.code });
                    job.again.insert(part, this.backoff(job, part, attempts));
                } else {
                    find(job, Found::Failed(failure));
                }
            }
        });
    }

    fn keep_failure(&mut self, job: &Job, part: Part, failure: &Failure) {
        if let Part::Batch(batch) = part {
            self.effects.push(Effect::KeepFailure {
                job: job.id(),
                batch,
                failure: failure.clone(),
            });
        }
    }

    /// A worker that may not do the batch had it. Another gets it a little later; if there is none, the job needs another
    /// plan.
    fn stranger(&mut self, job: &mut Job, task: &Task) {
        let part = part(task.step);
        self.attempt_ended(job, task, |this, job| {
            let trouble = job.trouble.entry(part).or_default();
            trouble.strangers += 1;
            let strangers = trouble.strangers;
            job.again.insert(part, this.backoff(job, part, strangers));
        });
        self.consider_others(job);
    }

    /// Plans anew for the workers that there are, when those of the plan have been away for long.
    pub(super) fn consider_others(&mut self, job: &mut Job) {
        if moves::stage(&job.record) != Stage::Batches || job.verdict.is_some() {
            return;
        }
        let Some(others) = self.workers.best(job.class()) else {
            return;
        };
        let note = match job.fingerprint() {
            None => None,
            Some(own) if self.workers.has(job.class(), own) => return,
            Some(own) => {
                let seen = self.workers.last_seen(job.class(), own).unwrap_or_default();
                let since = seen.max(self.listening_since);
                if self.now < since.after(self.rules.other_fingerprint) {
                    return;
                }
                let (minutes, other) = (self.rules.other_fingerprint.as_secs() / 60, &others.fingerprint);
                Some(format!(
                    "planned anew for workers of {other}: for {minutes} minutes there was none of {own}"
                ))
            }
        };
        let mut planned_for: PlannedFor = self.plan_for(job);
        planned_for.fingerprint = Some(others.fingerprint);
        find(job, Found::Others(planned_for, note));
    }

    /// A task whose workers died of it. Twice the broker's patience and alone the second time: then it is the task.
    pub(super) fn dead_letter(&mut self, task: &Task) {
        self.notes.push(Note::DeadLetter);
        if task.step.is_audit() {
            self.audit_lost(task, false);
        } else if task.step.is_sound() {
            self.sound_dead(task);
        } else if self.jobs.contains_key(&task.job) {
            self.with(task.job, |this, job| this.take_dead_letter(job, task));
        } else if !self.unread.contains_key(&task.job) {
            self.look(task.job, task.owner);
        }
    }

    fn take_dead_letter(&mut self, job: &mut Job, task: &Task) {
        let part = part(task.step);
        let is_done = matches!(part, Part::Batch(batch) if job.done.contains(batch));
        if is_done || !moves::concerns(&job.record, task.step) {
            return;
        }
        let flight = job.flights.get(&part);
        let holder = flight.and_then(|flight| flight.holder.clone());
        let is_awaited =
            flight.is_some_and(|flight| flight.generation == task.generation && flight.alone == task.alone);
        let limit = self.rules.delivery_limit;
        if task.alone {
            let trouble = job.trouble.entry(part).or_default();
            trouble.attempts += 2 * limit;
            let message = format!(
                "workers died of it {} times, the last {limit} times while they did nothing beside",
                2 * limit
            );
            let failure = job.blame(part, holder, Failure::new(ErrorCode::WorkerDied, message));
            self.keep_failure(job, part, &failure);
            find(job, Found::Failed(failure));
            return;
        }
        job.trouble.entry(part).or_default().alone = true;
        if is_awaited {
            self.land(job, part);
            job.again.insert(part, self.now);
        }
    }

    /// A worker is alive, and holds what it holds.
    pub(super) fn announced(&mut self, announcement: Announcement) {
        let class = announcement.class;
        self.tell_distrusted(&announcement);
        for task in announcement.holds.iter().filter(|task| task.step.is_of_job()) {
            if let Some(job) = self.jobs.get_mut(&task.job)
                && let Some(flight) = job.flights.get_mut(&part(task.step))
                && flight.generation == task.generation
                && moves::concerns(&job.record, task.step)
            {
                flight.since = self.now;
                flight.holder = Some(announcement.worker.clone());
            }
        }
        let jobs = &self.jobs;
        self.workers.announce(announcement, self.now, |task| {
            if !task.step.is_of_job() {
                return None;
            }
            let flight = jobs.get(&task.job)?.flights.get(&part(task.step))?;
            (flight.generation == task.generation).then(|| flight.ring.destination())
        });
        if self.is_active {
            self.keep_class(class);
        }
    }

    /// Writes down what a class can do, once a minute at most, if it is another than before.
    fn keep_class(&mut self, class: ClassName) {
        let Some(best) = self.workers.best(class).filter(|best| best.pixels_per_second > 0.0) else {
            return;
        };
        if let Some((when, kept)) = self.kept_classes.get(&class) {
            let is_near = |one: &KnownClass, other: &KnownClass| {
                let change = (one.pixels_per_second - other.pixels_per_second).abs();
                one.fingerprint == other.fingerprint && change <= WORTH_KEEPING * other.pixels_per_second
            };
            if self.now < when.after(self.rules.relist) || is_near(&best, kept) {
                return;
            }
        }
        self.kept_classes.insert(class, (self.now, best.clone()));
        self.workers.remember(best.clone());
        self.effects.push(Effect::KeepClass(best));
    }
}

/// Takes down what the work has shown; the first word counts.
fn find(job: &mut Job, found: Found) {
    let plan = moves::number(&job.record);
    job.verdict.get_or_insert(Verdict { plan, found });
}
