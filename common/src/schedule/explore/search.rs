//! The search itself.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::actions::{Action, all, apply, fair_step};
use super::canon::canonical;
use super::world::{Setup, World};

/// How a state was reached, and where a fair course of things goes from it.
struct Visit {
    parent: u64,
    action: Option<Action>,
    /// The next state of a fair course; nothing where all is settled.
    fair: Option<u64>,
}

/// In which order states are visited. All are, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// What is found is found in the fewest steps.
    BreadthFirst,
    /// What is still to be visited fits into memory.
    DepthFirst,
}

/// Visits every state that can be reached, and checks each.
pub(super) fn explore(name: &str, setup: &Setup, order: Order) {
    let began = Instant::now();
    let mut first = World::new(setup);
    if order == Order::DepthFirst {
        // It goes the longest way round to every state; what goes on for ever is found in the end.
        first.many_writes = u64::MAX;
    }
    let start = canonical(&first);
    let mut visits: HashMap<u64, Visit> = HashMap::new();
    let visit = |parent, action| Visit {
        parent,
        action,
        fair: None,
    };
    visits.insert(start, visit(start, None));
    let mut open = VecDeque::from([(start, first)]);
    let next = |open: &mut VecDeque<_>| match order {
        Order::BreadthFirst => open.pop_front(),
        Order::DepthFirst => open.pop_back(),
    };
    while let Some((id, world)) = next(&mut open) {
        if let Some(broken) = &world.broken {
            panic!("{name}: {broken}\n{}", course(&visits, setup, id));
        }
        let fair = (!world.is_settled()).then(|| fair_step(&world));
        for action in all(&world, setup) {
            let mut next = world.clone();
            apply(&mut next, setup, action);
            let reached = canonical(&next);
            if Some(action) == fair
                && let Some(seen) = visits.get_mut(&id)
            {
                seen.fair = Some(reached);
            }
            visits.entry(reached).or_insert_with(|| {
                open.push_back((reached, next));
                visit(id, Some(action))
            });
        }
    }
    check_ends(name, setup, &visits);
    println!(
        "{name}: {} states in {:.1} s",
        visits.len(),
        began.elapsed().as_secs_f64()
    );
}

/// From every state, the fair course ends where all is settled.
fn check_ends(name: &str, setup: &Setup, visits: &HashMap<u64, Visit>) {
    let mut ends: HashMap<u64, bool> = HashMap::new();
    for start in visits.keys() {
        let mut path = Vec::new();
        let mut at = *start;
        let good = loop {
            if let Some(known) = ends.get(&at) {
                break *known;
            }
            ends.insert(at, false);
            path.push(at);
            match visits[&at].fair {
                Some(next) => at = next,
                None => break true,
            }
        };
        for state in &path {
            ends.insert(*state, good);
        }
        assert!(good, "{name}: this goes on for ever\n{}", course(visits, setup, *start));
    }
}

/// How a state was reached and, if it goes on for ever, how it goes on.
fn course(visits: &HashMap<u64, Visit>, setup: &Setup, end: u64) -> String {
    let mut actions = Vec::new();
    let mut at = end;
    while let Some(action) = visits[&at].action {
        actions.push(action);
        at = visits[&at].parent;
    }
    let mut world = World::new(setup);
    let mut told = vec![summary(&world)];
    let tell = |world: &mut World, action: Action, told: &mut Vec<String>| {
        apply(world, setup, action);
        told.push(format!("{action:?}\n      {}", summary(world)));
    };
    for action in actions.into_iter().rev() {
        tell(&mut world, action, &mut told);
    }
    if world.broken.is_none() {
        told.push("-- and then".to_owned());
        for _ in 0..60 {
            if world.is_settled() {
                break;
            }
            let action = fair_step(&world);
            tell(&mut world, action, &mut told);
        }
    }
    told.join("\n")
}

fn summary(world: &World) -> String {
    let records = world.store.records.values().map(|stored| {
        let record = &stored.record;
        let plan = record.plan.as_ref().map(|plan| plan.number);
        format!(
            "{} g{} plan {plan:?} next {} {:?}",
            record.state,
            record.generation,
            record.next_plan,
            record.pending()
        )
    });
    let records: Vec<_> = records.collect();
    let held: Vec<_> = world
        .workers
        .iter()
        .map(|worker| {
            worker
                .held
                .as_ref()
                .map(|held| (held.task.step, held.task.generation, held.phase))
        })
        .collect();
    let queued: Vec<_> = world
        .queues
        .values()
        .flatten()
        .map(|message| (message.task.step, message.task.generation))
        .collect();
    let fences: Vec<_> = world
        .processes
        .iter()
        .flat_map(|p| p.scheduler.jobs.values())
        .map(|job| {
            (
                job.fence,
                job.listed,
                &job.flights,
                &job.again,
                job.slot,
                job.turn.is_some(),
            )
        })
        .collect();
    let todo: Vec<_> = world
        .processes
        .iter()
        .map(|p| (p.todo.len(), p.answers.len()))
        .collect();
    format!(
        "{:?} {records:?} held {held:?} queued {queued:?} todo {todo:?} control {} known {fences:?}",
        world.now,
        world.control.len()
    )
}
