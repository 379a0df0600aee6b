//! Uploads that go on after a break, by the tus protocol 1.0: everything below `/v1/uploads`.
//!
//! The upload of a job has the job's id. The job is made with it, in the state `uploading`, so that it is listed, counted and
//! deleted as every other; once the last byte is there it goes on as one whose source came in one request.

mod append;
mod begin;
mod checksum;
mod finish;
mod headers;
mod metadata;
mod place;
mod receive;

use std::time::Duration;

use axum::extract::State as Extracted;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::options;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(in crate::http) use checksum::ALGORITHMS as CHECKSUMS;

use super::range::http_date;
use crate::http::AppState;

/// What of the protocol is offered beside its core.
pub(in crate::http) const EXTENSIONS: [&str; 5] = [
    "creation",
    "creation-with-upload",
    "termination",
    "expiration",
    "checksum",
];

/// The routes.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(begin::begin_upload))
        .routes(routes!(
            place::upload_offset,
            append::append_to_upload,
            append::override_method,
            place::end_upload
        ))
        .route("/v1/uploads", options(protocol))
        .route("/v1/uploads/{id}", options(protocol))
        .route_layer(SetResponseHeaderLayer::overriding(
            headers::RESUMABLE,
            HeaderValue::from_static(headers::VERSION),
        ))
}

/// Says what of the protocol is offered. It needs no key and names no version.
async fn protocol(Extracted(state): Extracted<AppState>) -> impl IntoResponse {
    let said = [
        (headers::VERSIONS, headers::VERSION.to_owned()),
        (headers::EXTENSION, EXTENSIONS.join(",")),
        (headers::MAX_SIZE, state.config.limits.bytes.to_string()),
        (headers::CHECKSUM_ALGORITHM, CHECKSUMS.join(",")),
    ];
    (StatusCode::NO_CONTENT, said)
}

/// An answer that says how much of an upload has come.
fn offset(status: StatusCode, bytes: u64) -> Response {
    (status, [(headers::OFFSET, bytes.to_string())]).into_response()
}

/// The same of an upload that something came of just now: it says when it ends if nothing more comes, unless it is whole.
fn must_go_on(state: &AppState, mut response: Response, is_open: bool) -> Response {
    if let Some(expires) = expires(state.config.upload_ttl).filter(|_| is_open) {
        response.headers_mut().insert(headers::EXPIRES, expires);
    }
    response
}

/// When an upload ends of which nothing comes from now on, as HTTP writes it.
fn expires(ttl: Duration) -> Option<HeaderValue> {
    let at = jiff::Timestamp::now().checked_add(ttl).ok()?;
    HeaderValue::try_from(http_date(at)?).ok()
}
