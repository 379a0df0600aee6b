//! Bodies as they come: at a pace, within a limit; and the extractors whose refusals are problems.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::JobId;
use futures::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::{AppState, Problem};

/// After a refusal the rest of a body is taken for this long, so that the client reads the answer before its connection
/// is reset.
const LINGER: Duration = Duration::from_secs(3);
/// And no more than this, in bytes.
const LINGER_BYTES: usize = 64 << 20;

/// The slowest that a body may come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long it is waited for at a time.
    pub(super) idle: Duration,
    /// Bytes that must have come by then.
    pub(super) bytes: u64,
}

impl Pace {
    pub(super) fn of(state: &AppState) -> Self {
        let config = &state.config;
        Self {
            idle: config.body_idle,
            bytes: (config.body_rate as f64 * config.body_idle.as_secs_f64()) as u64,
        }
    }
}

/// A body that is read at a pace and within a limit. Time that passes while nobody asks for more is not the client's.
pub(super) struct PacedBody {
    body: BodyDataStream,
    pace: Pace,
    limit: u64,
    /// What is refused when there is more.
    too_large: ErrorCode,
    seen: u64,
    /// Of the present window.
    waited: Duration,
    came: u64,
    ended: bool,
}

impl PacedBody {
    /// A body of at most `limit` bytes; more is refused with `too_large`.
    ///
    /// # Errors
    /// If its announced length is above the limit.
    pub(super) fn new(
        headers: &HeaderMap,
        body: Body,
        pace: Pace,
        limit: u64,
        too_large: ErrorCode,
    ) -> Result<Self, Problem> {
        let announced = headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let paced = Self {
            body: body.into_data_stream(),
            pace,
            limit,
            too_large,
            seen: 0,
            waited: Duration::ZERO,
            came: 0,
            ended: false,
        };
        match announced.filter(|length| *length > limit) {
            Some(length) => Err(paced.over_the_limit().with("found", length)),
            None => Ok(paced),
        }
    }

    fn over_the_limit(&self) -> Problem {
        let detail = format!("the body is larger than {} bytes", self.limit);
        Problem::new(self.too_large, detail).with("limit", self.limit)
    }

    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// `body_incomplete` where it breaks off, `timeout` where it comes too slowly, the limit's code where it is larger.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let since = Instant::now();
            let left = self.pace.idle.saturating_sub(self.waited);
            let Ok(piece) = timeout(left, self.body.next()).await else {
                if self.came < self.pace.bytes {
                    let detail = "the body comes too slowly";
                    return Err(Problem::new(ErrorCode::Timeout, detail).with("bytes", self.seen));
                }
                (self.waited, self.came) = (Duration::ZERO, 0);
                continue;
            };
            let Some(piece) = piece else {
                self.ended = true;
                return Ok(None);
            };
            let piece = piece.map_err(|e| {
                self.ended = true;
                let detail = "the body broke off or is no valid body";
                Problem::new(ErrorCode::BodyIncomplete, detail)
                    .with("bytes", self.seen)
                    .because(e)
            })?;
            self.waited += since.elapsed();
            self.came += piece.len() as u64;
            self.seen += piece.len() as u64;
            if self.seen > self.limit {
                return Err(self.over_the_limit());
            }
            if self.came >= self.pace.bytes {
                (self.waited, self.came) = (Duration::ZERO, 0);
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    /// All of a small body.
    pub(super) async fn collect(mut self) -> Result<Bytes, Problem> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }

    /// The same as a stream, for readers whose errors hide ours: the problem is also left in the control.
    ///
    /// It is never ready twice in a row: a reader that takes all that is ready takes one piece.
    pub(super) fn into_stream(self) -> (impl Stream<Item = Result<Bytes, Broken>> + Send, Control) {
        let control = Control::default();
        let stream = futures::stream::unfold((self, control.clone()), async |(mut body, control)| {
            tokio::task::yield_now().await;
            let piece = body.next().await.and_then(|piece| control.allow(piece));
            match piece {
                Ok(Some(piece)) => Some((Ok(piece), (body, control))),
                Ok(None) => None,
                Err(problem) => {
                    control.put(problem);
                    Some((Err(Broken), (body, control)))
                }
            }
        });
        (stream, control)
    }
}

impl Drop for PacedBody {
    /// What was refused midway is still on its way: closing the connection at once would reset it, and the client would
    /// see that in place of the answer.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut rest = std::mem::replace(&mut self.body, Body::empty().into_data_stream());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(timeout(LINGER, async move {
            let mut taken = 0;
            while let Some(Ok(piece)) = rest.next().await {
                taken += piece.len();
                if taken > LINGER_BYTES {
                    break;
                }
            }
        }));
    }
}

/// The other end of a body that somebody else reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Control(Arc<Mutex<Controlled>>);

#[derive(Debug, Default)]
struct Controlled {
    problem: Option<Problem>,
    /// Bytes that may still come; nothing for no limit but the body's own.
    allowed: Option<usize>,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, Controlled> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much may come from now on, while the reader keeps all of it in memory.
    pub(super) fn limit(&self, bytes: Option<usize>) {
        self.lock().allowed = bytes;
    }

