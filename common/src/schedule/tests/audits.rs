//! Batches that are computed again.

use proptest::prelude::*;

use super::desk::{Desk, id};
use crate::job::{
    Announcement, Audited, ClassName, Command, ControlMessage, Lane, Outcome, SourceKind, State, Task, WorkerId,
};
use crate::schedule::testing::{announcement, plan, report};
use crate::schedule::{AuditOutcome, Destination, Input, Note, Rules};

/// Every batch is audited.
fn rules() -> Rules {
    Rules {
        audit_share: 1.0,
        ..Rules::default()
    }
}

/// A film of so many batches that is planned and published, and these workers.
fn running(rules: Rules, batches: u64, workers: &[&str]) -> Desk {
    let mut desk = Desk::with(rules);
    // Until the desk's own worker is forgotten.
    desk.pass(20, workers);
    desk.submit(1, SourceKind::Video);
    desk.report("a", "media 1 plan 0", Outcome::Planned(plan(0, batches)));
    desk.published();
    desk.notes.clear();
    desk
}

/// The first batch is done by `a`; the first publication of its audit.
fn audited(workers: &[&str]) -> (Desk, String) {
    let mut desk = running(rules(), 2, workers);
    desk.report("a", "bulk 1 batch 0/0", Outcome::BatchDone);
    let published = desk.published();
    assert_eq!(published, ["bulk 1 audit 0/0 1"]);
    (desk, published[0].clone())
}

fn different(found: &str) -> Outcome {
    Outcome::Audited(Audited::Different {
        made_by: WorkerId::new("a"),
        stored: "stored".to_owned(),
        found: found.to_owned(),
    })
}

fn ended(desk: &Desk) -> Vec<AuditOutcome> {
    let ended = |note: &Note| match note {
        Note::Audited { outcome, .. } => Some(*outcome),
        _ => None,
    };
    desk.notes.iter().filter_map(ended).collect()
}

/// The worker that each difference was put down to.
fn blamed(desk: &Desk) -> Vec<Option<String>> {
    let blamed = |note: &Note| match note {
        Note::Differs { wrong, .. } => Some(wrong.as_ref().map(ToString::to_string)),
        _ => None,
    };
    desk.notes.iter().filter_map(blamed).collect()
}

/// Passes the wait of an audit that nobody took; what is published then.
fn next(desk: &mut Desk, workers: &[&str]) -> String {
    for _ in 0..600 {
        desk.pass(1, workers);
        if let Some(audit) = desk.published().into_iter().find(|task| task.contains("audit")) {
            return audit;
        }
    }
    panic!("no audit in ten minutes");
}

#[test]
fn a_batch_that_is_newly_done_is_computed_again_once() {
    let (mut desk, audit) = audited(&["a", "b"]);
    desk.report("a", "bulk 1 batch 0/0", Outcome::BatchDone);
    assert_eq!(desk.published(), Vec::<String>::new());
    desk.report("b", &audit, Outcome::Audited(Audited::Equal));
    desk.report("b", &audit, Outcome::Audited(Audited::Equal));
    assert_eq!(ended(&desk), [AuditOutcome::Equal]);
    assert_eq!(blamed(&desk), []);
}

#[test]
fn one_worker_alone_is_not_audited() {
    let mut desk = running(rules(), 2, &["a"]);
    // A stranger does not help, and one of an older build might get what it does not know.
    desk.announce("other", "g", &[]);
    desk.report("a", "bulk 1 batch 0/0", Outcome::BatchDone);
    desk.announce("b", "f", &[]);
    desk.say(older());
    desk.report("a", "bulk 1 batch 0/1", Outcome::BatchDone);
    assert_eq!(desk.published(), ["media 1 assemble 0"]);
    assert_eq!(ended(&desk), []);
}

/// A worker of a build that does not know audits.
fn older() -> Input {
    Input::Announced(Announcement {
        audits: false,
        ..announcement("old", "f", Vec::new())
    })
}

#[test]
fn an_audit_waits_until_everybody_was_heard_who_might_not_know_it() {
    let mut desk = running(rules(), 2, &["a", "b"]);
    // It has just begun to listen.
    desk.scheduler.listening_since = desk.now;
    desk.report("a", "bulk 1 batch 0/0", Outcome::BatchDone);
    desk.say(older());
    assert_eq!(desk.published(), Vec::<String>::new());
    // It is forgotten 15 s after its last word.
    desk.pass(14, &["a", "b"]);
    assert_eq!(desk.published(), Vec::<String>::new());
    desk.pass(2, &["a", "b"]);
    assert_eq!(desk.published(), ["bulk 1 audit 0/0 1"]);
}

