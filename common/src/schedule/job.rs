use std::collections::BTreeMap;

use crate::job::{ClassName, Failure, JobId, Lane, OwnerId, Record, SourceKind, State, Step, WorkerId};

use super::moves::{self, Stage, Verdict};
use super::playhead::Playhead;
use super::turns::Place;
use super::{BatchSet, Destination, Millis, RecordVersion, Rules, Ticket};

/// A part of a stage: a batch, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Part {
    Whole,
    Batch(u64),
}

/// The lines in which jobs wait for a place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Ring {
    /// Results are put together first: they are what people wait for.
    Assemble,
    Plan,
    Interactive(ClassName),
    Bulk(ClassName),
}

impl Ring {
    /// The queue that it leads to.
    pub(super) fn destination(self) -> Destination {
        match self {
            Self::Assemble | Self::Plan => Destination::Media,
            Self::Interactive(class) => Destination::Work(Lane::Interactive, class),
            Self::Bulk(class) => Destination::Work(Lane::Bulk, class),
        }
    }
}

/// A place in a line.
pub(super) type Turn = (Ring, Place);

/// A task that was published, or that a worker holds from an earlier generation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flight {
    /// The task's.
    pub(super) generation: u64,
    pub(super) alone: bool,
    pub(super) ring: Ring,
    /// When it was published, or announced as held last.
    pub(super) since: Millis,
    /// Since when it waited for a worker, its time in line included; nothing where it is not known.
    pub(super) ready: Option<Millis>,
    /// Who announced it last.
    pub(super) holder: Option<WorkerId>,
}

/// What went wrong with a part so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Trouble {
    /// Failed attempts.
    pub(super) attempts: u32,
    /// Workers that did not have its fingerprint.
    pub(super) strangers: u32,
    /// Whether workers died of it: it is published alone.
    pub(super) alone: bool,
}

/// A question to storage that is not answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Io {
    pub(super) ticket: Ticket,
    pub(super) asked: Asked,
    /// When it is given up.
    pub(super) due: Millis,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    Read,
    Replace(Box<Record>),
    Markers,
    Settle,
    Delete,
}

/// A job whose record is known.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) record: Record,
    pub(super) version: RecordVersion,
    /// One question at a time: an answer is then always about the record as it is here.
    pub(super) io: Option<Io>,
    /// Whether the record may have changed.
    pub(super) look: bool,
    /// Questions that failed in a row, and when the next may be asked.
    pub(super) io_failures: u32,
    pub(super) io_wait: Option<Millis>,
    /// What was published may be lost, or be somebody else's: announcements are listened to until then, and the
    /// generation is raised.
    pub(super) fence: Option<Millis>,
    /// Whether nothing was published yet of a stage with one step since the generation was raised for it.
    pub(super) fresh: bool,
    pub(super) verdict: Option<Verdict>,
    /// The plan that `done` and `next` are about.
    pub(super) plan: Option<u32>,
    pub(super) done: BatchSet,
    /// Whether the markers were listed.
    pub(super) listed: bool,
    /// Every batch below is done, published, held, or in `again`.
    pub(super) next: u64,
    pub(super) flights: BTreeMap<Part, Flight>,
    /// Parts to publish again, and when.
    pub(super) again: BTreeMap<Part, Millis>,
    pub(super) trouble: BTreeMap<Part, Trouble>,
    /// A place in a queue that is kept for a job whose record is being changed for it.
    pub(super) slot: Option<Ring>,
    /// The line it stands in.
    pub(super) turn: Option<Turn>,
    /// Since when it stands in it, or has the place in a queue that is kept for it.
    pub(super) ready: Option<Millis>,
    /// Where somebody looks at it.
    pub(super) playhead: Option<Playhead>,
    /// The line that it stands in beside the other, for what is under the playhead.
    pub(super) front: Option<Turn>,
    /// The plan whose stream's sound was asked for.
    pub(super) sounded: Option<u32>,
    /// When it must be looked at.
    pub(super) alarm: Option<Millis>,
    /// Listings of `active/` in a row that lacked it.
    pub(super) unlisted: u32,
    /// Whether nothing is left to do.
    pub(super) is_gone: bool,
}

impl Job {
    /// A job as its record says; what was published for it, nobody knows.
    pub(super) fn new(record: Record, version: RecordVersion) -> Self {
        Self {
            record,
            version,
            io: None,
            look: false,
            io_failures: 0,
            io_wait: None,
            fence: None,
            fresh: false,
            verdict: None,
            plan: None,
            done: BatchSet::new(),
            listed: false,
            next: 0,
            flights: BTreeMap::new(),
            again: BTreeMap::new(),
            trouble: BTreeMap::new(),
            slot: None,
            turn: None,
            ready: None,
            playhead: None,
            front: None,
            sounded: None,
            alarm: None,
            unlisted: 0,
            is_gone: false,
        }
    }

    pub(super) fn id(&self) -> JobId {
        self.record.id
    }

    pub(super) fn owner(&self) -> OwnerId {
        self.record.owner
    }

    pub(super) fn class(&self) -> ClassName {
        self.record.request.class
    }

    /// Batches of its plan.
    pub(super) fn batches(&self) -> u64 {
        self.record.plan.as_ref().map_or(0, |plan| plan.batches)
    }

