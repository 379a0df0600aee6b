//! The course of a job, and what people may want of it.

use super::desk::{Desk, id};
use crate::ErrorCode;
use crate::job::{Command, Outcome, Scale, SourceKind, State, Target};
use crate::schedule::testing::{plan, result};

/// A film of four batches that is planned and published.
fn running() -> Desk {
    let mut desk = Desk::new();
    desk.submit(1, SourceKind::Video);
    assert_eq!(desk.published(), ["media 1 plan 0"]);
    desk.report("w", "media 1 plan 0", Outcome::Planned(plan(0, 4)));
    assert_eq!(desk.state(1), State::Running);
    let batches = [
        "bulk 1 batch 0/0",
        "bulk 1 batch 0/1",
        "bulk 1 batch 0/2",
        "bulk 1 batch 0/3",
    ];
    assert_eq!(desk.published(), batches);
    desk
}

fn finished(plan: u32) -> Outcome {
    Outcome::Finished {
        result: result(plan),
        plan: None,
    }
}

fn do_batches(desk: &mut Desk, plan: u32, batches: std::ops::Range<u64>) {
    for batch in batches {
        desk.report("w", &format!("bulk 1 batch {plan}/{batch}"), Outcome::BatchDone);
    }
}

#[test]
fn a_film_is_planned_upscaled_and_put_together() {
    let mut desk = running();
    do_batches(&mut desk, 0, 0..3);
    assert_eq!(desk.published(), Vec::<String>::new());
    assert_eq!(desk.state(1), State::Running);
    do_batches(&mut desk, 0, 3..4);
    assert_eq!(desk.state(1), State::Assembling);
    assert_eq!(desk.published(), ["media 1 assemble 0"]);
    assert!(desk.active.contains(&id(1)));
    desk.report("w", "media 1 assemble 0", finished(0));
    assert_eq!(desk.state(1), State::Done);
    assert_eq!(desk.record(1).result, Some(result(0)));
    assert!(desk.record(1).started.is_some() && desk.record(1).ended.is_some());
    assert!(!desk.active.contains(&id(1)));
}

#[test]
fn a_picture_is_one_step_on_the_interactive_lane() {
    let mut desk = Desk::new();
    desk.submit_for(1, SourceKind::Picture, "local", |record| {
        record.request.webhook = Some("https://a.example".to_owned());
    });
    assert_eq!(desk.published(), ["interactive 1 picture 0"]);
    let mut summary = plan(0, 1);
    summary.kind = SourceKind::Picture;
    let outcome = Outcome::Finished {
        result: result(0),
        plan: Some(summary.clone()),
    };
    desk.report("w", "interactive 1 picture 0", outcome);
    assert_eq!(
        (desk.state(1), desk.record(1).plan.clone()),
        (State::Done, Some(summary))
    );
    assert_eq!(desk.done.last().unwrap(), "webhook https://a.example");
}

#[test]
fn a_picture_whose_size_says_that_it_takes_long_goes_to_the_bulk_lane() {
    let mut desk = Desk::new();
    // 64 s at the worker's million pixels a second.
    desk.submit_for(1, SourceKind::Picture, "local", |record| {
        record.request.settings.target = Target::Exact(8000, 8000);
    });
    desk.submit_for(2, SourceKind::Picture, "local", |record| {
        record.request.settings.target = Target::Factor(Scale::TWO);
    });
    assert_eq!(desk.published(), ["bulk 1 picture 0", "interactive 2 picture 0"]);
}

#[test]
fn a_worker_that_opens_the_source_knows_better() {
    let mut desk = Desk::new();
    desk.submit(1, SourceKind::Picture);
    desk.report("w", "interactive 1 picture 0", Outcome::IsVideo);
    assert_eq!(desk.published(), ["interactive 1 picture 0", "media 1 plan 1"]);
    assert_eq!(desk.state(1), State::Planning);
    desk.report("w", "media 1 plan 1", Outcome::IsPicture);
    assert_eq!(
        desk.published(),
        ["bulk 1 picture 2"],
        "a still that is too large for the other lane"
    );
}

#[test]
fn a_pause_ends_what_is_published_and_a_resume_goes_on() {
    let mut desk = running();
    do_batches(&mut desk, 0, 0..1);
    let before = desk.record(1).generation;
    desk.command(1, Command::Pause);
    assert_eq!((desk.state(1), desk.record(1).generation), (State::Paused, before + 1));
    // One is finished nevertheless.
    do_batches(&mut desk, 0, 2..3);
    desk.pass(20, &["w"]);
    assert_eq!(desk.published(), Vec::<String>::new());
    desk.command(1, Command::Resume);
    assert_eq!(desk.published(), ["bulk 1 batch 0/1", "bulk 1 batch 0/3"]);
    assert_eq!(desk.record(1).heard, 2);
}

