use std::collections::BTreeMap;

use crate::job::{Announcement, Audited, ClassName, JobId, Lane, Outcome, OwnerId, Report, Step, Task, WorkerId};

use super::job::{Job, Ring};
use super::scheduler::{Scheduler, seed};
use super::{AuditOutcome, Destination, Effect, Millis, Note, Rules};

/// Audits that are open at once; a batch that is sampled beyond is passed over.
const MOST: usize = 256;
/// One of so many workers audits at a time, and one at least.
const WORKERS_AN_AUDIT: usize = 10;

/// Batches that are computed again, and what that has shown. It is forgotten with the scheduler.
#[derive(Clone, Debug, Default)]
pub(super) struct Audits {
    open: BTreeMap<Sample, Audit>,
    /// How often a worker was to blame for a difference.
    disagreements: BTreeMap<WorkerId, u32>,
}

/// A finished batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sample {
    job: JobId,
    plan: u32,
    batch: u64,
}

#[derive(Clone, Debug)]
struct Audit {
    owner: OwnerId,
    generation: u64,
    class: ClassName,
    fingerprint: String,
    since: Millis,
    /// How often it was published.
    attempt: u32,
    /// How often in a row no worker that may took it.
    failures: u32,
    /// Whether it is published; else it waits.
    out: bool,
    /// When it may be published, or is given up.
    due: Millis,
    /// A difference that a third worker decides.
    doubt: Option<Doubt>,
}

#[derive(Clone, Debug)]
struct Doubt {
    made_by: WorkerId,
    audited_by: WorkerId,
    /// Digest of the frames of the second.
    found: String,
}

impl Audits {
    /// When time alone gives one something to do.
    pub(super) fn next_due(&self, now: Millis, rules: &Rules) -> Option<Millis> {
        let due = |audit: &Audit| {
            let dues = [
                Some(audit.due),
                (!audit.out).then(|| audit.since.after(rules.audit_yields)),
            ];
            dues.into_iter().flatten().filter(|due| *due > now).min()
        };
        self.open.values().filter_map(due).min()
    }

    fn out(&self, class: ClassName) -> usize {
        self.open
            .values()
            .filter(|audit| audit.out && audit.class == class)
            .count()
    }
}

impl Scheduler {
    /// A batch is newly done: perhaps another worker shall compute it again.
    pub(super) fn consider_audit(&mut self, job: &Job, plan: u32, batch: u64, worker: &WorkerId) {
        let class = job.class();
        let Some(fingerprint) = job.fingerprint() else { return };
        let is_sampled = self.rules.audits(seed(job.id(), batch));
        if !is_sampled || self.workers.auditors(class, fingerprint, &[worker]) == 0 {
            return;
        }
        if self.audits.open.len() >= MOST {
            self.note_audit(class, AuditOutcome::Skipped);
            return;
        }
        // Not before everybody was heard who lives: a worker of a build that does not know audits might be among them.
        let heard = self.listening_since.after(self.rules.listen);
        let audit = Audit {
            owner: job.owner(),
            generation: job.record.generation,
            class,
            fingerprint: fingerprint.to_owned(),
            since: self.now,
            attempt: 0,
            failures: 0,
            out: false,
            due: self.now.max(heard),
            doubt: None,
        };
        let job = job.id();
        self.audits.open.insert(Sample { job, plan, batch }, audit);
    }

    /// Publishes the audits whose time has come, and gives up those that nobody reports on.
    pub(super) fn publish_audits(&mut self) {
        let is_due = |audit: &Audit| audit.due <= self.now;
        let due = self.audits.open.iter().filter(|(_, audit)| is_due(audit));
        let due: Vec<(Sample, bool, ClassName)> = due.map(|(at, audit)| (*at, audit.out, audit.class)).collect();
        for (at, out, class) in due {
            if out {
                self.give_audit_up(at);
            } else if self.has_room_for_audit(at, class) {
                self.publish_audit(at);
            }
        }
    }

    /// Batches of jobs go first, as long as that does not take too long. And there must be workers by now that may do it.
    fn has_room_for_audit(&self, at: Sample, class: ClassName) -> bool {
        let Some(audit) = self.audits.open.get(&at) else {
            return false;
        };
        let workers = self.workers.auditors(class, &audit.fingerprint, &[]);
        let line = self.lanes.lane(Ring::Bulk(class));
        let is_line_empty = line.is_none_or(|line| line.turns.is_empty());
        let has_yielded = self.now >= audit.since.after(self.rules.audit_yields);
        let has_place = self.audits.out(class) < (workers / WORKERS_AN_AUDIT).max(1);
        workers > 0 && has_place && (is_line_empty || has_yielded)
    }

    fn publish_audit(&mut self, at: Sample) {
        let Some(audit) = self.audits.open.get_mut(&at) else {
            return;
        };
        audit.attempt += 1;
        audit.out = true;
        audit.due = self.now.after(self.rules.audit_patience);
        let step = Step::Audit {
            plan: at.plan,
            batch: at.batch,
            attempt: audit.attempt,
        };
        let task = Task {
            except: audit.doubt.iter().map(|doubt| doubt.audited_by.clone()).collect(),
            ..Task::new(at.job, audit.owner, audit.generation, step)
        };
        let to = Destination::Work(Lane::Bulk, audit.class);
        self.effects.push(Effect::Publish { to, task });
    }

