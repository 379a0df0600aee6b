//! What somebody waits for who looks at a film that is not finished.

use super::desk::Desk;
use crate::ErrorCode;
use crate::job::{Command, Failure, Outcome, SourceKind, State};
use crate::schedule::Input;
use crate::schedule::testing::{plan, result};

const NOTHING: [&str; 0] = [];

/// A film of a hundred batches, of which the first four are published.
fn running() -> Desk {
    let mut desk = Desk::new();
    desk.submit(1, SourceKind::Video);
    desk.report("w", "media 1 plan 0", Outcome::Planned(plan(0, 100)));
    assert_eq!(desk.published().last().unwrap(), "bulk 1 batch 0/3");
    desk
}

#[test]
fn the_batch_under_the_playhead_and_the_one_after_it_overtake_the_line() {
    let mut desk = running();
    desk.watch(1, 50);
    assert_eq!(
        desk.published(),
        ["interactive 1 batch 0/50", "interactive 1 batch 0/51"]
    );
    desk.watch(1, 50);
    assert_eq!(desk.published(), NOTHING, "it may be said twice");
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    assert_eq!(desk.published(), ["bulk 1 batch 0/4"], "the film goes on beside");
    desk.report("w", "interactive 1 batch 0/50", Outcome::BatchDone);
    assert_eq!(desk.published(), NOTHING, "none but these two");
    desk.watch(1, 51);
    assert_eq!(desk.published(), ["interactive 1 batch 0/52"], "51 is out already");
    desk.watch(1, 99);
    assert_eq!(desk.published(), ["interactive 1 batch 0/99"], "there is none after it");
}

#[test]
fn what_is_out_for_the_bulk_lane_stays_there_and_what_was_watched_is_not_published_on_it() {
    let mut desk = running();
    desk.watch(1, 3);
    assert_eq!(desk.published(), ["interactive 1 batch 0/4"]);
    desk.report("w", "interactive 1 batch 0/4", Outcome::BatchDone);
    desk.watch(1, 6);
    assert_eq!(desk.published(), ["interactive 1 batch 0/6", "interactive 1 batch 0/7"]);
    for batch in 0..4 {
        desk.report("w", &format!("bulk 1 batch 0/{batch}"), Outcome::BatchDone);
    }
    let bulk = [
        "bulk 1 batch 0/5",
        "bulk 1 batch 0/8",
        "bulk 1 batch 0/9",
        "bulk 1 batch 0/10",
    ];
    assert_eq!(desk.published(), bulk);
}

#[test]
fn a_film_that_is_watched_is_done_to_its_end_and_each_batch_once() {
    let mut desk = Desk::new();
    desk.submit(1, SourceKind::Video);
    desk.report("w", "media 1 plan 0", Outcome::Planned(plan(0, 12)));
    let mut batches = Vec::new();
    let mut waiting = std::collections::VecDeque::new();
    for playhead in [8, 2, 11, 5, 8, 10, 0, 9, 3, 1, 7, 4] {
        desk.watch(1, playhead);
        let published = desk.published().into_iter().filter(|task| task.contains("batch"));
        waiting.extend(published.inspect(|task| batches.extend(task.split('/').nth(1).map(str::to_owned))));
        // Now the oldest, now the newest.
        let next = if playhead % 2 == 0 {
            waiting.pop_front()
        } else {
            waiting.pop_back()
        };
        desk.report("w", &next.unwrap(), Outcome::BatchDone);
    }
    batches.sort_by_key(|batch| batch.parse::<u64>().unwrap());
    assert_eq!(batches, (0..12).map(|batch| batch.to_string()).collect::<Vec<_>>());
    assert_eq!((desk.state(1), waiting.len()), (State::Assembling, 0));
}

#[test]
fn it_stands_in_turn_with_pictures_and_waits_for_room_among_them() {
    let mut desk = running();
    for job in 10..16 {
        desk.submit(job, SourceKind::Picture);
    }
    assert_eq!(desk.published().len(), 4);
    desk.watch(1, 50);
    assert_eq!(desk.published(), NOTHING);
    assert_eq!(desk.scheduler.place(super::desk::id(1)).unwrap().jobs_ahead, 0);
    // The bulk lane does not wait for that.
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    assert_eq!(desk.published(), ["bulk 1 batch 0/4"]);
    let mut next = Vec::new();
    for job in 10..14 {
        let outcome = Outcome::Finished {
            result: result(0),
            plan: Some(plan(0, 1)),
        };
        desk.report("w", &format!("interactive {job} picture 0"), outcome);
        next.extend(desk.published());
    }
    let expected = [
        "interactive 14 picture 0",
        "interactive 15 picture 0",
        "interactive 1 batch 0/50",
        "interactive 1 batch 0/51",
    ];
    assert_eq!(next, expected);
}

#[test]
fn a_playhead_is_replaced_by_another_and_forgotten_after_a_minute() {
    let full = || {
        let mut desk = running();
        for job in 10..14 {
            desk.submit(job, SourceKind::Picture);
        }
        desk.published();
        desk.watch(1, 50);
        desk
    };
    let hold = ("w", &["interactive 10 picture 0", "bulk 1 batch 0/0"][..]);
    let make_room = |desk: &mut Desk| {
        desk.command(11, Command::Cancel);
        desk.command(12, Command::Cancel);
        desk.published()
    };
    let mut desk = full();
    desk.watch(1, 70);
    desk.pass_holding(59, &[hold]);
    assert_eq!(
        make_room(&mut desk),
        ["interactive 1 batch 0/70", "interactive 1 batch 0/71"]
    );
    let mut desk = full();
    desk.pass_holding(60, &[hold]);
    assert_eq!(make_room(&mut desk), NOTHING);
    let mut desk = full();
    desk.pass_holding(40, &[hold]);
    desk.watch(1, 50);
    desk.pass_holding(40, &[hold]);
    assert_eq!(
        make_room(&mut desk),
        ["interactive 1 batch 0/50", "interactive 1 batch 0/51"]
    );
}

