//! `POST /v1/uploads`: an upload begins, and with it its job.

use axum::extract::{Request as HttpRequest, State as Extracted};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{JobId, Record, Source, SourceLocation, State};
use clearfleet_common::storage::{Arrival, ResumableUpload};
use jiff::Timestamp;

use super::headers::{self, CONCAT, DEFER_LENGTH, LENGTH, Tus, TusVersion};
use super::metadata::Metadata;
use super::place::Place;
use super::receive::receive;
use super::{must_go_on, offset};
use crate::http::error::ProblemBody;
use crate::http::jobs::create::{Making, write};
use crate::http::jobs::sniff;
use crate::http::{AppState, Caller, Problem};

/// Begin an upload that may go on in other requests, by the tus protocol 1.0.
///
/// With it a job is made, in the state `uploading`, which has the upload's id. `OPTIONS` says what of the protocol is
/// offered; the length must be known. A request with the same `Idempotency-Key` begins no second one.
#[utoipa::path(
    post,
    path = "/v1/uploads",
    tag = "uploads",
    params(
        ("Tus-Resumable" = inline(TusVersion), Header, description = "The version of the protocol."),
        ("Upload-Length" = u64, Header, description = "Bytes of the whole."),
        ("Upload-Metadata" = Option<String>, Header, description = "`filename`, and `settings`: the JSON that `POST /v1/jobs` takes; each a key, a space, and base64, with commas between."),
        ("Idempotency-Key" = Option<String>, Header, description = "Requests of the same key begin one upload.", max_length = 255),
    ),
    request_body(description = "The first bytes, if they come along.", content(("application/offset+octet-stream"))),
    responses(
        (status = 201, description = "It has begun.", headers(
            ("Location" = String, description = "Its address, which ends in the job's id."),
            ("Upload-Offset" = u64, description = "Bytes that have come."),
            ("Upload-Expires" = String, description = "When it ends if nothing more comes; not of one that is whole."),
        )),
        (status = 200, description = "The idempotency key stands for this upload, which began before.", headers(
            ("Location" = String, description = "Its address."),
            ("Upload-Offset" = u64, description = "Bytes that have come."),
        )),
        (status = "4XX", description = "Refused; nothing is kept.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "It could not be done.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn begin_upload(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    _: Tus,
    request: HttpRequest,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let length = length(&state, &headers)?;
    let metadata = Metadata::of(&headers)?;
    metadata.new.must_bring_its_source()?;
    let making = Making {
        state: &state,
        caller,
        headers: &headers,
    };
    let job = match making.begin(&metadata.new).await? {
        Ok(job) => job,
        Err(made) => {
            let job = made.record.id;
            let bytes = Place::of(&state, caller, job).await?.bytes();
            return located(offset(StatusCode::OK, bytes), job);
        }
    };
    let upload = begin(&state, caller, job, length, &metadata).await?;
    let bytes = if headers::brings_bytes(&headers) {
        let Arrival::Partial(received) = state.storage.received(&upload).await? else {
            return Err(Problem::internal("an upload that has just begun is in place"));
        };
        receive(&state, caller, (upload, &received), &headers, body).await?
    } else {
        0
    };
    let response = must_go_on(&state, offset(StatusCode::CREATED, bytes), bytes < length);
    located(response, job)
}

/// The length of an upload, within the limit.
fn length(state: &AppState, headers: &HeaderMap) -> Result<u64, Problem> {
    for name in [DEFER_LENGTH, CONCAT] {
        if headers.contains_key(&name) {
            return Err(headers::invalid(name, "this server does not offer it"));
        }
    }
    let length = headers::number(headers, LENGTH)?;
    let limit = state.config.limits.bytes;
    if length > limit {
        let detail = format!("the source is larger than {limit} bytes");
        let problem = Problem::new(ErrorCode::InputTooLarge, detail);
        return Err(problem.with("limit", limit).with("found", length));
    }
    if length == 0 {
        return Err(Problem::new(ErrorCode::InputEmpty, "the source has no bytes"));
    }
    Ok(length)
}

/// Makes the upload and its job.
async fn begin(
    state: &AppState,
    caller: Caller,
    job: JobId,
    length: u64,
    metadata: &Metadata,
) -> Result<ResumableUpload, Problem> {
    let name = metadata.new.name.as_deref();
    let look = sniff::guess(name.unwrap_or_default());
    let request = metadata.new.request(&state.config, look.kind, name)?;
    let room = state.quotas.reserve(&caller, length)?;
    let of = (caller.owner, job);
    let upload = state.storage.begin_upload(of, length, &metadata.raw).await?;
    if upload.bytes != length {
        let detail = "the idempotency key was used for an upload of another length";
        return Err(Problem::new(ErrorCode::IdempotencyConflict, detail).with("job", job));
    }
    let source = Source {
        location: SourceLocation::Job(job),
        bytes: length,
        etag: String::new(),
        content_type: look.content_type.to_owned(),
    };
    let mut record = Record::new(job, caller.owner, request, source, Timestamp::now());
    record.state = State::Uploading;
    write(state, record).await?;
    drop(room);
    Ok(upload)
}

/// The same with the address of the upload.
fn located(mut response: Response, job: JobId) -> Result<Response, Problem> {
    let location = HeaderValue::try_from(format!("/v1/uploads/{job}")).map_err(Problem::internal)?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}
