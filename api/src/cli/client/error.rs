use std::error::Error;
use std::fmt;
use std::time::Duration;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::Failure;
use reqwest::{Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The longest answer that is read of a refusal, in bytes.
const LONGEST_REFUSAL: usize = 64 << 10;

/// What went wrong between this command and its server, or what the server says went wrong.
#[derive(Debug)]
pub(in crate::cli) struct ClientError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    failure: Failure,
    transient: bool,
    retry_after: Option<Duration>,
}

/// A client's result.
pub(in crate::cli) type Result<T, E = ClientError> = std::result::Result<T, E>;

impl ClientError {
    /// An error with its code and what a person should read.
    pub(in crate::cli) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Failure::new(code, message).into()
    }

    /// The server cannot be reached, or the connection broke.
    pub(super) fn unreachable(error: reqwest::Error) -> Self {
        let message = "the server cannot be reached, or the connection broke";
        let error = Self::new(ErrorCode::Unavailable, message).because(&error.without_url());
        error.transient()
    }

    /// A result, or what leads to one, cannot be written.
    pub(in crate::cli) fn write(what: impl fmt::Display, error: &std::io::Error) -> Self {
        let code = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorCode::DiskFull,
            std::io::ErrorKind::InvalidFilename => ErrorCode::OutputName,
            std::io::ErrorKind::AlreadyExists => ErrorCode::OutputExists,
            _ => ErrorCode::OutputUnwritable,
        };
        Self::new(code, format!("cannot write {what}")).because(error)
    }

    /// Adds its causes.
    #[must_use]
    pub(in crate::cli) fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| (*error).source());
        self.0.failure.causes.extend(causes.map(ToString::to_string));
        self
    }

    /// Says that trying again may help.
    #[must_use]
    pub(super) fn transient(mut self) -> Self {
        self.0.transient = true;
        self
    }

    /// Whether trying again may help.
    pub(in crate::cli) fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// When trying again makes sense, where the server says so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The stable code.
    pub(in crate::cli) fn code(&self) -> ErrorCode {
        self.0.failure.code
    }

    /// All there is to say.
    pub(in crate::cli) fn failure(&self) -> &Failure {
        &self.0.failure
    }

    /// What a response says that is no success.
    pub(super) async fn refused(response: Response) -> Self {
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|after| after.to_str().ok()?.parse().ok());
        let location = response.headers().get(header::LOCATION).cloned();
        let problem = problem(response).await;
        let code = problem
            .as_ref()
            .and_then(|problem| problem.code)
            .unwrap_or(meaning(status));
        let message = match (&problem, location) {
            (
                Some(Problem {
                    detail: Some(detail), ..
                }),
                _,
            ) => detail.clone(),
            (_, Some(to)) => format!("the server answers {status} and points to {to:?}; is that its address?"),
            _ => format!("the server answers {status}, and not as a Clearfleet server does"),
        };
        let mut failure = Failure::new(code, message);
        if let Some(problem) = problem {
            let details = problem
                .details
                .into_iter()
                .chain(problem.request_id.map(|id| ("request_id".to_owned(), id)));
            let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            failure.details = details.map(|(name, value)| (name, text(value))).collect();
        }
        let passing = [
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        Self(Box::new(Inner {
            transient: passing.contains(&status) || code == ErrorCode::BodyIncomplete,
            failure,
            retry_after: retry_after.map(Duration::from_secs),
        }))
    }
}

impl From<Failure> for ClientError {
    fn from(failure: Failure) -> Self {
        Self(Box::new(Inner {
            failure,
            transient: false,
            retry_after: None,
        }))
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.failure.message)
    }
}

/// Problem details (RFC 9457), as far as they say something here.
#[derive(Debug, Deserialize)]
struct Problem {
    #[serde(default, deserialize_with = "known")]
    code: Option<ErrorCode>,
    detail: Option<String>,
    #[serde(default)]
    details: Map<String, Value>,
    request_id: Option<Value>,
}

/// A code of a newer server is none; its status says what it means.
fn known<'de, D: serde::Deserializer<'de>>(code: D) -> Result<Option<ErrorCode>, D::Error> {
    let code = Value::deserialize(code)?;
    Ok(ErrorCode::deserialize(code).ok())
}

async fn problem(mut response: Response) -> Option<Problem> {
    let media_type = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !media_type.starts_with("application/problem+json") {
        return None;
    }
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > LONGEST_REFUSAL {
            return None;
        }
    }
    serde_json::from_slice(&body).ok()
}

/// The code for a status that comes without one, for instance from a proxy.
fn meaning(status: StatusCode) -> ErrorCode {
    match status {
        StatusCode::UNAUTHORIZED => ErrorCode::Unauthorized,
        StatusCode::FORBIDDEN => ErrorCode::Forbidden,
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => ErrorCode::Timeout,
        StatusCode::GONE => ErrorCode::Gone,
        StatusCode::PRECONDITION_FAILED => ErrorCode::PreconditionFailed,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
        StatusCode::RANGE_NOT_SATISFIABLE => ErrorCode::RangeUnsatisfiable,
        StatusCode::TOO_MANY_REQUESTS => ErrorCode::RateLimited,
        StatusCode::INSUFFICIENT_STORAGE => ErrorCode::InsufficientStorage,
        status if status.is_client_error() => ErrorCode::BodyInvalid,
        _ => ErrorCode::Unavailable,
    }
}