    /// What became of an audit.
    pub(super) fn audit_reported(&mut self, report: Report) {
        let Report {
            worker, task, outcome, ..
        } = report;
        let Some(at) = self.awaited_audit(&task) else { return };
        match outcome {
            // What it says counts for nothing.
            _ if self.workers.distrusts(&worker) => self.audit_again(at),
            Outcome::Audited(Audited::Gone) => self.end_audit(at, AuditOutcome::Gone),
            Outcome::Audited(Audited::Equal) => self.audit_is_equal(at),
            Outcome::Audited(Audited::Different { made_by, stored, found }) if stored != found => {
                let doubt = Doubt {
                    made_by,
                    audited_by: worker,
                    found,
                };
                self.audit_differs(at, doubt);
            }
            Outcome::Audited(Audited::Different { .. }) => self.audit_is_equal(at),
            Outcome::Audited(Audited::Own) | Outcome::OtherFingerprint | Outcome::Returned => self.audit_again(at),
            Outcome::Failed { transient: true, .. } => self.audit_again(at),
            _ => self.give_audit_up(at),
        }
    }

    /// An audit was not published, or its workers died of it.
    pub(super) fn audit_lost(&mut self, task: &Task, again: bool) {
        match self.awaited_audit(task) {
            Some(at) if again => self.audit_again(at),
            Some(at) => self.give_audit_up(at),
            None => {}
        }
    }

    /// The broker was away, and with it every audit that was published.
    pub(super) fn audits_are_lost(&mut self) {
        let out = self.audits.open.iter().filter(|(_, audit)| audit.out);
        let out: Vec<Sample> = out.map(|(at, _)| *at).collect();
        out.into_iter().for_each(|at| self.audit_again(at));
    }

    fn awaited_audit(&self, task: &Task) -> Option<Sample> {
        let Step::Audit { plan, batch, attempt } = task.step else {
            return None;
        };
        let at = Sample {
            job: task.job,
            plan,
            batch,
        };
        let audit = self.audits.open.get(&at)?;
        (audit.out && audit.attempt == attempt).then_some(at)
    }

    /// No worker that may took it: a little later another one does.
    fn audit_again(&mut self, at: Sample) {
        let Some(audit) = self.audits.open.get_mut(&at) else {
            return;
        };
        audit.failures += 1;
        if audit.failures >= self.rules.audit_tries {
            self.give_audit_up(at);
            return;
        }
        let wait = self.rules.wait_after(audit.failures, seed(at.job, at.batch));
        audit.out = false;
        audit.due = self.now.after(wait);
    }

    fn audit_is_equal(&mut self, at: Sample) {
        let doubt = self.audits.open.get_mut(&at).and_then(|audit| audit.doubt.take());
        match doubt {
            None => self.end_audit(at, AuditOutcome::Equal),
            Some(doubt) => {
                let wrong = doubt.audited_by.clone();
                self.decide_audit(at, doubt, Some(wrong));
            }
        }
    }

    fn audit_differs(&mut self, at: Sample, second: Doubt) {
        let Some(audit) = self.audits.open.get_mut(&at) else {
            return;
        };
        if let Some(first) = audit.doubt.take() {
            let wrong = (first.found == second.found).then(|| first.made_by.clone());
            self.decide_audit(at, first, wrong);
            return;
        }
        let both = [&second.made_by, &second.audited_by];
        let thirds = self.workers.auditors(audit.class, &audit.fingerprint, &both);
        audit.doubt = Some(second);
        audit.failures = 0;
        audit.out = false;
        audit.due = self.now;
        if thirds == 0 {
            self.give_audit_up(at);
        }
    }

    /// The frames that two workers made of a batch differ; `wrong` is the one that a third contradicts.
    fn decide_audit(&mut self, at: Sample, doubt: Doubt, wrong: Option<WorkerId>) {
        let outcome = match wrong {
            Some(_) => AuditOutcome::Different,
            None => AuditOutcome::Undecided,
        };
        self.end_audit(at, outcome);
        if let Some(worker) = &wrong {
            let count = self.audits.disagreements.entry(worker.clone()).or_default();
            *count += 1;
            if *count >= self.rules.disagreements {
                self.workers.distrust(worker);
                self.effects.push(Effect::Distrust(worker.clone()));
            }
        }
        self.notes.push(Note::Differs {
            job: at.job,
            plan: at.plan,
            batch: at.batch,
            made_by: doubt.made_by,
            audited_by: doubt.audited_by,
            wrong,
        });
    }

    /// Nothing more is found out.
    fn give_audit_up(&mut self, at: Sample) {
        let doubt = self.audits.open.get_mut(&at).and_then(|audit| audit.doubt.take());
        match doubt {
            None => self.end_audit(at, AuditOutcome::Skipped),
            Some(doubt) => self.decide_audit(at, doubt, None),
        }
    }

    fn end_audit(&mut self, at: Sample, outcome: AuditOutcome) {
        if let Some(audit) = self.audits.open.remove(&at) {
            self.note_audit(audit.class, outcome);
        }
    }

    fn note_audit(&mut self, class: ClassName, outcome: AuditOutcome) {
        self.notes.push(Note::Audited { class, outcome });
    }

    /// A worker that does not know yet that it is distrusted is told again.
    pub(super) fn tell_distrusted(&mut self, announcement: &Announcement) {
        let worker = &announcement.worker;
        if self.is_active && !announcement.distrusted && self.workers.distrusts(worker) {
            self.effects.push(Effect::Distrust(worker.clone()));
        }
    }
}
