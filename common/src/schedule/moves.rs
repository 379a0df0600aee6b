//! The changes that a scheduler makes to a record, each a function from one record to the next.
//!
//! Whatever changes the state raises the generation with it, so that tasks which were published before do not count.

use crate::ErrorCode;
use crate::job::{Command, Failure, JobResult, PlanSummary, PlannedFor, Record, SourceKind, State, Step};

use super::Millis;

/// How often workers may find a source to be of the other kind: video, picture, video, and as a picture for the bulk lane.
const TURNS: u32 = 3;

/// What the work has shown, to be written into the record.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    /// Number of the plan that it is about; about any other it says nothing.
    pub(super) plan: u32,
    pub(super) found: Found,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// The plan is written.
    Planned(PlanSummary),
    /// The result is there; a picture's plan comes along.
    Finished(JobResult, Option<PlanSummary>),
    /// The source is of the other kind.
    Kind(SourceKind),
    /// It cannot be done.
    Failed(Failure),
    /// The ledger is wrong: frames are to be found by decoding.
    Inexact(Failure),
    /// There is no space left.
    Full(Failure),
    /// Nobody is left who could do the batches, but others could do the job.
    Others(PlannedFor, Option<String>),
}

/// What a job's tasks are about now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is nothing to do, or somebody has to begin.
    Idle,
    Planning,
    /// A picture, all of it in one step.
    Picture,
    Batches,
    Assembling,
}

/// What a job's tasks are about, by its record.
pub(super) fn stage(record: &Record) -> Stage {
    match record.state {
        State::Planning => Stage::Planning,
        State::Running if record.plan.is_none() => Stage::Picture,
        State::Running => Stage::Batches,
        State::Assembling => Stage::Assembling,
        _ => Stage::Idle,
    }
}

/// Number of the plan that is made or followed now.
pub(super) fn number(record: &Record) -> u32 {
    match &record.plan {
        Some(plan) => plan.number,
        None => record.next_plan.saturating_sub(1),
    }
}

/// The step of a stage that has one only.
pub(super) fn whole_step(record: &Record) -> Option<Step> {
    let plan = number(record);
    let exact = record.planned_for.as_ref().is_some_and(|planned| planned.exact);
    match stage(record) {
        Stage::Planning => Some(Step::Plan { plan, exact }),
        Stage::Picture => Some(Step::Picture { plan }),
        Stage::Assembling => Some(Step::Assemble { plan }),
        Stage::Idle | Stage::Batches => None,
    }
}

/// Whether a step is what the record wants done now.
pub(super) fn concerns(record: &Record, step: Step) -> bool {
    match (step, &record.plan) {
        (Step::Upscale { plan, batch }, Some(followed)) => {
            stage(record) == Stage::Batches && plan == followed.number && batch < followed.batches
        }
        _ => whole_step(record) == Some(step),
    }
}

/// The record in another state, with all that goes with it.
fn moved(record: &Record, state: State, now: Millis) -> Record {
    let mut next = record.clone();
    next.state = state;
    next.generation += 1;
    next.changed = now.timestamp();
    next.ended = state.is_ended().then(|| now.timestamp());
    next
}

/// A number of its own for the plan or the picture that is published next: nobody else ever writes below it.
fn renumber(record: &mut Record) {
    record.next_plan += 1;
}

/// The record with all commands carried out that it was not yet; nothing where there are none, or where all that is
/// left is to delete an ended job.
pub(super) fn obey(record: &Record, now: Millis) -> Option<Record> {
    let wanted = record.wanted.filter(|wanted| wanted.serial > record.heard)?;
    if wanted.command == Command::Delete {
        // It stays unheard until everything is gone: whoever comes after a crash goes on with it.
        return record.state.is_active().then(|| moved(record, State::Cancelled, now));
    }
    let mut next = record.pending_commands().fold(record.clone(), |record, command| {
        match record.state.after(command) {
            Ok(Some(state)) if state != record.state => commanded(&record, command, state, now),
            // Nothing is left to do, or the work was faster.
            _ => record,
        }
    });
    next.heard = wanted.serial;
    Some(next)
}

fn commanded(record: &Record, command: Command, state: State, now: Millis) -> Record {
    let mut next = moved(record, state, now);
    match command {
        Command::Retry => next.failure = None,
        Command::Redo => {
            // The old result stays until the new one is verified.
            next.plan = None;
            next.planned_for = None;
            next.failure = None;
            next.started = None;
        }
        Command::Cancel | Command::Pause | Command::Resume | Command::Delete => {}
    }
    next
}

