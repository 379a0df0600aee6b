//! The protocol's headers.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use clearfleet_common::ErrorCode;
use utoipa::ToSchema;

use crate::http::Problem;
use crate::http::body::media_type;

pub(super) const VERSION: &str = "1.0.0";
pub(super) const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(super) const VERSIONS: HeaderName = HeaderName::from_static("tus-version");
pub(super) const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub(super) const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(super) const CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
pub(super) const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(super) const LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(super) const DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
pub(super) const CONCAT: HeaderName = HeaderName::from_static("upload-concat");
pub(super) const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub(super) const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
pub(super) const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
pub(super) const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// Media type of the bytes of an upload.
const BYTES: &str = "application/offset+octet-stream";

/// The versions of the protocol, for the document.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes a header, which is read by hand")]
pub(super) enum TusVersion {
    /// The only one.
    #[schema(rename = "1.0.0")]
    One,
}

/// The methods that a `POST` can stand for, for the document.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes a header, which is read by hand")]
#[schema(rename_all = "UPPERCASE")]
pub(super) enum OverriddenMethod {
    /// More of the upload.
    Patch,
    /// The end of it.
    Delete,
}

/// A request of the version that is spoken here; every other is refused.
pub(super) struct Tus;

/// A request of another version, which is told the one that is spoken.
pub(super) struct OtherVersion;

impl IntoResponse for OtherVersion {
    fn into_response(self) -> Response {
        let detail = format!("the header Tus-Resumable must say {VERSION}");
        let problem = Problem::new(ErrorCode::PreconditionFailed, detail).with("expected", VERSION);
        let mut response = problem.into_response();
        response
            .headers_mut()
            .insert(VERSIONS, HeaderValue::from_static(VERSION));
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Tus {
    type Rejection = OtherVersion;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, OtherVersion> {
        let said = parts.headers.get(RESUMABLE);
        said.filter(|version| *version == VERSION)
            .map(|_| Self)
            .ok_or(OtherVersion)
    }
}

/// The text of a header; nothing where there is none.
///
/// # Errors
/// `body_invalid` where it is no text.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(&name) else {
        return Ok(None);
    };
    value.to_str().map(Some).map_err(|_| invalid(name, "it is no text"))
}

/// The number that a header must say.
///
/// # Errors
/// `body_invalid` where there is none.
pub(super) fn number(headers: &HeaderMap, name: HeaderName) -> Result<u64, Problem> {
    let said = text(headers, name.clone())?;
    // A plus sign would be read, too.
    let digits = said.filter(|said| said.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| u64::from_str(digits).ok());
    number.ok_or_else(|| invalid(name, "it must be a number of bytes"))
}

/// Whether a request brings bytes of an upload.
pub(super) fn brings_bytes(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media_type| media_type == BYTES)
}

/// A request that brings bytes must say so.
///
/// # Errors
/// `media_type_unsupported`.
pub(super) fn must_bring_bytes(headers: &HeaderMap) -> Result<(), Problem> {
    if brings_bytes(headers) {
        return Ok(());
    }
    let detail = format!("the bytes of an upload are {BYTES}");
    Err(Problem::new(ErrorCode::MediaTypeUnsupported, detail).with("expected", BYTES))
}

/// A refused header.
pub(super) fn invalid(name: HeaderName, why: &str) -> Problem {
    let detail = format!("the header {name} cannot be used: {why}");
    Problem::new(ErrorCode::BodyInvalid, detail).with("field", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(LENGTH, HeaderValue::from_static(value));
            number(&headers, LENGTH).ok()
        };
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("18446744073709551615"), Some(u64::MAX));
        for refused in ["", "-1", "+1", "1e3", "1.0", " 1", "18446744073709551616"] {
            assert_eq!(read(refused), None, "{refused:?}");
        }
        assert!(number(&HeaderMap::new(), LENGTH).is_err());
    }
}
