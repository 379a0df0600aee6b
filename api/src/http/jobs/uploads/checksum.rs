//! Checksums of what one request brings.

use axum::body::Bytes;
use axum::http::HeaderMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clearfleet_common::ErrorCode;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::headers::{self, CHECKSUM};
use crate::http::Problem;

/// The algorithms, as the protocol names them.
pub(in crate::http) const ALGORITHMS: [&str; 3] = ["sha1", "sha256", "crc32"];

/// Bytes of a request with a checksum at most, 8 MiB: they are looked at before anything of them is kept.
pub(super) const MOST: u64 = 8 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha1,
    Sha256,
    /// As zlib has it, the most significant byte first.
    Crc32,
}

/// What a request's bytes must come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    algorithm: Algorithm,
    expected: Vec<u8>,
}

impl Checksum {
    /// The one that a request names; nothing where it names none.
    ///
    /// # Errors
    /// `body_invalid` for what is none, or is of an algorithm that is not offered.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(said) = headers::text(headers, CHECKSUM)? else {
            return Ok(None);
        };
        let (name, value) = said.split_once(' ').unwrap_or((said, ""));
        let algorithm = match name {
            "sha1" => Algorithm::Sha1,
            "sha256" => Algorithm::Sha256,
            "crc32" => Algorithm::Crc32,
            _ => {
                let problem = headers::invalid(CHECKSUM, "there is no such algorithm");
                return Err(problem.with("offered", ALGORITHMS.join(",")));
            }
        };
        let expected = BASE64_STANDARD.decode(value);
        let expected = expected.map_err(|_| headers::invalid(CHECKSUM, "its value is no base64"))?;
        Ok(Some(Self { algorithm, expected }))
    }

    /// Refuses bytes that come to another checksum.
    ///
    /// # Errors
    /// `checksum_mismatch`.
    pub(super) fn check(&self, bytes: &Bytes) -> Result<(), Problem> {
        let found = match self.algorithm {
            Algorithm::Sha1 => Sha1::digest(bytes).to_vec(),
            Algorithm::Sha256 => Sha256::digest(bytes).to_vec(),
            Algorithm::Crc32 => crc32fast::hash(bytes).to_be_bytes().to_vec(),
        };
        if found == self.expected {
            return Ok(());
        }
        let detail = "the bytes that came are not those that were sent; nothing of them is kept";
        Err(Problem::new(ErrorCode::ChecksumMismatch, detail).with("found", BASE64_STANDARD.encode(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &'static str) -> Result<Option<Checksum>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(CHECKSUM, value.parse().unwrap());
        Checksum::of(&headers)
    }

    /// Computed by coreutils' sha1sum and sha256sum and Python's zlib.
    #[test]
    fn known_sums_are_found() {
        let bytes = Bytes::from_static(b"hello world");
        for sum in [
            "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
            "sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=",
            "crc32 DUoRhQ==",
        ] {
            let sum = of(sum).unwrap().unwrap();
            sum.check(&bytes).unwrap();
            let refused = sum.check(&Bytes::from_static(b"hello worlds")).unwrap_err();
            assert_eq!(refused.status().as_u16(), 460);
        }
    }

    #[test]
    fn what_is_no_checksum_is_refused() {
        for refused in ["md5 AA==", "sha1 ?", ""] {
            assert_eq!(of(refused).unwrap_err().code(), ErrorCode::BodyInvalid, "{refused:?}");
        }
        assert_eq!(Checksum::of(&HeaderMap::new()).unwrap(), None);
    }
}
