//! What workers do with what they get.

use std::collections::VecDeque;

use super::world::{Control, Held, Message, Phase, World, name};
use crate::ErrorCode;
use crate::job::{Audited, ControlMessage, Failure, Outcome, Report, SourceKind, State, Step, Task};
use crate::schedule::Destination;
use crate::schedule::testing::{plan, report, result};

impl World {
    /// A worker takes the first message of a queue and looks whether it counts.
    pub(super) fn take(&mut self, worker: usize, from: Destination) {
        let Some(mut message) = self.queues.get_mut(&from).and_then(VecDeque::pop_front) else {
            return;
        };
        message.deliveries += 1;
        let task = message.task.clone();
        let mut held = Held {
            from,
            task: task.clone(),
            message: Some(message),
            phase: Phase::Works,
            outcome: None,
        };
        let is_marked = |plan: u32, batch: u64| {
            let markers = self.store.markers.get(&(task.job, plan));
            markers.is_some_and(|markers| markers.contains(&batch))
        };
        match task.step {
            Step::Upscale { plan, batch } if is_marked(plan, batch) => {
                held.phase = Phase::Reports;
                held.outcome = Some(Outcome::BatchDone);
            }
            _ if !self.counts(&task) => held.phase = Phase::Acknowledges,
            Step::Upscale { .. } if self.planned_for(&task).as_deref() != Some(self.workers[worker].fingerprint) => {
                held.phase = Phase::Reports;
                held.outcome = Some(Outcome::OtherFingerprint);
            }
            _ => {}
        }
        self.workers[worker].held = Some(held);
    }

    fn planned_for(&self, task: &Task) -> Option<String> {
        let record = &self.store.records.get(&task.job)?.record;
        record.planned_for.as_ref()?.fingerprint.clone()
    }

    /// Whether a worker that reads the record finds that the task still counts.
    fn counts(&self, task: &Task) -> bool {
        let Some(stored) = self.store.records.get(&task.job) else {
            return false;
        };
        let record = &stored.record;
        let state = match task.step {
            Step::Plan { .. } => State::Planning,
            Step::Upscale { .. } | Step::Picture { .. } | Step::Audit { .. } | Step::Sound { .. } => State::Running,
            Step::Assemble { .. } => State::Assembling,
        };
        record.generation == task.generation && record.state == state
    }

    /// The next step of what a worker holds; `outcome` where the work ends otherwise than well.
    pub(super) fn go_on(&mut self, worker: usize, batches: u64, outcome: Option<Outcome>) {
        let Some(mut held) = self.workers[worker].held.take() else {
            return;
        };
        match held.phase {
            Phase::Works => {
                let made = outcome.unwrap_or_else(|| self.make(&held.task, batches));
                held.outcome = Some(made);
                held.phase = Phase::Reports;
            }
            Phase::Reports => {
                if let Some(outcome) = held.outcome.take() {
                    let who = name(worker, &self.workers[worker]);
                    let report: Report = report(&who, held.task.clone(), outcome);
                    self.control.push_back(Control::Message(ControlMessage::Report(report)));
                }
                held.phase = Phase::Acknowledges;
            }
            Phase::Acknowledges => return,
        }
        self.workers[worker].held = Some(held);
    }

    fn make(&mut self, task: &Task, batches: u64) -> Outcome {
        match task.step {
            Step::Plan { plan: number, exact } => {
                let mut plan = plan(number, batches);
                plan.exact = exact;
                Outcome::Planned(plan)
            }
            Step::Upscale { plan, batch } => {
                let made = self.made.entry((task.job, plan, batch)).or_default();
                *made += 1;
                if *made > 1 + self.wasteful {
                    let message = format!("batch {batch} was made {made} times with {} such faults", self.wasteful);
                    self.break_rule(&message);
                }
                if self.store.records.contains_key(&task.job) {
                    self.store.markers.entry((task.job, plan)).or_default().insert(batch);
                }
                Outcome::BatchDone
            }
            Step::Assemble { plan } => Outcome::Finished {
                result: result(plan),
                plan: None,
            },
            Step::Picture { plan: number } => {
                let mut plan = plan(number, 1);
                plan.kind = SourceKind::Picture;
                Outcome::Finished {
                    result: result(number),
                    plan: Some(plan),
                }
            }
            Step::Audit { .. } => Outcome::Audited(Audited::Equal),
            Step::Sound { .. } => Outcome::SoundDone,
        }
    }

    /// What a worker held comes back, to the front; too often, and it is a dead letter.
    pub(super) fn give_back(&mut self, from: Destination, message: Message, limit: u32) {
        if message.deliveries >= limit {
            self.control.push_back(Control::Dead(message.task));
        } else {
            self.queues.entry(from).or_default().push_front(message);
        }
    }
}

/// How a step may end otherwise than well.
pub(super) fn mishaps(step: Step) -> Vec<Outcome> {
    let failure = |code| Failure::new(code, "mishap");
    let mut outcomes = vec![
        Outcome::Failed {
            failure: failure(ErrorCode::DecodeFailed),
            transient: true,
        },
        Outcome::Failed {
            failure: failure(ErrorCode::InputDamaged),
            transient: false,
        },
        Outcome::Failed {
            failure: failure(ErrorCode::DiskFull),
            transient: true,
        },
        Outcome::Returned,
    ];
    match step {
        Step::Upscale { .. } => outcomes.push(Outcome::LedgerMismatch(failure(ErrorCode::FramesMismatch))),
        Step::Plan { .. } => outcomes.push(Outcome::IsPicture),
        Step::Picture { .. } => outcomes.push(Outcome::IsVideo),
        Step::Assemble { .. } | Step::Audit { .. } | Step::Sound { .. } => {}
    }
    outcomes
}
