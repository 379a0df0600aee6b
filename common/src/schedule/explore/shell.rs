//! What a scheduler wants done, done to the storage and the broker of the exploration; and what it may do to records.

use std::collections::BTreeSet;

use super::world::{Half, Message, Stored, World};
use crate::job::{Command, JobId, Record, SourceKind, State};
use crate::schedule::{Effect, Input, ListedJob, RecordVersion, Ticket};

impl World {
    /// Carries an effect out, or its first half.
    pub(super) fn carry_out(&mut self, process: usize, effect: Effect, half: Half) {
        let answer = match (&effect, half) {
            (Effect::Settle { job, .. } | Effect::Delete { job, .. }, Half::First) => {
                if matches!(effect, Effect::Settle { .. }) {
                    self.store.active.remove(job);
                } else {
                    self.delete(*job);
                }
                self.processes[process].half.push(effect);
                return;
            }
            (Effect::Settle { job, ticket, .. }, Half::Second) => Some(self.read(*job, *ticket)),
            (Effect::Delete { job, ticket, .. }, Half::Second) => {
                self.store.active.remove(job);
                Some(Input::Deleted {
                    job: *job,
                    ticket: *ticket,
                })
            }
            _ => self.carry_out_simple(&effect),
        };
        self.processes[process].answers.extend(answer);
    }

    fn carry_out_simple(&mut self, effect: &Effect) -> Option<Input> {
        match effect {
            Effect::ListActive => Some(Input::Listed(self.listed())),
            Effect::Read { job, ticket, .. } => Some(self.read(*job, *ticket)),
            Effect::Replace {
                ticket,
                record,
                expected,
            } => Some(self.replace(*ticket, record, expected)),
            Effect::ListMarkers { job, plan, ticket } => {
                let markers = self.store.markers.get(&(*job, *plan));
                let done = markers.into_iter().flatten().copied().collect();
                let (job, ticket) = (*job, *ticket);
                Some(Input::Markers { job, ticket, done })
            }
            Effect::Publish { to, task } => {
                let stored = self.store.records.get(&task.job);
                if stored.is_some_and(|stored| stored.record.generation < task.generation) {
                    self.break_rule("a task was published before its record was written");
                }
                let message = Message {
                    task: task.clone(),
                    deliveries: 0,
                };
                self.queues.entry(*to).or_default().push_back(message);
                None
            }
            Effect::KeepActive { job, .. } => {
                self.store.active.insert(*job);
                None
            }
            Effect::DropActive { job } => {
                if self.store.records.contains_key(job) {
                    self.break_rule("the key of a job with a record was dropped");
                }
                self.store.active.remove(job);
                None
            }
            Effect::Settle { .. }
            | Effect::Delete { .. }
            | Effect::KeepFailure { .. }
            | Effect::KeepSoundFailure { .. }
            | Effect::KeepClass(_)
            | Effect::Distrust(_) => None,
        }
    }

    fn listed(&self) -> Vec<ListedJob> {
        let listed = |job: &JobId| ListedJob {
            job: *job,
            record: self
                .store
                .records
                .get(job)
                .map(|stored| (stored.record.owner, version(stored.version))),
        };
        self.store.active.iter().map(listed).collect()
    }

    fn read(&self, job: JobId, ticket: Ticket) -> Input {
        let stored = self.store.records.get(&job);
        let found = stored.map(|stored| (Box::new(stored.record.clone()), version(stored.version)));
        Input::Read { job, ticket, found }
    }

    fn replace(&mut self, ticket: Ticket, record: &Record, expected: &RecordVersion) -> Input {
        let job = record.id;
        match self
            .store
            .records
            .get(&job)
            .filter(|stored| version(stored.version) == *expected)
        {
            None => Input::Lost { job, ticket },
            Some(stored) => {
                let before = stored.record.clone();
                self.judge_change(&before, record);
                Input::Replaced {
                    job,
                    ticket,
                    version: self.write(record.clone()),
                }
            }
        }
    }

    pub(super) fn write(&mut self, record: Record) -> RecordVersion {
        self.store.next_version += 1;
        let written = self.store.next_version;
        if written > self.many_writes {
            self.break_rule("records are written again and again");
        }
        self.store.records.insert(
            record.id,
            Stored {
                record,
                version: written,
            },
        );
        version(written)
    }

    fn delete(&mut self, job: JobId) {
        let may = |stored: &Stored| stored.record.state.is_ended() && stored.record.pending() == Some(Command::Delete);
        match self.store.records.remove(&job) {
            Some(stored) if !may(&stored) => self.break_rule("a job was deleted that nobody asked to delete"),
            _ => self.store.markers.retain(|(of, _), _| *of != job),
        }
    }

    /// What a scheduler may write.
    fn judge_change(&mut self, before: &Record, after: &Record) {
        let commanded = after.heard > before.heard || after.pending() == Some(Command::Delete);
        if after.generation < before.generation {
            self.break_rule("a generation went back");
        }
        if after.state != before.state && after.generation == before.generation {
            self.break_rule("the state changed and the generation did not");
        }
        if before.state.is_ended() && after.state != before.state && !commanded {
            self.break_rule("an ended job went on without a command");
        }
        if !commanded && after.state != before.state && !before.state.may_become(after.state) {
            self.break_rule(&format!("{} became {}", before.state, after.state));
        }
        if before.pending() == Some(Command::Cancel) && after.heard > before.heard && after.state.is_active() {
            self.break_rule("a cancel was heard and not carried out");
        }
        if matches!(after.state, State::Assembling | State::Done)
            && after.state != before.state
            && let Some(plan) = after.plan.as_ref().filter(|plan| plan.kind == SourceKind::Video)
        {
            let markers = self
                .store
                .markers
                .get(&(after.id, plan.number))
                .map_or(0, BTreeSet::len);
            if markers as u64 != plan.batches {
                self.break_rule(&format!("{} with {markers} of {} batches", after.state, plan.batches));
            }
        }
    }
}

fn version(number: u64) -> RecordVersion {
    RecordVersion(number.to_string())
}
