use std::collections::BTreeMap;

use crate::ErrorCode;
use crate::job::{Failure, JobId, Outcome, OwnerId, PlanSummary, Report, State, Step, Task};

use super::job::Job;
use super::scheduler::{Scheduler, seed};
use super::{Destination, Effect, Millis};

/// The sound of streams that is being written, or waits to be. It is forgotten with the scheduler; the next asks for it once
/// more, and a worker that finds it written says so at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Sounds {
    open: BTreeMap<JobId, Sound>,
}

#[derive(Clone, Debug)]
struct Sound {
    plan: u32,
    owner: OwnerId,
    generation: u64,
    /// Attempts that failed, or of which nothing was heard.
    failures: u32,
    /// Whether it is published; else it waits.
    out: bool,
    /// When it may be published, or is taken for lost.
    due: Millis,
}

impl Sounds {
    /// When time alone gives one something to do.
    pub(super) fn next_due(&self, now: Millis) -> Option<Millis> {
        self.open.values().map(|sound| sound.due).filter(|due| *due > now).min()
    }

    fn out(&self) -> u32 {
        self.open.values().filter(|sound| sound.out).count() as u32
    }
}

impl Scheduler {
    /// Takes down that the stream of the job's plan wants sound, once a plan.
    pub(super) fn consider_sound(&mut self, job: &mut Job) {
        let record = &job.record;
        let is_at_work = matches!(record.state, State::Running | State::Assembling);
        let streamed = record.plan.as_ref().filter(|_| is_at_work && record.is_streamed());
        let Some(PlanSummary { number, .. }) = streamed.filter(|plan| plan.has_sound) else {
            return;
        };
        if job.sounded.replace(*number) == Some(*number) {
            return;
        }
        let sound = Sound {
            plan: *number,
            owner: record.owner,
            generation: record.generation,
            failures: 0,
            out: false,
            due: self.now,
        };
        self.sounds.open.insert(record.id, sound);
    }

    /// Publishes what is due as long as there are workers for it, the oldest jobs first; what nobody reports on is published
    /// again.
    pub(super) fn publish_sounds(&mut self) {
        let now = self.now;
        let due = self.sounds.open.iter().filter(|(_, sound)| sound.due <= now);
        let due: Vec<(JobId, bool)> = due.map(|(job, sound)| (*job, sound.out)).collect();
        for (job, out) in due {
            if out {
                self.sound_lost(job);
            } else if self.sounds.out() < self.sounds_at_once() {
                self.publish_sound(job);
            }
        }
    }

    fn sounds_at_once(&self) -> u32 {
        self.rules.per_worker * self.workers.live(Destination::Sound) + self.rules.spare
    }

    fn publish_sound(&mut self, job: JobId) {
        let Some(sound) = self.sounds.open.get_mut(&job) else {
            return;
        };
        sound.out = true;
        sound.due = self.now.after(self.rules.sound_patience);
        let task = Task::new(job, sound.owner, sound.generation, Step::Sound { plan: sound.plan });
        let to = Destination::Sound;
        self.effects.push(Effect::Publish { to, task });
    }

    /// What became of a stream's sound: whatever it is, its job goes on.
    pub(super) fn sound_reported(&mut self, report: Report) {
        let Report { task, outcome, .. } = report;
        if !self.awaits_sound(&task) {
            return;
        }
        match outcome {
            Outcome::SoundDone => self.end_sound(task.job),
            Outcome::Failed {
                failure,
                transient: false,
            } => self.give_sound_up(task.job, failure),
            Outcome::Failed { failure, .. } => self.sound_failed(task.job, failure),
            _ => self.sound_again(task.job),
        }
    }

    /// It was not published.
    pub(super) fn sound_unpublished(&mut self, task: &Task) {
        if self.awaits_sound(task) {
            self.sound_again(task.job);
        }
    }

    /// Workers died of it.
    pub(super) fn sound_dead(&mut self, task: &Task) {
        if self.awaits_sound(task) {
            let message = format!("workers died of it {} times", self.rules.delivery_limit);
            self.give_sound_up(task.job, Failure::new(ErrorCode::WorkerDied, message));
        }
    }

    /// The broker was away, and with it everything that was published.
    pub(super) fn sounds_are_lost(&mut self) {
        let out = self.sounds.open.iter().filter(|(_, sound)| sound.out);
        let out: Vec<JobId> = out.map(|(job, _)| *job).collect();
        out.into_iter().for_each(|job| self.sound_again(job));
    }

    /// What is not published yet is not wanted any more where its job is given up.
    pub(super) fn forget_sound(&mut self, job: &Job) {
        if job.record.state != State::Done {
            self.end_sound(job.id());
        }
    }

    fn awaits_sound(&self, task: &Task) -> bool {
        let sound = self.sounds.open.get(&task.job);
        sound.is_some_and(|sound| sound.out && sound.plan == task.step.plan())
    }

    fn sound_failed(&mut self, job: JobId, failure: Failure) {
        let Some(sound) = self.sounds.open.get_mut(&job) else {
            return;
        };
        sound.failures += 1;
        if sound.failures >= self.rules.attempts {
            self.give_sound_up(job, failure);
        } else {
            self.sound_again(job);
        }
    }

    /// Nobody reports on it: the queue lost it, or its job does not want it any more.
    fn sound_lost(&mut self, job: JobId) {
        let Some(sound) = self.sounds.open.get_mut(&job) else {
            return;
        };
        sound.failures += 1;
        if sound.failures >= self.rules.attempts {
            self.end_sound(job);
        } else {
            self.sound_again(job);
        }
    }

    fn sound_again(&mut self, job: JobId) {
        if let Some(sound) = self.sounds.open.get_mut(&job) {
            let wait = self
                .rules
                .wait_after(sound.failures.max(1), seed(job, sound.plan.into()));
            sound.out = false;
            sound.due = self.now.after(wait);
        }
    }

    /// The stream stays without sound, and whoever asks is told why.
    fn give_sound_up(&mut self, job: JobId, failure: Failure) {
        if let Some(Sound { plan, .. }) = self.sounds.open.remove(&job) {
            self.effects.push(Effect::KeepSoundFailure { job, plan, failure });
        }
    }

    fn end_sound(&mut self, job: JobId) {
        self.sounds.open.remove(&job);
    }
}
