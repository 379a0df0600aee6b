//! The server itself: what it can do, how long things take, and how it is.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Extracted;
use axum::http::header;
use axum::response::IntoResponse;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{ClassName, Target};
use clearfleet_common::storage::{KeyPrefix, ObjectKey};
use clearfleet_common::telemetry::{self, Families};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::Query;
use super::error::ProblemBody;
use super::view::FailureView;
use super::{AppState, Caller, Problem};

/// How long the store may take to say that it is there.
const CHECK: Duration = Duration::from_secs(5);

/// The routes.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(estimate))
        .routes(routes!(models))
        .routes(routes!(dead_letters))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
}

/// What is to be estimated.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EstimateQuery {
    /// Width of the source in pixels.
    #[param(minimum = 1)]
    width: u32,
    /// Height of the source in pixels.
    #[param(minimum = 1)]
    height: u32,
    /// Frames; 1 for a picture.
    #[param(minimum = 1)]
    #[serde(default = "one")]
    frames: u64,
    /// A factor from 1 to 8 or a size such as `1920x1080`; 2 when left out.
    target: Option<String>,
    /// The pool of workers.
    class: Option<String>,
}

fn one() -> u64 {
    1
}

/// How long a job would take.
#[derive(Debug, Serialize, ToSchema)]
struct Estimate {
    /// The pool of workers that it is for.
    #[schema(value_type = String)]
    class: ClassName,
    /// Width and height of the result in pixels.
    target_size: [u32; 2],
    /// Pixels of the result, of all frames together.
    pixels: u64,
    /// Pixels of results that a worker of the class makes in a second; null where none was ever heard of.
    pixels_per_second: Option<f64>,
    /// Seconds of work for one worker; null where no rate is known.
    seconds: Option<f64>,
    /// Seconds until the workers of the class are through with what waits before it, as far as that is planned.
    backlog_seconds: f64,
}

/// What is known of a class from the last time that its workers were heard of.
#[derive(Deserialize)]
struct KnownClass {
    pixels_per_second: f64,
}

