//! What goes wrong at workers.

use super::desk::{Desk, id};
use crate::ErrorCode;
use crate::job::{Command, Failure, Outcome, SourceKind, State, WorkerId};
use crate::schedule::Input;
use crate::schedule::testing::plan;

/// A film of two batches that is planned and published.
fn running() -> Desk {
    let mut desk = Desk::new();
    desk.submit(1, SourceKind::Video);
    desk.report("w", "media 1 plan 0", Outcome::Planned(plan(0, 2)));
    desk.published();
    desk
}

fn failed(code: ErrorCode, transient: bool) -> Outcome {
    let failure = Failure::new(code, "no");
    Outcome::Failed { failure, transient }
}

#[test]
fn what_may_pass_is_tried_five_times_at_growing_intervals() {
    let mut desk = running();
    let mut waits = Vec::new();
    for _ in 0..4 {
        desk.report("w", "bulk 1 batch 0/1", failed(ErrorCode::DecodeFailed, true));
        assert_eq!(desk.published(), Vec::<String>::new());
        let mut waited = 0;
        while desk.published().is_empty() {
            desk.pass_holding(1, &[]);
            waited += 1;
        }
        waits.push(waited);
    }
    // 2, 4, 8 and 16 s, half to one and a half times; looked at every second.
    for (wait, expected) in waits.iter().zip([2, 4, 8, 16]) {
        assert!((expected / 2..=expected * 3 / 2 + 1).contains(wait), "{waits:?}");
    }
    desk.report("w5", "bulk 1 batch 0/1", failed(ErrorCode::DecodeFailed, true));
    assert_eq!(desk.state(1), State::Failed);
    let failure = desk.record(1).failure.clone().unwrap();
    assert_eq!(
        (failure.code, failure.batch, failure.attempts),
        (ErrorCode::DecodeFailed, Some(1), 5)
    );
    assert_eq!(failure.worker, Some(WorkerId::new("w5")));
    assert_eq!(desk.done.last().unwrap(), "failure 1/1 decode_failed 5");
}

#[test]
fn what_will_not_pass_fails_at_once_and_a_retry_starts_afresh() {
    let mut desk = running();
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    desk.report("w", "bulk 1 batch 0/1", failed(ErrorCode::InputDamaged, false));
    assert_eq!(desk.state(1), State::Failed);
    let failure = desk.record(1).failure.clone().unwrap();
    assert_eq!(
        (failure.code, failure.batch, failure.attempts),
        (ErrorCode::InputDamaged, Some(1), 1)
    );
    desk.pass(20, &["w"]);
    desk.command(1, Command::Retry);
    assert_eq!(
        (desk.published(), &desk.record(1).failure),
        (vec!["bulk 1 batch 0/1".to_owned()], &None)
    );
}

#[test]
fn a_plan_that_fails_for_a_while_is_made_anew_under_another_number() {
    let mut desk = Desk::new();
    desk.submit(1, SourceKind::Video);
    desk.report("w", "media 1 plan 0", failed(ErrorCode::InputUnreadable, true));
    desk.pass(4, &["w"]);
    assert_eq!(desk.published(), ["media 1 plan 0", "media 1 plan 1"]);
    // The first planner was slow, and says so only now.
    desk.report("v", "media 1 plan 0", Outcome::Planned(plan(0, 2)));
    assert_eq!(desk.state(1), State::Planning);
    desk.report("w", "media 1 plan 1", Outcome::Planned(plan(1, 2)));
    assert_eq!(desk.state(1), State::Running);
}

