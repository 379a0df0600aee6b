//! What is shown and counted.

use super::desk::{Desk, seconds};
use crate::ErrorCode;
use crate::job::{ClassName, ControlMessage, Failure, Lane, Outcome, SourceKind, State};
use crate::schedule::testing::{plan, report, result};
use crate::schedule::{Destination, Input, LaneView, Note, OwnerView};

const MEDIA: Destination = Destination::Media;

fn lane(desk: &Desk, queue: Destination) -> Option<LaneView> {
    desk.scheduler.lanes().into_iter().find(|lane| lane.queue == queue)
}

fn waits(tasks: u64, oldest: u64) -> Option<(u64, u64)> {
    Some((tasks, oldest))
}

fn seen(desk: &Desk, queue: Destination) -> Option<(u64, u64)> {
    lane(desk, queue).map(|lane| (lane.tasks, lane.oldest.as_secs()))
}

#[test]
fn what_waits_is_seen_until_a_worker_has_it_and_told_when_it_reports() {
    let mut desk = Desk::new();
    assert_eq!(seen(&desk, MEDIA), waits(0, 0));
    desk.submit(1, SourceKind::Video);
    desk.pass_holding(7, &[("w", &[])]);
    assert_eq!(seen(&desk, MEDIA), waits(1, 7));
    let held: &[&str] = &["media 1 plan 0"];
    desk.announce("w", "f", held);
    assert_eq!(seen(&desk, MEDIA), waits(1, 0));
    desk.pass_holding(20, &[("w", held)]);
    desk.notes.clear();
    let mut told = report("w", desk.task("media 1 plan 0"), Outcome::Planned(plan(0, 2)));
    // Of the 27 seconds since it was published.
    told.held_seconds = Some(18.0);
    desk.say(Input::Control(ControlMessage::Report(told.clone())));
    let started = Note::Started {
        queue: MEDIA,
        waited: seconds(9),
    };
    assert!(desk.notes.contains(&started), "{:?}", desk.notes);
    assert_eq!(seen(&desk, MEDIA), waits(0, 0));
    // A report that comes twice waited once.
    desk.notes.clear();
    desk.say(Input::Control(ControlMessage::Report(told)));
    assert_eq!(desk.notes, []);
}

#[test]
fn the_time_in_line_is_waited_too() {
    let mut desk = Desk::new();
    // More than the window of one worker and the spare ones.
    for job in 1..=9 {
        desk.submit(job, SourceKind::Picture);
    }
    let queue = Destination::Work(Lane::Interactive, ClassName::default());
    let out = desk.published().len() as u64;
    assert!(out < 9, "{out} are out");
    desk.pass_holding(30, &[("w", &[])]);
    assert_eq!(seen(&desk, queue), waits(9, 30));
    let done = Outcome::Finished {
        result: result(0),
        plan: Some(plan(0, 1)),
    };
    desk.report("w", "interactive 1 picture 0", done);
    let next = desk.published();
    assert_eq!(next.len(), 1, "{next:?}");
    let mut told = report("w", desk.task(&next[0]), Outcome::Returned);
    told.held_seconds = Some(0.0);
    desk.notes.clear();
    desk.say(Input::Control(ControlMessage::Report(told)));
    let waited = seconds(30);
    assert!(
        desk.notes.contains(&Note::Started { queue, waited }),
        "{:?}",
        desk.notes
    );
}

#[test]
fn what_happens_is_noted_once() {
    let mut desk = Desk::new();
    desk.submit(1, SourceKind::Video);
    desk.report("w", "media 1 plan 0", Outcome::Planned(plan(0, 2)));
    desk.notes.clear();
    let class = ClassName::default();
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    assert_eq!(desk.notes, [Note::BatchDone { class }]);

    desk.notes.clear();
    let code = ErrorCode::DecodeFailed;
    let failed = |transient| Outcome::Failed {
        failure: Failure::new(code, "no"),
        transient,
    };
    desk.report("w", "bulk 1 batch 0/1", failed(true));
    assert_eq!(desk.notes, [Note::Retried { code }]);
    desk.notes.clear();
    desk.say(Input::DeadLetter(desk.task("bulk 1 batch 0/1")));
    assert_eq!(desk.notes, [Note::DeadLetter]);

    // It is published again, alone, when its wait is over.
    desk.published();
    while desk.published().is_empty() {
        desk.pass(1, &["w"]);
    }
    desk.notes.clear();
    desk.report("w", "bulk 1 batch 0/1 alone", failed(false));
    let ended = Note::Ended {
        state: State::Failed,
        code: Some(code),
    };
    assert!(desk.notes.contains(&ended), "{:?}", desk.notes);
}

#[test]
fn owners_are_shown_by_what_they_still_are() {
    let mut desk = Desk::new();
    for (job, owner) in [(1, "ann"), (2, "ann"), (3, "bob"), (4, "cy")] {
        desk.submit_for(job, SourceKind::Video, owner, |_| {});
    }
    for (job, batches) in [(1, 10), (2, 10), (3, 4), (4, 1)] {
        desk.report("w", &format!("media {job} plan 0"), Outcome::Planned(plan(0, batches)));
    }
    let owners = desk.scheduler.owners(2);
    let names: Vec<_> = owners.iter().map(|seen| seen.owner.to_string()).collect();
    assert_eq!(names, ["ann", "bob"]);
    let [ann, bob]: [OwnerView; 2] = owners.try_into().unwrap();
    assert_eq!(ann.backlog_seconds, 5.0 * bob.backlog_seconds);
    let shares: f64 = desk.scheduler.owners(10).iter().map(|seen| seen.share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    assert!(ann.place < 3 && bob.place < 3);
    assert_ne!(ann.place, bob.place);
}
