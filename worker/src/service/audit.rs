//! A batch that another worker made, computed again.

use std::sync::Arc;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Audited, Outcome, Plan, Record, State, Task};
use clearfleet_common::storage::{ObjectKey, PlanKey};

use super::core::{Core, Phase};
use super::dispatch::{Verdict, Work, WorkKind};
use super::holdings::{Held, Why};
use super::settle::End;
use super::store;
use crate::Result;
use crate::steps::{self, pipeline_digest};

/// Computes a batch again; the outcome says what that showed.
pub(super) fn audit(core: &Core, held: &Held, record: &Record, plan: &Arc<Plan>, batch: u64) -> Result<Outcome> {
    held.is_about(plan, batch);
    let job = core.context(record, held);
    let engine = core.engine.for_task(held.lane, held.task.owner, job.stop.clone());
    steps::audit(&job, plan, &engine, batch, &core.scratch).map(Outcome::Audited)
}

impl Core {
    /// Judges an audit: it counts as long as there is something to compare, whatever its job does meanwhile.
    pub(super) async fn judge_audit(&self, held: &Arc<Held>, batch: u64) -> Result<Verdict> {
        let task = &held.task;
        let settled = |outcome| Ok(Verdict::Settle(End::report(outcome)));
        if task.except.contains(&self.id) {
            return settled(Outcome::Audited(Audited::Own));
        }
        let record = self.storage.record(task.owner, task.job).await.map_err(store::failed)?;
        let (Some((record, _)), Some(plan)) = (record, self.plan(plan_key(task)).await?) else {
            return settled(Outcome::Audited(Audited::Gone));
        };
        if pipeline_digest(&self.fingerprint, &plan.demuxer, &plan.video, &plan.encoder) != plan.pipeline {
            return settled(Outcome::OtherFingerprint);
        }
        Ok(Verdict::Work(Box::new(Work {
            held: Arc::clone(held),
            record,
            kind: WorkKind::Audit { plan, batch },
        })))
    }

    /// What an audit came to: a job that was deleted under it is no failure.
    pub(super) async fn audited(&self, task: &Task, result: Result<Outcome>) -> Result<Outcome> {
        match result {
            Err(error) if error.code() != ErrorCode::Stopped && self.is_gone(task).await => {
                Ok(Outcome::Audited(Audited::Gone))
            }
            result => result,
        }
    }

    /// Whether nothing is left to compare with.
    async fn is_gone(&self, task: &Task) -> bool {
        let record = self.storage.record(task.owner, task.job).await;
        if let Ok(None) = record {
            return true;
        }
        let is_expired = record.is_ok_and(|found| found.is_some_and(|(record, _)| record.state == State::Expired));
        let marker = ObjectKey::Marker(plan_key(task), task.step.batch().unwrap_or_default());
        let marker = self.storage.stat(&marker.to_string()).await;
        is_expired || marker.is_ok_and(|marker| marker.is_none())
    }

    /// Others have shown that this worker makes wrong pictures: it takes nothing more, gives back what it has, and lives on
    /// to be looked at.
    pub(super) fn distrust(&self) {
        let is_news = self.phase.send_if_modified(|phase| {
            let is_open = *phase == Phase::Open;
            if is_open {
                *phase = Phase::Distrusted;
            }
            is_open
        });
        if is_news {
            tracing::error!(
                worker = %self.id, device = self.device,
                "this worker makes wrong pictures: batches that it computed differ from what two others made of them. It \
                 takes nothing more; have its device and memory tested, and start it anew to have it trusted again"
            );
            self.recall_all(Why::Drain);
        }
    }
}

fn plan_key(task: &Task) -> PlanKey {
    PlanKey {
        job: task.job,
        plan: task.step.plan(),
    }
}
