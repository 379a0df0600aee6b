//! `PATCH /v1/uploads/{id}`: more of an upload.

use axum::extract::{Request as HttpRequest, State as Extracted};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::JobId;

use super::headers::{self, METHOD_OVERRIDE, OFFSET, OverriddenMethod, Tus, TusVersion};
use super::place::{Place, end_upload};
use super::receive::receive;
use super::{must_go_on, offset};
use crate::http::body::JobPath;
use crate::http::error::ProblemBody;
use crate::http::{AppState, Caller, Problem};

/// Go on with an upload.
///
/// What comes before a break is kept. With the last byte the job goes on: see its own address.
#[utoipa::path(
    patch,
    path = "/v1/uploads/{id}",
    tag = "uploads",
    params(
        ("id" = String, Path, description = "The upload, which is the job."),
        ("Tus-Resumable" = inline(TusVersion), Header, description = "The version of the protocol."),
        ("Upload-Offset" = u64, Header, description = "Bytes that have come so far."),
        ("Upload-Checksum" = Option<String>, Header, description = "`sha1`, `sha256` or `crc32`, a space, and the sum of this body in base64; such a body has 8 MiB at most."),
    ),
    request_body(content(("application/offset+octet-stream"))),
    responses(
        (status = 204, description = "Taken.", headers(
            ("Upload-Offset" = u64, description = "Bytes that have come."),
            ("Upload-Expires" = String, description = "When it ends if nothing more comes; not of one that is whole."),
        )),
        (status = 409, description = "It goes on at another place, which `details.expected` names.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 460, description = "The bytes are not those of the checksum; nothing of them is kept.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "4XX", description = "There is no such upload, it ended (410), or what comes is refused, which ends it.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "It could not be done now.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn append_to_upload(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    _: Tus,
    JobPath(job): JobPath,
    request: HttpRequest,
) -> Result<Response, Problem> {
    append(&state, caller, job, request).await
}

async fn append(state: &AppState, caller: Caller, job: JobId, request: HttpRequest) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    headers::must_bring_bytes(&parts.headers)?;
    let from = headers::number(&parts.headers, OFFSET)?;
    let place = Place::of(state, caller, job).await?;
    if from != place.bytes() {
        return Err(goes_on_at(place.bytes(), from));
    }
    let (bytes, length) = match place {
        Place::Over(bytes) => (bytes, bytes),
        Place::Open(upload, received) => {
            let length = upload.bytes;
            let of = (*upload, &received);
            match receive(state, caller, of, &parts.headers, body).await {
                // Another request has brought the rest meanwhile, or ended the upload.
                Err(problem) if problem.code() == ErrorCode::Gone => {
                    let now = Place::of(state, caller, job).await?;
                    return Err(goes_on_at(now.bytes(), from));
                }
                taken => (taken?, length),
            }
        }
    };
    Ok(must_go_on(state, offset(StatusCode::NO_CONTENT, bytes), bytes < length))
}

fn goes_on_at(expected: u64, found: u64) -> Problem {
    let problem = Problem::new(
        ErrorCode::OffsetConflict,
        format!("the upload goes on at byte {expected}"),
    );
    problem.with("expected", expected).with("found", found)
}

/// What `X-HTTP-Method-Override` says, for clients that can neither PATCH nor DELETE.
#[utoipa::path(
    post,
    path = "/v1/uploads/{id}",
    tag = "uploads",
    params(
        ("id" = String, Path, description = "The upload, which is the job."),
        ("Tus-Resumable" = inline(TusVersion), Header, description = "The version of the protocol."),
        ("X-HTTP-Method-Override" = inline(OverriddenMethod), Header, description = "The method that is meant."),
    ),
    responses(
        (status = 204, description = "As of that method."),
        (status = "4XX", description = "As of that method; 405 for any other.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "It could not be done now.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn override_method(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    tus: Tus,
    JobPath(job): JobPath,
    request: HttpRequest,
) -> Result<Response, Problem> {
    match headers::text(request.headers(), METHOD_OVERRIDE)? {
        Some("PATCH") => append(&state, caller, job, request).await,
        Some("DELETE") => {
            let ended = end_upload(Extracted(state), caller, tus, JobPath(job)).await?;
            Ok(ended.into_response())
        }
        _ => {
            let detail = "X-HTTP-Method-Override says PATCH or DELETE here";
            Err(Problem::new(ErrorCode::MethodNotAllowed, detail))
        }
    }
}
