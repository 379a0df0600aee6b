//! What the scheduler wants done, done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use clearfleet_common::job::{Event, Hook, JobId, OwnerId, Record, Task};
use clearfleet_common::queue::{Queue, QueueError, QueueName};
use clearfleet_common::schedule::{BatchSet, Destination, Effect, Input, ListedJob, RecordVersion, Ticket};
use clearfleet_common::storage::{KeyPrefix, ObjectKey, PlanKey, Storage, StorageError, Version};
use futures::TryStreamExt;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use super::{classes, traced};
use crate::records::Records;
use crate::retention;

/// Calls to the store at once.
const CALLS: usize = 32;
/// How long the queue may take to confirm a message.
const CONFIRM: Duration = Duration::from_secs(30);

/// Does what the scheduler wants, beside its loop.
pub(super) struct Hands {
    doer: Arc<Doer>,
    tasks: TaskTracker,
    /// Tasks go into queues one after the other, in the order in which they were given out.
    outgoing: mpsc::UnboundedSender<(QueueName, Task)>,
}

struct Doer {
    storage: Storage,
    queue: Arc<dyn Queue>,
    records: Arc<Records>,
    inputs: mpsc::Sender<Input>,
    calls: Semaphore,
}

/// The store or the queue did not do what was asked.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("the queue took too long")]
    Late,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

fn log_unpublished(task: &Task, error: &Fault) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(job = %task.job, error, "a task of job {} cannot be published", task.job);
}

impl Hands {
    pub(super) fn new(
        storage: Storage,
        queue: Arc<dyn Queue>,
        records: Arc<Records>,
        inputs: mpsc::Sender<Input>,
    ) -> Self {
        let doer = Arc::new(Doer {
            storage,
            queue,
            records,
            inputs,
            calls: Semaphore::new(CALLS),
        });
        let (outgoing, tasks_to_publish) = mpsc::unbounded_channel();
        let tasks = TaskTracker::new();
        tasks.spawn(Arc::clone(&doer).publish_in_order(tasks_to_publish));
        Self { doer, tasks, outgoing }
    }

    /// Begins what is wanted; answers come as inputs.
    pub(super) fn carry_out(&self, effect: Effect) {
        if let Effect::Publish { to, task } = effect {
            let queue = match to {
                Destination::Media => QueueName::Media,
                Destination::Sound => QueueName::Sound,
                Destination::Work(lane, class) => QueueName::Work(lane, class),
            };
            // The publisher takes them as long as this lives.
            let _ = self.outgoing.send((queue, task));
            return;
        }
        let doer = Arc::clone(&self.doer);
        self.tasks.spawn(async move {
            let Ok(_call) = doer.calls.acquire().await else { return };
            if let Some(answer) = doer.answer_to(effect).await {
                doer.say(answer).await;
            }
        });
    }

