//! What becomes of a delivery: whether it counts, and which step does it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::config::Deadlines;
use clearfleet_common::job::{FORMAT_VERSION, Lane, Outcome, Plan, Record, State, Step, Task};
use clearfleet_common::storage::{ObjectKey, PlanKey};
use serde::Deserialize;

use super::audit::audit;
use super::core::{Core, on_thread};
use super::film::{self, Batch};
use super::holdings::{Held, Recall, Why};
use super::settle::End;
use super::{media, picture, preview, store};
use crate::steps::pipeline_digest;
use crate::{Error, Result};

/// A task that is to be worked on.
pub(super) struct Work {
    pub(super) held: Arc<Held>,
    pub(super) record: Record,
    pub(super) kind: WorkKind,
}

/// What there is to do.
pub(super) enum WorkKind {
    /// Look at the source and plan.
    Plan { exact: bool },
    /// One batch.
    Batch(Batch),
    /// Put the result together.
    Assemble(Arc<Plan>),
    /// A still picture.
    Picture,
    /// The sound of a plan's stream.
    Sound(Arc<Plan>),
    /// A batch of another worker, once more.
    Audit { plan: Arc<Plan>, batch: u64 },
}

/// A delivery, judged.
pub(super) enum Verdict {
    /// There is nothing to do.
    Settle(End),
    /// There is.
    Work(Box<Work>),
}

/// The task in a message.
///
/// # Errors
/// `Internal` if it is none, or one of a newer build.
pub(super) fn parse(body: &[u8]) -> Result<Task> {
    #[derive(Deserialize)]
    struct Envelope {
        version: u32,
    }
    let unreadable = |e| Error::internal("a task cannot be read").because(e);
    // First, since the rest of a newer one may be anything.
    let Envelope { version } = serde_json::from_slice(body).map_err(unreadable)?;
    if version > FORMAT_VERSION {
        return Err(
            Error::internal("a task cannot be read").because(clearfleet_common::job::NewerVersion { found: version })
        );
    }
    serde_json::from_slice(body).map_err(unreadable)
}

/// Whether a task that was delivered counts by what its job's record says now.
pub(super) fn counts(record: &Record, task: &Task) -> bool {
    is_called_for(record, task) && (task.step.is_sound() || record.generation == task.generation)
}

/// Whether the result of a task that is being worked on is still wanted. A scheduler that takes over raises the generation and
/// counts on what workers hold; a plan or a picture that it begins anew has another number.
pub(super) fn is_wanted(record: &Record, task: &Task) -> bool {
    let is_latest = || match task.step {
        Step::Plan { plan, .. } | Step::Picture { plan } => plan.checked_add(1) == Some(record.next_plan),
        Step::Upscale { .. } | Step::Assemble { .. } | Step::Audit { .. } | Step::Sound { .. } => true,
    };
    is_called_for(record, task) && (record.generation == task.generation || is_latest())
}

fn is_called_for(record: &Record, task: &Task) -> bool {
    let follows = |plan: u32| record.plan.as_ref().is_some_and(|summary| summary.number == plan);
    match task.step {
        Step::Plan { .. } => record.state == State::Planning,
        Step::Picture { .. } => record.state == State::Running && record.plan.is_none(),
        Step::Upscale { plan, .. } => record.state == State::Running && follows(plan),
        Step::Assemble { plan } => record.state == State::Assembling && follows(plan),
        Step::Audit { .. } => true,
        Step::Sound { plan } => {
            let is_given_up = matches!(record.state, State::Failed | State::Cancelled | State::Expired);
            follows(plan) && !is_given_up
        }
    }
}

impl Core {
    /// Judges a delivery, in the order that makes a finished batch count whatever else happened since.
    pub(super) async fn judge(&self, held: &Arc<Held>) -> Verdict {
        match self.try_judge(held).await {
            Ok(verdict) => verdict,
            // Another time the store may answer; what it says of the job is not known.
            Err(error) => Verdict::Settle(self.end_of(held, Err(error))),
        }
    }

    async fn try_judge(&self, held: &Arc<Held>) -> Result<Verdict> {
        let task = &held.task;
        if let Step::Audit { batch, .. } = task.step {
            return self.judge_audit(held, batch).await;
        }
        let key = PlanKey {
            job: task.job,
            plan: task.step.plan(),
        };
        let record = self.storage.record(task.owner, task.job).await.map_err(store::failed)?;
        let record = record.map(|(record, _)| record).filter(|record| counts(record, task));
        let is_batch = matches!(task.step, Step::Upscale { .. });
        // The line looks for the marker of a batch that counts, when it comes to it.
        if !(is_batch && record.is_some())
            && let Some(outcome) = self.done_already(task, key).await?
        {
            return Ok(Verdict::Settle(End::report(outcome)));
        }
        let Some(record) = record else {
            tracing::debug!(job = %task.job, step = ?task.step, "a task that does not count any more");
            return Ok(Verdict::Settle(End::Void));
        };
        let kind = match task.step {
            Step::Plan { exact, .. } => WorkKind::Plan { exact },
            Step::Picture { .. } => WorkKind::Picture,
            Step::Assemble { .. } => WorkKind::Assemble(self.existing(key).await?),
            Step::Sound { .. } => WorkKind::Sound(self.existing(key).await?),
            Step::Upscale { batch, .. } => {
                let plan = self.existing(key).await?;
                if pipeline_digest(&self.fingerprint, &plan.demuxer, &plan.video, &plan.encoder) != plan.pipeline {
                    let done = self.done_already(task, key).await?;
                    return Ok(Verdict::Settle(End::report(done.unwrap_or(Outcome::OtherFingerprint))));
                }
                let record = Arc::new(record.clone());
                WorkKind::Batch(Batch::new(Arc::clone(held), record, plan, batch))
            }
            // Judged above.
            Step::Audit { .. } => return Ok(Verdict::Settle(End::Void)),
        };
        // What was begun and what ended tells, after a crash, what was done twice.
        tracing::debug!(job = %task.job, step = ?task.step, generation = task.generation, "a task begins");
        Ok(Verdict::Work(Box::new(Work {
            held: Arc::clone(held),
            record,
            kind,
        })))
    }

