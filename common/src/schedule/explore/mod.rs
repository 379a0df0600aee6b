//! All that can happen to a few jobs, a few workers and two schedulers, in every order, with everything that may go wrong at
//! any moment: breadth first over the real [`Scheduler`](super::Scheduler).
//!
//! In every state that can be reached: no rule is broken (see [`World::break_rule`]), and a course of things in which nothing
//! more goes wrong ends every job.

mod actions;
mod canon;
mod faults;
mod search;
mod shell;
mod work;
mod world;

use self::search::Order::{BreadthFirst, DepthFirst};
use self::search::explore;
use self::world::{ALL_FAULTS, Budget, Fault, Setup};
use crate::job::{Command, SourceKind};

const COMMANDS: &[Command] = &[
    Command::Cancel,
    Command::Pause,
    Command::Resume,
    Command::Retry,
    Command::Redo,
    Command::Delete,
];

const NOTHING: Budget = Budget {
    faults: 0,
    slow: 0,
    commands: 0,
    mishaps: 0,
    playheads: 0,
};

/// A film of two batches and two workers.
fn film(budget: Budget) -> Setup {
    Setup {
        jobs: vec![SourceKind::Video],
        batches: 2,
        workers: vec!["f", "f"],
        budget,
        delivery_limit: 5,
        window: None,
        commands: COMMANDS,
        faults: ALL_FAULTS,
        announces_at_once: true,
        lists_at_once: true,
    }
}

#[test]
fn a_film_while_nothing_goes_wrong() {
    explore("a film", &film(NOTHING), BreadthFirst);
}

#[test]
fn a_film_and_any_one_fault() {
    explore(
        "a film, one fault",
        &film(Budget { faults: 1, ..NOTHING }),
        BreadthFirst,
    );
}

#[test]
fn a_film_whose_scheduler_or_broker_is_lost_while_workers_work() {
    let setup = Setup {
        faults: &[Fault::SchedulerDies, Fault::Wiped],
        ..film(Budget {
            faults: 1,
            slow: 1,
            ..NOTHING
        })
    };
    explore("a film, scheduler or broker lost, a late step", &setup, BreadthFirst);
}

#[test]
fn a_film_and_any_command() {
    explore(
        "a film, a command, a late step",
        &film(Budget {
            commands: 1,
            slow: 1,
            ..NOTHING
        }),
        BreadthFirst,
    );
}

#[test]
fn a_film_that_is_paused_and_goes_on_or_is_begun_once_more() {
    for commands in [
        &[Command::Pause, Command::Resume][..],
        &[Command::Cancel, Command::Retry],
        &[Command::Redo, Command::Pause],
    ] {
        let setup = Setup {
            workers: vec!["f"],
            commands,
            ..film(Budget { commands: 2, ..NOTHING })
        };
        explore(&format!("a film, twice of {commands:?}"), &setup, BreadthFirst);
    }
}

#[test]
fn a_film_and_any_mishap() {
    explore(
        "a film, a mishap",
        &film(Budget {
            mishaps: 1,
            slow: 1,
            ..NOTHING
        }),
        BreadthFirst,
    );
}

#[test]
#[ignore = "half a minute"]
fn a_film_and_any_two_commands() {
    explore(
        "a film, two commands",
        &film(Budget { commands: 2, ..NOTHING }),
        DepthFirst,
    );
}

#[test]
#[ignore = "minutes"]
fn a_film_and_a_fault_and_a_late_step() {
    explore(
        "a film, one fault, a late step",
        &film(Budget {
            faults: 1,
            slow: 1,
            ..NOTHING
        }),
        DepthFirst,
    );
}

#[test]
#[ignore = "minutes"]
fn a_film_and_a_fault_and_a_command() {
    explore(
        "a film, one fault, one command",
        &film(Budget {
            faults: 1,
            commands: 1,
            ..NOTHING
        }),
        DepthFirst,
    );
}

