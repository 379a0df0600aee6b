//! Looking at jobs.

use std::str::FromStr;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extracted;
use clearfleet_common::ErrorCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::job_of;
use crate::http::body::{JobPath, Query};
use crate::http::error::ProblemBody;
use crate::http::view::JobView;
use crate::http::{AppState, Caller, Problem};
use crate::records;

/// Jobs of a page, unless asked otherwise.
const PAGE: usize = 50;
/// Jobs of a page at most.
const LARGEST_PAGE: usize = 200;
/// How long a list waits for a server that has just started.
const START: Duration = Duration::from_secs(10);

/// Which jobs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// What the name contains, letter case ignored.
    q: Option<String>,
    /// States, with commas between them.
    state: Option<String>,
    /// `picture` or `video`.
    kind: Option<String>,
    /// Priorities, with commas between them.
    priority: Option<String>,
    /// Whether previews are listed too.
    previews: Option<bool>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Jobs of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

impl ListQuery {
    fn read(&self) -> Result<records::Query, Problem> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            let problem = Problem::new(
                ErrorCode::QueryInvalid,
                format!("a limit is between 1 and {LARGEST_PAGE}"),
            );
            return Err(problem.with("limit", limit));
        }
        let mut query = records::Query::new(self.q.as_deref().unwrap_or_default(), limit);
        query.states = values("state", self.state.as_deref())?;
        query.kinds = values("kind", self.kind.as_deref())?;
        query.priorities = values("priority", self.priority.as_deref())?;
        query.previews = self.previews.unwrap_or(false);
        let cursor = self.cursor.as_deref().map(str::parse).transpose();
        let refused = |e: records::CursorError| Problem::new(ErrorCode::QueryInvalid, e.to_string());
        query.after = cursor.map_err(refused)?;
        Ok(query)
    }
}

/// The values of a parameter that has some.
fn values<T: FromStr>(name: &'static str, text: Option<&str>) -> Result<Vec<T>, Problem> {
    let values = text.into_iter().flat_map(|text| text.split(','));
    let read = values.map(|value| {
        value.trim().parse().map_err(|_| {
            let value: String = value.chars().take(80).collect();
            Problem::new(ErrorCode::QueryInvalid, format!("there is no {name} {value:?}")).with("parameter", name)
        })
    });
    read.collect()
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobPage {
    /// Newest first.
    jobs: Vec<JobView>,
    /// The cursor of the next page; null where this is the last.
    next: Option<String>,
}

/// List and search jobs, newest first.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    tag = "jobs",
    params(ListQuery),
    responses(
        (status = 200, description = "The jobs.", body = JobPage),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The server has just started.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<JobPage>, Problem> {
    let query = query.read()?;
    if !state.records.wait_loaded(START).await {
        let problem = Problem::new(
            ErrorCode::Unavailable,
            "the server has just started and still reads its records",
        );
        return Err(problem.retry_after(START));
    }
    let page = state.records.page(caller.owner, &query);
    let scheduler = state.scheduler.as_ref();
    Ok(Json(JobPage {
        jobs: page
            .jobs
            .iter()
            .filter_map(|snapshot| JobView::new(snapshot, scheduler))
            .collect(),
        next: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// Look at a job.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "The job.", body = JobView),
        (status = "4XX", description = "There is no such job.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JobPath(job): JobPath,
) -> Result<Json<JobView>, Problem> {
    let snapshot = job_of(&state, caller, job).await?;
    let view = JobView::new(&snapshot, state.scheduler.as_ref());
    view.map(Json).ok_or_else(Problem::no_such_job)
}
