//! What happens to jobs, as it happens: server-sent events.
//!
//! Every event holds all of a job, not what changed: whoever missed some misses nothing once the next one comes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extracted;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use clearfleet_common::job::{JobId, OwnerId};
use clearfleet_common::storage::Digest;
use futures::Stream;
use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use uuid::Uuid;

use super::job_of;
use crate::http::body::JobPath;
use crate::http::error::ProblemBody;
use crate::http::metrics::OpenStream;
use crate::http::view::JobView;
use crate::http::{AppState, Caller, Problem};
use crate::records::{Change, Missed, Snapshot};

/// Events of a stream are at least this far apart: workers say more than anybody can see.
const DISTANCE: Duration = Duration::from_millis(250);
/// A comment is sent when nothing else was for so long, so that nobody between takes the stream for dead.
const KEPT_ALIVE: Duration = Duration::from_secs(15);
/// Two processes may hear of one change this far apart, in microseconds: the time between two lists, twice.
const SLACK: i64 = 60_000_000;

/// Follow a job.
///
/// An event `job` holds the job as `GET /v1/jobs/{id}` does; one comes at once and after every change. `deleted` says that
/// there is no such job any more. The stream ends after either says that the job has ended; coming back with the last
/// event's id then gets 204, which tells a browser to stay away.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/events",
    tag = "events",
    params(
        ("id" = String, Path, description = "The job."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that came."),
    ),
    responses(
        (status = 200, description = "The stream.", body = String, content_type = "text/event-stream"),
        (status = 204, description = "The job has ended and nothing happened since."),
        (status = "4XX", description = "There is no such job.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many streams are open.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn of_job(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JobPath(job): JobPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    job_of(&state, caller, job).await?;
    let changes = state.records.watch(job).ok_or_else(Problem::no_such_job)?;
    let known = last_event_id(&headers);
    let view = JobView::new(&changes.borrow(), state.scheduler.as_ref()).ok_or_else(Problem::no_such_job)?;
    if view.state.is_ended() && known.is_some_and(|known| known == event_id(&view)) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let stream = JobStream {
        open: Open::new(&state)?,
        changes,
        job,
        sent: known.map(str::to_owned),
        ended: false,
        first: true,
    };
    Ok(respond(
        &state,
        futures::stream::unfold(stream, async |mut stream| {
            stream.next().await.map(|event| (Ok(event), stream))
        }),
    ))
}

/// Follow all jobs.
///
/// Events are those of one job's stream, of all jobs of the caller, from now on, or from the event that `Last-Event-ID`
/// names; then some may come twice. `reset` says that it is too long ago: list again.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that came.")),
    responses(
        (status = 200, description = "The stream.", body = String, content_type = "text/event-stream"),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many streams are open.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn of_all(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Before what was missed is looked for, so that nothing falls between.
    let changes = state.records.changes();
    let mut stream = OwnerStream {
        open: Open::new(&state)?,
        owner: caller.owner,
        changes,
        waiting: Vec::new(),
        heard: None,
    };
    if let Some(known) = last_event_id(&headers) {
        stream.catch_up(change_before(known, state.records.instance()));
    }
    Ok(respond(
        &state,
        futures::stream::unfold(stream, async |mut stream| {
            stream.next().await.map(|event| (Ok(event), stream))
        }),
    ))
}

fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok()
}

/// The id of a change: its number, and in which process it has that number.
fn change_id(change: Change, instance: Uuid) -> String {
    format!("{}.{}", change.number, instance.simple())
}

/// The number of a change here that comes before all that whoever names `id` can have missed.
fn change_before(id: &str, instance: Uuid) -> i64 {
    let read = || {
        let (number, of) = id.split_once('.')?;
        let number: i64 = number.parse().ok()?;
        let here = of == instance.simple().to_string();
        Some(if here { number } else { number.saturating_sub(SLACK) })
    };
    // What is no id is of another time.
    read().unwrap_or(0)
}

fn respond(state: &AppState, events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let stop = state.stop.clone();
    let events = futures::StreamExt::take_until(events, async move { stop.cancelled().await });
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEPT_ALIVE))
        .into_response();
    // Proxies that gather answers before they pass them on are told not to.
    let name = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(name, HeaderValue::from_static("no"));
    response
}

/// A stream's place among those that may be open.
struct Open {
    state: AppState,
    _turn: OwnedSemaphorePermit,
    _counted: OpenStream,
}

