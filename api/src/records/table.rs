use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clearfleet_common::job::{ClassName, JobId, OwnerId, Progress, Record, SourceKind, State};
use clearfleet_common::storage::Version;
use jiff::Timestamp;
use tokio::sync::watch;

use super::live::{Live, LiveView};
use super::query::folded;
use super::{Cursor, Page, Query};

/// Jobs whose last change is remembered for readers that come back.
const REMEMBERED: usize = 4096;

/// How much of an upload has come is told no more often.
const RECEIVED_EVERY: Duration = Duration::from_secs(1);

/// A job at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its record.
    pub record: Arc<Record>,
    /// What its workers said; nothing where none did, or where nothing is worked on any more.
    pub live: Option<LiveView>,
    /// Bytes of the source that have come, of a job that is [`Uploading`](State::Uploading), as far as it was told since
    /// this process listens.
    pub received: u64,
    /// Number of the change that led here: see [`Change::number`].
    pub changed: i64,
}

/// A job changed, or is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub owner: OwnerId,
    /// Which job.
    pub job: JobId,
    /// Increases with every change in this process. It is the time in microseconds since 1970, so that numbers of two
    /// processes can be compared, give or take what one hears later than the other.
    pub number: i64,
}

/// What somebody missed.
#[derive(Clone, Debug)]
pub enum Missed {
    /// These jobs changed, or are gone where there is no snapshot; in order of their last change.
    Jobs(Vec<(Change, Option<Arc<Snapshot>>)>),
    /// It was too long ago: list again.
    TooMuch,
}

#[derive(Debug)]
struct Entry {
    version: Version,
    live: Option<Live>,
    /// When it was told how much of the source has come.
    received: Option<Instant>,
    now: watch::Sender<Arc<Snapshot>>,
}

/// All jobs, and each owner's in order.
#[derive(Debug)]
pub(super) struct Table {
    jobs: HashMap<JobId, Entry>,
    /// With each job's name, letter case folded: it is searched at every key that somebody presses.
    owners: HashMap<OwnerId, BTreeMap<Cursor, Box<str>>>,
    /// The last change of each job that changed lately, deleted ones included.
    recent: BTreeMap<i64, (OwnerId, JobId)>,
    /// Changes up to this one are forgotten.
    forgotten: i64,
    last: i64,
    /// Until everything was read once, nothing counts as a change.
    pub(super) loaded: bool,
}

impl Entry {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.now.borrow())
    }
}

fn place(record: &Record) -> Cursor {
    Cursor {
        created: record.created,
        job: record.id,
    }
}

impl Table {
    pub(super) fn new() -> Self {
        let now = Timestamp::now().as_microsecond();
        Self {
            jobs: HashMap::new(),
            owners: HashMap::new(),
            recent: BTreeMap::new(),
            forgotten: now,
            last: now,
            loaded: false,
        }
    }

    pub(super) fn get(&self, job: JobId) -> Option<Arc<Snapshot>> {
        self.jobs.get(&job).map(Entry::snapshot)
    }

    pub(super) fn version(&self, job: JobId) -> Option<&Version> {
        self.jobs.get(&job).map(|entry| &entry.version)
    }

    pub(super) fn watch(&self, job: JobId) -> Option<watch::Receiver<Arc<Snapshot>>> {
        self.jobs.get(&job).map(|entry| entry.now.subscribe())
    }

    /// All jobs that are known.
    pub(super) fn known(&self) -> Vec<(OwnerId, JobId)> {
        let known = self.owners.iter();
        known
            .flat_map(|(owner, places)| places.keys().map(|place| (*owner, place.job)))
            .collect()
    }

    /// Takes in a record; says what changed, unless nothing did.
    pub(super) fn put(&mut self, record: Record, version: Version) -> (Arc<Snapshot>, Option<Change>) {
        let (owner, job) = (record.owner, record.id);
        if let Some(entry) = self.jobs.get(&job).filter(|entry| entry.version == version) {
            return (entry.snapshot(), None);
        }
        let name = folded(&record.request.name).into_boxed_str();
        self.owners.entry(owner).or_default().insert(place(&record), name);
        let change = self.change(owner, job);
        let record = Arc::new(record);
        let live = self.jobs.get_mut(&job).and_then(|entry| entry.live.take());
        let live = live.filter(|live| is_about(live, &record));
        let snapshot = Arc::new(Snapshot {
            live: live.as_ref().map(|live| live.view(record.plan.as_ref())),
            record,
            received: self.get(job).map_or(0, |before| before.received),
            changed: self.last,
        });
        match self.jobs.get_mut(&job) {
            Some(entry) => {
                (entry.version, entry.live) = (version, live);
                entry.now.send_replace(Arc::clone(&snapshot));
            }
            None => {
                let now = watch::Sender::new(Arc::clone(&snapshot));
                let entry = Entry {
                    version,
                    live,
                    received: None,
                    now,
                };
                self.jobs.insert(job, entry);
            }
        }
        (snapshot, change)
    }

    pub(super) fn remove(&mut self, job: JobId) -> Option<Change> {
        let record = Arc::clone(&self.jobs.get(&job)?.now.borrow().record);
        let change = self.change(record.owner, job);
        self.jobs.remove(&job);
        if let Some(places) = self.owners.get_mut(&record.owner) {
            places.remove(&place(&record));
            if places.is_empty() {
                self.owners.remove(&record.owner);
            }
        }
        change
    }

