//! Storage, broker, workers and schedulers as the exploration sees them: small, and with every step by itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::job::{Command, ControlMessage, JobId, Outcome, OwnerId, Record, SourceKind, State, Task};
use crate::schedule::testing::{announcement, record};
use crate::schedule::{Destination, Effect, Input, Millis, Rules, Scheduler};

/// Time passes in steps of this length; all waits are a few of them.
pub(super) const TICK: Duration = Duration::from_secs(10);

/// What may go wrong, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// Crashes, duplicates, timeouts and the like.
    pub(super) faults: u8,
    /// Steps of time that pass although somebody has something to do.
    pub(super) slow: u8,
    /// Commands that somebody gives.
    pub(super) commands: u8,
    /// Tasks that end otherwise than well.
    pub(super) mishaps: u8,
    /// Batches that somebody who looks at a film waits for.
    pub(super) playheads: u8,
}

/// What there is at the start.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) jobs: Vec<SourceKind>,
    pub(super) batches: u64,
    /// Fingerprints of the workers.
    pub(super) workers: Vec<&'static str>,
    pub(super) budget: Budget,
    /// Deliveries after which a task is a dead letter.
    pub(super) delivery_limit: u32,
    /// Tasks that a queue holds at most, whoever lives; nothing for as many as the design says.
    pub(super) window: Option<u32>,
    /// Commands that somebody may give.
    pub(super) commands: &'static [Command],
    /// The faults that happen.
    pub(super) faults: &'static [Fault],
    /// Whether workers say at once what they take and settle, as they should; if not, all may be said late.
    pub(super) announces_at_once: bool,
    /// Whether listings of `active/` take no time; the moment makes a difference to little else.
    pub(super) lists_at_once: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Fault {
    /// A worker ends without a word; another starts.
    WorkerDies,
    /// A worker that holds nothing ends, and no other starts.
    WorkerLeaves,
    /// The broker gives a worker's task to somebody else while the worker works on.
    TimesOut,
    /// The active scheduler ends without a word; another becomes active.
    SchedulerDies,
    /// Another becomes active while the old one knows nothing of it.
    FailsOver,
    /// The broker loses all that is in it.
    Wiped,
    /// A message comes twice.
    Doubled,
    /// A message of the control queue that is only a hint gets lost.
    HintLost,
    /// Storage does what it is asked, or not, and says that it failed.
    StorageFails,
    /// Nobody hears a worker for a while.
    Silent,
}

/// More writes of records than any course of things needs in which nobody goes a long way round.
const MANY_WRITES: u64 = 60;

pub(super) const ALL_FAULTS: &[Fault] = &[
    Fault::WorkerDies,
    Fault::TimesOut,
    Fault::SchedulerDies,
    Fault::FailsOver,
    Fault::Wiped,
    Fault::Doubled,
    Fault::HintLost,
    Fault::StorageFails,
    Fault::Silent,
];

/// The rules of the design in steps of time.
fn rules(setup: &Setup) -> Rules {
    let defaults = Rules::default();
    let (per_worker, spare) = match setup.window {
        Some(window) => (0, window),
        None => (defaults.per_worker, defaults.spare),
    };
    Rules {
        listen: TICK,
        silence: 2 * TICK,
        stall: 2 * TICK,
        relist: 4 * TICK,
        other_fingerprint: 6 * TICK,
        answer: 8 * TICK,
        orphan: 60 * TICK,
        attempts: 2,
        backoff: TICK / 2,
        longest_backoff: TICK / 2,
        delivery_limit: setup.delivery_limit,
        watched: 3 * TICK,
        // Audits are no part of jobs, which a property of its own says.
        audit_share: 0.0,
        per_worker,
        spare,
        ..defaults
    }
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) record: Record,
    pub(super) version: u64,
}

/// What storage holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) records: BTreeMap<JobId, Stored>,
    pub(super) active: BTreeSet<JobId>,
    pub(super) markers: BTreeMap<(JobId, u32), BTreeSet<u64>>,
    pub(super) next_version: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) task: Task,
    pub(super) deliveries: u32,
}

#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there are a handful")]
pub(super) enum Control {
    Message(ControlMessage),
    Dead(Task),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// The work is to be done.
    Works,
    /// What it made is there, to be reported.
    Reports,
    /// The report is out, the task to be acknowledged.
    Acknowledges,
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) from: Destination,
    pub(super) task: Task,
    /// The delivery, unless the broker took it back.
    pub(super) message: Option<Message>,
    pub(super) phase: Phase,
    pub(super) outcome: Option<Outcome>,
}

#[derive(Clone, Debug)]
pub(super) struct Worker {
    /// Lives before this one.
    pub(super) lives: u32,
    pub(super) fingerprint: &'static str,
    pub(super) held: Option<Held>,
    /// Steps of time for which nobody hears it.
    pub(super) silent: u8,
}

