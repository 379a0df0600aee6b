use std::fmt;
use std::sync::{Arc, Mutex};

use clearfleet_common::job::{ClassName, JobId};
use clearfleet_common::schedule::{ClassView, LaneView, LiveWorker, OwnerView, Scheduler};

use super::locked;
use crate::http::{QueueView, Standing};

/// What the scheduler of this process can be asked. While another process schedules, it knows nothing.
#[derive(Clone)]
pub struct SchedulerView(Arc<Mutex<Scheduler>>);

impl SchedulerView {
    pub(super) fn new(scheduler: Arc<Mutex<Scheduler>>) -> Self {
        Self(scheduler)
    }

    /// Whether this process schedules.
    pub fn is_active(&self) -> bool {
        locked(&self.0).is_active()
    }

    /// Every class that has jobs or workers.
    pub fn classes(&self) -> Vec<ClassView> {
        locked(&self.0).classes()
    }

    /// Every queue of tasks that something waits for.
    pub fn lanes(&self) -> Vec<LaneView> {
        locked(&self.0).lanes()
    }

    /// The owners with the most work to be done, `most` of them.
    pub fn owners(&self, most: usize) -> Vec<OwnerView> {
        locked(&self.0).owners(most)
    }

    /// Live workers that are distrusted.
    pub fn distrusted(&self) -> usize {
        locked(&self.0).distrusted()
    }

    /// Workers that announce themselves.
    pub fn live_workers(&self) -> Vec<LiveWorker> {
        locked(&self.0).live_workers()
    }
}

impl QueueView for SchedulerView {
    fn standing(&self, job: JobId) -> Option<Standing> {
        let place = locked(&self.0).place(job)?;
        Some(Standing {
            finished: place.finished,
            place_in_line: Some(place.jobs_ahead),
        })
    }

    fn backlog_seconds(&self, class: ClassName) -> Option<f64> {
        let scheduler = locked(&self.0);
        let classes = scheduler.is_active().then(|| scheduler.classes())?;
        let found = classes.into_iter().find(|view| view.class == class);
        Some(found.map_or(0.0, |view| view.backlog_seconds / f64::from(view.workers.max(1))))
    }
}

impl fmt::Debug for SchedulerView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchedulerView")
            .field("active", &self.is_active())
            .finish()
    }
}