    pub(super) fn progressed(&mut self, progress: &Progress, now: Instant) -> Option<Change> {
        let entry = self.jobs.get_mut(&progress.job)?;
        let before = entry.snapshot();
        let plan = progress.step.plan();
        if before.record.owner != progress.owner || before.record.state.is_ended() {
            return None;
        }
        let current = before.record.plan.as_ref().map_or(plan, |summary| summary.number);
        if plan != current {
            return None;
        }
        let live = entry.live.take().filter(|live| live.plan() == plan);
        let mut live = live.unwrap_or_else(|| Live::new(plan));
        let told = live.take(progress, now);
        let view = live.view(before.record.plan.as_ref());
        entry.live = Some(live);
        if !told {
            return None;
        }
        let change = self.change(progress.owner, progress.job);
        let snapshot = Arc::new(Snapshot {
            record: Arc::clone(&before.record),
            live: Some(view),
            received: before.received,
            changed: self.last,
        });
        if let Some(entry) = self.jobs.get(&progress.job) {
            entry.now.send_replace(snapshot);
        }
        change
    }

    /// Takes in how much of an upload has come, unless that was told a moment ago.
    pub(super) fn received(&mut self, owner: OwnerId, job: JobId, bytes: u64, now: Instant) -> Option<Change> {
        let entry = self.jobs.get_mut(&job)?;
        let before = entry.snapshot();
        let is_its = before.record.owner == owner && before.record.state == State::Uploading;
        let is_early = entry
            .received
            .is_some_and(|told| now.duration_since(told) < RECEIVED_EVERY);
        if !is_its || is_early || before.received == bytes {
            return None;
        }
        entry.received = Some(now);
        let change = self.change(owner, job);
        let snapshot = Snapshot {
            received: bytes,
            changed: self.last,
            ..(*before).clone()
        };
        if let Some(entry) = self.jobs.get(&job) {
            entry.now.send_replace(Arc::new(snapshot));
        }
        change
    }

    /// Numbers a change and remembers it, in place of the job's last one.
    fn change(&mut self, owner: OwnerId, job: JobId) -> Option<Change> {
        if !self.loaded {
            return None;
        }
        if let Some(entry) = self.jobs.get(&job) {
            self.recent.remove(&entry.now.borrow().changed);
        }
        self.last = Timestamp::now().as_microsecond().max(self.last + 1);
        self.recent.insert(self.last, (owner, job));
        if self.recent.len() > REMEMBERED
            && let Some((number, _)) = self.recent.pop_first()
        {
            self.forgotten = number;
        }
        Some(Change {
            owner,
            job,
            number: self.last,
        })
    }

    pub(super) fn missed(&self, owner: OwnerId, after: i64) -> Missed {
        if after < self.forgotten || !self.loaded {
            return Missed::TooMuch;
        }
        let of_owner = self
            .recent
            .range(after.saturating_add(1)..)
            .filter(|(_, (of, _))| *of == owner);
        let jobs = of_owner.map(|(number, (_, job))| {
            let change = Change {
                owner,
                job: *job,
                number: *number,
            };
            (change, self.get(*job))
        });
        Missed::Jobs(jobs.collect())
    }

    pub(super) fn page(&self, owner: OwnerId, query: &Query) -> Page {
        let Some(places) = self.owners.get(&owner) else {
            return Page {
                jobs: Vec::new(),
                next: None,
            };
        };
        let older = match query.after {
            Some(cursor) => places.range(..cursor),
            None => places.range(..),
        };
        let named = older.rev().filter(|(_, name)| query.names(name));
        let asked_for = named.filter_map(|(place, _)| {
            let now = self.jobs.get(&place.job)?.now.borrow();
            query.takes(&now.record).then(|| Arc::clone(&now))
        });
        let mut jobs: Vec<Arc<Snapshot>> = asked_for.take(query.limit.saturating_add(1)).collect();
        let more = jobs.len() > query.limit;
        jobs.truncate(query.limit);
        let last = jobs.last().filter(|_| more);
        let next = last.map(|snapshot| place(&snapshot.record));
        Page { jobs, next }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Arc<Snapshot>> {
        self.jobs.values().map(Entry::snapshot)
    }

    pub(super) fn counts(&self) -> HashMap<State, u64> {
        let mut counts = HashMap::new();
        for state in self.all().filter_map(|snapshot| snapshot.record.apparent_state()) {
            *counts.entry(state).or_default() += 1;
        }
        counts
    }

    pub(super) fn backlog_seconds(&self, class: ClassName) -> f64 {
        let seconds = self.all().filter_map(|snapshot| {
            let record = &snapshot.record;
            let waits = matches!(
                record.apparent_state(),
                Some(State::Queued | State::Planning | State::Running)
            );
            let plan = record.plan.as_ref().filter(|plan| waits && plan.class == class)?;
            let done = snapshot
                .live
                .as_ref()
                .map_or(0.0, |live| live.done as f64 / plan.frames.max(1) as f64);
            let whole = match plan.kind {
                SourceKind::Picture => plan.batch_seconds,
                SourceKind::Video => plan.batch_seconds * plan.batches as f64,
            };
            Some(whole * (1.0 - done.min(1.0)))
        });
        seconds.sum()
    }

    pub(super) fn dead_letters(&self) -> Vec<Arc<Snapshot>> {
        let dead = self.all().filter(|snapshot| {
            let record = &snapshot.record;
            let by_worker = record.failure.as_ref().is_some_and(|failure| failure.worker.is_some());
            record.apparent_state() == Some(State::Failed) && by_worker
        });
        let mut dead: Vec<Arc<Snapshot>> = dead.collect();
        dead.sort_by_key(|snapshot| std::cmp::Reverse(place(&snapshot.record)));
        dead
    }
}

/// Whether what workers said is about the plan that the record follows, and still matters.
fn is_about(live: &Live, record: &Record) -> bool {
    let same_plan = record.plan.as_ref().is_none_or(|plan| plan.number == live.plan());
    same_plan && !record.state.is_ended()
}
