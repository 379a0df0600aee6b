//! A scheduler that begins, one that another took over from, and what gets lost on the way.

use super::desk::{Desk, id};
use crate::job::{Command, Outcome, SourceKind, State};
use crate::schedule::testing::plan;
use crate::schedule::{Effect, Input, Millis, RecordVersion, Rules, Scheduler, Ticket};

/// A film of three batches that is planned and published.
fn running() -> Desk {
    let mut desk = Desk::new();
    desk.submit(1, SourceKind::Video);
    desk.report("w", "media 1 plan 0", Outcome::Planned(plan(0, 3)));
    desk.published();
    desk
}

#[test]
fn one_that_becomes_active_listens_and_publishes_what_nobody_holds() {
    let mut desk = running();
    desk.report("w", "bulk 1 batch 0/2", Outcome::BatchDone);
    let before = desk.record(1).generation;
    desk.take_over();
    desk.pass_holding(10, &[("w", &["bulk 1 batch 0/0"])]);
    assert_eq!((desk.published(), desk.record(1).generation), (vec![], before));
    desk.pass_holding(1, &[]);
    assert_eq!(desk.record(1).generation, before + 1);
    assert_eq!(desk.published(), ["bulk 1 batch 0/1"]);
    // The holder is silent from the tenth second on.
    desk.pass(14, &["v"]);
    assert_eq!(desk.published(), ["bulk 1 batch 0/0"]);
    assert_eq!(desk.record(1).generation, before + 1);
}

#[test]
fn a_batch_that_a_holder_finishes_is_not_published_again() {
    let mut desk = running();
    desk.take_over();
    desk.pass_holding(11, &[("w", &["bulk 1 batch 0/0"])]);
    assert_eq!(desk.published(), ["bulk 1 batch 0/1", "bulk 1 batch 0/2"]);
    // Named by its first publication, of the generation before.
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    desk.pass(60, &["v"]);
    assert!(!desk.published().contains(&"bulk 1 batch 0/0".to_owned()));
}

#[test]
fn a_plan_that_somebody_makes_is_waited_for_and_else_gets_another_number() {
    let mut desk = Desk::new();
    desk.submit(1, SourceKind::Video);
    desk.published();
    desk.take_over();
    desk.pass_holding(30, &[("w", &["media 1 plan 0"])]);
    assert_eq!(desk.published(), Vec::<String>::new());
    desk.pass(20, &["v"]);
    assert_eq!(desk.published(), ["media 1 plan 1"]);
    desk.report("w", "media 1 plan 0", Outcome::Planned(plan(0, 3)));
    assert_eq!(desk.state(1), State::Planning);
}

#[test]
fn what_waits_in_its_queue_is_left_there_and_what_is_lost_is_published_anew() {
    let mut desk = running();
    let before = desk.record(1).generation;
    // The only worker has something to do, so nobody is free.
    desk.pass_holding(120, &[("w", &["bulk 1 batch 0/0"])]);
    assert_eq!(desk.record(1).generation, before);
    // It is done, and takes nothing for a while.
    desk.report("w", "bulk 1 batch 0/0", Outcome::BatchDone);
    let mut waited = 0;
    while desk.record(1).generation == before {
        desk.pass(1, &["w"]);
        waited += 1;
        assert!(waited < 90, "nobody notices");
    }
    assert!(waited > 15 + 10, "{waited}: idle for 15 s, listened to for 11");
    assert_eq!(desk.published(), ["bulk 1 batch 0/1", "bulk 1 batch 0/2"]);
}

#[test]
fn a_broker_that_comes_back_may_have_lost_everything() {
    let mut desk = running();
    desk.say(Input::BrokerBack);
    desk.pass_holding(11, &[("w", &["bulk 1 batch 0/1"])]);
    assert_eq!(desk.published(), ["bulk 1 batch 0/0", "bulk 1 batch 0/2"]);
}

#[test]
fn a_task_that_could_not_be_published_is_published_later() {
    let mut desk = running();
    let task = desk.task("bulk 1 batch 0/2");
    desk.say(Input::PublishFailed(task));
    desk.pass_holding(11, &[("w", &["bulk 1 batch 0/0", "bulk 1 batch 0/1"])]);
    assert_eq!(desk.published(), ["bulk 1 batch 0/2"]);
}