    /// The report of a task whose object is there: a batch's marker, or a plan.
    async fn done_already(&self, task: &Task, key: PlanKey) -> Result<Option<Outcome>> {
        match task.step {
            Step::Upscale { batch, .. } => {
                let marker = self.storage.stat(&ObjectKey::Marker(key, batch).to_string()).await;
                Ok(marker.map_err(store::failed)?.map(|_| Outcome::BatchDone))
            }
            Step::Plan { exact, .. } => match self.plan(key).await? {
                Some(plan) => media::stored_summary(self, task, &plan, exact).await.map(Some),
                None => Ok(None),
            },
            // A step that finds its sound written has nothing to do.
            Step::Assemble { .. } | Step::Picture { .. } | Step::Audit { .. } | Step::Sound { .. } => Ok(None),
        }
    }

    async fn existing(&self, key: PlanKey) -> Result<Arc<Plan>> {
        let missing = || Error::internal(format!("there is no plan {} of job {}", key.plan, key.job));
        self.plan(key).await?.ok_or_else(missing)
    }
}

/// Does a task on a thread of its own, and settles it.
pub(super) async fn perform(core: &Arc<Core>, work: Work) {
    let Work { held, record, kind } = work;
    let (shared, task) = (Arc::clone(core), Arc::clone(&held));
    let lane = match held.lane {
        Lane::Interactive => "interactive",
        Lane::Bulk => "task",
    };
    let result = match kind {
        WorkKind::Batch(batch) => {
            // It settles itself, and nothing follows it, so nothing is left to be begun again.
            let run = move || Ok(film::run_line(&shared, &batch, &mut || None));
            return match on_thread(lane, run).await {
                Ok(_) => core.holdings.until_settled(&held).await,
                Err(error) => core.settle(&held, core.end_of(&held, Err(error))).await,
            };
        }
        WorkKind::Plan { exact } => on_thread(lane, move || media::plan(&shared, &task, &record, exact)).await,
        WorkKind::Assemble(plan) => on_thread(lane, move || media::assemble(&shared, &task, &record, &plan)).await,
        WorkKind::Sound(plan) => on_thread("sound", move || media::sound(&shared, &task, &record, &plan)).await,
        WorkKind::Audit { plan, batch } => {
            let work = move || audit(&shared, &task, &record, &plan, batch);
            core.audited(&held.task, on_thread(lane, work).await).await
        }
        WorkKind::Picture => {
            let work = on_thread(lane, move || still(&shared, &task, &record));
            let wake = || core.engine.wake();
            within(picture_deadline(held.lane), &held.recall, wake, work).await
        }
    };
    let end = core.end_of(&held, result);
    core.settle(&held, end).await;
}

/// A picture, or a preview of a video.
fn still(core: &Arc<Core>, held: &Arc<Held>, record: &Record) -> Result<Outcome> {
    match record.request.preview {
        Some(wanted) => preview::preview(core, held, record, wanted),
        None => picture::picture(core, held, record),
    }
}

/// Ten times as long as a picture's work may be estimated to take: on the interactive lane a minute.
fn picture_deadline(lane: Lane) -> Duration {
    match lane {
        Lane::Interactive => Deadlines::batch(picture::INTERACTIVE_SECONDS),
        Lane::Bulk => Deadlines::longest(),
    }
}

/// Recalls work that takes longer than its deadline, and waits until it has ended.
async fn within<T>(deadline: Duration, recall: &Recall, wake: impl FnOnce(), work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    match tokio::time::timeout(deadline, &mut work).await {
        Ok(ended) => ended,
        Err(_) => {
            recall.now(Why::Late);
            wake();
            work.await
        }
    }
}

#[cfg(test)]
mod tests {
    use clearfleet_common::job::{JobId, OwnerId};

    use super::*;

    #[test]
    fn what_is_no_task_of_this_build_is_refused() {
        let task = Task::new(JobId::from_u128(1), OwnerId::default(), 0, Step::Picture { plan: 0 });
        let body = serde_json::to_vec(&task).unwrap();
        assert_eq!(parse(&body).unwrap(), task);
        assert!(parse(b"{}").is_err());
        assert!(parse(b"").is_err());
        let newer = br#"{"version":9,"step":"of another kind"}"#;
        let error = parse(newer).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap();
        assert!(cause.to_string().contains("version 9"), "{cause}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_recalled_and_waited_for() {
        let deadline = picture_deadline(Lane::Interactive);
        let (recall, woken) = (Recall::default(), std::cell::Cell::new(false));
        let step = Duration::from_secs(1);
        let work = async {
            let since = tokio::time::Instant::now();
            while !recall.stop().is_stopped() {
                tokio::time::sleep(step).await;
            }
            since.elapsed()
        };
        let took = within(deadline, &recall, || woken.set(true), work).await;
        assert!((deadline..=deadline + 2 * step).contains(&took), "{took:?}");
        assert_eq!((recall.why(), woken.get()), (Some(Why::Late), true));
        let recall = Recall::default();
        assert_eq!(within(deadline, &recall, || {}, async { 5 }).await, 5);
        assert_eq!(recall.why(), None);
    }
}
