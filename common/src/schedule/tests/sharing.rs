//! Who gets what when.

use std::collections::VecDeque;

use super::desk::{Desk, id};
use crate::job::{Outcome, Priority, SourceKind};
use crate::schedule::Input;
use crate::schedule::testing::{announcement, plan};

/// A film of `batches` batches of an owner, which is planned.
fn film(desk: &mut Desk, job: u128, owner: &str, batches: u64, priority: Priority) {
    desk.submit_for(job, SourceKind::Video, owner, |record| {
        record.request.priority = priority;
    });
    desk.report("w", &format!("media {job} plan 0"), Outcome::Planned(plan(0, batches)));
}

/// What is published while a worker does one batch after the other.
fn worked_off(desk: &mut Desk, tasks: usize) -> Vec<String> {
    let published = desk.published().into_iter();
    let mut waiting: VecDeque<String> = published.filter(|task| task.starts_with("bulk")).collect();
    let mut given = Vec::new();
    for _ in 0..tasks {
        let task = waiting.pop_front().expect("something to do");
        desk.report("w", &task, Outcome::BatchDone);
        let new = desk.published();
        given.extend(new.clone());
        waiting.extend(new);
    }
    given
}

#[test]
fn little_more_is_published_than_the_workers_take() {
    let mut desk = Desk::new();
    film(&mut desk, 1, "ann", 100, Priority::Normal);
    assert_eq!(
        desk.published()[1..],
        [
            "bulk 1 batch 0/0",
            "bulk 1 batch 0/1",
            "bulk 1 batch 0/2",
            "bulk 1 batch 0/3"
        ]
    );
    desk.announce("v", "f", &[]);
    assert_eq!(desk.published(), ["bulk 1 batch 0/4", "bulk 1 batch 0/5"]);
    desk.report("w", "bulk 1 batch 0/3", Outcome::BatchDone);
    assert_eq!(desk.published(), ["bulk 1 batch 0/6"]);
    // Of a worker that ends, no more is expected.
    let mut ends = announcement("v", "f", vec![]);
    ends.draining = true;
    desk.say(Input::Announced(ends));
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    assert_eq!(desk.published(), Vec::<String>::new());
}

#[test]
fn owners_come_in_turn_then_their_jobs_the_urgent_ones_first() {
    let mut desk = Desk::new();
    film(&mut desk, 1, "ann", 50, Priority::Normal);
    film(&mut desk, 2, "ann", 50, Priority::Normal);
    film(&mut desk, 3, "bob", 50, Priority::Low);
    film(&mut desk, 4, "cat", 50, Priority::Normal);
    film(&mut desk, 5, "cat", 50, Priority::High);
    // The first four places went to the only job that was there.
    let given = worked_off(&mut desk, 12);
    let jobs: Vec<&str> = given.iter().map(|task| task.split(' ').nth(1).unwrap()).collect();
    assert_eq!(jobs.join(" "), "1 3 5 2 3 5 1 3 5 2 3 5");
}

#[test]
fn a_newcomer_waits_for_a_batch_or_two_and_not_behind_films() {
    let mut desk = Desk::new();
    for job in 1..=20 {
        film(&mut desk, job, "ann", 1000, Priority::High);
    }
    film(&mut desk, 99, "bob", 10, Priority::Low);
    desk.published();
    let place = desk.scheduler.place(id(99)).unwrap();
    assert!(place.jobs_ahead <= 1, "{place:?}");
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    desk.report("w", "bulk 1 batch 0/1", Outcome::BatchDone);
    assert!(desk.published().contains(&"bulk 99 batch 0/0".to_owned()));
}

#[test]
fn pictures_go_out_at_once_but_in_turn() {
    let mut desk = Desk::new();
    for job in 1..=1000 {
        desk.submit_for(job, SourceKind::Picture, "ann", |_| {});
    }
    let first = [
        "interactive 1 picture 0",
        "interactive 2 picture 0",
        "interactive 3 picture 0",
        "interactive 4 picture 0",
    ];
    assert_eq!(desk.published(), first);
    desk.submit_for(2000, SourceKind::Picture, "bob", |_| {});
    assert_eq!(desk.scheduler.place(id(2000)).unwrap().jobs_ahead, 1);
    assert_eq!(desk.scheduler.place(id(1000)).unwrap().jobs_ahead, 996);
    let mut next = Vec::new();
    for job in 1..=2 {
        let outcome = Outcome::Finished {
            result: crate::schedule::testing::result(0),
            plan: Some(plan(0, 1)),
        };
        desk.report("w", &format!("interactive {job} picture 0"), outcome);
        next.extend(desk.published());
    }
    assert_eq!(next, ["interactive 5 picture 0", "interactive 2000 picture 0"]);
}

#[test]
fn a_priority_that_changes_counts_from_then_on() {
    let mut desk = Desk::new();
    film(&mut desk, 1, "ann", 50, Priority::Normal);
    film(&mut desk, 2, "ann", 50, Priority::Normal);
    let mut record = desk.record(2).clone();
    record.request.priority = Priority::High;
    desk.write(record);
    desk.hint(2);
    let given = worked_off(&mut desk, 6);
    assert!(given.iter().all(|task| task.starts_with("bulk 2")), "{given:?}");
}

#[test]
fn place_and_backlog_are_known_in_seconds_of_work() {
    let mut desk = Desk::new();
    film(&mut desk, 1, "ann", 10, Priority::Normal);
    film(&mut desk, 2, "ann", 4, Priority::Normal);
    // 60 million pixels of a result at a million a second.
    desk.submit_for(3, SourceKind::Picture, "bob", |record| {
        record.request.settings.target = crate::job::Target::Exact(6000, 9_000);
    });
    desk.command(3, crate::job::Command::Pause);
    desk.published();
    let place = desk.scheduler.place(id(2)).unwrap();
    assert_eq!((place.own_seconds, place.finished.len()), (120.0, 0));
    // Four batches of the first are out, and one of its turns may come before.
    assert_eq!((place.jobs_ahead, place.seconds_ahead), (1, 150.0));
    let classes = desk.scheduler.classes();
    assert_eq!((classes[0].jobs, classes[0].workers), (3, 1));
    assert_eq!(classes[0].backlog_seconds, 420.0, "what is paused is nobody's work");
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    assert_eq!(desk.scheduler.place(id(1)).unwrap().finished.len(), 1);
    assert_eq!(desk.scheduler.classes()[0].backlog_seconds, 390.0);
    assert_eq!(desk.scheduler.place(id(77)), None);
}

#[test]
fn a_class_is_written_down_when_it_changes_and_once_a_minute_at_most() {
    let mut desk = Desk::new();
    let written = |desk: &Desk| desk.done.iter().filter(|done| done.starts_with("class")).count();
    assert_eq!(desk.done, ["class f 1000000"]);
    let say = |desk: &mut Desk, rate: f64| {
        let mut announcement = announcement("w", "f", vec![]);
        announcement.pixels_per_second = rate;
        desk.say(Input::Announced(announcement));
    };
    desk.pass_holding(60, &[]);
    say(&mut desk, 1.04e6);
    assert_eq!(written(&desk), 1, "hardly another rate");
    say(&mut desk, 2e6);
    say(&mut desk, 4e6);
    assert_eq!(written(&desk), 2);
    desk.pass_holding(60, &[]);
    say(&mut desk, 4e6);
    assert_eq!(desk.done.last().unwrap(), "class f 4000000");
}
