//! The HTTP API: routes, errors, limits, and the server that they run on.
//!
//! [`router`] makes the routes of an [`AppState`], [`serve`] runs them on a socket.

mod body;
pub mod caller;
mod capabilities;
mod config;
mod docs;
mod error;
mod finished;
mod jobs;
mod layers;
mod listen;
mod metrics;
mod page;
mod service;
mod session;
#[cfg(test)]
mod tests;
mod traced;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{ControlMessage, Event, JobId, OwnerId, Record, State};
use clearfleet_common::queue::{Queue, QueueName};
use clearfleet_common::storage::Storage;
use clearfleet_common::telemetry::Families;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use body::Json as JsonBody;
pub use caller::{Authenticator, Caller, Credentials, NoKeys, Role};
pub use config::{AllowedPlace, HttpConfig};
pub use error::{Problem, ProblemBody};
pub use listen::{ConnectionLimits, serve};
pub use metrics::Metrics;
pub use view::{
    FailureView, JobView, LinksView, PlanView, ProgressView, QueueView, ResultView, SettingsView, SourceView, Standing,
};

use crate::owners::{Keys, Quota, Quotas, Space};
use crate::records::Records;
use crate::webhooks::HookSecrets;

/// When to ask again where too many streams are open.
const STREAM_AGAIN: Duration = Duration::from_secs(15);

/// How long the queue may take for a hint.
const HINT: Duration = Duration::from_secs(5);

/// What all requests share.
#[derive(Clone, Debug)]
pub struct AppState {
    storage: Storage,
    queue: Arc<dyn Queue>,
    records: Arc<Records>,
    authenticator: Arc<dyn Authenticator>,
    keys: Arc<Keys>,
    quotas: Arc<Quotas>,
    hook_secrets: Option<HookSecrets>,
    scheduler: Option<Arc<dyn QueueView>>,
    config: Arc<HttpConfig>,
    metrics: Arc<Metrics>,
    /// Those of parts of this process that are not HTTP.
    more_metrics: Vec<Arc<dyn Families>>,
    uploads: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    hints: TaskTracker,
    /// Ends what would go on as long as its client: streams of events.
    stop: CancellationToken,
    #[cfg(feature = "standalone")]
    verifier: Arc<jobs::Verifier>,
    #[cfg(feature = "standalone")]
    backup: Option<crate::backup::Backup>,
}

impl AppState {
    /// The state of a server whose callers `authenticator` knows. When `stop` is cancelled, streams end.
    pub fn new(
        storage: Storage,
        queue: Arc<dyn Queue>,
        records: Arc<Records>,
        authenticator: Arc<dyn Authenticator>,
        config: HttpConfig,
        stop: CancellationToken,
    ) -> Self {
        Self {
            #[cfg(feature = "standalone")]
            verifier: Arc::new(jobs::Verifier::new(storage.clone(), config.limits)),
            #[cfg(feature = "standalone")]
            backup: None,
            metrics: Arc::new(Metrics::new()),
            more_metrics: Vec::new(),
            uploads: Arc::new(Semaphore::new(config.uploads)),
            streams: Arc::new(Semaphore::new(config.streams)),
            config: Arc::new(config),
            keys: Arc::new(Keys::new(storage.clone(), None)),
            quotas: Quotas::new(Quota::default(), Space::default(), Arc::clone(&records) as _),
            hook_secrets: None,
            scheduler: None,
            hints: TaskTracker::new(),
            storage,
            queue,
            records,
            authenticator,
            stop,
        }
    }

    /// The same with a scheduler that runs in this process.
    #[must_use]
    pub fn with_scheduler(mut self, scheduler: Arc<dyn QueueView>) -> Self {
        self.scheduler = Some(scheduler);
        self
    }

    /// The same with the metrics of another part of this process.
    #[must_use]
    pub fn with_metrics(mut self, part: Arc<dyn Families>) -> Self {
        self.more_metrics.push(part);
        self
    }

    /// The same with keys that are also what its authenticator knows, so that a revoked one opens nothing at once.
    #[must_use]
    pub fn with_keys(mut self, keys: Arc<Keys>) -> Self {
        self.keys = keys;
        self
    }

    /// The same within limits.
    #[must_use]
    pub fn with_quotas(mut self, quotas: Arc<Quotas>) -> Self {
        self.quotas = quotas;
        self
    }