/// A queued job begins: a plan is made, or a picture in one step.
pub(super) fn begin(record: &Record, planned_for: PlannedFor, now: Millis) -> Record {
    let state = match planned_for.kind {
        SourceKind::Video => State::Planning,
        SourceKind::Picture => State::Running,
    };
    let mut next = moved(record, state, now);
    renumber(&mut next);
    next.planned_for = Some(planned_for);
    next.started.get_or_insert(now.timestamp());
    next
}

/// A queued job that has its plan goes on.
pub(super) fn go_on(record: &Record, now: Millis) -> Record {
    moved(record, State::Running, now)
}

/// All that was published before does not count any more. What is planned anew gets a number of its own.
pub(super) fn raise(record: &Record, anew: bool) -> Record {
    let mut next = record.clone();
    next.generation += 1;
    if anew && matches!(stage(record), Stage::Planning | Stage::Picture) {
        renumber(&mut next);
    }
    next
}

/// Every batch has its marker: put them together.
pub(super) fn assemble(record: &Record, now: Millis) -> Record {
    moved(record, State::Assembling, now)
}

/// The record with what the work has shown; nothing where it says nothing about the record as it is.
pub(super) fn judge(record: &Record, verdict: &Verdict, now: Millis) -> Option<Record> {
    let stage = stage(record);
    if verdict.plan != number(record) || stage == Stage::Idle {
        return None;
    }
    match (&verdict.found, stage) {
        (Found::Planned(plan), Stage::Planning) => Some(planned(record, plan, now)),
        (Found::Finished(result, plan), Stage::Assembling | Stage::Picture) => {
            let mut next = moved(record, State::Done, now);
            next.result = Some(result.clone());
            next.failure = None;
            if let Some(plan) = plan {
                next.plan = Some(plan.clone());
            }
            Some(next)
        }
        (Found::Kind(kind), Stage::Planning | Stage::Picture) => Some(turned(record, *kind, now)),
        (Found::Failed(failure), _) => Some(failed(record, failure.clone(), now)),
        (Found::Inexact(failure), Stage::Batches | Stage::Assembling) => Some(inexact(record, failure, now)),
        (Found::Full(failure), _) => {
            let mut next = moved(record, State::Paused, now);
            next.note(format!("paused, since no space was left: {}", failure.message));
            Some(next)
        }
        (Found::Others(planned_for, note), Stage::Batches) => {
            let mut next = replanned(record, planned_for.clone(), now);
            if let Some(note) = note {
                next.note(note.as_str());
            }
            Some(next)
        }
        _ => None,
    }
}

fn planned(record: &Record, plan: &PlanSummary, now: Millis) -> Record {
    if plan.number != number(record) || plan.batches == 0 {
        let message = format!("a planner reported plan {} of {} batches", plan.number, plan.batches);
        return failed(record, Failure::new(ErrorCode::Internal, message), now);
    }
    let mut next = moved(record, State::Running, now);
    next.plan = Some(plan.clone());
    if let (Some(planned_for), Some(planner)) = (&mut next.planned_for, &plan.fingerprint) {
        // Where no worker had been heard of, it is for those of whoever planned it.
        planned_for.fingerprint.get_or_insert_with(|| planner.clone());
    }
    next
}

fn failed(record: &Record, failure: Failure, now: Millis) -> Record {
    let mut next = moved(record, State::Failed, now);
    next.failure = Some(failure);
    next
}

fn replanned(record: &Record, planned_for: PlannedFor, now: Millis) -> Record {
    let mut next = moved(record, State::Planning, now);
    next.plan = None;
    next.planned_for = Some(planned_for);
    renumber(&mut next);
    next
}

fn inexact(record: &Record, failure: &Failure, now: Millis) -> Record {
    let before = record.planned_for.as_ref();
    match before {
        Some(planned_for) if !planned_for.exact && !record.plan.as_ref().is_some_and(|plan| plan.exact) => {
            let planned_for = PlannedFor {
                exact: true,
                ..planned_for.clone()
            };
            let mut next = replanned(record, planned_for, now);
            next.note("planned anew by decoding: its packets promised other frames than there are");
            next
        }
        _ => failed(record, failure.clone(), now),
    }
}