#[test]
fn the_stated_share_is_audited() {
    let audits = |audit_share| {
        let rules = Rules { audit_share, ..rules() };
        let mut desk = running(rules, 500, &["a", "b"]);
        let mut audits = 0;
        for _ in 0..500 {
            let batch = desk.scheduler.place(id(1)).unwrap().finished.len();
            desk.report("a", &format!("bulk 1 batch 0/{batch}"), Outcome::BatchDone);
            // They yield to what stands in line.
            desk.pass(if batch.is_multiple_of(10) { 300 } else { 0 }, &["a", "b"]);
            let published = desk.published();
            for audit in published.iter().filter(|task| task.contains("audit")) {
                audits += 1;
                desk.report("b", audit, Outcome::Audited(Audited::Equal));
            }
        }
        audits
    };
    assert_eq!(audits(0.0), 0);
    let some = audits(0.1);
    assert!((25..=80).contains(&some), "{some} of 500");
}

#[test]
fn a_third_worker_decides_who_is_wrong() {
    for (third, wrong) in [
        (Outcome::Audited(Audited::Equal), Some("b")),
        (different("other"), Some("a")),
        (different("another"), None),
    ] {
        let (mut desk, audit) = audited(&["a", "b", "c"]);
        desk.report("b", &audit, different("other"));
        assert_eq!(desk.published(), ["bulk 1 audit 0/0 2"]);
        let again = desk.task("bulk 1 audit 0/0 2");
        assert_eq!(again.except, [WorkerId::new("b")]);
        // One that comes twice does not decide.
        desk.report("b", &audit, different("other"));
        assert_eq!(blamed(&desk), []);
        desk.report("c", "bulk 1 audit 0/0 2", third);
        assert_eq!(blamed(&desk), [wrong.map(str::to_owned)]);
        let outcome = match wrong {
            Some(_) => AuditOutcome::Different,
            None => AuditOutcome::Undecided,
        };
        assert_eq!(ended(&desk), [outcome]);
        assert_eq!(desk.done.iter().filter(|done| done.contains("distrust")).count(), 0);
    }
}

#[test]
fn where_there_is_no_third_nobody_is_accused() {
    let (mut desk, audit) = audited(&["a", "b"]);
    desk.pass(20, &["a", "b"]);
    desk.report("b", &audit, different("other"));
    assert_eq!(desk.published(), Vec::<String>::new());
    assert_eq!(
        (ended(&desk), blamed(&desk)),
        (vec![AuditOutcome::Undecided], vec![None])
    );

    // The same where the third goes away.
    let (mut desk, audit) = audited(&["a", "b", "c"]);
    desk.report("b", &audit, different("other"));
    desk.pass(3700, &["a", "b"]);
    assert_eq!(
        (ended(&desk), blamed(&desk)),
        (vec![AuditOutcome::Undecided], vec![None])
    );
}

/// `a` makes two batches that `b` and `c` both make otherwise.
fn wrong_twice() -> Desk {
    let (mut desk, audit) = audited(&["a", "b", "c"]);
    desk.report("b", &audit, different("right"));
    desk.report("c", "bulk 1 audit 0/0 2", different("right"));
    assert_eq!(desk.scheduler.distrusted(), 0);
    desk.report("a", "bulk 1 batch 0/1", Outcome::BatchDone);
    desk.report("c", "bulk 1 audit 0/1 1", different("right"));
    desk.report("b", "bulk 1 audit 0/1 2", different("right"));
    desk
}

fn told(desk: &Desk) -> usize {
    desk.done.iter().filter(|done| *done == "distrust a").count()
}

#[test]
fn a_worker_that_is_wrong_twice_is_told_to_stop_until_it_says_so() {
    let mut desk = wrong_twice();
    assert_eq!((told(&desk), desk.scheduler.distrusted()), (1, 1));
    let live = |desk: &Desk| desk.scheduler.classes()[0].workers;
    desk.pass(20, &["a", "b", "c"]);
    assert_eq!((told(&desk), live(&desk)), (5, 2), "{:?}", desk.done);
    desk.say(Input::Announced(stopped()));
    assert_eq!((told(&desk), desk.scheduler.distrusted()), (5, 1));
    // Once it is gone, nothing is left of it.
    desk.pass(20, &["b", "c"]);
    assert_eq!((told(&desk), desk.scheduler.distrusted(), live(&desk)), (5, 0, 2));
}