    fn allow(&self, piece: Option<Bytes>) -> Result<Option<Bytes>, Problem> {
        if let (Some(allowed), Some(piece)) = (&mut self.lock().allowed, &piece) {
            *allowed = allowed
                .checked_sub(piece.len())
                .ok_or_else(|| Problem::new(ErrorCode::TooLarge, "the body's parts have too much between them"))?;
        }
        Ok(piece)
    }

    fn put(&self, problem: Problem) {
        self.lock().problem = Some(problem);
    }

    /// The problem, if there was one.
    pub(super) fn take(&self) -> Option<Problem> {
        self.lock().problem.take()
    }
}

/// Stands for the problem that is in the control.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body could not be read")
    }
}

impl std::error::Error for Broken {}

/// A small JSON document.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            let detail = "the body must be application/json";
            return Err(Problem::new(ErrorCode::MediaTypeUnsupported, detail));
        }
        let limit = state.config.json_bytes as u64;
        let body = PacedBody::new(&parts.headers, body, Pace::of(state), limit, ErrorCode::TooLarge)?;
        from_json(&body.collect().await?).map(Self)
    }
}

/// Whether a body is said to be JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media_type| media_type == "application/json")
}

/// The media type of a body without its parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Reads a JSON document.
///
/// # Errors
/// `field_unknown`, `body_invalid`.
pub(super) fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|e| match unknown_field(&e.to_string()) {
        Some(field) => field_unknown(&field),
        None => Problem::new(ErrorCode::BodyInvalid, format!("the JSON cannot be understood: {e}")),
    })
}

/// A refused field, part or parameter.
pub(super) fn field_unknown(name: &str) -> Problem {
    let name: String = name.chars().take(100).collect();
    Problem::new(ErrorCode::FieldUnknown, format!("there is no field {name:?}")).with("field", name)
}

/// The field that serde's message says is none. The one about an address is preceded by the parameter's name.
fn unknown_field(message: &str) -> Option<String> {
    let of_address = message.strip_prefix("Failed to deserialize query string: ");
    let message = of_address.map_or(message, |rest| rest.split_once(": ").map_or(rest, |(_, rest)| rest));
    let rest = message.strip_prefix("unknown field `")?;
    Some(rest.split('`').next().unwrap_or_default().to_owned())
}

/// The parameters of an address.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let found = axum::extract::Query::try_from_uri(&parts.uri);
        found.map(|axum::extract::Query(found)| Self(found)).map_err(|e| {
            let message = e.body_text();
            match unknown_field(&message) {
                Some(field) => field_unknown(&field),
                None => Problem::new(ErrorCode::QueryInvalid, message),
            }
        })
    }
}

/// The job that an address names.
pub(super) struct JobPath(pub(super) JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = Problem;

    /// What is no id is no job either.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        let id = id.map_err(|_| Problem::no_such_job())?;
        id.parse().map(Self).map_err(|_| Problem::no_such_job())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(body: Body, limit: u64) -> PacedBody {
        let pace = Pace {
            idle: Duration::from_secs(10),
            bytes: 100,
        };
        PacedBody::new(&HeaderMap::new(), body, pace, limit, ErrorCode::InputTooLarge).unwrap()
    }

    /// A body of one piece of `size` bytes every `seconds`.
    fn trickle(size: usize, seconds: u64) -> Body {
        Body::from_stream(futures::stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Some((Ok::<_, Broken>(Bytes::from(vec![0; size])), ()))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bodies_are_given_up_and_steady_ones_are_not() {
        let code = |body| async move {
            let mut body = paced(body, 10_000);
            loop {
                match body.next().await {
                    Ok(piece) => assert!(piece.is_some()),
                    Err(problem) => return problem.code(),
                }
            }
        };
        assert_eq!(code(trickle(9, 1)).await, ErrorCode::Timeout);
        assert_eq!(code(trickle(1_000, 11)).await, ErrorCode::Timeout);
        // A hundred bytes in ten seconds are enough; it never ends, so it meets the limit.
        assert_eq!(code(trickle(11, 1)).await, ErrorCode::InputTooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_nobody_asks_for_more_is_not_the_clients() {
        let mut body = paced(trickle(60, 4), 10_000);
        for _ in 0..5 {
            assert_eq!(body.next().await.unwrap().unwrap().len(), 60);
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
    }

    #[tokio::test]
    async fn an_announced_length_above_the_limit_is_refused_at_once() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, 11.into());
        let pace = Pace {
            idle: Duration::from_secs(1),
            bytes: 1,
        };
        let refused = PacedBody::new(&headers, Body::empty(), pace, 10, ErrorCode::InputTooLarge).err();
        assert_eq!(refused.unwrap().code(), ErrorCode::InputTooLarge);
    }

    #[test]
    fn unknown_fields_are_named() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Small {
            #[allow(dead_code, reason = "only parsed")]
            known: Option<u8>,
        }
        let refused = |text: &str| from_json::<Small>(text.as_bytes()).unwrap_err();
        let unknown = refused(r#"{"colour": 1}"#);
        assert_eq!(unknown.code(), ErrorCode::FieldUnknown);
        assert_eq!(
            serde_json::to_value(unknown.body(None)).unwrap()["details"]["field"],
            "colour"
        );
        assert_eq!(refused("{").code(), ErrorCode::BodyInvalid);
        assert_eq!(
            refused(r#"{"known": "unknown field `x`"}"#).code(),
            ErrorCode::BodyInvalid
        );
    }
}