    /// The same where webhooks are sent, signed with these secrets.
    #[must_use]
    pub fn with_webhooks(mut self, secrets: HookSecrets) -> Self {
        self.hook_secrets = Some(secrets);
        self
    }

    /// The same where backups can be made.
    #[cfg(feature = "standalone")]
    #[must_use]
    pub fn with_backup(mut self, backup: crate::backup::Backup) -> Self {
        self.backup = Some(backup);
        self
    }

    /// What makes backups; nothing where the data is elsewhere.
    #[cfg(feature = "standalone")]
    pub(crate) fn backup(&self) -> Option<&crate::backup::Backup> {
        self.backup.as_ref()
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What webhooks are signed with; nothing where none are sent.
    pub(crate) fn hook_secrets(&self) -> Option<&HookSecrets> {
        self.hook_secrets.as_ref()
    }

    /// The metrics of this process.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// A place among the requests that may stay open until something happens.
    ///
    /// # Errors
    /// `unavailable` where there is none.
    fn turn_to_wait(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            let problem = Problem::new(ErrorCode::Unavailable, "too many streams are open");
            problem.retry_after(STREAM_AGAIN)
        })
    }

    /// Waits until every hint that was begun is given, or has failed, and what came of uploads is kept.
    pub async fn hints_given(&self) {
        self.hints.close();
        self.hints.wait().await;
    }

    /// Tells the scheduler that somebody waits for a batch of the plan that a job follows now. Only a hint: whoever still
    /// waits asks again.
    fn say_watched(&self, record: &Record, batch: u64) {
        let Some(plan) = record.plan.as_ref().filter(|_| record.state == State::Running) else {
            return;
        };
        let (job, owner) = (record.id, record.owner);
        let watch = ControlMessage::Watch {
            job,
            owner,
            plan: plan.number,
            batch,
        };
        let body = serde_json::to_vec(&watch).unwrap_or_default();
        let queue = Arc::clone(&self.queue);
        self.hints.spawn(async move {
            let published = tokio::time::timeout(HINT, queue.publish(QueueName::Control, body.into())).await;
            if !matches!(published, Ok(Ok(()))) {
                tracing::debug!(%owner, %job, batch, "nobody hears that batch {batch} of job {job} is waited for");
            }
        });
    }

    /// Tells the processes how much of an upload has come, at most once a second. Only a hint: the store knows it.
    fn say_received(&self, owner: OwnerId, job: JobId, bytes: u64) {
        if !self.records.received(owner, job, bytes) {
            return;
        }
        let event = Event::Received { job, owner, bytes };
        let body = serde_json::to_vec(&event).unwrap_or_default();
        let queue = Arc::clone(&self.queue);
        self.hints.spawn(async move {
            let emitted = tokio::time::timeout(HINT, queue.emit(event.topic(), body.into())).await;
            if !matches!(emitted, Ok(Ok(()))) {
                tracing::debug!(%owner, %job, "other processes do not hear how much of job {job}'s source has come");
            }
        });
    }

    /// Tells the scheduler and the other processes that a record was changed: hints both, the record is what counts.
    fn say_changed(&self, owner: OwnerId, job: JobId) {
        let queue = Arc::clone(&self.queue);
        self.records.look_again(owner, job);
        self.hints.spawn(async move {
            let hint = async {
                let look = serde_json::to_vec(&ControlMessage::Look { job, owner }).unwrap_or_default();
                let event = Event::Changed { job, owner };
                let changed = serde_json::to_vec(&event).unwrap_or_default();
                queue.publish(QueueName::Control, look.into()).await?;
                queue.emit(event.topic(), changed.into()).await
            };
            match tokio::time::timeout(HINT, hint).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => {
                    let error: &dyn std::error::Error = &e;
                    tracing::warn!(%owner, %job, error, "a hint of job {job} is lost; the scheduler finds it by itself");
                }
                Err(_) => tracing::warn!(%owner, %job, "a hint of job {job} took too long and may be lost"),
            }
        });
    }
}

/// All routes.
pub fn router(state: AppState) -> Router {
    let (routes, document) = docs::routes_and_document();
    let routes = routes.merge(docs::pages(&document)).merge(page::routes());
    layers::around(routes, state)
}