/// `a`, which has heard that it is distrusted.
fn stopped() -> Announcement {
    Announcement {
        draining: true,
        distrusted: true,
        ..announcement("a", "f", Vec::new())
    }
}

#[test]
fn another_scheduler_hears_from_the_worker_that_it_is_distrusted() {
    let mut desk = wrong_twice();
    desk.take_over();
    assert_eq!(desk.scheduler.distrusted(), 0);
    desk.say(Input::Announced(stopped()));
    assert_eq!(desk.scheduler.distrusted(), 1);
}

#[test]
fn what_a_distrusted_worker_finds_counts_for_nothing() {
    let mut desk = wrong_twice();
    desk.submit(2, SourceKind::Video);
    desk.report("b", "media 2 plan 0", Outcome::Planned(plan(0, 2)));
    desk.report("b", "bulk 2 batch 0/0", Outcome::BatchDone);
    desk.published();
    desk.notes.clear();
    desk.report("a", "bulk 2 audit 0/0 1", different("wrong"));
    assert_eq!((ended(&desk), blamed(&desk)), (vec![], vec![]));
    let again = next(&mut desk, &["b", "c"]);
    assert_eq!(again, "bulk 2 audit 0/0 2");
    // Nothing is in doubt that this would decide.
    desk.report("c", &again, Outcome::Audited(Audited::Equal));
    assert_eq!((ended(&desk), blamed(&desk)), (vec![AuditOutcome::Equal], vec![]));
}

#[test]
fn a_job_whose_only_workers_are_distrusted_is_planned_for_others() {
    let mut desk = wrong_twice();
    desk.submit(2, SourceKind::Video);
    desk.report("b", "media 2 plan 0", Outcome::Planned(plan(0, 2)));
    for _ in 0..130 {
        desk.pass_holding(5, &[]);
        desk.say(Input::Announced(stopped()));
        desk.announce("d", "g", &[]);
    }
    let planned_for = desk.record(2).planned_for.clone().unwrap();
    assert_eq!(planned_for.fingerprint.as_deref(), Some("g"));
}

#[test]
fn an_audit_that_no_worker_may_take_comes_again_eight_times_at_growing_intervals() {
    let (mut desk, mut audit) = audited(&["a", "b"]);
    for attempt in 2..=8 {
        desk.report("a", &audit, Outcome::Audited(Audited::Own));
        assert_eq!(desk.published(), Vec::<String>::new());
        audit = next(&mut desk, &["a", "b"]);
        assert_eq!(audit, format!("bulk 1 audit 0/0 {attempt}"));
    }
    assert_eq!(ended(&desk), []);
    desk.report("a", &audit, Outcome::Returned);
    assert_eq!(ended(&desk), [AuditOutcome::Skipped]);
}

#[test]
fn an_audit_ends_however_it_gets_lost() {
    type Lose = fn(&mut Desk, Task);
    let lost: [(&str, Lose); 4] = [
        ("deleted", |desk, task| {
            let gone = Outcome::Audited(Audited::Gone);
            desk.say(Input::Control(ControlMessage::Report(report("b", task, gone))));
        }),
        ("its workers die", |desk, task| desk.say(Input::DeadLetter(task))),
        ("the queue loses it", |desk, _| desk.pass(3600, &["a", "b"])),
        ("it is never published", |desk, task| {
            for _ in 0..8 {
                desk.say(Input::PublishFailed(task.clone()));
                if ended(desk).is_empty() {
                    let audit = next(desk, &["a", "b"]);
                    let task = desk.task(&audit);
                    desk.say(Input::PublishFailed(task));
                }
            }
        }),
    ];
    for (how, lose) in lost {
        let (mut desk, audit) = audited(&["a", "b"]);
        let task = desk.task(&audit);
        lose(&mut desk, task);
        let expected = match how {
            "deleted" => AuditOutcome::Gone,
            _ => AuditOutcome::Skipped,
        };
        assert_eq!(ended(&desk), [expected], "{how}");
        assert_eq!(desk.state(1), State::Running, "{how}");
    }
}

