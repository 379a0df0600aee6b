//! A server that speaks the contract of `/v1/jobs` and keeps in mind what it was asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use super::proxy::{Cut, proxy};

/// Steps of a job's life: queued, two of three frames, and its end.
const END: usize = 3;

/// What the server does; files are named as they were uploaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// The only key it takes.
    pub(crate) key: Option<String>,
    /// Status and problem that uploads of a file get.
    pub(crate) refused: HashMap<String, (u16, Value)>,
    /// Failures that jobs end with.
    pub(crate) failures: HashMap<String, Value>,
    /// `Content-Disposition` of results.
    pub(crate) dispositions: HashMap<String, String>,
    /// Extension of results in place of the source's.
    pub(crate) extension: Option<&'static str>,
    /// Jobs do not end.
    pub(crate) endless: bool,
    /// Uploads get no answer.
    pub(crate) silent: bool,
    /// There are no events.
    pub(crate) eventless: bool,
    /// Events that a connection brings before it ends.
    pub(crate) events: Option<usize>,
    /// The digest said is another than the result's.
    pub(crate) lying: bool,
}

/// A job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) request: Value,
    pub(crate) file_name: String,
    pub(crate) file: Bytes,
    pub(crate) key: String,
    pub(crate) cancelled: bool,
    looks: usize,
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) rules: Rules,
    pub(crate) jobs: Vec<Job>,
    /// Idempotency keys of uploads that began.
    pub(crate) uploads: Vec<String>,
    /// `Last-Event-ID` of each connection to events.
    pub(crate) listeners: Vec<Option<String>>,
    /// `Range` and `If-Range` of each download.
    pub(crate) ranges: Vec<Option<(String, String)>>,
}

type Shared = Arc<Mutex<Seen>>;

pub(crate) struct Stub {
    runtime: Runtime,
    address: SocketAddr,
    seen: Shared,
}

impl Stub {
    pub(crate) fn start(rules: Rules) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let seen = Arc::new(Mutex::new(Seen {
            rules,
            ..Seen::default()
        }));
        let router = Router::new()
            .route("/v1/jobs", post(create).get(list))
            .route("/v1/jobs/{id}", get(one))
            .route("/v1/jobs/{id}/events", get(events))
            .route("/v1/jobs/{id}/result", get(result))
            .route("/v1/jobs/{id}/cancel", post(cancel))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&seen));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("its address");
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { runtime, address, seen }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address behind a wire that breaks.
    pub(crate) fn url_behind(&self, cuts: Vec<Cut>) -> String {
        format!("http://{}", self.runtime.block_on(proxy(self.address, cuts)))
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no handler panics")
    }

    /// Names of the files that jobs were made of, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.seen().jobs.iter().map(|job| job.file_name.clone()).collect()
    }
}

/// What comes of a file.
pub(crate) fn upscaled(file: &[u8]) -> Vec<u8> {
    [b"upscaled ", file].concat()
}

impl Job {
    fn view(&self, rules: &Rules, step: usize) -> Value {
        let failure = rules.failures.get(&self.file_name);
        let state = match (step, failure) {
            (0, _) => "queued",
            (1 | 2, _) => "running",
            (_, Some(_)) => "failed",
            (_, None) => "done",
        };
        let result = upscaled(&self.file);
        let digest: String = Sha256::digest(&result)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let sha256 = if rules.lying { "0".repeat(64) } else { digest };
        let result = json!({
            "name": self.result_name(rules), "bytes": result.len(), "sha256": sha256, "notes": ["no sound"],
        });
        json!({
            "id": self.id,
            "name": self.file_name,
            "state": state,
            "progress": { "done": step.min(2), "total": 3, "place_in_line": null, "of_tomorrow": 1 },
            "failure": if state == "failed" { failure.cloned() } else { None },
            "result": (state == "done").then_some(result),
            "links": { "self": format!("/v1/jobs/{}", self.id) },
        })
    }

    fn result_name(&self, rules: &Rules) -> String {
        let (stem, extension) = self.file_name.rsplit_once('.').unwrap_or((&self.file_name, "bin"));
        format!("{stem}-2x.{}", rules.extension.unwrap_or(extension))
    }
}

fn problem(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (
        status,
        [(header::CONTENT_TYPE, "application/problem+json")],
        body.to_string(),
    )
        .into_response()
}

fn not_found() -> Response {
    problem(404, &json!({ "code": "not_found", "detail": "there is no such job" }))
}

fn find<'a>(seen: &'a mut Seen, id: &str) -> Option<(&'a Rules, &'a mut Job)> {
    let job = seen.jobs.iter_mut().find(|job| job.id == id)?;
    Some((&seen.rules, job))
}

async fn list(State(seen): State<Shared>, headers: HeaderMap) -> Response {
    let key = seen.lock().expect("seen").rules.key.clone();
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match key {
        Some(key) if given != Some(&format!("Bearer {key}")) => {
            let body = json!({ "code": "unauthorized", "detail": "there is no such key", "request_id": "r-7" });
            problem(401, &body)
        }
        _ => axum::Json(json!({ "jobs": [] })).into_response(),
    }
}