/// A scheduler whose storage does not answer, which has asked to begin film 1; and the number of its question.
fn asked_to_begin() -> (Scheduler, Ticket) {
    let mut scheduler = Scheduler::new(Rules::default());
    let record = crate::schedule::testing::record(1, SourceKind::Video);
    scheduler.handle(Input::Activated, Millis(0));
    let look = crate::job::ControlMessage::Look {
        job: record.id,
        owner: record.owner,
    };
    let asked = scheduler.handle(Input::Control(look), Millis(1));
    let [Effect::Read { job, ticket, .. }] = asked[..] else {
        panic!("{asked:?}");
    };
    let found = Some((Box::new(record), RecordVersion("1".to_owned())));
    let asked = scheduler.handle(Input::Read { job, ticket, found }, Millis(2));
    let [Effect::Replace { ticket, .. }] = asked[..] else {
        panic!("{asked:?}");
    };
    (scheduler, ticket)
}

#[test]
fn what_may_have_happened_or_not_is_looked_up_before_anything_else() {
    let (mut scheduler, ticket) = asked_to_begin();
    let job = id(1);
    assert_eq!(scheduler.handle(Input::Failed { job, ticket }, Millis(3)), []);
    // After a second or three.
    let asked = scheduler.handle(Input::Tick, Millis(4_000));
    assert!(matches!(asked[..], [Effect::Read { .. }]), "{asked:?}");
    // The answer that was given up comes all the same.
    let version = RecordVersion("2".to_owned());
    assert_eq!(
        scheduler.handle(Input::Replaced { job, ticket, version }, Millis(5_000)),
        []
    );
}

#[test]
fn a_record_that_another_scheduler_changed_is_taken_up_anew() {
    let mut desk = running();
    let mut record = desk.record(1).clone();
    record.generation += 1;
    let theirs = record.generation;
    desk.write(record);
    desk.hint(1);
    desk.pass_holding(10, &[("w", &[])]);
    assert_eq!(desk.published(), Vec::<String>::new());
    desk.pass(1, &[]);
    assert_eq!(desk.record(1).generation, theirs + 1);
    assert_eq!(desk.published().len(), 3);
}

#[test]
fn one_that_becomes_active_takes_up_what_was_begun() {
    let mut desk = running();
    desk.want(1, Command::Cancel);
    desk.submit(2, SourceKind::Picture);
    desk.published();
    desk.take_over();
    assert_eq!(desk.state(1), State::Cancelled, "a command waits for nothing");
    assert!(!desk.active.contains(&id(1)));
    desk.pass(11, &["w"]);
    assert_eq!(desk.published(), ["interactive 2 picture 1"]);
}

#[test]
fn a_new_job_waits_for_nobody() {
    let mut desk = running();
    desk.take_over();
    desk.submit(2, SourceKind::Picture);
    assert_eq!(desk.published(), ["interactive 2 picture 0"]);
}

#[test]
fn a_missing_key_is_written_again_and_one_without_a_record_goes() {
    let mut desk = running();
    desk.active.remove(&id(1));
    desk.active.insert(id(9));
    desk.pass(60, &["w"]);
    assert!(!desk.active.contains(&id(1)), "once may be chance");
    desk.pass(60, &["w"]);
    assert!(desk.active.contains(&id(1)));
    assert!(desk.active.contains(&id(9)));
    desk.pass(3600, &["w"]);
    assert!(!desk.active.contains(&id(9)));
}

#[test]
fn the_key_of_an_ended_job_goes_even_if_nobody_saw_it_end() {
    let mut desk = running();
    let mut record = desk.record(1).clone();
    record.state = State::Done;
    record.request.webhook = Some("https://a.example".to_owned());
    desk.write(record);
    desk.take_over();
    assert!(!desk.active.contains(&id(1)));
    assert_eq!(desk.done.last().unwrap(), "webhook https://a.example");
}

#[test]
fn one_that_is_not_active_does_nothing() {
    let mut scheduler = Scheduler::new(Rules::default());
    let job = id(1);
    let look = crate::job::ControlMessage::Look {
        job,
        owner: crate::job::OwnerId::default(),
    };
    assert_eq!(scheduler.handle(Input::Control(look.clone()), Millis(5)), []);
    assert_eq!(scheduler.next_due(), None);
    scheduler.handle(Input::Activated, Millis(6));
    assert_eq!(scheduler.handle(Input::Control(look.clone()), Millis(7)).len(), 1);
    scheduler.handle(Input::Deactivated, Millis(8));
    assert_eq!(scheduler.handle(Input::Control(look), Millis(9)), []);
}