/// Estimate how long a job would take.
#[utoipa::path(
    get,
    path = "/v1/estimate",
    tag = "server",
    params(EstimateQuery),
    responses(
        (status = 200, description = "The estimate.", body = Estimate),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn estimate(
    Extracted(state): Extracted<AppState>,
    _: Caller,
    Query(query): Query<EstimateQuery>,
) -> Result<Json<Estimate>, Problem> {
    let class = known_class(&state, query.class.as_deref())?;
    let (width, height) = target_size(&state, &query)?;
    let per_frame = u64::from(width) * u64::from(height);
    let pixels = per_frame
        .checked_mul(query.frames.max(1))
        .ok_or_else(|| Problem::new(ErrorCode::InputTooManyFrames, "that many frames cannot be counted"))?;
    let pixels_per_second = rate(&state, class).await?;
    let by_scheduler = state
        .scheduler
        .as_ref()
        .and_then(|scheduler| scheduler.backlog_seconds(class));
    Ok(Json(Estimate {
        class,
        target_size: [width, height],
        pixels,
        pixels_per_second,
        seconds: pixels_per_second.map(|rate| pixels as f64 / rate),
        backlog_seconds: by_scheduler.unwrap_or_else(|| state.records.backlog_seconds(class)),
    }))
}

fn known_class(state: &AppState, asked: Option<&str>) -> Result<ClassName, Problem> {
    let classes = &state.config.classes;
    match asked {
        None => Ok(classes.first().copied().unwrap_or_default()),
        Some(asked) => {
            let found = classes.iter().copied().find(|class| class.as_str() == asked);
            found.ok_or_else(|| Problem::new(ErrorCode::QueryInvalid, format!("there is no class {asked:?}")))
        }
    }
}

fn target_size(state: &AppState, query: &EstimateQuery) -> Result<(u32, u32), Problem> {
    let limits = &state.config.limits;
    let invalid = |e: clearfleet_common::job::TargetError| Problem::new(ErrorCode::TargetInvalid, e.to_string());
    let target: Target = query.target.as_deref().unwrap_or("2").parse().map_err(invalid)?;
    let sizes = |width: u32, height: u32| {
        let edges = width.min(height) > 0 && width.max(height) <= limits.edge;
        edges && u64::from(width) * u64::from(height) <= limits.pixels
    };
    let too_large = || {
        let detail = format!(
            "a frame has edges of 1 to {} pixels and {} pixels",
            limits.edge, limits.pixels
        );
        Problem::new(ErrorCode::InputTooManyPixels, detail)
    };
    if !sizes(query.width, query.height) {
        return Err(too_large());
    }
    let (width, height) = target.size_for(query.width, query.height).map_err(invalid)?;
    if sizes(width, height) {
        Ok((width, height))
    } else {
        Err(too_large())
    }
}

/// Pixels a second of a class's workers, as written down last.
async fn rate(state: &AppState, class: ClassName) -> Result<Option<f64>, Problem> {
    let Some(stored) = state.storage.get(ObjectKey::Class(class)).await? else {
        return Ok(None);
    };
    let known: KnownClass = serde_json::from_slice(&stored.body).map_err(Problem::internal)?;
    Ok(Some(known.pixels_per_second).filter(|rate| rate.is_finite() && *rate > 0.0))
}

/// The models that there are.
#[derive(Debug, Serialize, ToSchema)]
struct Models {
    /// Which models new jobs get; null for those that the workers have built in.
    current: Option<serde_json::Value>,
    /// Those that were added.
    models: Vec<ModelView>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
struct ModelView {
    /// SHA-256 of its weights.
    digest: String,
    /// Length of its weights in bytes.
    bytes: u64,
}

/// The models that there are. For admins.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "server",
    responses(
        (status = 200, description = "The models.", body = Models),
        (status = "4XX", description = "The caller is no admin.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn models(Extracted(state): Extracted<AppState>, caller: Caller) -> Result<Json<Models>, Problem> {
    caller.must_be_admin()?;
    let current = match state.storage.get(ObjectKey::CurrentModels).await? {
        Some(stored) => Some(serde_json::from_slice(&stored.body).map_err(Problem::internal)?),
        None => None,
    };
    let prefix = KeyPrefix::Models.to_string();
    let listed = state.storage.list(KeyPrefix::Models).try_filter_map(async |object| {
        let digest = object.key.strip_prefix(&prefix).filter(|digest| digest.len() == 64);
        Ok(digest.map(|digest| ModelView {
            digest: digest.to_owned(),
            bytes: object.bytes,
        }))
    });
    let models = listed.try_collect().await?;
    Ok(Json(Models { current, models }))
}

/// A job whose work failed with every worker that tried it.
#[derive(Debug, Serialize, ToSchema)]
struct DeadLetter {
    /// The job.
    #[schema(value_type = String, format = Uuid)]
    job: clearfleet_common::job::JobId,
    /// Whose.
    #[schema(value_type = String)]
    owner: clearfleet_common::job::OwnerId,
    /// File name of the source.
    name: String,
    /// What failed, who tried last, and how often it was tried.
    failure: FailureView,
}

/// Jobs of all owners that failed in a worker, newest first. For admins.
#[utoipa::path(
    get,
    path = "/v1/dead-letters",
    tag = "server",
    responses(
        (status = 200, description = "The jobs.", body = Vec<DeadLetter>),
        (status = "4XX", description = "The caller is no admin.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn dead_letters(Extracted(state): Extracted<AppState>, caller: Caller) -> Result<Json<Vec<DeadLetter>>, Problem> {
    caller.must_be_admin()?;
    let dead = state.records.dead_letters();
    let letters = dead.iter().filter_map(|snapshot| {
        let record = &snapshot.record;
        Some(DeadLetter {
            job: record.id,
            owner: record.owner,
            name: record.request.name.clone(),
            failure: FailureView::from(record.failure.as_ref()?),
        })
    });
    Ok(Json(letters.collect()))
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, description = "It does.", body = Health)))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether requests can be served: store and queue are there, and all records are read.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "server",
    responses(
        (status = 200, description = "They can.", body = Health),
        (status = 503, description = "They cannot; `details` says what is missing.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn readyz(Extracted(state): Extracted<AppState>) -> Result<Json<Health>, Problem> {
    let asked = tokio::time::timeout(CHECK, state.storage.stat(&ObjectKey::CurrentModels.to_string())).await;
    let mut missing = Problem::new(ErrorCode::Unavailable, "the server is not ready");
    let store = matches!(asked, Ok(Ok(_)));
    let (queue, records) = (state.records.is_listening(), state.records.is_loaded());
    if store && queue && records {
        return Ok(Json(Health { status: "ok" }));
    }
    for (name, there) in [("storage", store), ("queue", queue), ("records", records)] {
        missing = missing.with(name, if there { "ok" } else { "missing" });
    }
    if let Ok(Err(e)) = asked {
        missing = missing.because(e);
    }
    Err(missing)
}

/// Metrics of this process, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"))
)]
async fn metrics(Extracted(state): Extracted<AppState>) -> Result<impl IntoResponse, Problem> {
    state.metrics.count(&state.records);
    let others = state.more_metrics.iter().map(|part| &**part);
    let parts = std::iter::once(&*state.metrics as &dyn Families).chain(others);
    let text = telemetry::text(parts).map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
}