async fn create(State(seen): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let content_type = headers["content-type"].to_str().expect("a media type");
    let boundary = multer::parse_boundary(content_type).expect("a boundary");
    let mut parts = multer::Multipart::new(body.into_data_stream(), boundary);
    let key = headers["idempotency-key"].to_str().expect("a key").to_owned();
    seen.lock().expect("seen").uploads.push(key.clone());
    let request = parts.next_field().await.ok().flatten().expect("the request");
    assert_eq!(
        (request.name(), request.content_type().map(AsRef::as_ref)),
        (Some("request"), Some("application/json"))
    );
    let request: Value = serde_json::from_slice(&request.bytes().await.expect("the request")).expect("JSON");
    let Ok(Some(file)) = parts.next_field().await else {
        return problem(
            400,
            &json!({ "code": "body_incomplete", "detail": "the body broke off" }),
        );
    };
    assert_eq!(file.name(), Some("file"));
    let file_name = file.file_name().expect("a file name").to_owned();
    let Ok(file) = file.bytes().await else {
        return problem(
            400,
            &json!({ "code": "body_incomplete", "detail": "the body broke off" }),
        );
    };
    assert!(parts.next_field().await.expect("the end").is_none(), "two parts only");
    let (view, silent) = {
        let mut seen = seen.lock().expect("seen");
        if let Some((status, body)) = seen.rules.refused.get(&file_name) {
            return problem(*status, body);
        }
        let known = seen.jobs.iter().position(|job| job.key == key);
        let at = known.unwrap_or_else(|| {
            let id = format!("01900000-0000-7000-8000-{:012}", seen.jobs.len());
            let (cancelled, looks) = (false, 0);
            let job = Job {
                id,
                request,
                file_name,
                file,
                key,
                cancelled,
                looks,
            };
            seen.jobs.push(job);
            seen.jobs.len() - 1
        });
        (seen.jobs[at].view(&seen.rules, 0), seen.rules.silent)
    };
    if silent {
        std::future::pending::<()>().await;
    }
    (StatusCode::CREATED, axum::Json(view)).into_response()
}

async fn one(State(seen): State<Shared>, Path(id): Path<String>) -> Response {
    let mut seen = seen.lock().expect("seen");
    let Some((rules, job)) = find(&mut seen, &id) else {
        return not_found();
    };
    // Each look finds it a step further.
    job.looks += 1;
    let step = if rules.endless { 1 } else { job.looks.min(END) };
    axum::Json(job.view(rules, step)).into_response()
}

async fn events(State(shared): State<Shared>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let last = headers
        .get("last-event-id")
        .map(|id| id.to_str().expect("an id").to_owned());
    let mut seen = shared.lock().expect("seen");
    if seen.rules.eventless {
        return problem(501, &json!({ "code": "not_offered", "detail": "no events here" }));
    }
    seen.listeners.push(last.clone());
    let count = seen.rules.events.unwrap_or(usize::MAX);
    if find(&mut seen, &id).is_none() {
        return not_found();
    }
    drop(seen);
    let first = last.map_or(0, |last| last.parse::<usize>().expect("an id of ours") + 1);
    let stream = futures::stream::unfold((shared, first, count), move |(shared, step, left)| {
        let id = id.clone();
        async move {
            if left == 0 || step > END {
                return None;
            }
            let view = loop {
                {
                    let mut seen = shared.lock().expect("seen");
                    let (rules, job) = find(&mut seen, &id)?;
                    if step <= 1 || !rules.endless {
                        break job.view(rules, step);
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            let event = Event::default()
                .event("job")
                .id(step.to_string())
                .data(view.to_string());
            Some((Ok::<_, Infallible>(event), (shared, step + 1, left - 1)))
        }
    });
    Sse::new(stream).into_response()
}

async fn result(State(seen): State<Shared>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let text = |name| headers.get(name).map(|value| value.to_str().expect("text").to_owned());
    let range = text(header::RANGE).zip(text(header::IF_RANGE));
    let mut seen = seen.lock().expect("seen");
    seen.ranges.push(range.clone());
    let Some((rules, job)) = find(&mut seen, &id) else {
        return not_found();
    };
    let whole = upscaled(&job.file);
    let name = format!("attachment; filename=\"{}\"", job.result_name(rules));
    let disposition = rules.dispositions.get(&job.file_name).cloned().unwrap_or(name);
    let head = [
        (header::ETAG, "\"v1\"".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    match range {
        Some((range, condition)) if condition == "\"v1\"" => {
            let start = range
                .trim_start_matches("bytes=")
                .trim_end_matches('-')
                .parse::<usize>()
                .expect("a range");
            let content = format!("bytes {start}-{}/{}", whole.len() - 1, whole.len());
            let part = Body::from(whole[start..].to_vec());
            (
                StatusCode::PARTIAL_CONTENT,
                head,
                [(header::CONTENT_RANGE, content)],
                part,
            )
                .into_response()
        }
        _ => (head, whole).into_response(),
    }
}

async fn cancel(State(seen): State<Shared>, Path(id): Path<String>) -> Response {
    let mut seen = seen.lock().expect("seen");
    let Some((_, job)) = find(&mut seen, &id) else {
        return not_found();
    };
    job.cancelled = true;
    StatusCode::ACCEPTED.into_response()
}
