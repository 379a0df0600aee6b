//! Once a second: how far tasks are, for whoever watches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::job::Task;
use tokio::time::MissedTickBehavior;

use super::core::Core;

/// Events of one task are at least this far apart.
const EVERY: Duration = Duration::from_secs(1);

/// Tells how far tasks are, those that have moved since. Ends with the worker's other tasks.
pub(super) async fn beat(core: Arc<Core>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: HashMap<Task, (u64, u64)> = HashMap::new();
    loop {
        ticks.tick().await;
        let held = core.holdings.all();
        told.retain(|task, _| held.iter().any(|held| held.task == *task));
        for held in held {
            let Some(progress) = held
                .progress()
                .filter(|progress| told.get(&held.task) != Some(progress))
            else {
                continue;
            };
            told.insert(held.task.clone(), progress);
            core.tell_progress(&held, progress).await;
        }
    }
}
