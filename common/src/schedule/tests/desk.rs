use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::job::{Command, ControlMessage, JobId, Lane, Outcome, OwnerId, Record, SourceKind, State, Step, Task};
use crate::schedule::testing::{announcement, record_of, report};
use crate::schedule::{Destination, Effect, Input, ListedJob, Millis, Note, RecordVersion, Rules, Scheduler};

/// A scheduler whose storage answers at once, and what it has published.
pub(super) struct Desk {
    pub(super) scheduler: Scheduler,
    pub(super) now: Millis,
    records: BTreeMap<JobId, (Record, u64)>,
    pub(super) active: BTreeSet<JobId>,
    pub(super) markers: BTreeMap<(JobId, u32), BTreeSet<u64>>,
    published: Vec<(Destination, Task)>,
    /// Everything that was published, for looking it up.
    tasks: BTreeMap<String, Task>,
    /// What was done beside records and tasks.
    pub(super) done: Vec<String>,
    /// What the scheduler noted.
    pub(super) notes: Vec<Note>,
    versions: u64,
    /// What somebody wants of a job that ends, in the moment before its key below `active/` is deleted.
    pub(super) last_wish: Option<(u128, Command)>,
}

pub(super) fn id(job: u128) -> JobId {
    JobId::from_u128(job)
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Which queue, whose, what: `media 1 plan 0`.
fn told(to: Destination, task: &Task) -> String {
    let queue = match to {
        Destination::Media => "media",
        Destination::Sound => "sound",
        Destination::Work(Lane::Bulk, _) => "bulk",
        Destination::Work(Lane::Interactive, _) => "interactive",
    };
    let job = task.job.as_u128();
    let alone = if task.alone { " alone" } else { "" };
    match task.step {
        Step::Plan { plan, exact: true } => format!("{queue} {job} plan {plan} exactly{alone}"),
        Step::Plan { plan, .. } => format!("{queue} {job} plan {plan}{alone}"),
        Step::Upscale { plan, batch } => format!("{queue} {job} batch {plan}/{batch}{alone}"),
        Step::Assemble { plan } => format!("{queue} {job} assemble {plan}{alone}"),
        Step::Picture { plan } => format!("{queue} {job} picture {plan}{alone}"),
        Step::Sound { plan } => format!("{queue} {job} sound {plan}"),
        Step::Audit { plan, batch, attempt } => format!("{queue} {job} audit {plan}/{batch} {attempt}"),
    }
}

impl Desk {
    /// A scheduler that has been active for long and knows of one live worker, `w`.
    pub(super) fn new() -> Self {
        Self::with(Rules::default())
    }

    /// The same, with other rules.
    pub(super) fn with(rules: Rules) -> Self {
        let mut desk = Self {
            scheduler: Scheduler::new(rules),
            now: Millis(1_000_000),
            records: BTreeMap::new(),
            active: BTreeSet::new(),
            markers: BTreeMap::new(),
            published: Vec::new(),
            tasks: BTreeMap::new(),
            done: Vec::new(),
            notes: Vec::new(),
            versions: 0,
            last_wish: None,
        };
        desk.say(Input::Activated);
        desk.pass(20, &["w"]);
        desk
    }

    /// Another scheduler takes over from this one, and knows nothing.
    pub(super) fn take_over(&mut self) {
        self.scheduler = Scheduler::new(Rules::default());
        self.say(Input::Activated);
    }

    /// Somebody made a job.
    pub(super) fn submit(&mut self, job: u128, kind: SourceKind) {
        self.submit_for(job, kind, "local", |_| {});
    }

    pub(super) fn submit_for(&mut self, job: u128, kind: SourceKind, owner: &str, change: impl FnOnce(&mut Record)) {
        let mut record = record_of(job, kind, owner.parse().unwrap());
        change(&mut record);
        self.active.insert(id(job));
        self.write(record);
        self.hint(job);
    }

    pub(super) fn hint(&mut self, job: u128) {
        let owner = self
            .records
            .get(&id(job))
            .map_or_else(OwnerId::default, |(record, _)| record.owner);
        self.say(Input::Control(ControlMessage::Look { job: id(job), owner }));
    }

    /// Somebody wants something, and nobody hints at it.
    pub(super) fn want(&mut self, job: u128, command: Command) {
        let mut record = self.record(job).clone();
        record.want(command).unwrap();
        self.active.insert(id(job));
        self.write(record);
    }

    /// Somebody looks at a batch of the plan that there is.
    pub(super) fn watch(&mut self, job: u128, batch: u64) {
        let record = self.record(job);
        let watch = ControlMessage::Watch {
            job: record.id,
            owner: record.owner,
            plan: record.plan.as_ref().map_or(0, |plan| plan.number),
            batch,
        };
        self.say(Input::Control(watch));
    }

    pub(super) fn command(&mut self, job: u128, command: Command) {
        self.want(job, command);
        self.hint(job);
    }

    /// What became of a task, which is named as [`published`](Self::published) names it.
    pub(super) fn report(&mut self, worker: &str, task: &str, outcome: Outcome) {
        let task = self.task(task);
        if let (Step::Upscale { plan, batch }, Outcome::BatchDone) = (task.step, &outcome) {
            self.markers.entry((task.job, plan)).or_default().insert(batch);
        }
        self.say(Input::Control(ControlMessage::Report(report(worker, task, outcome))));
    }

    /// The task that was published last under a name.
    pub(super) fn task(&self, task: &str) -> Task {
        let known = || format!("{task} is none of {:?}", self.tasks.keys());
        self.tasks.get(task).cloned().unwrap_or_else(|| panic!("{}", known()))
    }

    /// Time passes, while these workers say every five seconds that they live and hold nothing.
    pub(super) fn pass(&mut self, passed: u64, workers: &[&str]) {
        let holding: Vec<(&str, &[&str])> = workers.iter().map(|worker| (*worker, &[][..])).collect();
        self.pass_holding(passed, &holding);
    }

    /// Time passes, while these workers say every five seconds what they hold.
    pub(super) fn pass_holding(&mut self, passed: u64, workers: &[(&str, &[&str])]) {
        for _ in 0..passed {
            self.now = self.now.after(seconds(1));
            if self.now.0.is_multiple_of(5000) {
                workers
                    .iter()
                    .for_each(|(worker, holds)| self.announce(worker, "f", holds));
            }
            self.say(Input::Tick);
        }
    }

    pub(super) fn announce(&mut self, worker: &str, fingerprint: &str, holds: &[&str]) {
        let holds = holds.iter().map(|task| self.task(task)).collect();
        self.say(Input::Announced(announcement(worker, fingerprint, holds)));
    }

    /// What was published since the last question.
    pub(super) fn published(&mut self) -> Vec<String> {
        let published = std::mem::take(&mut self.published);
        published.iter().map(|(to, task)| told(*to, task)).collect()
    }

    pub(super) fn record(&self, job: u128) -> &Record {
        &self.records[&id(job)].0
    }

    pub(super) fn exists(&self, job: u128) -> bool {
        self.records.contains_key(&id(job))
    }

    pub(super) fn state(&self, job: u128) -> State {
        self.record(job).state
    }

    /// Somebody else changes a record.
    pub(super) fn write(&mut self, record: Record) -> RecordVersion {
        self.versions += 1;
        self.records.insert(record.id, (record, self.versions));
        RecordVersion(self.versions.to_string())
    }

    /// Tells the scheduler something, and carries out what it wants done.
    pub(super) fn say(&mut self, input: Input) {
        let mut effects = VecDeque::from(self.handle(input));
        while let Some(effect) = effects.pop_front() {
            if let Some(answer) = self.carry_out(effect) {
                effects.extend(self.handle(answer));
            }
        }
    }

    fn handle(&mut self, input: Input) -> Vec<Effect> {
        let effects = self.scheduler.handle(input, self.now);
        self.notes.extend_from_slice(self.scheduler.notes());
        effects
    }

    fn found(&self, job: JobId) -> Option<(Box<Record>, RecordVersion)> {
        let (record, version) = self.records.get(&job)?;
        Some((Box::new(record.clone()), RecordVersion(version.to_string())))
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::ListActive => {
                let listed = |job: &JobId| ListedJob {
                    job: *job,
                    record: self.found(*job).map(|(record, version)| (record.owner, version)),
                };
                Some(Input::Listed(self.active.iter().map(listed).collect()))
            }
            Effect::Read { job, ticket, .. } => Some(Input::Read {
                job,
                ticket,
                found: self.found(job),
            }),
            Effect::Replace {
                ticket,
                record,
                expected,
            } => {
                let job = record.id;
                match self.found(job).filter(|(_, version)| *version == expected) {
                    Some(_) => Some(Input::Replaced {
                        job,
                        ticket,
                        version: self.write(*record),
                    }),
                    None => Some(Input::Lost { job, ticket }),
                }
            }
            Effect::ListMarkers { job, plan, ticket } => {
                let markers = self.markers.get(&(job, plan));
                let done = markers.into_iter().flatten().copied().collect();
                Some(Input::Markers { job, ticket, done })
            }
            Effect::Publish { to, task } => {
                let written = self.records[&task.job].0.generation;
                assert!(
                    task.generation <= written,
                    "{} comes before its record",
                    told(to, &task)
                );
                self.tasks.insert(told(to, &task), task.clone());
                self.published.push((to, task));
                None
            }
            Effect::Settle {
                job, ticket, webhook, ..
            } => {
                self.done.extend(webhook.map(|webhook| format!("webhook {webhook}")));
                if let Some((job, command)) = self.last_wish.take() {
                    self.want(job, command);
                }
                self.active.remove(&job);
                Some(Input::Read {
                    job,
                    ticket,
                    found: self.found(job),
                })
            }
            Effect::Delete {
                job,
                ticket,
                keep_source,
                ..
            } => {
                self.done
                    .push(format!("delete {} keep source {keep_source}", job.as_u128()));
                self.records.remove(&job);
                self.active.remove(&job);
                Some(Input::Deleted { job, ticket })
            }
            Effect::KeepActive { job, .. } => {
                self.done.push(format!("keep {}", job.as_u128()));
                self.active.insert(job);
                None
            }
            Effect::DropActive { job } => {
                self.done.push(format!("drop {}", job.as_u128()));
                self.active.remove(&job);
                None
            }
            Effect::KeepFailure { job, batch, failure } => {
                let (job, code, attempts) = (job.as_u128(), failure.code, failure.attempts);
                self.done.push(format!("failure {job}/{batch} {code} {attempts}"));
                None
            }
            Effect::KeepSoundFailure { job, plan, failure } => {
                self.done
                    .push(format!("no sound {}/{plan} {}", job.as_u128(), failure.code));
                None
            }
            Effect::Distrust(worker) => {
                self.done.push(format!("distrust {worker}"));
                None
            }
            Effect::KeepClass(known) => {
                self.done
                    .push(format!("class {} {}", known.fingerprint, known.pixels_per_second));
                None
            }
        }
    }
}