#[test]
fn batches_of_jobs_go_first_for_five_minutes() {
    let mut desk = running(rules(), 100, &["a", "b"]);
    let holds = |from: u64| -> Vec<String> {
        (from..from + 6)
            .map(|batch| format!("bulk 1 batch 0/{batch}"))
            .collect()
    };
    let pass = |desk: &mut Desk, from, seconds| {
        let held = holds(from);
        let held: Vec<&str> = held.iter().map(String::as_str).collect();
        desk.pass_holding(seconds, &[("a", &held), ("b", &held[..1])]);
        desk.published().iter().filter(|task| task.contains("audit")).count()
    };
    desk.report("a", "bulk 1 batch 0/0", Outcome::BatchDone);
    assert_eq!(pass(&mut desk, 1, 299), 0);
    assert_eq!(pass(&mut desk, 1, 1), 1);
    // One at a time, and no batch less is out for it.
    desk.report("a", "bulk 1 batch 0/1", Outcome::BatchDone);
    assert_eq!(pass(&mut desk, 2, 310), 0);
    let bulk = Destination::Work(Lane::Bulk, ClassName::default());
    let lanes = desk.scheduler.lanes();
    let lane = lanes.iter().find(|lane| lane.queue == bulk).unwrap();
    // Two a worker, two to spare, and the line.
    assert_eq!(lane.tasks, 7);
}

/// Something that happens, to a scheduler that audits and to one that does not.
#[derive(Clone, Debug)]
enum Happens {
    /// The task that was published as the nth of those that are not done is done.
    Done(prop::sample::Index, u8),
    /// The same of the audits.
    Audited(prop::sample::Index, u8),
    Pass(u64),
    Wants(Command),
    TakeOver,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (any::<prop::sample::Index>(), 0..3_u8).prop_map(|(index, worker)| Happens::Done(index, worker)),
        6 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(index, how)| Happens::Audited(index, how)),
        3 => (1..40_u64).prop_map(Happens::Pass),
        1 => prop_oneof![Just(Command::Pause), Just(Command::Resume)].prop_map(Happens::Wants),
        1 => Just(Happens::TakeOver),
    ]
}

const WORKERS: [&str; 3] = ["a", "b", "c"];

/// Tasks that are out, and audits that are.
#[derive(Default)]
struct Out {
    tasks: Vec<String>,
    audits: Vec<String>,
}

impl Out {
    fn take(&mut self, desk: &mut Desk) {
        for task in desk.published() {
            let list = if task.contains("audit") {
                &mut self.audits
            } else {
                &mut self.tasks
            };
            list.push(task);
        }
    }
}

fn happen(desk: &mut Desk, out: &mut Out, what: &Happens) {
    match what {
        Happens::Done(index, worker) if !out.tasks.is_empty() => {
            let task = out.tasks.remove(index.index(out.tasks.len()));
            let outcome = if task.contains("plan") {
                Outcome::Planned(plan(0, 40))
            } else {
                Outcome::BatchDone
            };
            desk.report(WORKERS[usize::from(*worker)], &task, outcome);
        }
        Happens::Audited(index, how) if !out.audits.is_empty() => {
            let audit = out.audits[index.index(out.audits.len())].clone();
            let outcome = match how % 6 {
                0 => Outcome::Audited(Audited::Equal),
                1 => Outcome::Audited(Audited::Gone),
                2 => Outcome::Audited(Audited::Own),
                3 => Outcome::Returned,
                4 => different("one"),
                _ => different("other"),
            };
            if how % 11 == 0 {
                desk.say(Input::DeadLetter(desk.task(&audit)));
            } else {
                desk.report(WORKERS[usize::from(how % 3)], &audit, outcome);
            }
        }
        Happens::Done(..) | Happens::Audited(..) => {}
        Happens::Pass(seconds) => desk.pass(*seconds, &WORKERS),
        Happens::Wants(command) if desk.record(1).clone().want(*command).is_ok() => desk.command(1, *command),
        Happens::Wants(_) => {}
        Happens::TakeOver => desk.say(Input::Activated),
    }
    out.take(desk);
}

proptest! {
    /// Whatever becomes of audits, jobs see nothing of them.
    #[test]
    fn nothing_changes_for_jobs(script in prop::collection::vec(happens(), 1..80)) {
        let rules = |audit_share| Rules { audit_share, disagreements: u32::MAX, ..rules() };
        let mut desks = [1.0, 0.0].map(|share| {
            let mut desk = Desk::with(rules(share));
            desk.pass(5, &WORKERS);
            desk.submit(1, SourceKind::Video);
            let mut out = Out::default();
            out.take(&mut desk);
            (desk, out)
        });
        for what in &script {
            for (desk, out) in &mut desks {
                happen(desk, out, what);
            }
            let [(with, some), (without, none)] = &desks;
            prop_assert_eq!(with.record(1), without.record(1));
            prop_assert_eq!(&some.tasks, &none.tasks);
            prop_assert_eq!(&with.done, &without.done);
            prop_assert_eq!(with.scheduler.lanes(), without.scheduler.lanes());
            prop_assert!(none.audits.is_empty());
        }
    }
}
