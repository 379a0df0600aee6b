//! How far an upload is, and its end.

use axum::extract::State as Extracted;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{JobId, State};
use clearfleet_common::storage::{Arrival, Received, ResumableUpload, StorageError};

use super::finish::finish;
use super::headers::{LENGTH, METADATA, Tus, TusVersion};
use super::offset;
use crate::http::body::JobPath;
use crate::http::error::ProblemBody;
use crate::http::jobs::{command, job_of, visible};
use crate::http::{AppState, Caller, Problem};

/// How far an upload is.
pub(super) enum Place {
    /// The source is there, of this many bytes.
    Over(u64),
    /// More is to come.
    Open(Box<ResumableUpload>, Received),
}

impl Place {
    /// Looks, by the store alone, how far the upload of the caller's job is. One that has all come and whose server died
    /// before it said so is finished now.
    ///
    /// # Errors
    /// `not_found`; `gone` where it ended before all of it came; the store's.
    pub(super) async fn of(state: &AppState, caller: Caller, job: JobId) -> Result<Self, Problem> {
        let known = job_of(state, caller, job).await?;
        if known.record.source.has_come() {
            return Ok(Self::Over(known.record.source.bytes));
        }
        let Some(upload) = state.storage.upload(job).await? else {
            // Another server may have finished it a moment ago.
            let now = visible(state.records.read_now(caller.owner, job).await?)?;
            let source = &now.record.source;
            return source.has_come().then_some(Self::Over(source.bytes)).ok_or_else(over);
        };
        if known.record.apparent_state() != Some(State::Uploading) {
            return Err(over());
        }
        match state.storage.received(&upload).await {
            Ok(Arrival::Partial(received)) if received.bytes() < upload.bytes => {
                state.say_received(caller.owner, job, received.bytes());
                Ok(Self::Open(Box::new(upload), received))
            }
            Ok(_) => {
                finish(state, caller, &upload).await?;
                Ok(Self::Over(upload.bytes))
            }
            Err(e @ StorageError::Missing { .. }) => Err(over().because(e)),
            Err(e) => Err(e.into()),
        }
    }

    /// Bytes that have come: where it goes on.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Over(bytes) => *bytes,
            Self::Open(_, received) => received.bytes(),
        }
    }
}

/// Nothing more is taken.
pub(super) fn over() -> Problem {
    let detail = "the upload ended before all of it came: it was cancelled, or nothing came for too long";
    Problem::new(ErrorCode::Gone, detail)
}

/// Look how far an upload is.
#[utoipa::path(
    head,
    path = "/v1/uploads/{id}",
    tag = "uploads",
    params(
        ("id" = String, Path, description = "The upload, which is the job."),
        ("Tus-Resumable" = inline(TusVersion), Header, description = "The version of the protocol."),
    ),
    responses(
        (status = 200, description = "It goes on at `Upload-Offset`.", headers(
            ("Upload-Offset" = u64, description = "Bytes that have come."),
            ("Upload-Length" = u64, description = "Bytes of the whole."),
        )),
        (status = "4XX", description = "There is no such upload, or it ended (410)."),
    )
)]
pub(super) async fn upload_offset(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    _: Tus,
    JobPath(job): JobPath,
) -> Result<Response, Problem> {
    let place = Place::of(&state, caller, job).await?;
    let mut response = offset(StatusCode::OK, place.bytes());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let length = match &place {
        Place::Over(bytes) => *bytes,
        Place::Open(upload, _) => {
            if let Some(metadata) = metadata(upload) {
                headers.insert(METADATA, metadata);
            }
            upload.bytes
        }
    };
    headers.insert(LENGTH, length.into());
    Ok(response)
}

/// What the client said of an upload, if it said anything.
fn metadata(upload: &ResumableUpload) -> Option<HeaderValue> {
    HeaderValue::from_str(&upload.metadata)
        .ok()
        .filter(|said| !said.is_empty())
}

/// End an upload and delete its job, wherever that is by now.
#[utoipa::path(
    delete,
    path = "/v1/uploads/{id}",
    tag = "uploads",
    params(
        ("id" = String, Path, description = "The upload, which is the job."),
        ("Tus-Resumable" = inline(TusVersion), Header, description = "The version of the protocol."),
    ),
    responses(
        (status = 204, description = "Accepted; from now on there is neither upload nor job."),
        (status = "4XX", description = "There is no such upload.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn end_upload(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    _: Tus,
    JobPath(job): JobPath,
) -> Result<StatusCode, Problem> {
    command::delete(Extracted(state), caller, JobPath(job)).await
}