/// A scheduler and its shell.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) scheduler: Scheduler,
    pub(super) todo: Vec<Effect>,
    /// Effects of which the first half is done.
    pub(super) half: Vec<Effect>,
    pub(super) answers: Vec<Input>,
    /// Whether the broker gives it the messages of the control queue.
    pub(super) consumes: bool,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) now: Millis,
    pub(super) store: Store,
    pub(super) queues: BTreeMap<Destination, VecDeque<Message>>,
    pub(super) control: VecDeque<Control>,
    pub(super) workers: Vec<Worker>,
    pub(super) processes: Vec<Process>,
    /// A command is in the record, and the API has yet to say so.
    pub(super) api: Option<JobId>,
    pub(super) budget: Budget,
    /// How often each batch was made.
    pub(super) made: BTreeMap<(JobId, u32, u64), u8>,
    /// Faults so far after which a batch may be made once more.
    pub(super) wasteful: u8,
    /// More writes of records than are ever needed.
    pub(super) many_writes: u64,
    /// What must never be.
    pub(super) broken: Option<String>,
}

/// The first and the second half of an effect: crashes come between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    First,
    Second,
}

impl World {
    pub(super) fn new(setup: &Setup) -> Self {
        let mut store = Store::default();
        let mut control = VecDeque::new();
        for (index, kind) in setup.jobs.iter().enumerate() {
            let record = record(index as u128 + 1, *kind);
            let (job, owner) = (record.id, record.owner);
            store.active.insert(job);
            store.next_version += 1;
            let version = store.next_version;
            store.records.insert(job, Stored { record, version });
            control.push_back(Control::Message(ControlMessage::Look { job, owner }));
        }
        let worker = |fingerprint: &&'static str| Worker {
            lives: 0,
            fingerprint,
            held: None,
            silent: 0,
        };
        let mut world = Self {
            now: Millis(0),
            store,
            queues: BTreeMap::new(),
            control,
            workers: setup.workers.iter().map(worker).collect(),
            processes: Vec::new(),
            api: None,
            budget: setup.budget,
            made: BTreeMap::new(),
            wasteful: 0,
            many_writes: MANY_WRITES,
            broken: None,
        };
        world.start_scheduler(setup);
        world
    }

    pub(super) fn start_scheduler(&mut self, setup: &Setup) {
        self.processes.iter_mut().for_each(|process| process.consumes = false);
        self.processes.push(Process {
            scheduler: Scheduler::new(rules(setup)),
            todo: Vec::new(),
            half: Vec::new(),
            answers: Vec::new(),
            consumes: true,
        });
        let last = self.processes.len() - 1;
        self.feed(last, Input::Activated);
        self.announce();
    }

    /// Tells a scheduler something, and takes down what it wants done.
    pub(super) fn feed(&mut self, process: usize, input: Input) {
        let process = &mut self.processes[process];
        let effects = process.scheduler.handle(input, self.now);
        // What nobody waits for and nothing follows from is left out.
        let counts = |effect: &Effect| {
            !matches!(
                effect,
                Effect::KeepFailure { .. } | Effect::KeepClass(_) | Effect::Distrust(_)
            )
        };
        process.todo.extend(effects.into_iter().filter(counts));
    }

    /// Every worker that is heard says what it holds.
    pub(super) fn announce(&mut self) {
        let said: Vec<_> = self
            .workers
            .iter()
            .enumerate()
            .filter(|(_, worker)| worker.silent == 0)
            .map(|(index, worker)| {
                let holds = worker.held.iter().map(|held| held.task.clone()).collect();
                announcement(&name(index, worker), worker.fingerprint, holds)
            })
            .collect();
        for process in 0..self.processes.len() {
            for announcement in &said {
                self.feed(process, Input::Announced(announcement.clone()));
            }
        }
    }

    /// A step of time.
    pub(super) fn pass_time(&mut self) {
        self.now = self.now.after(TICK);
        self.announce();
        self.workers
            .iter_mut()
            .for_each(|worker| worker.silent = worker.silent.saturating_sub(1));
        for process in 0..self.processes.len() {
            self.feed(process, Input::Tick);
        }
    }
    pub(super) fn break_rule(&mut self, what: &str) {
        self.broken.get_or_insert_with(|| what.to_owned());
    }

    /// Somebody commands: key, record, and later key and hint.
    pub(super) fn command(&mut self, job: JobId, command: Command) {
        if let Some(stored) = self.store.records.get(&job) {
            let mut record = stored.record.clone();
            if record.want(command).is_ok() {
                self.store.active.insert(job);
                self.write(record);
                self.api = Some(job);
            }
        }
    }

    pub(super) fn answer_command(&mut self) {
        if let Some(job) = self.api.take() {
            if self.store.records.contains_key(&job) {
                self.store.active.insert(job);
            }
            let owner = OwnerId::default();
            self.control
                .push_back(Control::Message(ControlMessage::Look { job, owner }));
        }
    }

    /// Whether everything that was asked for is done.
    pub(super) fn is_settled(&self) -> bool {
        let settled = |stored: &Stored| {
            let record = &stored.record;
            let ended = record.state.is_ended() && !self.store.active.contains(&record.id);
            record.pending().is_none() && (ended || record.state == State::Paused)
        };
        self.api.is_none() && self.store.records.values().all(settled)
    }
}

pub(super) fn name(index: usize, worker: &Worker) -> String {
    format!("w{index}.{}", worker.lives)
}
