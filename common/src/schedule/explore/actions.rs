//! What can happen next.

use std::collections::VecDeque;

use super::faults;
use super::work::mishaps;
use super::world::{Control, Fault, Half, Phase, Setup, World};
use crate::job::{ClassName, Command, ControlMessage, JobId, Lane, OwnerId, SourceKind};
use crate::schedule::{Destination, Effect, Input};

/// One step of one party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The API tells the person, and hints.
    AnswerCommand,
    /// A scheduler's shell carries out an effect, or its second half.
    CarryOut { process: usize, index: usize, half: Half },
    /// A scheduler hears the answer.
    Answer { process: usize, index: usize },
    /// The active scheduler takes a message from the control queue.
    Control,
    /// A worker takes a message.
    Take { worker: usize, from: Destination },
    /// A worker goes on: it makes what is asked, reports; or one of the mishaps happens.
    GoOn { worker: usize, mishap: Option<usize> },
    /// A worker acknowledges.
    Acknowledge { worker: usize },
    /// Time passes.
    Time,
    /// A scheduler that was replaced finds out and ends.
    EndOld { process: usize },
    /// Somebody commands.
    Command { job: JobId, command: Command },
    /// Somebody looks at a film, at a batch that is not there yet.
    Watch { job: JobId, plan: u32, batch: u64 },
    /// Something goes wrong, at a worker or an effect where there are several.
    Fault { fault: Fault, at: usize, variant: bool },
}

/// The queues that workers of the only class take from, the most urgent first.
fn queues() -> [Destination; 3] {
    let class = ClassName::default();
    [
        Destination::Work(Lane::Interactive, class),
        Destination::Media,
        Destination::Work(Lane::Bulk, class),
    ]
}

/// What the parties do by themselves, in the order in which a fair course of things takes it.
pub(super) fn steps(world: &World) -> Vec<Action> {
    let mut actions = Vec::new();
    if world.api.is_some() {
        actions.push(Action::AnswerCommand);
    }
    for (process, state) in world.processes.iter().enumerate() {
        let carry_out = |half| move |index| Action::CarryOut { process, index, half };
        actions.extend((0..state.half.len()).map(carry_out(Half::Second)));
        actions.extend((0..state.todo.len()).map(carry_out(Half::First)));
        actions.extend((0..state.answers.len()).map(|index| Action::Answer { process, index }));
    }
    if !world.control.is_empty() && world.processes.iter().any(|process| process.consumes) {
        actions.push(Action::Control);
    }
    for (worker, state) in world.workers.iter().enumerate() {
        match state.held.as_ref().map(|held| held.phase) {
            Some(Phase::Acknowledges) => actions.push(Action::Acknowledge { worker }),
            Some(_) => actions.push(Action::GoOn { worker, mishap: None }),
            None => {}
        }
    }
    actions.extend(takes(world));
    actions
}

/// Free workers take what there is; those that may do it come first.
fn takes(world: &World) -> Vec<Action> {
    let mut takes = Vec::new();
    for from in queues() {
        let Some(message) = world.queues.get(&from).and_then(VecDeque::front) else {
            continue;
        };
        let record = world.store.records.get(&message.task.job).map(|stored| &stored.record);
        let wanted = record.and_then(|record| record.planned_for.as_ref()?.fingerprint.as_deref());
        let free = world
            .workers
            .iter()
            .enumerate()
            .filter(|(_, worker)| worker.held.is_none());
        takes.extend(free.map(|(worker, state)| {
            let is_other = wanted.is_some_and(|wanted| wanted != state.fingerprint);
            (is_other, Action::Take { worker, from })
        }));
    }
    takes.sort_by_key(|(is_other, _)| *is_other);
    takes.into_iter().map(|(_, action)| action).collect()
}

/// What a fair course of things does next: whoever has something to do does it; then time passes.
pub(super) fn fair_step(world: &World) -> Action {
    let old = world.processes.iter().position(|process| !process.consumes);
    let end_old = old.map(|process| Action::EndOld { process });
    steps(world).first().copied().or(end_old).unwrap_or(Action::Time)
}

/// All that can happen, within the budget.
pub(super) fn all(world: &World, setup: &Setup) -> Vec<Action> {
    let mut actions = steps(world);
    let is_quiet = actions.is_empty();
    if (is_quiet && !world.is_settled()) || (!is_quiet && world.budget.slow > 0) {
        actions.push(Action::Time);
    }
    for (process, state) in world.processes.iter().enumerate() {
        if !state.consumes {
            actions.push(Action::EndOld { process });
        }
    }
    if world.budget.mishaps > 0 {
        for (worker, state) in world.workers.iter().enumerate() {
            if let Some(held) = state.held.as_ref().filter(|held| held.phase == Phase::Works) {
                let mishap = |index| Action::GoOn {
                    worker,
                    mishap: Some(index),
                };
                actions.extend((0..mishaps(held.task.step).len()).map(mishap));
            }
        }
    }
    if world.budget.commands > 0 && world.api.is_none() {
        for (job, stored) in &world.store.records {
            let legal = |command: &&Command| stored.record.clone().want(**command).is_ok();
            let legal: Vec<_> = setup.commands.iter().filter(legal).collect();
            actions.extend(legal.into_iter().map(|command| Action::Command {
                job: *job,
                command: *command,
            }));
        }
    }
    if world.budget.playheads > 0 {
        playheads(world, &mut actions);
    }
    if world.budget.faults > 0 {
        faults::possible(world, setup, &mut actions);
    }
    actions
}