/// All faults but that a second scheduler works beside the first.
const FAULTS_OF_ONE: &[Fault] = &[
    Fault::WorkerDies,
    Fault::TimesOut,
    Fault::SchedulerDies,
    Fault::Wiped,
    Fault::Doubled,
    Fault::HintLost,
    Fault::StorageFails,
    Fault::Silent,
];

#[test]
fn a_film_and_any_two_faults_of_one_scheduler() {
    let setup = Setup {
        workers: vec!["f"],
        faults: FAULTS_OF_ONE,
        ..film(Budget { faults: 2, ..NOTHING })
    };
    explore("a film, one worker, two faults", &setup, DepthFirst);
}

#[test]
#[ignore = "half a minute"]
fn a_film_of_two_workers_and_any_two_faults_of_one_scheduler() {
    let setup = Setup {
        faults: FAULTS_OF_ONE,
        ..film(Budget { faults: 2, ..NOTHING })
    };
    explore("a film, two workers, two faults", &setup, DepthFirst);
}

#[test]
#[ignore = "minutes"]
fn a_film_of_one_batch_and_any_two_faults() {
    let setup = Setup {
        batches: 1,
        workers: vec!["f"],
        ..film(Budget { faults: 2, ..NOTHING })
    };
    explore("a film of one batch, two faults", &setup, DepthFirst);
}

#[test]
#[ignore = "minutes"]
fn a_film_and_two_losses_of_scheduler_broker_or_worker() {
    let setup = Setup {
        workers: vec!["f"],
        faults: &[Fault::WorkerDies, Fault::SchedulerDies, Fault::Wiped],
        ..film(Budget { faults: 2, ..NOTHING })
    };
    explore("a film, two losses", &setup, DepthFirst);
}

#[test]
fn a_batch_that_kills_its_worker_every_time() {
    let setup = Setup {
        workers: vec!["f"],
        delivery_limit: 1,
        faults: &[Fault::WorkerDies],
        ..film(Budget { faults: 4, ..NOTHING })
    };
    explore("one worker that dies up to four times", &setup, BreadthFirst);
}

#[test]
fn workers_of_two_fingerprints() {
    let setup = Setup {
        workers: vec!["f", "g"],
        faults: &[Fault::WorkerLeaves],
        ..film(Budget { faults: 1, ..NOTHING })
    };
    explore("two fingerprints", &setup, BreadthFirst);
}

/// A film of four batches, of which each lane gets one at a time, so that most wait in line.
fn narrow(budget: Budget) -> Setup {
    Setup {
        batches: 4,
        window: Some(1),
        ..film(budget)
    }
}

#[test]
fn a_film_that_two_look_at() {
    explore(
        "a film of four, two playheads",
        &narrow(Budget {
            playheads: 2,
            ..NOTHING
        }),
        BreadthFirst,
    );
}

#[test]
fn a_film_that_somebody_looks_at_and_any_one_fault() {
    explore(
        "a film of three, a playhead, one fault",
        &Setup {
            workers: vec!["f"],
            batches: 3,
            ..narrow(Budget {
                playheads: 1,
                faults: 1,
                ..NOTHING
            })
        },
        DepthFirst,
    );
}

#[test]
fn a_film_that_somebody_looks_at_and_any_mishap() {
    explore(
        "a film of four, a playhead, a mishap",
        &narrow(Budget {
            playheads: 1,
            mishaps: 1,
            ..NOTHING
        }),
        BreadthFirst,
    );
}

#[test]
fn a_film_that_somebody_looks_at_and_any_command() {
    explore(
        "a film of four, a playhead, a command",
        &narrow(Budget {
            playheads: 1,
            commands: 1,
            ..NOTHING
        }),
        BreadthFirst,
    );
}

#[test]
fn a_film_and_a_picture() {
    let setup = Setup {
        jobs: vec![SourceKind::Video, SourceKind::Picture],
        workers: vec!["f"],
        ..film(NOTHING)
    };
    explore("a film and a picture", &setup, BreadthFirst);
}