#[test]
fn one_that_fails_waits_as_any_other_and_comes_back_where_somebody_waits_for_it() {
    let mut desk = running();
    desk.watch(1, 50);
    desk.published();
    let failed = || Outcome::Failed {
        failure: Failure::new(ErrorCode::DecodeFailed, "no"),
        transient: true,
    };
    desk.report("w", "interactive 1 batch 0/50", failed());
    desk.watch(1, 50);
    assert_eq!(desk.published(), NOTHING, "not before its time");
    desk.pass(4, &["w"]);
    assert_eq!(desk.published(), ["interactive 1 batch 0/50"]);
    assert_eq!(desk.done.last().unwrap(), "failure 1/50 decode_failed 1");
    desk.report("w", "interactive 1 batch 0/51", failed());
    desk.watch(1, 90);
    assert_eq!(
        desk.published(),
        ["interactive 1 batch 0/90", "interactive 1 batch 0/91"]
    );
    desk.pass(4, &["w"]);
    assert_eq!(desk.published(), NOTHING, "it waits for room in the bulk lane");
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    desk.report("w", "bulk 1 batch 0/1", Outcome::BatchDone);
    assert_eq!(desk.published(), ["bulk 1 batch 0/4", "bulk 1 batch 0/5"]);
    // Workers die of it: there too it comes back alone.
    let task = desk.task("interactive 1 batch 0/90");
    desk.say(Input::DeadLetter(task));
    assert_eq!(desk.published(), ["interactive 1 batch 0/90 alone"]);
}

#[test]
fn a_job_of_which_no_batches_are_made_does_not_listen() {
    let mut desk = running();
    desk.command(1, Command::Pause);
    desk.watch(1, 50);
    desk.pass(20, &["w"]);
    desk.command(1, Command::Resume);
    let bulk = [
        "bulk 1 batch 0/0",
        "bulk 1 batch 0/1",
        "bulk 1 batch 0/2",
        "bulk 1 batch 0/3",
    ];
    assert_eq!(desk.published(), bulk);
    // Of a plan that is not followed, of a batch that there is not, of a job that nobody knows.
    let watch = |desk: &mut Desk, job: u128, plan: u32, batch: u64| {
        desk.say(Input::Control(crate::job::ControlMessage::Watch {
            job: super::desk::id(job),
            owner: crate::job::OwnerId::default(),
            plan,
            batch,
        }));
    };
    watch(&mut desk, 1, 1, 50);
    watch(&mut desk, 1, 0, 100);
    watch(&mut desk, 7, 0, 50);
    assert_eq!(desk.published(), NOTHING);
    desk.command(1, Command::Cancel);
    desk.watch(1, 50);
    assert_eq!(desk.published(), NOTHING);
}

#[test]
fn a_playhead_says_nothing_about_another_plan() {
    let mut desk = running();
    desk.watch(1, 50);
    desk.published();
    let mismatch = Outcome::LedgerMismatch(Failure::new(ErrorCode::FramesMismatch, "30, not 25"));
    desk.report("w", "bulk 1 batch 0/0", mismatch);
    desk.report("w", "media 1 plan 1 exactly", Outcome::Planned(plan(1, 100)));
    let plan_and_bulk = desk.published();
    assert_eq!(plan_and_bulk.len(), 5);
    assert!(
        plan_and_bulk.iter().all(|task| !task.starts_with("interactive")),
        "{plan_and_bulk:?}"
    );
}

#[test]
fn what_is_held_from_either_lane_is_not_published_again_and_the_rest_goes_where_it_is_waited_for() {
    let mut desk = running();
    desk.watch(1, 50);
    desk.published();
    desk.say(Input::BrokerBack);
    desk.watch(1, 51);
    desk.pass_holding(11, &[("w", &["interactive 1 batch 0/51", "bulk 1 batch 0/0"])]);
    let published = [
        "interactive 1 batch 0/52",
        "bulk 1 batch 0/1",
        "bulk 1 batch 0/2",
        "bulk 1 batch 0/3",
    ];
    assert_eq!(
        desk.published(),
        published,
        "what is held takes the room that it took before"
    );
    desk.pass(15, &["v"]);
    assert!(desk.published().contains(&"interactive 1 batch 0/51".to_owned()));
}

#[test]
fn one_that_waits_behind_another_is_not_taken_for_lost() {
    let mut desk = running();
    desk.watch(1, 50);
    let before = desk.record(1).generation;
    let hold = ["interactive 1 batch 0/50", "bulk 1 batch 0/0"];
    desk.pass_holding(120, &[("w", &hold)]);
    assert_eq!(desk.record(1).generation, before, "the worker is busy in both lanes");
    desk.report("w", "interactive 1 batch 0/50", Outcome::BatchDone);
    desk.pass_holding(60, &[("w", &hold[1..])]);
    assert_eq!(
        desk.record(1).generation,
        before + 1,
        "it does not come to the next: that one is lost"
    );
}
