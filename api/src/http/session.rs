//! A browser's session: its key in a cookie that no script reads and no other site's page sends.
//!
//! The cookie holds the key itself, so a session needs no store, works on every server, and ends when its key is revoked.

use axum::Json;
use axum::extract::State as Extracted;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::OwnerId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::Json as JsonBody;
use super::caller::{Credentials, is_from_another_site};
use super::error::ProblemBody;
use super::{AppState, Caller, Problem, Role};
use crate::owners::KeySecret;

/// Name of the cookie.
const COOKIE: &str = "clearfleet_key";
/// How long a browser keeps it, in seconds: 30 days.
const MAX_AGE: u32 = 30 * 24 * 60 * 60;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show, begin, end))
}

/// What a session begins with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SessionRequest {
    /// The secret of a key.
    key: String,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
struct SessionView {
    /// Whose jobs these are.
    #[schema(value_type = String)]
    owner: OwnerId,
    /// What else the caller may do.
    role: Role,
    /// Whether a cookie says so, which `DELETE` takes back.
    by_cookie: bool,
}

/// Who asks.
#[utoipa::path(
    get,
    operation_id = "show_session",
    path = "/v1/session",
    tag = "keys",
    responses(
        (status = 200, description = "Whoever the key or the cookie belongs to.", body = SessionView),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn show(caller: Caller, headers: HeaderMap) -> Json<SessionView> {
    Json(SessionView {
        owner: caller.owner,
        role: caller.role,
        by_cookie: with_key_of_cookie(&headers).is_some(),
    })
}

/// Begin a browser's session.
///
/// The answer sets a cookie that stands for the key from then on.
#[utoipa::path(
    post,
    operation_id = "begin_session",
    path = "/v1/session",
    tag = "keys",
    request_body = SessionRequest,
    responses(
        (status = 200, description = "Whoever the key belongs to.", body = SessionView),
        (status = "4XX", description = "The key opens nothing.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn begin(
    Extracted(state): Extracted<AppState>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<SessionRequest>,
) -> Result<impl IntoResponse, Problem> {
    // Else it could make somebody work under a key that is not theirs.
    if is_from_another_site(&headers) {
        let detail = "a session is begun by this server's own page only";
        return Err(Problem::new(ErrorCode::Forbidden, detail));
    }
    let key = request.key.trim();
    let unknown = || Problem::new(ErrorCode::Unauthorized, "this key opens nothing");
    key.parse::<KeySecret>().map_err(|_| unknown())?;
    let with_key = with_key(&headers, key).ok_or_else(unknown)?;
    let credentials = Credentials {
        method: &axum::http::Method::GET,
        uri: &axum::http::Uri::from_static("/v1/session"),
        headers: &with_key,
    };
    let caller = state.authenticator.authenticate(credentials).await?;
    let view = SessionView {
        owner: caller.owner,
        role: caller.role,
        by_cookie: true,
    };
    let answer = [
        (header::SET_COOKIE, cookie(key, MAX_AGE, &headers)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((answer, Json(view)))
}

/// End a browser's session.
#[utoipa::path(
    delete,
    operation_id = "end_session",
    path = "/v1/session",
    tag = "keys",
    responses((status = 204, description = "The browser forgets its key."))
)]
async fn end(headers: HeaderMap) -> impl IntoResponse {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie("", 0, &headers))])
}

fn cookie(key: &str, max_age: u32, headers: &HeaderMap) -> String {
    // The page's own address says whether it came encrypted, whatever is between.
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let secure = match origin {
        Some(origin) if origin.starts_with(b"https://") => "; Secure",
        _ => "",
    };
    format!("{COOKIE}={key}; Path=/v1; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}")
}

/// The headers with the cookie's key where programs show theirs; nothing where there is no cookie, or a key is shown.
pub(super) fn with_key_of_cookie(headers: &HeaderMap) -> Option<HeaderMap> {
    if headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    let sent = headers.get_all(header::COOKIE).iter();
    let mut cookies = sent
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'));
    let key = cookies.find_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))?;
    with_key(headers, key)
}

fn with_key(headers: &HeaderMap, key: &str) -> Option<HeaderMap> {
    let mut shown = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
    shown.set_sensitive(true);
    let mut headers = headers.clone();
    headers.insert(header::AUTHORIZATION, shown);
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(sent: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn key_of(sent: &[(&'static str, &'static str)]) -> Option<String> {
        let with_key = with_key_of_cookie(&headers(sent))?;
        Some(with_key[header::AUTHORIZATION].to_str().unwrap().to_owned())
    }

    #[test]
    fn a_key_is_found_among_cookies_unless_one_is_shown() {
        let found = Some("Bearer cf_1".to_owned());
        assert_eq!(key_of(&[("cookie", "a=b; clearfleet_key=cf_1; c=d")]), found);
        assert_eq!(key_of(&[("cookie", "a=b"), ("cookie", "clearfleet_key=cf_1")]), found);
        for none in [
            &[("cookie", "clearfleet_keys=cf_1")][..],
            &[("cookie", "clearfleet_key")],
            &[("cookie", "clearfleet_key=cf_1"), ("authorization", "Bearer cf_2")],
            &[],
        ] {
            assert_eq!(key_of(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_cookie_goes_nowhere_else_and_unencrypted_only_where_the_page_came_so() {
        let plain = cookie("cf_1", 9, &headers(&[("origin", "http://127.0.0.1:8080")]));
        assert_eq!(
            plain,
            "clearfleet_key=cf_1; Path=/v1; Max-Age=9; HttpOnly; SameSite=Strict"
        );
        let encrypted = cookie("cf_1", 9, &headers(&[("origin", "https://fleet.example")]));
        assert_eq!(encrypted, format!("{plain}; Secure"));
    }
}