    /// Waits until everything that was begun has ended.
    pub(super) async fn finish(self) {
        drop(self.outgoing);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Doer {
    async fn say(&self, input: Input) {
        // Nobody takes it any more when the process ends.
        let _ = self.inputs.send(input).await;
    }

    async fn publish_in_order(self: Arc<Self>, mut tasks: mpsc::UnboundedReceiver<(QueueName, Task)>) {
        while let Some((queue, task)) = tasks.recv().await {
            let published = match serde_json::to_vec(&task) {
                Ok(body) => self.publish(queue, body.into()).await,
                Err(e) => Err(e.into()),
            };
            if let Err(e) = published {
                log_unpublished(&task, &e);
                self.say(Input::PublishFailed(task)).await;
            }
        }
    }

    async fn publish(&self, queue: QueueName, body: Bytes) -> Result<(), Fault> {
        match tokio::time::timeout(CONFIRM, self.queue.publish(queue, body)).await {
            Ok(published) => Ok(published?),
            Err(_) => Err(Fault::Late),
        }
    }

    async fn tell(&self, event: &Event) -> Result<(), Fault> {
        Ok(self
            .queue
            .emit(event.topic(), serde_json::to_vec(event)?.into())
            .await?)
    }

    /// Does what is wanted; the answer that the scheduler waits for, if any.
    async fn answer_to(&self, effect: Effect) -> Option<Input> {
        let (about, done) = match effect {
            Effect::ListActive => return Some(self.list_active().await),
            Effect::Read { job, owner, ticket } => (Some((job, ticket)), self.read(job, owner, ticket).await),
            Effect::Replace {
                ticket,
                record,
                expected,
            } => (Some((record.id, ticket)), self.replace(ticket, &record, expected).await),
            Effect::ListMarkers { job, plan, ticket } => {
                (Some((job, ticket)), self.list_markers(job, plan, ticket).await)
            }
            Effect::Settle {
                job,
                owner,
                ticket,
                webhook,
            } => (
                Some((job, ticket)),
                self.settle(job, owner, ticket, webhook.is_some()).await,
            ),
            Effect::Delete {
                job,
                owner,
                ticket,
                keep_source,
            } => (Some((job, ticket)), self.delete(job, owner, ticket, keep_source).await),
            other => (None, self.keep(other).await),
        };
        match (done, about) {
            (Ok(answer), _) => answer,
            (Err(e), Some((job, ticket))) => {
                tracing::warn!(%job, error = &e as &dyn std::error::Error, "work on the record of job {job} failed");
                Some(Input::Failed { job, ticket })
            }
            (Err(e), None) => {
                tracing::warn!(
                    error = &e as &dyn std::error::Error,
                    "a note of the scheduler is not written"
                );
                None
            }
        }
    }

    /// Writes that nobody waits for.
    async fn keep(&self, effect: Effect) -> Result<Option<Input>, Fault> {
        match effect {
            Effect::KeepFailure { job, batch, failure } => {
                let body = serde_json::to_vec(&failure)?;
                self.storage.put(ObjectKey::Failure(job, batch), body.into()).await?;
            }
            Effect::KeepSoundFailure { job, plan, failure } => {
                tracing::warn!(%job, plan, code = %failure.code, "the stream of job {job} has no sound: {}", failure.message);
                let body = serde_json::to_vec(&failure)?;
                let key = ObjectKey::SoundFailure(PlanKey { job, plan });
                self.storage.put(key, body.into()).await?;
            }
            Effect::KeepActive { job, owner } => {
                self.storage
                    .put(ObjectKey::Active(job), owner.to_string().into())
                    .await?;
            }
            Effect::DropActive { job } => self.storage.delete(&ObjectKey::Active(job).to_string()).await?,
            Effect::KeepClass(known) => {
                let key = ObjectKey::Class(known.class);
                self.storage.put(key, classes::written(known)?).await?;
            }
            Effect::Distrust(worker) => {
                tracing::error!(%worker, "the worker {worker} makes wrong pictures, as audits have shown; it is told to stop");
                self.tell(&Event::Distrusted { worker }).await?;
            }
            // All others have an answer.
            _ => {}
        }
        Ok(None)
    }

    async fn list_active(&self) -> Input {
        match self.active_jobs().await {
            Ok(jobs) => Input::Listed(jobs),
            Err(e) => {
                tracing::warn!(error = &e as &dyn std::error::Error, "active jobs cannot be listed");
                Input::ListFailed
            }
        }
    }

    /// All active jobs. Activity is listed before records, since it is written before them: so a job without a record here
    /// has none.
    async fn active_jobs(&self) -> Result<Vec<ListedJob>, StorageError> {
        let mut jobs = HashMap::new();
        let mut active = std::pin::pin!(self.storage.list(KeyPrefix::Active));
        while let Some(listed) = active.try_next().await? {
            if let Some(job) = ObjectKey::active_job(&listed.key) {
                jobs.insert(job, None);
            }
        }
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut records = std::pin::pin!(self.storage.list(KeyPrefix::Records));
        while let Some(listed) = records.try_next().await? {
            if let Some((owner, job)) = ObjectKey::recorded_job(&listed.key)
                && let Some(record) = jobs.get_mut(&job)
            {
                *record = Some((owner, RecordVersion(listed.version.as_str().to_owned())));
            }
        }
        let listed = jobs.into_iter().map(|(job, record)| ListedJob { job, record });
        Ok(listed.collect())
    }

    async fn read(&self, job: JobId, owner: OwnerId, ticket: Ticket) -> Result<Option<Input>, Fault> {
        let found = self.storage.record(owner, job).await?;
        let found = found.map(|(record, version)| (Box::new(record), RecordVersion(version.as_str().to_owned())));
        Ok(Some(Input::Read { job, ticket, found }))
    }

    async fn replace(
        &self,
        ticket: Ticket,
        record: &Record,
        RecordVersion(expected): RecordVersion,
    ) -> Result<Option<Input>, Fault> {
        let job = record.id;
        let replaced = self.storage.replace_record(record, &Version::from(expected)).await?;
        let Some(version) = replaced else {
            return Ok(Some(Input::Lost { job, ticket }));
        };
        let changed = Event::Changed {
            job,
            owner: record.owner,
        };
        if let Err(e) = self.tell(&changed).await {
            // Who misses it lists records anew in a while.
            tracing::debug!(
                error = &e as &dyn std::error::Error,
                "nobody hears that a record changed"
            );
        }
        let version = RecordVersion(version.as_str().to_owned());
        Ok(Some(Input::Replaced { job, ticket, version }))
    }

    async fn list_markers(&self, job: JobId, plan: u32, ticket: Ticket) -> Result<Option<Input>, Fault> {
        let mut done = BatchSet::default();
        let mut markers = std::pin::pin!(self.storage.list(KeyPrefix::Markers(PlanKey { job, plan })));
        while let Some(listed) = markers.try_next().await? {
            if let Some(batch) = ObjectKey::marked_batch(&listed.key) {
                done.insert(batch);
            }
        }
        Ok(Some(Input::Markers { job, ticket, done }))
    }

    async fn settle(
        &self,
        job: JobId,
        owner: OwnerId,
        ticket: Ticket,
        has_webhook: bool,
    ) -> Result<Option<Input>, Fault> {
        let began = SystemTime::now();
        if has_webhook
            && let Some((record, _)) = self.storage.record(owner, job).await?
            && let Some(hook) = Hook::of(&record)
        {
            self.publish(QueueName::Hooks, serde_json::to_vec(&hook)?.into())
                .await?;
        }
        self.storage.delete(&ObjectKey::Active(job).to_string()).await?;
        let answer = self.read(job, owner, ticket).await;
        if let Ok(Some(Input::Read {
            found: Some((record, _)),
            ..
        })) = &answer
        {
            traced::ended(record, began);
            // Cancelled on its way: what came of it is of no use.
            if !record.source.has_come() {
                self.storage.delete_upload(job).await?;
            }
        }
        answer
    }

    async fn delete(
        &self,
        job: JobId,
        owner: OwnerId,
        ticket: Ticket,
        keep_source: bool,
    ) -> Result<Option<Input>, Fault> {
        // The scheduler knows of active jobs that read the source; others have ended and may be redone.
        let keep_source = keep_source || self.records.lends_source(job);
        retention::delete_job(&self.storage, owner, job, keep_source).await?;
        if let Err(e) = self.tell(&Event::Changed { job, owner }).await {
            tracing::debug!(
                error = &e as &dyn std::error::Error,
                "nobody hears that a record is deleted"
            );
        }
        Ok(Some(Input::Deleted { job, ticket }))
    }
}