fn playheads(world: &World, actions: &mut Vec<Action>) {
    for (job, stored) in &world.store.records {
        let Some(plan) = stored
            .record
            .plan
            .as_ref()
            .filter(|plan| plan.kind == SourceKind::Video)
        else {
            continue;
        };
        let (job, number) = (*job, plan.number);
        let markers = world.store.markers.get(&(job, number));
        let is_missing = |batch: &u64| markers.is_none_or(|markers| !markers.contains(batch));
        let watch = |batch| Action::Watch {
            job,
            plan: number,
            batch,
        };
        actions.extend((0..plan.batches).filter(is_missing).map(watch));
    }
}

/// The world after an action, and after what nothing can come between any more.
pub(super) fn apply(world: &mut World, setup: &Setup, action: Action) {
    act(world, setup, action);
    while let Some(action) = at_once(world, setup) {
        act(world, setup, action);
    }
}

/// A step that is taken at once, since it makes no difference when: the fewer orders of such steps are told apart, the
/// more of the others can be.
fn at_once(world: &World, setup: &Setup) -> Option<Action> {
    let may_fail = world.budget.faults > 0;
    let is_moved = world.budget.commands > 0 || world.api.is_some() || world.processes.len() > 1;
    for (process, state) in world.processes.iter().enumerate() {
        // Nobody but the scheduler changes records now: when it hears an answer makes no difference.
        if !may_fail && !is_moved && !state.answers.is_empty() {
            return Some(Action::Answer { process, index: 0 });
        }
        let is_listing = |answer: &Input| matches!(answer, Input::Listed(_));
        if let Some(index) = state
            .answers
            .iter()
            .position(is_listing)
            .filter(|_| setup.lists_at_once)
        {
            return Some(Action::Answer { process, index });
        }
        let goes = |effect: &Effect| match effect {
            Effect::ListActive => setup.lists_at_once,
            Effect::Publish { .. } => !may_fail,
            _ => false,
        };
        if let Some(index) = state.todo.iter().position(goes) {
            let half = Half::First;
            return Some(Action::CarryOut { process, index, half });
        }
    }
    // What a worker has made is seen; nobody waits for it to say so but who hears the report.
    let finished = |held: &super::world::Held| held.phase != Phase::Works;
    let worker = world
        .workers
        .iter()
        .position(|worker| worker.held.as_ref().is_some_and(finished));
    worker.filter(|_| !may_fail).map(
        |worker| match world.workers[worker].held.as_ref().map(|held| held.phase) {
            Some(Phase::Acknowledges) => Action::Acknowledge { worker },
            _ => Action::GoOn { worker, mishap: None },
        },
    )
}

fn act(world: &mut World, setup: &Setup, action: Action) {
    match action {
        Action::AnswerCommand => world.answer_command(),
        Action::CarryOut { process, index, half } => {
            let state = &mut world.processes[process];
            let effect = match half {
                Half::First => state.todo.remove(index),
                Half::Second => state.half.remove(index),
            };
            world.carry_out(process, effect, half);
        }
        Action::Answer { process, index } => {
            let answer = world.processes[process].answers.remove(index);
            world.feed(process, answer);
        }
        Action::Control => {
            let consumer = world.processes.iter().position(|process| process.consumes);
            if let (Some(process), Some(message)) = (consumer, world.control.pop_front()) {
                let input = match message {
                    Control::Message(message) => Input::Control(message),
                    Control::Dead(task) => Input::DeadLetter(task),
                };
                world.feed(process, input);
            }
        }
        Action::Take { worker, from } => {
            world.take(worker, from);
            say_what_is_held(world, setup);
        }
        Action::GoOn { worker, mishap } => {
            let outcome = mishap.and_then(|index| {
                let held = world.workers[worker].held.as_ref()?;
                mishaps(held.task.step).into_iter().nth(index)
            });
            world.budget.mishaps -= u8::from(outcome.is_some());
            world.go_on(worker, setup.batches, outcome);
        }
        Action::Acknowledge { worker } => {
            world.workers[worker].held = None;
            say_what_is_held(world, setup);
        }
        Action::Time => {
            if !steps(world).is_empty() {
                world.budget.slow -= 1;
            }
            world.pass_time();
        }
        Action::EndOld { process } => {
            world.processes.remove(process);
        }
        Action::Command { job, command } => {
            world.budget.commands -= 1;
            world.command(job, command);
        }
        Action::Watch { job, plan, batch } => {
            world.budget.playheads -= 1;
            let owner = OwnerId::default();
            let watch = ControlMessage::Watch {
                job,
                owner,
                plan,
                batch,
            };
            world.control.push_back(Control::Message(watch));
        }
        Action::Fault { fault, at, variant } => {
            world.budget.faults -= 1;
            // Where workers say what they hold, nothing is made twice because a scheduler or a broker was lost.
            let is_wasteful = matches!(fault, Fault::TimesOut | Fault::Doubled | Fault::Silent);
            world.wasteful += u8::from(is_wasteful || !setup.announces_at_once);
            faults::go_wrong(world, setup, fault, at, variant);
        }
    }
}

fn say_what_is_held(world: &mut World, setup: &Setup) {
    if setup.announces_at_once {
        world.announce();
    }
}