#[test]
fn a_wrong_ledger_is_made_by_decoding_once() {
    let mut desk = running();
    let mismatch = || Outcome::LedgerMismatch(Failure::new(ErrorCode::FramesMismatch, "30, not 25"));
    desk.report("w", "bulk 1 batch 0/0", mismatch());
    assert_eq!(desk.published(), ["media 1 plan 1 exactly"]);
    let mut exact = plan(1, 2);
    exact.exact = true;
    desk.report("w", "media 1 plan 1 exactly", Outcome::Planned(exact));
    assert_eq!(desk.published(), ["bulk 1 batch 1/0", "bulk 1 batch 1/1"]);
    desk.report("w", "bulk 1 batch 1/1", mismatch());
    assert_eq!(desk.state(1), State::Failed);
    let failure = desk.record(1).failure.clone().unwrap();
    assert_eq!((failure.code, failure.batch), (ErrorCode::FramesMismatch, Some(1)));
}

#[test]
fn a_batch_of_a_plan_that_is_not_followed_does_not_count() {
    let mut desk = running();
    let late = desk.task("bulk 1 batch 0/1");
    let mismatch = Outcome::LedgerMismatch(Failure::new(ErrorCode::FramesMismatch, "30, not 25"));
    desk.report("w", "bulk 1 batch 0/0", mismatch);
    desk.report("w", "media 1 plan 1 exactly", Outcome::Planned(plan(1, 2)));
    desk.report("w", "bulk 1 batch 1/0", Outcome::BatchDone);
    let late = crate::schedule::testing::report("v", late, Outcome::BatchDone);
    desk.say(Input::Control(crate::job::ControlMessage::Report(late)));
    assert_eq!(desk.state(1), State::Running);
    assert_eq!(desk.scheduler.place(id(1)).unwrap().finished.len(), 1);
    desk.report("w", "bulk 1 batch 1/1", Outcome::BatchDone);
    assert_eq!(desk.state(1), State::Assembling);
}

#[test]
fn a_full_store_pauses_the_job() {
    let mut desk = running();
    desk.report("w", "bulk 1 batch 0/0", failed(ErrorCode::DiskFull, false));
    assert_eq!((desk.state(1), &desk.record(1).failure), (State::Paused, &None));
    assert!(
        desk.record(1).notes[0].contains("no space"),
        "{:?}",
        desk.record(1).notes
    );
    assert!(desk.active.contains(&id(1)));
    desk.pass(20, &["w"]);
    desk.command(1, Command::Resume);
    assert_eq!(desk.published(), ["bulk 1 batch 0/0", "bulk 1 batch 0/1"]);
}

#[test]
fn what_is_given_back_is_published_at_once_and_counts_as_no_attempt() {
    let mut desk = running();
    for _ in 0..10 {
        desk.report("w", "bulk 1 batch 0/0", Outcome::Returned);
        assert_eq!(desk.published(), ["bulk 1 batch 0/0"]);
    }
    assert_eq!(desk.state(1), State::Running);
}

#[test]
fn a_task_that_workers_die_of_is_tried_alone_and_then_given_up() {
    let mut desk = running();
    let task = desk.task("bulk 1 batch 0/1");
    desk.announce("w", "f", &["bulk 1 batch 0/1"]);
    desk.say(Input::DeadLetter(task.clone()));
    desk.say(Input::DeadLetter(task));
    assert_eq!(desk.published(), ["bulk 1 batch 0/1 alone"]);
    desk.announce("v", "f", &["bulk 1 batch 0/1 alone"]);
    let alone = desk.task("bulk 1 batch 0/1 alone");
    desk.say(Input::DeadLetter(alone));
    assert_eq!(desk.state(1), State::Failed);
    let failure = desk.record(1).failure.clone().unwrap();
    assert_eq!(
        (failure.code, failure.batch, failure.attempts),
        (ErrorCode::WorkerDied, Some(1), 10)
    );
    assert_eq!(failure.worker, Some(WorkerId::new("v")));
}

#[test]
fn a_dead_letter_of_what_is_done_says_nothing() {
    let mut desk = running();
    let task = desk.task("bulk 1 batch 0/1");
    desk.report("w", "bulk 1 batch 0/1", Outcome::BatchDone);
    desk.say(Input::DeadLetter(task));
    assert_eq!((desk.published(), desk.state(1)), (vec![], State::Running));
}

