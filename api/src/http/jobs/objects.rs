//! What there is of a job to look at and to download.

use axum::extract::{Path, State as Extracted};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Record, State};
use clearfleet_common::storage::{ObjectKey, PlanKey};

use super::download::{Download, Found, stat_of_source};
use super::{job_of, job_that, result_name};
use crate::http::body::JobPath;
use crate::http::error::ProblemBody;
use crate::http::{AppState, Caller, Problem};

/// Download the source, byte for byte.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/source",
    tag = "objects",
    params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "The source.", content_type = "*/*"),
        (status = 206, description = "The bytes of it that `Range` asks for.", content_type = "*/*"),
        (status = 304, description = "The client has it."),
        (status = "4XX", description = "There is none.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn source(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JobPath(job): JobPath,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = &job_of(&state, caller, job).await?.record;
    must_be_kept(record)?;
    let found = stat_of_source(&state, record).await?;
    let download = Download {
        method: &method,
        headers: &headers,
        content_type: &record.source.content_type,
        name: Some(record.request.name.clone()),
    };
    download.of(found).await
}

/// Download the result.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/result",
    tag = "objects",
    params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "The result.", content_type = "*/*"),
        (status = 206, description = "The bytes of it that `Range` asks for.", content_type = "*/*"),
        (status = 304, description = "The client has it."),
        (status = "4XX", description = "There is none, or none yet.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn result(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JobPath(job): JobPath,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = &job_that(&state, caller, job, |record| record.result.is_some())
        .await?
        .record;
    must_be_kept(record)?;
    let result = record.result.as_ref().ok_or_else(|| not_yet(record, "the result"))?;
    let found = found(&state, result.key.clone()).await?;
    let gone = || Problem::new(ErrorCode::Gone, "the result is not there any more");
    let download = Download {
        method: &method,
        headers: &headers,
        content_type: result.format.content_type(),
        name: Some(result_name(record, result)),
    };
    download.of(found.ok_or_else(gone)?).await
}

/// A small picture of the source.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/thumbnail",
    tag = "objects",
    params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "The picture.", content_type = "image/webp"),
        (status = 304, description = "The client has it."),
        (status = "4XX", description = "There is none, or none yet.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn thumbnail(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JobPath(job): JobPath,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = &job_of(&state, caller, job).await?.record;
    must_be_kept(record)?;
    look_at(
        &state,
        record,
        ObjectKey::Thumbnail(job),
        "the thumbnail",
        &method,
        &headers,
    )
    .await
}

/// One frame of a batch, before and after. Of a job that runs, asking for one that is not there yet makes its batch come
/// before others.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/pairs/{n}",
    tag = "objects",
    params(
        ("id" = String, Path, description = "The job."),
        ("n" = u64, Path, description = "The batch, counted from 0."),
    ),
    responses(
        (status = 200, description = "Both in one picture.", content_type = "image/webp"),
        (status = 304, description = "The client has it."),
        (status = "4XX", description = "There is none, or none yet.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn pair(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    Path((id, batch)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = id.parse().map_err(|_| Problem::no_such_job())?;
    let record = &job_that(&state, caller, job, |record| record.plan.is_some())
        .await?
        .record;
    must_be_kept(record)?;
    let plan = record.plan.as_ref().ok_or_else(|| not_yet(record, "a comparison"))?;
    let no_such = || Problem::new(ErrorCode::NotFound, "there is no such batch").with("batches", plan.batches);
    let batch: u64 = batch
        .parse()
        .ok()
        .filter(|batch| *batch < plan.batches)
        .ok_or_else(no_such)?;
    let of = PlanKey { job, plan: plan.number };
    let pair = ObjectKey::Pair(of, batch);
    let answer = look_at(&state, record, pair, "the comparison", &method, &headers).await;
    if matches!(&answer, Err(problem) if problem.code() == ErrorCode::NotReady) {
        state.say_watched(record, batch);
    }
    answer
}

/// A picture that workers make on the way.
async fn look_at(
    state: &AppState,
    record: &Record,
    key: ObjectKey,
    what: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let found = found(state, key.to_string()).await?;
    let download = Download {
        method,
        headers,
        content_type: key.content_type(),
        name: None,
    };
    download.of(found.ok_or_else(|| not_yet(record, what))?).await
}

async fn found(state: &AppState, key: String) -> Result<Option<Found>, Problem> {
    let stat = state.storage.stat(&key).await?;
    Ok(stat.map(|stat| Found {
        storage: state.storage.clone(),
        key,
        stat,
    }))
}

pub(super) fn not_yet(record: &Record, what: &str) -> Problem {
    let state = record.apparent_state().unwrap_or(record.state);
    let detail = match state {
        state if state.is_ended() => format!("the job is {state} and has not made {what}"),
        state => format!("{what} is not there yet: the job is {state}"),
    };
    Problem::new(ErrorCode::NotReady, detail).with("state", state)
}

pub(super) fn must_be_kept(record: &Record) -> Result<(), Problem> {
    if record.state == State::Expired {
        let detail = "source and result were deleted after their time";
        return Err(Problem::new(ErrorCode::Gone, detail).with("state", record.state));
    }
    Ok(())
}