fn turned(record: &Record, kind: SourceKind, now: Millis) -> Record {
    let Some(before) = record.planned_for.clone().filter(|before| before.turns < TURNS) else {
        let message = "workers that open the source find it to be a picture and a video in turn";
        return failed(record, Failure::new(ErrorCode::Internal, message), now);
    };
    let planned_for = PlannedFor {
        kind,
        turns: before.turns + 1,
        // A picture that was sent on as a video and came back is one that is too large for the interactive lane.
        bulk: before.bulk || (kind == SourceKind::Picture && before.turns > 0),
        ..before
    };
    begin(record, planned_for, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::testing::record;

    const NOW: Millis = Millis(1_000);

    fn planned_for(kind: SourceKind) -> PlannedFor {
        PlannedFor {
            kind,
            turns: 0,
            bulk: false,
            exact: false,
            fingerprint: Some("f".to_owned()),
            pixels_per_second: 1e6,
        }
    }

    #[test]
    fn a_plan_gets_a_number_that_nobody_had() {
        let queued = record(1, SourceKind::Video);
        let planning = begin(&queued, planned_for(SourceKind::Video), NOW);
        assert_eq!((planning.state, planning.generation), (State::Planning, 1));
        assert_eq!(whole_step(&planning), Some(Step::Plan { plan: 0, exact: false }));
        let again = raise(&planning, true);
        assert_eq!(whole_step(&again), Some(Step::Plan { plan: 1, exact: false }));
        let held = raise(&planning, false);
        assert_eq!(whole_step(&held), whole_step(&planning));
        assert_eq!(held.generation, 2);
    }

    #[test]
    fn commands_are_carried_out_in_their_order() {
        let mut done = record(1, SourceKind::Video);
        done.state = State::Done;
        done.want(Command::Redo).unwrap();
        done.want(Command::Pause).unwrap();
        let paused = obey(&done, NOW).unwrap();
        assert_eq!((paused.state, paused.heard, paused.generation), (State::Paused, 2, 2));
        assert_eq!(obey(&paused, NOW), None);
    }

    #[test]
    fn a_command_that_came_too_late_is_heard_and_no_more() {
        let mut running = record(1, SourceKind::Video);
        running.want(Command::Cancel).unwrap();
        running.state = State::Done;
        let done = obey(&running, NOW).unwrap();
        assert_eq!((done.state, done.heard, done.generation), (State::Done, 1, 0));
    }

    #[test]
    fn a_deletion_stays_unheard_until_it_is_done() {
        let mut queued = record(1, SourceKind::Video);
        queued.want(Command::Delete).unwrap();
        let ended = obey(&queued, NOW).unwrap();
        assert_eq!(
            (ended.state, ended.pending()),
            (State::Cancelled, Some(Command::Delete))
        );
        assert_eq!(obey(&ended, NOW), None);
    }

    #[test]
    fn kinds_do_not_turn_for_ever() {
        let mut job = begin(&record(1, SourceKind::Picture), planned_for(SourceKind::Picture), NOW);
        let mut seen = Vec::new();
        while job.state != State::Failed {
            seen.push((job.state, job.planned_for.as_ref().unwrap().bulk));
            let kind = match job.planned_for.as_ref().unwrap().kind {
                SourceKind::Picture => SourceKind::Video,
                SourceKind::Video => SourceKind::Picture,
            };
            let plan = number(&job);
            let verdict = Verdict {
                plan,
                found: Found::Kind(kind),
            };
            job = judge(&job, &verdict, NOW).unwrap();
        }
        assert_eq!(
            seen,
            [
                (State::Running, false),
                (State::Planning, false),
                (State::Running, true),
                (State::Planning, true)
            ]
        );
    }

    #[test]
    fn a_plan_for_nobody_in_particular_is_for_workers_like_its_planner() {
        for (heard_of, expected) in [(None, "planner"), (Some("heard of"), "heard of")] {
            let planned_for = PlannedFor {
                fingerprint: heard_of.map(str::to_owned),
                ..planned_for(SourceKind::Video)
            };
            let planning = begin(&record(1, SourceKind::Video), planned_for, NOW);
            let plan = PlanSummary {
                fingerprint: Some("planner".to_owned()),
                ..crate::schedule::testing::plan(0, 3)
            };
            let verdict = Verdict {
                plan: 0,
                found: Found::Planned(plan),
            };
            let running = judge(&planning, &verdict, NOW).unwrap();
            let fingerprint = running.planned_for.unwrap().fingerprint;
            assert_eq!(fingerprint.as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_said_of_another_plan_says_nothing() {
        let planning = begin(&record(1, SourceKind::Video), planned_for(SourceKind::Video), NOW);
        let verdict = Verdict {
            plan: 1,
            found: Found::Failed(Failure::new(ErrorCode::Internal, "late")),
        };
        assert_eq!(judge(&planning, &verdict, NOW), None);
    }
}
