//! The span of a request, and where in a trace it belongs.

use std::time::SystemTime;

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use clearfleet_common::job::JobId;
use clearfleet_common::telemetry::trace::{
    self, Context, FutureExt, KeyValue, SdkSpan, Span, SpanKind, Status, TraceContextExt,
};

/// Routes that are asked again and again by who watches the process: their spans would tell nothing.
const UNTRACED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Makes a request's span, a child of what its `traceparent` says, and lets what is done for it know: [`trace::current`]. Where no
/// spans are collected, that is what came in.
pub(super) async fn traced(request: Request, next: Next) -> Response {
    let parent = trace::parent(sole_header(request.headers()));
    let Some(span) = begin(&request, &parent) else {
        if parent.has_active_span() {
            return next.run(request).with_context(parent).await;
        }
        return next.run(request).await;
    };
    // Dropped where the client goes away, it ends with what is known of it.
    let context = parent.with_span(span);
    let response = next.run(request).with_context(context.clone()).await;
    let (span, status) = (context.span(), response.status());
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_server_error() {
        span.set_status(Status::error(status.to_string()));
    }
    span.end();
    response
}

/// Notes in the request's span which job it is about.
pub(super) fn concerns(job: JobId) {
    Context::map_current(|context| {
        let span = context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("clearfleet.job", job.to_string()));
        }
    });
}

/// The header; two of them say nothing.
fn sole_header(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(trace::HEADER).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

fn begin(request: &Request, parent: &Context) -> Option<SdkSpan> {
    if !trace::is_on() {
        return None;
    }
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map(|route| route.as_str().to_owned());
    if route.as_deref().is_some_and(|route| UNTRACED.contains(&route)) {
        return None;
    }
    let method = request.method().as_str().to_owned();
    let name = match &route {
        Some(route) => format!("{method} {route}"),
        // Anybody may ask for anything: names are few.
        None => "HTTP".to_owned(),
    };
    let mut span = trace::begin(name, SpanKind::Server, SystemTime::now(), parent)?;
    span.set_attribute(KeyValue::new("http.request.method", method));
    span.set_attribute(KeyValue::new("url.path", request.uri().path().to_owned()));
    if let Some(route) = route {
        span.set_attribute(KeyValue::new("http.route", route));
    }
    Some(span)
}
