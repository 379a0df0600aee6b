//! What a refused or failed request gets: problem details (RFC 9457) with a stable code.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::IllegalCommand;
use clearfleet_common::storage::StorageError;
use serde::Serialize;
use utoipa::ToSchema;

type Cause = Box<dyn Error + Send + Sync>;

/// The only error of the HTTP API.
///
/// What the client reads ([`detail`](Self::new), [`with`](Self::with)) and what the log gets beside it
/// ([`because`](Self::because)) are two things: causes name keys and addresses that are nobody's business outside.
#[derive(Clone, Debug)]
pub struct Problem(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    code: ErrorCode,
    detail: String,
    details: BTreeMap<&'static str, String>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
}

/// A problem as it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// The code as a URN: `urn:clearfleet:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The code in words.
    title: String,
    /// The status of the response.
    status: u16,
    /// A sentence for a person.
    detail: &'a str,
    /// The stable code, for programs.
    code: &'static str,
    /// Names this request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// The values it is about, such as `expected`, `found`, `limit`, `state`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: &'a BTreeMap<&'static str, String>,
}

impl Problem {
    /// A problem with its code and what a person should read.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            code,
            detail: detail.into(),
            details: BTreeMap::new(),
            retry_after: None,
            cause: None,
        }))
    }

    /// There is no such job, or it is somebody else's: nobody learns which of the two.
    pub fn no_such_job() -> Self {
        Self::new(ErrorCode::NotFound, "there is no such job")
    }

    /// A fault of Clearfleet itself; the client is told no more than that.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::new(
            ErrorCode::Internal,
            "a fault of Clearfleet itself; the server's log says more",
        )
        .because(cause)
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        // Shared only once it is a response.
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        }
        self
    }

    /// Adds its cause, for the log.
    #[must_use]
    pub fn because(self, cause: impl Into<Cause>) -> Self {
        self.change(|inner| inner.cause = Some(cause.into()))
    }

    /// Adds a value that the problem is about, for the client.
    #[must_use]
    pub fn with(self, name: &'static str, value: impl fmt::Display) -> Self {
        self.change(|inner| {
            inner.details.insert(name, value.to_string());
        })
    }

    /// Says when another attempt makes sense.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        self.change(|inner| inner.retry_after = Some(after))
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The status of its response.
    pub fn status(&self) -> StatusCode {
        status(self.0.code)
    }

    /// Its cause, for the log.
    pub fn cause(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }

    /// The document as it is sent.
    pub fn body<'a>(&'a self, request_id: Option<&'a str>) -> ProblemBody<'a> {
        let code = self.0.code.as_str();
        ProblemBody {
            kind: format!("urn:clearfleet:problem:{code}"),
            title: title(code),
            status: self.status().as_u16(),
            detail: &self.0.detail,
            code,
            request_id,
            details: &self.0.details,
        }
    }

    /// The response, naming the request where its id is known.
    pub fn response(&self, request_id: Option<&str>) -> Response {
        let body = serde_json::to_vec(&self.body(request_id)).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, after.as_secs().max(1).into());
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// `not_found` as `Not found`.
fn title(code: &str) -> String {
    let words = code.replace('_', " ");
    let mut letters = words.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// The status of a code.
fn status(code: ErrorCode) -> StatusCode {
    use ErrorCode as E;
    match code {
        E::BodyInvalid | E::BodyIncomplete | E::FieldUnknown | E::QueryInvalid => StatusCode::BAD_REQUEST,
        E::Unauthorized => StatusCode::UNAUTHORIZED,
        E::Forbidden => StatusCode::FORBIDDEN,
        E::NotFound | E::NotReady => StatusCode::NOT_FOUND,
        E::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        E::Timeout => StatusCode::REQUEST_TIMEOUT,
        E::StateConflict | E::OffsetConflict => StatusCode::CONFLICT,
        E::ChecksumMismatch => checksum_mismatch(),
        E::Gone => StatusCode::GONE,
        E::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        E::TooLarge | E::InputTooLarge | E::QuotaExceeded => StatusCode::PAYLOAD_TOO_LARGE,
        E::MediaTypeUnsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        E::RangeUnsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        E::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        E::NotOffered => StatusCode::NOT_IMPLEMENTED,
        E::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        E::InsufficientStorage | E::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        E::IdempotencyConflict
        | E::StretchEmpty
        | E::TargetInvalid
        | E::SettingsInvalid
        | E::InputNotFound
        | E::InputUnreadable
        | E::InputNotAFile
        | E::InputEmpty
        | E::InputMislabelled
        | E::InputUnsupported
        | E::InputPlaylist
        | E::InputDamaged
        | E::InputNoVideo
        | E::InputNoFrames
        | E::InputDimensions
        | E::InputTooManyPixels
        | E::InputTooManyFrames
        | E::InputTooLong => StatusCode::UNPROCESSABLE_ENTITY,
        E::OutputExists
        | E::OutputIsInput
        | E::OutputNotAFile
        | E::OutputNoFolder
        | E::OutputUnsupported
        | E::OutputName
        | E::OutputUnwritable
        | E::StateExists
        | E::FfmpegMissing
        | E::WeightsInvalid
        | E::EngineFailed
        | E::DecodeFailed
        | E::EncodeFailed
        | E::FramesMismatch
        | E::DeadlineExceeded
        | E::WorkerDied
        | E::VerifyMismatch
        | E::Stopped
        | E::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// 460, which the tus protocol has for it.
fn checksum_mismatch() -> StatusCode {
    StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST)
}

impl IntoResponse for Problem {
    /// The document without the request's id; the layers around all routes write it once more with it.
    fn into_response(self) -> Response {
        let mut response = self.response(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Full { .. } => Self::new(ErrorCode::InsufficientStorage, "the store has no room for it"),
            StorageError::Unavailable { .. } | StorageError::Denied { .. } => {
                let problem = Self::new(ErrorCode::Unavailable, "the store cannot be used now");
                problem.retry_after(Duration::from_secs(5))
            }
            StorageError::Changed { .. } | StorageError::Missing { .. } => {
                Self::new(ErrorCode::Gone, "what was stored was deleted or replaced meanwhile")
            }
            StorageError::TooLarge { .. } | StorageError::Invalid { .. } => return Self::internal(error),
        }
        .because(error)
    }
}

impl From<IllegalCommand> for Problem {
    fn from(illegal: IllegalCommand) -> Self {
        Self::new(ErrorCode::StateConflict, illegal.to_string()).with("state", illegal.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_a_client_needs_and_no_more() {
        let problem = Problem::new(ErrorCode::StateConflict, "a job that is done cannot pause")
            .with("state", "done")
            .because("at records/local/1.json");
        let written = serde_json::to_value(problem.body(Some("7"))).unwrap();
        let expected = serde_json::json!({
            "type": "urn:clearfleet:problem:state_conflict",
            "title": "State conflict",
            "status": 409,
            "detail": "a job that is done cannot pause",
            "code": "state_conflict",
            "request_id": "7",
            "details": {"state": "done"},
        });
        assert_eq!(written, expected);
        assert_eq!(problem.cause().unwrap().to_string(), "at records/local/1.json");
    }
}
