//! The secret that a caller shows, and the digest that is all we keep of it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clearfleet_common::storage::Digest;
use sha2::{Digest as _, Sha256};

/// What every secret begins with, so that scanners for leaked secrets and people know one when they see it.
const PREFIX: &str = "cf_";
/// Random bytes of a secret that we make.
const BYTES: usize = 32;
/// The shortest secret that an operator may choose.
const SHORTEST: usize = 32;
/// The longest one.
const LONGEST: usize = 256;

/// The secret of an API key: `cf_` and 32 random bytes in base64url, or what an operator chose. It is not shown by
/// `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySecret(String);

/// A text that is no secret of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseKeyError {
    /// A person can guess it.
    #[error("a key has at least {SHORTEST} characters, and this one has {0}")]
    TooShort(usize),
    /// No header takes it.
    #[error("a key has at most {LONGEST} characters, and this one has {0}")]
    TooLong(usize),
    /// It cannot stand in a header.
    #[error("a key consists of visible ASCII characters")]
    Characters,
}

impl KeySecret {
    /// A new one, from the system's source of randomness.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn digest(&self) -> Digest {
        digest(&self.0)
    }
}

/// The digest of whatever a caller shows as its secret. A secret has 256 random bits: there is nothing for a slow hash to
/// make up for.
pub(super) fn digest(shown: &str) -> Digest {
    Digest(Sha256::digest(shown).into())
}

impl FromStr for KeySecret {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.len() {
            length if length < SHORTEST => Err(ParseKeyError::TooShort(length)),
            length if length > LONGEST => Err(ParseKeyError::TooLong(length)),
            _ if !text.bytes().all(|byte| byte.is_ascii_graphic()) => Err(ParseKeyError::Characters),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_random_and_not_shown() {
        let (one, other) = (KeySecret::generate().unwrap(), KeySecret::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!((one.expose().len(), &one.expose()[..3]), (3 + 43, "cf_"));
        assert_eq!(format!("{one:?}"), "***");
        assert_eq!(one.expose().parse(), Ok(one));
    }

    #[test]
    fn only_the_digest_is_kept() {
        let secret: KeySecret = "cf_0123456789012345678901234567890".parse().unwrap();
        // Of coreutils' sha256sum.
        let expected = "352d897af15db750d7580846138d11c803f64d223c7f9cbf997e6860d0c4dfb2";
        assert_eq!(secret.digest().to_string(), expected);
    }

    #[test]
    fn what_a_person_can_guess_is_no_secret() {
        assert_eq!("secret".parse::<KeySecret>(), Err(ParseKeyError::TooShort(6)));
        assert_eq!("a".repeat(257).parse::<KeySecret>(), Err(ParseKeyError::TooLong(257)));
        let spaced = "a b".repeat(20);
        assert_eq!(spaced.parse::<KeySecret>(), Err(ParseKeyError::Characters));
    }
}
