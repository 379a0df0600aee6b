//! The sound of streams: once a plan, beside the job, and never in its way.

use crate::ErrorCode;
use crate::job::{Failure, Outcome, PlanSummary, SourceKind, State, Task};
use crate::schedule::{Input, Rules};

use super::desk::{Desk, seconds};
use crate::schedule::testing::{plan, result};

/// The plan `number`, of one batch, of a film with sound.
fn sounding(number: u32) -> PlanSummary {
    PlanSummary {
        has_sound: true,
        ..plan(number, 1)
    }
}

/// A film with sound was planned just now: what was published for it is left to be looked at.
fn planned(rules: Rules) -> Desk {
    let mut desk = Desk::with(rules);
    desk.submit(1, SourceKind::Video);
    assert_eq!(desk.published(), ["media 1 plan 0"]);
    desk.report("w", "media 1 plan 0", Outcome::Planned(sounding(0)));
    desk
}

fn failed(transient: bool) -> Outcome {
    Outcome::Failed {
        failure: Failure::new(ErrorCode::EncodeFailed, "no sound"),
        transient,
    }
}

/// What was published of sound while time passed.
fn sounds(desk: &mut Desk, passed: u64) -> usize {
    desk.pass(passed, &["w"]);
    let published = desk.published();
    published.iter().filter(|task| task.contains("sound")).count()
}

#[test]
fn sound_is_asked_for_once_a_plan_that_has_some() {
    let mut desk = planned(Rules::default());
    assert_eq!(desk.published(), ["sound 1 sound 0", "bulk 1 batch 0/0"]);
    desk.report("w", "sound 1 sound 0", Outcome::SoundDone);
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    assert_eq!(desk.published(), ["media 1 assemble 0"]);
    desk.report(
        "w",
        "media 1 assemble 0",
        Outcome::Finished {
            result: result(0),
            plan: None,
        },
    );
    assert_eq!((desk.state(1), sounds(&mut desk, 60)), (State::Done, 0));

    desk.submit(2, SourceKind::Video);
    desk.report("w", "media 2 plan 0", Outcome::Planned(plan(0, 1)));
    assert_eq!(desk.published(), ["media 2 plan 0", "bulk 2 batch 0/0"]);
}

#[test]
fn a_job_ends_without_its_sound_which_is_tried_again() {
    let mut desk = planned(Rules::default());
    desk.report("w", "sound 1 sound 0", failed(true));
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    let done = Outcome::Finished {
        result: result(0),
        plan: None,
    };
    desk.report("w", "media 1 assemble 0", done);
    desk.published();
    assert_eq!((desk.state(1), sounds(&mut desk, 60)), (State::Done, 1));
}

#[test]
fn what_fails_for_good_is_written_down_and_the_job_goes_on() {
    let mut desk = planned(Rules::default());
    desk.report("w", "sound 1 sound 0", failed(false));
    assert_eq!(desk.done.last().unwrap(), "no sound 1/0 encode_failed");
    desk.published();
    assert_eq!((desk.state(1), sounds(&mut desk, 3600)), (State::Running, 0));
}

#[test]
fn what_may_pass_is_tried_five_times() {
    let mut desk = planned(Rules::default());
    for attempt in 1..5 {
        desk.published();
        desk.report("w", "sound 1 sound 0", failed(true));
        assert_eq!(sounds(&mut desk, 60), 1, "{attempt}");
    }
    desk.report("w", "sound 1 sound 0", failed(true));
    assert_eq!(desk.done.last().unwrap(), "no sound 1/0 encode_failed");
    assert_eq!(sounds(&mut desk, 3600), 0);
}

#[test]
fn sound_that_gets_lost_comes_again() {
    type Lose = fn(&mut Desk, Task);
    let lost: [(&str, Lose, usize); 5] = [
        ("the broker was away", |desk, _| desk.say(Input::BrokerBack), 1),
        (
            "it was not published",
            |desk, task| desk.say(Input::PublishFailed(task)),
            1,
        ),
        (
            "its worker ends",
            |desk, _| desk.report("w", "sound 1 sound 0", Outcome::Returned),
            1,
        ),
        ("another scheduler", |desk, _| desk.take_over(), 1),
        ("its workers die", |desk, task| desk.say(Input::DeadLetter(task)), 0),
    ];
    for (how, lose, times) in lost {
        let mut desk = planned(Rules::default());
        let task = desk.task("sound 1 sound 0");
        desk.published();
        lose(&mut desk, task);
        assert_eq!(sounds(&mut desk, 60), times, "{how}");
        assert_eq!(desk.state(1), State::Running, "{how}");
    }
}

#[test]
fn of_what_nothing_is_heard_comes_again_five_times_at_most() {
    let mut desk = planned(Rules {
        sound_patience: seconds(100),
        ..Rules::default()
    });
    desk.published();
    assert_eq!(sounds(&mut desk, 99), 0);
    assert_eq!(sounds(&mut desk, 2000), 4);
}

#[test]
fn the_queue_holds_as_many_as_workers_take_soon() {
    let mut desk = Desk::new();
    let jobs: Vec<u128> = (1..=9).collect();
    for job in &jobs {
        desk.submit(*job, SourceKind::Video);
        desk.report("w", &format!("media {job} plan 0"), Outcome::Planned(sounding(0)));
    }
    let published = desk.published();
    let first = published.iter().filter(|task| task.starts_with("sound"));
    // Two for the worker, and two to spare.
    let first: Vec<&String> = first.collect();
    assert_eq!(
        first,
        [
            "sound 1 sound 0",
            "sound 2 sound 0",
            "sound 3 sound 0",
            "sound 4 sound 0"
        ]
    );
    desk.report("w", "sound 2 sound 0", Outcome::SoundDone);
    assert_eq!(desk.published(), ["sound 5 sound 0"]);
}