#[test]
fn what_somebody_may_still_have_is_listened_for_before_it_is_published_again() {
    let mut desk = running();
    desk.command(1, Command::Pause);
    desk.command(1, Command::Resume);
    assert_eq!(desk.published(), Vec::<String>::new());
    desk.pass_holding(10, &[("w", &["bulk 1 batch 0/2"])]);
    assert_eq!(desk.published(), Vec::<String>::new());
    desk.pass_holding(1, &[]);
    assert_eq!(
        desk.published(),
        ["bulk 1 batch 0/0", "bulk 1 batch 0/1", "bulk 1 batch 0/3"]
    );
}

#[test]
fn a_cancelled_job_is_over_and_a_retry_does_only_what_is_missing() {
    let mut desk = running();
    do_batches(&mut desk, 0, 0..2);
    desk.command(1, Command::Cancel);
    assert_eq!(desk.state(1), State::Cancelled);
    assert!(!desk.active.contains(&id(1)));
    desk.pass(60, &["w"]);
    assert_eq!(desk.published(), Vec::<String>::new());
    desk.command(1, Command::Retry);
    assert_eq!(desk.state(1), State::Running);
    assert_eq!(desk.published(), ["bulk 1 batch 0/2", "bulk 1 batch 0/3"]);
    assert_eq!(desk.record(1).ended, None);
}

#[test]
fn a_job_that_is_wanted_again_while_it_ends_keeps_its_key() {
    let mut desk = running();
    desk.last_wish = Some((1, Command::Retry));
    // Whoever wants it dies before the key is written once more.
    desk.command(1, Command::Cancel);
    assert!(desk.active.contains(&id(1)), "the deletion came after it was written");
    assert_eq!(desk.done, ["class f 1000000", "keep 1"]);
    desk.take_over();
    desk.pass(11, &["w"]);
    assert_eq!((desk.state(1), desk.published().len()), (State::Running, 4));
}

#[test]
fn a_redo_keeps_the_result_until_there_is_another() {
    let mut desk = running();
    do_batches(&mut desk, 0, 0..4);
    desk.report("w", "media 1 assemble 0", finished(0));
    desk.published();
    desk.command(1, Command::Redo);
    assert_eq!(desk.published(), ["media 1 plan 1"]);
    desk.report("w", "media 1 plan 1", Outcome::Planned(plan(1, 1)));
    assert_eq!(desk.published(), ["bulk 1 batch 1/0"]);
    assert_eq!(desk.record(1).result, Some(result(0)));
    do_batches(&mut desk, 1, 0..1);
    desk.report("w", "media 1 assemble 1", finished(1));
    assert_eq!(desk.record(1).result, Some(result(1)));
}

#[test]
fn a_job_that_is_deleted_leaves_nothing() {
    let mut desk = running();
    desk.submit_for(2, SourceKind::Video, "local", |record| {
        record.source.location = crate::job::SourceLocation::Job(id(1));
    });
    desk.command(1, Command::Delete);
    assert!(!desk.exists(1) && !desk.active.contains(&id(1)));
    assert_eq!(desk.done.last().unwrap(), "delete 1 keep source true", "job 2 reads it");
    desk.command(2, Command::Delete);
    assert_eq!(desk.done.last().unwrap(), "delete 2 keep source false");
}

#[test]
fn a_command_whose_hint_is_lost_is_found_within_a_minute() {
    let mut desk = running();
    desk.want(1, Command::Cancel);
    desk.pass_holding(60, &[("w", &["bulk 1 batch 0/0"])]);
    assert_eq!(desk.state(1), State::Cancelled);
}

#[test]
fn a_job_whose_hint_is_lost_is_found_within_a_minute() {
    let mut desk = Desk::new();
    desk.active.insert(id(3));
    desk.write(crate::schedule::testing::record(3, SourceKind::Video));
    desk.pass(60, &["w"]);
    assert_eq!(desk.published(), ["media 3 plan 0"]);
}

#[test]
fn a_plan_that_is_none_fails_the_job() {
    let mut desk = Desk::new();
    desk.submit(1, SourceKind::Video);
    desk.report("w", "media 1 plan 0", Outcome::Planned(plan(7, 4)));
    assert_eq!(desk.state(1), State::Failed);
    assert_eq!(desk.record(1).failure.as_ref().unwrap().code, ErrorCode::Internal);
}
