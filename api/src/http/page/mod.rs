//! The page: the files that `make page` builds of `api/web`, inside this program.
//!
//! A program that was built without them serves a page that says so. Nothing is loaded from another host.

mod encoding;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clearfleet_common::ErrorCode;
use rust_embed::{EmbeddedFile, RustEmbed};

use self::encoding::Encoding;
use super::{AppState, Problem};

/// Scripts, styles and requests of this server only; pictures also of files that were dropped here; no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                      media-src 'self' blob:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";
/// The page names its files, so it is asked for each time.
const ASK_AGAIN: &str = "no-cache";
/// A file's name has its content's digest in it, so what is there never changes.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// What is served; a debug build reads it from the folder whenever it is asked for.
#[derive(RustEmbed)]
#[folder = "web/embedded"]
struct Files;

/// The routes.
pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/", get(page::<Files>))
        .route("/licences.txt", get(licences::<Files>))
        .route("/assets/{*name}", get(asset::<Files>))
}

async fn page<F: RustEmbed>(headers: HeaderMap) -> Response {
    let found = find::<F>("built/index.html", &headers).or_else(|| find::<F>("unbuilt.html", &headers));
    let Some(found) = found else {
        return Problem::internal("this program has no page").into_response();
    };
    let mut response = found.answer(&headers, ASK_AGAIN);
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("cross-origin-opener-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
    ] {
        let name = HeaderName::from_static(name);
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Of the packages that are in the page.
async fn licences<F: RustEmbed>(headers: HeaderMap) -> Response {
    match find::<F>("built/licences.txt", &headers) {
        Some(found) => found.answer(&headers, ASK_AGAIN),
        None => Problem::new(ErrorCode::NotFound, "this program has no page").into_response(),
    }
}

async fn asset<F: RustEmbed>(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match find::<F>(&format!("built/assets/{name}"), &headers) {
        Some(found) => found.answer(&headers, FOREVER),
        None => Problem::new(ErrorCode::NotFound, "the page has no such file").into_response(),
    }
}

/// A file in the smallest form that a client takes.
struct Found {
    file: EmbeddedFile,
    encoding: Encoding,
    content_type: &'static str,
}

fn find<F: RustEmbed>(path: &str, headers: &HeaderMap) -> Option<Found> {
    let content_type = content_type(path)?;
    let mut forms = Encoding::accepted(headers);
    forms.find_map(|encoding| {
        Some(Found {
            file: F::get(&format!("{path}{}", encoding.suffix()))?,
            encoding,
            content_type,
        })
    })
}

fn content_type(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "txt" => Some("text/plain; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

impl Found {
    fn answer(self, headers: &HeaderMap, cache: &'static str) -> Response {
        let digest = self.file.metadata.sha256_hash();
        let etag = format!("\"{:032x}\"", u128::from_be_bytes(std::array::from_fn(|i| digest[i])));
        let known = headers
            .get(header::IF_NONE_MATCH)
            .is_some_and(|known| known.as_bytes() == etag.as_bytes());
        let about = [
            (header::ETAG, etag),
            (header::CACHE_CONTROL, cache.to_owned()),
            (header::VARY, "accept-encoding".to_owned()),
        ];
        if known {
            return (StatusCode::NOT_MODIFIED, about).into_response();
        }
        let content_type = [(header::CONTENT_TYPE, self.content_type)];
        let mut response = (about, content_type, self.file.data).into_response();
        if let Some(name) = self.encoding.name() {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        response
    }
}