#[test]
fn reports_that_come_twice_or_late_change_nothing() {
    let mut desk = running();
    let first = desk.task("bulk 1 batch 0/0");
    desk.report("w", "bulk 1 batch 0/0", failed(ErrorCode::DecodeFailed, true));
    desk.report("w", "bulk 1 batch 0/0", failed(ErrorCode::DecodeFailed, true));
    desk.pass(4, &["w"]);
    assert_eq!(desk.published(), ["bulk 1 batch 0/0"]);
    assert_eq!(desk.done.last().unwrap(), "failure 1/0 decode_failed 1");
    // Of an earlier generation.
    desk.command(1, Command::Pause);
    desk.command(1, Command::Resume);
    desk.pass(12, &["w"]);
    desk.published();
    assert!(first.generation < desk.record(1).generation);
    let late = crate::schedule::testing::report("w", first, failed(ErrorCode::InputDamaged, false));
    desk.say(Input::Control(crate::job::ControlMessage::Report(late)));
    assert_eq!((desk.published(), desk.state(1)), (vec![], State::Running));
}

#[test]
fn a_plan_for_workers_that_are_gone_is_made_anew_for_others() {
    let mut desk = running();
    assert_eq!(
        desk.record(1).planned_for.as_ref().unwrap().fingerprint.as_deref(),
        Some("f")
    );
    let others = |desk: &mut Desk, seconds: u64| {
        for _ in 0..seconds / 5 {
            desk.pass_holding(5, &[]);
            desk.announce("v", "g", &[]);
        }
    };
    others(&mut desk, 590);
    assert_eq!(desk.state(1), State::Running);
    // Found when active jobs are listed the next time.
    others(&mut desk, 70);
    assert_eq!(desk.state(1), State::Planning);
    assert_eq!(
        desk.record(1).planned_for.as_ref().unwrap().fingerprint.as_deref(),
        Some("g")
    );
    assert!(
        desk.record(1).notes[0].contains("10 minutes"),
        "{:?}",
        desk.record(1).notes
    );
    assert_eq!(desk.published(), ["media 1 plan 1"]);
}

#[test]
fn a_worker_that_may_not_do_a_batch_leaves_it_to_others() {
    let mut desk = running();
    desk.announce("v", "g", &[]);
    desk.report("v", "bulk 1 batch 0/0", Outcome::OtherFingerprint);
    assert_eq!(desk.published(), Vec::<String>::new());
    desk.pass(4, &["w"]);
    assert_eq!(
        (desk.published(), desk.state(1)),
        (vec!["bulk 1 batch 0/0".to_owned()], State::Running)
    );
}

#[test]
fn a_plan_from_before_there_were_workers_is_made_anew_for_the_first() {
    let mut desk = Desk::new();
    desk.pass(20, &[]);
    desk.submit_for(1, SourceKind::Video, "local", |record| {
        record.request.class = "gpu".parse().unwrap();
    });
    desk.report("media-only", "media 1 plan 0", Outcome::Planned(plan(0, 2)));
    assert_eq!(
        desk.published(),
        ["media 1 plan 0", "bulk 1 batch 0/0", "bulk 1 batch 0/1"]
    );
    assert_eq!(desk.record(1).planned_for.as_ref().unwrap().fingerprint, None);
    let mut first = crate::schedule::testing::announcement("g1", "sm_90a", vec![]);
    first.class = "gpu".parse().unwrap();
    desk.say(Input::Announced(first));
    desk.report("g1", "bulk 1 batch 0/0", Outcome::OtherFingerprint);
    assert_eq!(desk.published(), ["media 1 plan 1"]);
    assert_eq!(
        desk.record(1).planned_for.as_ref().unwrap().fingerprint.as_deref(),
        Some("sm_90a")
    );
}
