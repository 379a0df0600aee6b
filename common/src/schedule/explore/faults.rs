//! What can go wrong, and what it is when it does.

use super::actions::Action;
use super::world::{Control, Fault, Half, Setup, World};
use crate::job::ControlMessage;
use crate::schedule::{Effect, Input};

/// What can go wrong now.
pub(super) fn possible(world: &World, setup: &Setup, actions: &mut Vec<Action>) {
    for fault in setup.faults.iter().copied() {
        let mut add = |at, variant| actions.push(Action::Fault { fault, at, variant });
        match fault {
            Fault::WorkerLeaves => {
                let free = |worker: &usize| world.workers[*worker].held.is_none();
                (0..world.workers.len())
                    .filter(free)
                    .for_each(|worker| add(worker, false));
            }
            Fault::WorkerDies | Fault::TimesOut | Fault::Silent => {
                for (worker, state) in world.workers.iter().enumerate() {
                    let holds = state.held.as_ref().is_some_and(|held| held.message.is_some());
                    let may = match fault {
                        Fault::Silent => state.silent == 0 && state.held.is_some(),
                        // The death of a worker that works for nobody any more changes nothing for anybody.
                        _ => holds,
                    };
                    if may {
                        add(worker, false);
                    }
                }
            }
            Fault::SchedulerDies | Fault::FailsOver => {
                // A crash of one that has nothing to do and knows nothing is none.
                add(0, false);
            }
            Fault::Wiped => {
                let any = world.queues.values().any(|queue| !queue.is_empty()) || !world.control.is_empty();
                if any {
                    add(0, false);
                }
            }
            Fault::Doubled => {
                if !world.control.is_empty() {
                    add(0, true);
                }
                if world.queues.values().any(|queue| !queue.is_empty()) {
                    add(0, false);
                }
            }
            Fault::HintLost => {
                let hint = |message: &ControlMessage| {
                    matches!(message, ControlMessage::Look { .. } | ControlMessage::Watch { .. })
                };
                if let Some(Control::Message(message)) = world.control.front()
                    && hint(message)
                {
                    add(0, false);
                }
            }
            Fault::StorageFails => {
                if let Some(process) = world.processes.iter().find(|process| process.consumes) {
                    for (index, effect) in process.todo.iter().enumerate() {
                        if failed(effect).is_some() {
                            add(index, false);
                            add(index, true);
                        }
                    }
                }
            }
        }
    }
}

/// It does.
pub(super) fn go_wrong(world: &mut World, setup: &Setup, fault: Fault, at: usize, variant: bool) {
    match fault {
        Fault::WorkerDies => {
            let worker = &mut world.workers[at];
            worker.lives += 1;
            worker.silent = 0;
            if let Some((from, message)) = worker.held.take().and_then(|held| Some((held.from, held.message?))) {
                world.give_back(from, message, setup.delivery_limit);
            }
        }
        Fault::WorkerLeaves => {
            world.workers.remove(at);
        }
        Fault::TimesOut => {
            let held = world.workers[at].held.as_mut();
            if let Some((from, message)) = held.and_then(|held| Some((held.from, held.message.take()?))) {
                world.give_back(from, message, setup.delivery_limit);
            }
        }
        Fault::SchedulerDies => {
            world.processes.retain(|process| !process.consumes);
            world.start_scheduler(setup);
        }
        Fault::FailsOver => {
            world.processes.retain(|process| process.consumes);
            world.start_scheduler(setup);
        }
        Fault::Wiped => {
            world.queues.clear();
            world.control.clear();
            world
                .workers
                .iter_mut()
                .flat_map(|worker| &mut worker.held)
                .for_each(|held| held.message = None);
            if let Some(process) = world.processes.iter().position(|process| process.consumes) {
                world.feed(process, Input::BrokerBack);
            }
        }
        Fault::Doubled if variant => {
            let first = world.control.front().cloned();
            world.control.extend(first);
        }
        Fault::Doubled => {
            if let Some(queue) = world.queues.values_mut().find(|queue| !queue.is_empty()) {
                let first = queue.front().cloned();
                queue.extend(first);
            }
        }
        Fault::HintLost => {
            world.control.pop_front();
        }
        Fault::StorageFails => {
            let Some(process) = world.processes.iter().position(|process| process.consumes) else {
                return;
            };
            let effect = world.processes[process].todo.remove(at);
            let answer = failed(&effect);
            if variant {
                // It happened all the same; only the answer is another.
                let before = world.processes[process].answers.len();
                world.carry_out(process, effect, Half::First);
                world.processes[process].answers.truncate(before);
                world.processes[process].half.clear();
            }
            world.processes[process].answers.extend(answer);
        }
        Fault::Silent => world.workers[at].silent = 3,
    }
}

/// What a shell says when an effect failed.
fn failed(effect: &Effect) -> Option<Input> {
    match effect {
        Effect::Read { job, ticket, .. }
        | Effect::ListMarkers { job, ticket, .. }
        | Effect::Settle { job, ticket, .. }
        | Effect::Delete { job, ticket, .. } => Some(Input::Failed {
            job: *job,
            ticket: *ticket,
        }),
        Effect::Replace { ticket, record, .. } => Some(Input::Failed {
            job: record.id,
            ticket: *ticket,
        }),
        Effect::Publish { task, .. } => Some(Input::PublishFailed(task.clone())),
        Effect::ListActive => Some(Input::ListFailed),
        _ => None,
    }
}
