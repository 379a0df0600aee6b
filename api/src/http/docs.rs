//! The OpenAPI document, and a page that shows it. Both come from this process; the page loads nothing from elsewhere.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderName, header};
use axum::routing::get;
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

use super::{AppState, capabilities, jobs, service, session};
use crate::owners;

/// What the document says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(title = "Clearfleet", description = "Upscales photos and videos. Errors are problem details (RFC 9457) with stable codes."),
    tags(
        (name = "jobs", description = "Sources, and what becomes of them."),
        (name = "uploads", description = "Sources that come in several requests, by the tus protocol 1.0."),
        (name = "events", description = "What happens, as it happens."),
        (name = "objects", description = "Sources and results."),
        (name = "keys", description = "Who may ask, and what webhooks are signed with."),
        (name = "server", description = "The server itself."),
    ),
    security((), ("key" = [])),
    modifiers(&Keys),
)]
struct Document;

/// Keys are sent as bearer tokens, where the server wants keys at all.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// All routes of the API, and the document about them.
pub(super) fn routes_and_document() -> (Router<AppState>, utoipa::openapi::OpenApi) {
    let routes = OpenApiRouter::with_openapi(Document::openapi())
        .merge(jobs::routes())
        .merge(capabilities::routes())
        .merge(service::routes())
        .merge(session::routes())
        .merge(owners::routes());
    #[cfg(feature = "standalone")]
    let routes = routes.merge(crate::backup::routes());
    routes.split_for_parts()
}

/// Scripts and styles of this server only, and no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Puts descriptions where they belong. Of a field with a schema of its own utoipa makes `allOf` of that schema and of an
/// object with the description, and what is no object is never both.
fn described(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(described),
        Value::Object(fields) => {
            fields.values_mut().for_each(described);
            let Some(Value::Array(parts)) = fields.get("allOf") else {
                return;
            };
            if let [Value::Object(schema), Value::Object(said)] = &parts[..]
                && said.len() == 2
                && said.get("type").is_some_and(|kind| kind == "object")
                && let Some(description) = said.get("description")
            {
                let mut schema = schema.clone();
                schema.insert("description".to_owned(), description.clone());
                *fields = schema;
            }
        }
        _ => {}
    }
}

/// The document and the page.
pub(super) fn pages(document: &utoipa::openapi::OpenApi) -> Router<AppState> {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    described(&mut document);
    let document = Bytes::from(document.to_string());
    let file = |content_type: &'static str, content: Bytes| {
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, "no-cache"),
            (HeaderName::from_static("content-security-policy"), POLICY),
        ];
        get(async move || (headers, content))
    };
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    Router::new()
        .route("/openapi.json", file("application/json", document))
        .route(
            "/docs",
            file("text/html; charset=utf-8", text(include_str!("docs/page.html"))),
        )
        .route(
            "/docs/page.js",
            file("text/javascript; charset=utf-8", text(include_str!("docs/page.js"))),
        )
        .route(
            "/docs/page.css",
            file("text/css; charset=utf-8", text(include_str!("docs/page.css"))),
        )
}
