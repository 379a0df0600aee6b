//! Who asks, by the key that it shows, and whether it may ask now.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::{HeaderMap, header};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::OwnerId;

use super::{KeyError, Keys, Quota, Quotas};
use crate::http::{Authenticator, Caller, Credentials, Problem, Role};

#[async_trait]
impl Authenticator for Keys {
    /// Takes `Authorization: Bearer` with the secret of a key.
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, Problem> {
        let Some(shown) = bearer(credentials.headers) else {
            let detail = "this needs a key: Authorization: Bearer cf_…";
            return Err(Problem::new(ErrorCode::Unauthorized, detail));
        };
        if self.is_fixed(shown) {
            return Ok(Caller {
                owner: OwnerId::default(),
                role: Role::Admin,
                quota: Quota::default(),
            });
        }
        match self.find(shown).await? {
            Some(key) => Ok(Caller {
                owner: key.owner,
                role: key.role,
                quota: key.quota,
            }),
            None => Err(Problem::new(ErrorCode::Unauthorized, "this key opens nothing")),
        }
    }
}

/// The token of the only `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (shown.next(), shown.next()) else {
        return None;
    };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// An authenticator that also counts requests: whoever asks too often is refused.
#[derive(Debug)]
pub struct Counted {
    inner: Arc<dyn Authenticator>,
    quotas: Arc<Quotas>,
}

impl Counted {
    /// Whoever `inner` knows, as often as `quotas` allow.
    pub fn new(inner: Arc<dyn Authenticator>, quotas: Arc<Quotas>) -> Self {
        Self { inner, quotas }
    }
}

#[async_trait]
impl Authenticator for Counted {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, Problem> {
        let caller = self.inner.authenticate(credentials).await?;
        self.quotas.count_request(&caller)?;
        Ok(caller)
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Storage(error) => error.into(),
            KeyError::Busy => {
                Self::new(ErrorCode::Unavailable, error.to_string()).retry_after(std::time::Duration::from_secs(5))
            }
            KeyError::NoSuchKey(_) => Self::new(ErrorCode::NotFound, error.to_string()),
            KeyError::LastAdmin(_) => Self::new(ErrorCode::StateConflict, error.to_string()),
            KeyError::Randomness(_)
            | KeyError::Unwritable(_)
            | KeyError::NoAdmin
            | KeyError::File { .. }
            | KeyError::FileContent { .. } => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_what_follows_bearer() {
        let token = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(ToOwned::to_owned)
        };
        assert_eq!(token(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(token(&["bearer  abc "]).as_deref(), Some("abc"));
        for none in [
            &[][..],
            &["Basic abc"],
            &["Bearer"],
            &["abc"],
            &["Bearer a", "Bearer b"],
        ] {
            assert_eq!(token(none), None, "{none:?}");
        }
    }
}