impl Open {
    fn new(state: &AppState) -> Result<Self, Problem> {
        Ok(Self {
            _turn: state.turn_to_wait()?,
            _counted: state.metrics.stream(),
            state: state.clone(),
        })
    }

    fn view(&self, snapshot: &Snapshot) -> Option<JobView> {
        JobView::new(snapshot, self.state.scheduler.as_ref())
    }
}

/// The same id on every server for the same job in the same state.
fn event_id(view: &JobView) -> String {
    let written = serde_json::to_vec(view).unwrap_or_default();
    let digest = Digest(Sha256::digest(&written).into()).to_string();
    digest[..16].to_owned()
}

fn deleted(job: JobId, id: Option<&str>) -> Event {
    let event = Event::default()
        .event("deleted")
        .data(serde_json::json!({ "id": job }).to_string());
    match id {
        Some(id) => event.id(id),
        None => event,
    }
}

fn changed(view: &JobView, id: &str) -> Event {
    let data = serde_json::to_string(view).unwrap_or_default();
    Event::default().event("job").id(id).data(data)
}

struct JobStream {
    open: Open,
    changes: watch::Receiver<Arc<Snapshot>>,
    job: JobId,
    /// Id of the event that the client has.
    sent: Option<String>,
    ended: bool,
    first: bool,
}

impl JobStream {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.ended {
                return None;
            }
            if !std::mem::take(&mut self.first) {
                tokio::time::sleep(DISTANCE).await;
                if self.changes.changed().await.is_err() {
                    self.ended = true;
                    return Some(deleted(self.job, None));
                }
            }
            let snapshot = Arc::clone(&self.changes.borrow_and_update());
            let Some(view) = self.open.view(&snapshot) else {
                self.ended = true;
                return Some(deleted(self.job, None));
            };
            // A command that was accepted shows at once; the end is there when the scheduler has written it down.
            self.ended = view.state.is_ended() && view.ended.is_some();
            let id = event_id(&view);
            if self.sent.as_ref() != Some(&id) {
                let event = changed(&view, &id);
                self.sent = Some(id);
                return Some(event);
            }
        }
    }
}

struct OwnerStream {
    open: Open,
    owner: OwnerId,
    changes: broadcast::Receiver<Change>,
    /// What is to be sent next, the last first.
    waiting: Vec<Event>,
    /// Number of the last change that was heard of.
    heard: Option<i64>,
}

impl OwnerStream {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop() {
                return Some(event);
            }
            match self.changes.recv().await {
                Ok(change) => {
                    tokio::time::sleep(DISTANCE).await;
                    self.gather(change);
                }
                Err(RecvError::Lagged(_)) => self.catch_up(self.heard.unwrap_or(0)),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Takes in a change and all that followed it, each job once.
    fn gather(&mut self, first: Change) {
        let mut last_of: HashMap<JobId, Change> = HashMap::new();
        let mut next = Ok(first);
        loop {
            match next {
                Ok(change) => {
                    self.heard = Some(change.number);
                    if change.owner == self.owner {
                        last_of.insert(change.job, change);
                    }
                }
                Err(TryRecvError::Lagged(_)) => return self.catch_up(self.heard.unwrap_or(0)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
            next = self.changes.try_recv();
        }
        let mut changes: Vec<Change> = last_of.into_values().collect();
        changes.sort_by_key(|change| change.number);
        for change in changes {
            let now = self.open.state.records.known(self.owner, change.job);
            self.say(change, now.as_deref());
        }
        self.waiting.reverse();
    }

    /// Takes in what happened after a change.
    fn catch_up(&mut self, after: i64) {
        match self.open.state.records.missed(self.owner, after) {
            Missed::Jobs(jobs) => {
                for (change, now) in jobs {
                    self.heard = self.heard.max(Some(change.number));
                    self.say(change, now.as_deref());
                }
            }
            Missed::TooMuch => self.waiting.push(Event::default().event("reset").data("{}")),
        }
        self.waiting.reverse();
    }

    fn say(&mut self, change: Change, now: Option<&Snapshot>) {
        let id = change_id(change, self.open.state.records.instance());
        let event = match now.and_then(|snapshot| self.open.view(snapshot)) {
            Some(view) => changed(&view, &id),
            None => deleted(change.job, Some(&id)),
        };
        self.waiting.push(event);
    }
}
