//! Who asks: found out once a request, by whatever the installation uses for it.

use std::fmt;

use async_trait::async_trait;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::OwnerId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AppState, Problem, session};
use crate::owners::Quota;

/// What a caller may do.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything with the own jobs.
    #[default]
    User,
    /// Also what is everybody's: dead letters, models, keys.
    Admin,
}

/// Who asks. As an extractor it refuses whoever may not ask at all.
///
/// Every handler of jobs takes one, and passes its owner to whatever looks for a job: there is no way to look for a job
/// without an owner, so the id of another's job is as unknown as one that never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose jobs these are.
    pub owner: OwnerId,
    /// What else it may do.
    pub role: Role,
    /// Limits in place of the installation's.
    pub quota: Quota,
}

impl Caller {
    /// Refuses whoever is no admin.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn must_be_admin(&self) -> Result<(), Problem> {
        match self.role {
            Role::Admin => Ok(()),
            Role::User => Err(Problem::new(ErrorCode::Forbidden, "this needs a key of the role admin")),
        }
    }
}

/// What of a request says who asks.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its address.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

/// Finds out who asks.
#[async_trait]
pub trait Authenticator: Send + Sync + fmt::Debug {
    /// Says who asks.
    ///
    /// # Errors
    /// `unauthorized` where that cannot be said, `forbidden` or `rate_limited` where whoever it is may not ask now,
    /// `unavailable` where it cannot be found out.
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, Problem>;
}

/// Keys are off: everybody who reaches the server is the one owner `local`, and admin.
///
/// Then the browser of the person in front of the machine reaches it too, on behalf of any page that it shows. A request
/// that changes something and comes from another site's page is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKeys;

#[async_trait]
impl Authenticator for NoKeys {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, Problem> {
        if !credentials.method.is_safe() && is_from_another_site(credentials.headers) {
            let detail = "without keys, pages of other sites may not change anything here";
            return Err(Problem::new(ErrorCode::Forbidden, detail));
        }
        Ok(Caller {
            owner: OwnerId::default(),
            role: Role::Admin,
            quota: Quota::default(),
        })
    }
}

/// Whether a browser says that a page of another origin made the request; programs other than browsers say nothing.
pub(super) fn is_from_another_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let origin = text(header::ORIGIN);
    let host = text(header::HOST).unwrap_or_default();
    origin.is_some_and(|origin| origin.split_once("://").is_none_or(|(_, from)| from != host))
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let by_cookie = session::with_key_of_cookie(&parts.headers);
        // The browser adds the cookie whichever page asks. Those that know SameSite do not; this is for the others.
        if by_cookie.is_some() && !parts.method.is_safe() && is_from_another_site(&parts.headers) {
            let detail = "pages of other sites may not change anything here";
            return Err(Problem::new(ErrorCode::Forbidden, detail));
        }
        let credentials = Credentials {
            method: &parts.method,
            uri: &parts.uri,
            headers: by_cookie.as_ref().unwrap_or(&parts.headers),
        };
        state.authenticator.authenticate(credentials).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_told_apart() {
        let from = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:8080".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            is_from_another_site(&headers)
        };
        assert!(!from(None) && !from(Some("http://localhost:8080")));
        for other in ["http://localhost:8081", "https://evil.example", "null", ""] {
            assert!(from(Some(other)), "{other}");
        }
    }
}
