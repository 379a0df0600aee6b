//! Objects on their way to a client.

use axum::body::Body;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Record, SourceLocation};
use clearfleet_common::storage::{ObjectKey, Stat, Storage};

use super::names::disposition;
use super::range::{Validators, Wanted, http_date, wanted};
use crate::http::{AppState, Problem};

/// Where an object is, and what it was when it was looked at.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) storage: Storage,
    pub(super) key: String,
    pub(super) stat: Stat,
}

/// The source of a job, in the version that the record names.
///
/// # Errors
/// `not_ready` where it is on its way, `gone` where it is not there any more.
pub(super) async fn stat_of_source(state: &AppState, record: &Record) -> Result<Found, Problem> {
    if !record.source.has_come() {
        return Err(Problem::new(ErrorCode::NotReady, "the source is not there yet"));
    }
    let (storage, key) = match &record.source.location {
        SourceLocation::Job(job) => (state.storage.clone(), ObjectKey::Source(*job).to_string()),
        SourceLocation::External { bucket, key } => (state.storage.in_bucket(bucket), key.clone()),
    };
    let stat = storage.stat(&key).await?;
    let stat = stat.filter(|stat| stat.version.as_str() == record.source.etag);
    let gone = || {
        Problem::new(
            ErrorCode::Gone,
            "the source was deleted or replaced since the job was made",
        )
    };
    Ok(Found {
        stat: stat.ok_or_else(gone)?,
        storage,
        key,
    })
}

/// What a client asked with, and how the object is called.
pub(super) struct Download<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    pub(super) content_type: &'a str,
    /// The name that it is saved under; nothing for what is only looked at.
    pub(super) name: Option<String>,
}

impl Download<'_> {
    /// The object, or what of it is asked for.
    ///
    /// # Errors
    /// `range_unsatisfiable`, `precondition_failed`, `gone`, the store's.
    pub(super) async fn of(self, found: Found) -> Result<Response, Problem> {
        let stat = &found.stat;
        let object = Validators {
            etag: stat.version.as_str(),
            modified: stat.modified,
            bytes: stat.bytes,
        };
        let (status, part) = match wanted(self.headers, object) {
            Wanted::Whole => (StatusCode::OK, 0..stat.bytes),
            Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Wanted::NotModified => return Ok(self.with_headers(&found, StatusCode::NOT_MODIFIED.into_response())),
            Wanted::OtherVersion => {
                let detail = "the object is another version than the request names";
                return Err(Problem::new(ErrorCode::PreconditionFailed, detail));
            }
            Wanted::NoSuchBytes => return Ok(no_such_bytes(stat.bytes)),
        };
        // A length without a body is what HEAD asks for.
        let body = if self.method == Method::HEAD || part.is_empty() {
            Body::empty()
        } else {
            let reader = found
                .storage
                .read(&found.key, Some(part.clone()), Some(&stat.version))
                .await?;
            Body::from_stream(reader)
        };
        let mut response = self.with_headers(&found, (status, body).into_response());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, (part.end - part.start).into());
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {}-{}/{}", part.start, part.end - 1, stat.bytes);
            insert(headers, header::CONTENT_RANGE, Some(range));
        }
        Ok(response)
    }

    fn with_headers(&self, found: &Found, mut response: Response) -> Response {
        let headers = response.headers_mut();
        insert(headers, header::ETAG, Some(found.stat.version.as_str()));
        insert(headers, header::LAST_MODIFIED, http_date(found.stat.modified));
        insert(headers, header::CONTENT_TYPE, Some(self.content_type));
        insert(
            headers,
            header::CONTENT_DISPOSITION,
            self.name.as_deref().map(disposition),
        );
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        // It is one owner's, and the same address may mean another object after a redo.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        response
    }
}

fn no_such_bytes(length: u64) -> Response {
    let problem = Problem::new(ErrorCode::RangeUnsatisfiable, "the object has no such bytes");
    let mut response = problem.with("bytes", length).into_response();
    insert(
        response.headers_mut(),
        header::CONTENT_RANGE,
        Some(format!("bytes */{length}")),
    );
    response
}

/// A header, unless there is no value or it cannot stand in one.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<impl AsRef<str>>) {
    if let Some(Ok(value)) = value.map(|value| HeaderValue::from_str(value.as_ref())) {
        headers.insert(name, value);
    }
}