    /// The fingerprint that a worker of its batches must have.
    pub(super) fn fingerprint(&self) -> Option<&str> {
        self.record.planned_for.as_ref()?.fingerprint.as_deref()
    }

    /// As what its source is treated: what workers found, or what it looks like.
    pub(super) fn kind(&self) -> SourceKind {
        let planned = self.record.planned_for.as_ref();
        planned.map_or(self.record.request.kind, |planned| planned.kind)
    }

    /// Starts to count the batches of the record's plan, if it is another than before.
    pub(super) fn follow_plan(&mut self) {
        let plan = self.record.plan.as_ref().map(|plan| plan.number);
        if self.plan != plan {
            self.plan = plan;
            self.done = BatchSet::new();
            self.listed = false;
            self.next = 0;
            self.again.clear();
            self.trouble.clear();
            self.playhead = None;
        }
    }

    /// Whether every batch has its marker.
    pub(super) fn is_complete(&self) -> bool {
        self.listed && self.done.len() >= self.batches()
    }

    /// The next batch to publish.
    pub(super) fn next_batch(&self, now: Millis) -> Option<u64> {
        let again = self.again.iter().find_map(|(part, at)| match part {
            Part::Batch(batch) if *at <= now => Some(*batch),
            _ => None,
        });
        let new = self.next_new();
        match (again, new) {
            (Some(again), Some(new)) => Some(again.min(new)),
            (again, new) => again.or(new),
        }
    }

    /// The first batch at or after `next` that is neither done, under way, nor waiting.
    pub(super) fn next_new(&self) -> Option<u64> {
        let end = self.batches();
        let mut from = self.next;
        loop {
            let batch = self.done.first_missing(from, end)?;
            let part = Part::Batch(batch);
            if !self.flights.contains_key(&part) && !self.again.contains_key(&part) {
                return Some(batch);
            }
            from = batch + 1;
        }
    }

    /// The line that it should stand in now; nothing while there is nothing to publish, or while that may change.
    pub(super) fn wanted_ring(&self, now: Millis) -> Option<Ring> {
        if self.is_busy() {
            return None;
        }
        match moves::stage(&self.record) {
            Stage::Idle => {
                (self.record.state == State::Queued && self.record.plan.is_none()).then(|| self.first_ring())
            }
            Stage::Batches => {
                let may = self.listed && self.next_batch(now).is_some();
                may.then(|| Ring::Bulk(self.class()))
            }
            Stage::Planning | Stage::Picture | Stage::Assembling => {
                let may = self.fresh && !self.flights.contains_key(&Part::Whole);
                may.then(|| self.whole_ring())
            }
        }
    }

    /// Whether what there is to publish may change in a moment.
    pub(super) fn is_busy(&self) -> bool {
        let waits = self.io.is_some() || self.fence.is_some() || self.verdict.is_some() || self.slot.is_some();
        waits || self.look || self.record.pending().is_some()
    }

    fn first_ring(&self) -> Ring {
        match self.kind() {
            SourceKind::Video => Ring::Plan,
            SourceKind::Picture => self.picture_ring(),
        }
    }

    fn picture_ring(&self) -> Ring {
        if self.record.planned_for.as_ref().is_some_and(|planned| planned.bulk) {
            Ring::Bulk(self.class())
        } else {
            Ring::Interactive(self.class())
        }
    }

    pub(super) fn whole_ring(&self) -> Ring {
        match moves::stage(&self.record) {
            Stage::Assembling => Ring::Assemble,
            Stage::Picture => self.picture_ring(),
            _ => Ring::Plan,
        }
    }

    /// The line that a step most likely stood in which a worker holds.
    pub(super) fn ring_of(&self, step: Step) -> Ring {
        match step {
            Step::Upscale { .. } => Ring::Bulk(self.class()),
            _ => self.whole_ring(),
        }
    }

    /// When it must be looked at next if nothing is heard of it.
    pub(super) fn next_due(&self, now: Millis, rules: &Rules) -> Option<Millis> {
        let flights = self.flights.values().map(|flight| {
            let due = self.flight_due(flight, rules);
            // One that waits behind others is looked at from time to time.
            if due <= now { now.after(rules.silence) } else { due }
        });
        let again = self.again.values().copied().filter(|at| *at > now);
        let waits = [self.io.as_ref().map(|io| io.due), self.io_wait, self.fence];
        // A fence that is due waits for a pause to end.
        let waits = waits.into_iter().flatten().filter(|at| *at > now);
        flights.chain(again).chain(waits).min()
    }

    /// When a task that nobody announces is taken for lost.
    pub(super) fn flight_due(&self, flight: &Flight, rules: &Rules) -> Millis {
        if flight.generation < self.record.generation {
            flight.since.after(rules.silence)
        } else {
            flight.since.after(rules.stall)
        }
    }

    /// Completes why a part failed.
    pub(super) fn blame(&self, part: Part, worker: Option<WorkerId>, mut failure: Failure) -> Failure {
        if let Part::Batch(batch) = part {
            failure.batch = Some(batch);
        }
        failure.worker = worker;
        failure.attempts = self.trouble.get(&part).map_or(0, |trouble| trouble.attempts).max(1);
        failure
    }
}

/// The part of its stage that a step is.
pub(super) fn part(step: Step) -> Part {
    step.batch().map_or(Part::Whole, Part::Batch)
}
