//! What happens to every request: an id, a span, a deadline, counts, and one line in the log where it failed.

use std::any::Any;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use clearfleet_common::ErrorCode;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use tracing::{Span, debug, error, info_span};

use super::traced::traced;
use super::{AppState, Problem};

/// Routes that wait for their client or for work, and have deadlines of their own.
const UNHURRIED: [(Method, &str); 6] = [
    (Method::POST, "/v1/jobs"),
    (Method::POST, "/v1/uploads"),
    (Method::PATCH, "/v1/uploads/{id}"),
    (Method::POST, "/v1/uploads/{id}"),
    (Method::GET, "/v1/backup"),
    (Method::GET, "/v1/jobs/{id}/verification"),
];

/// The routes with everything around them.
pub(super) fn around(routes: Router<AppState>, state: AppState) -> Router {
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(TraceLayer::new_for_http().make_span_with(span).on_failure(()))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(SetResponseHeaderLayer::if_not_present(
            HeaderName::from_static("content-security-policy"),
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"),
        ))
        .layer(from_fn(traced))
        .layer(from_fn_with_state(state.clone(), observe))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), hurry));
    routes
        .fallback(async || Problem::new(ErrorCode::NotFound, "there is no such route"))
        .method_not_allowed_fallback(async || Problem::new(ErrorCode::MethodNotAllowed, "the route has no such method"))
        .layer(layers)
        .with_state(state)
}

fn span(request: &Request) -> Span {
    let id = request_id(request).unwrap_or_default();
    info_span!("request", method = %request.method(), path = request.uri().path(), id)
}

fn request_id(request: &Request) -> Option<String> {
    let id = request.extensions().get::<RequestId>()?;
    // A client may bring its own; what is longer than an id is none.
    let id = id.header_value().to_str().ok()?;
    (id.len() <= 128).then(|| id.to_owned())
}

/// Counts a request, and writes its problem with its id, into the response and into the log.
async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let method = request.method().clone();
    let id = request_id(&request);
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        log(&problem);
        let kept = std::mem::take(response.headers_mut());
        response = problem.response(id.as_deref());
        // What a layer further in has added stays, such as the methods that a route has.
        for (name, value) in kept.iter().filter(|(name, _)| is_kept(name)) {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }
    let status = response.status();
    state.metrics.answered(&method, route, status, began.elapsed());
    response
}

/// Whether a header of a refusal says more than the problem does.
fn is_kept(name: &HeaderName) -> bool {
    *name == header::ALLOW || *name == header::CONTENT_RANGE || name.as_str().starts_with("tus-")
}

/// A refusal is the client's business; a fault is ours.
fn log(problem: &Problem) {
    let code = problem.code().as_str();
    let detail = problem.body(None);
    let cause = problem.cause();
    if problem.status().is_server_error() {
        error!(code, error = cause, problem = ?detail, "a request failed");
    } else {
        debug!(code, error = cause, problem = ?detail, "a request is refused");
    }
}

/// Ends what takes too long before its answer begins.
async fn hurry(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    if UNHURRIED
        .iter()
        .any(|(method, path)| method == request.method() && *path == route)
    {
        return next.run(request).await;
    }
    let answer = tokio::time::timeout(state.config.answer, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        // A body that comes too slowly has been refused by then: it is ours that is slow.
        let problem = Problem::new(ErrorCode::Unavailable, "the answer took too long to make");
        problem.retry_after(state.config.answer).into_response()
    })
}

#[allow(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
    Problem::internal(format!("a panic: {}", said.unwrap_or("without words"))).into_response()
}
