//! How receivers know that a webhook is ours.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clearfleet_common::job::OwnerId;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::owners::secret_file;

/// The variable with the secret that the owners' secrets are made from; all API processes have the same.
pub const WEBHOOK_SECRET_ENV: &str = "CLEARFLEET_WEBHOOK_SECRET";
/// The file of the data folder with it.
pub const WEBHOOK_SECRET_FILE: &str = "webhook.secret";
/// The shortest one.
const SHORTEST: usize = 32;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum HookSecretError {
    /// A person can guess it.
    #[error("the secret for webhooks has at least {SHORTEST} characters, and this one has {0}")]
    TooShort(usize),
    /// There is none.
    #[error("webhooks need a secret that all servers share: set {WEBHOOK_SECRET_ENV}")]
    Missing,
    /// The file cannot be read or written.
    #[error("{path} cannot be used for the secret of webhooks")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
}

/// What the secrets of all owners are made from. It is not shown by `Debug`.
#[derive(Clone)]
pub struct HookSecrets(String);

/// What one owner's webhooks are signed with, and what its receivers check them with.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSecret(String);

impl HookSecrets {
    /// The secret that the operator chose ([`WEBHOOK_SECRET_ENV`]), or that of the data folder, which is made where there
    /// is none.
    ///
    /// # Errors
    /// [`HookSecretError`].
    pub fn load(chosen: Option<String>, data_dir: Option<&Path>) -> Result<Self, HookSecretError> {
        let secret = match (chosen, data_dir) {
            (Some(chosen), _) => chosen,
            (None, Some(data_dir)) => of_folder(&data_dir.join(WEBHOOK_SECRET_FILE))?,
            (None, None) => return Err(HookSecretError::Missing),
        };
        match secret.len() {
            length if length < SHORTEST => Err(HookSecretError::TooShort(length)),
            _ => Ok(Self(secret)),
        }
    }

    /// An owner's secret: the same as long as this one is the same, and of no use to find it or that of another owner.
    pub fn of(&self, owner: OwnerId) -> HookSecret {
        let made = authenticate(&self.0, format!("webhooks of {owner}").as_bytes());
        HookSecret(format!("whsec_{}", URL_SAFE_NO_PAD.encode(made)))
    }
}

fn of_folder(path: &Path) -> Result<String, HookSecretError> {
    let failed = |cause| HookSecretError::File {
        path: path.to_owned(),
        cause,
    };
    if let Some(secret) = secret_file::read(path).map_err(failed)? {
        return Ok(secret);
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| failed(io::Error::other(e)))?;
    let secret = URL_SAFE_NO_PAD.encode(bytes);
    secret_file::write(path, &secret).map_err(failed)?;
    Ok(secret)
}

impl HookSecret {
    /// The secret itself: all of it, `whsec_` included, is the key of the signature.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The value of `Clearfleet-Signature` for a body that is sent at this time: `v1=` and, in hex, the HMAC-SHA256 of
    /// the seconds since 1970, a dot and the body.
    pub(super) fn sign(&self, at: Timestamp, body: &[u8]) -> String {
        let mut signed = format!("{}.", at.as_second()).into_bytes();
        signed.extend_from_slice(body);
        let signature = authenticate(&self.0, &signed);
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("v1={hex}")
    }
}

fn authenticate(key: &str, message: &[u8]) -> [u8; 32] {
    // A key of any length is taken; the error exists for other algorithms.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        return [0; 32];
    };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

impl fmt::Debug for HookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_what_others_compute() {
        let secret = HookSecret("whsec_test".to_owned());
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        let expected = "v1=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789";
        assert_eq!(secret.sign(at, br#"{"a":1}"#), expected);
    }

    #[test]
    fn each_owner_has_a_secret_that_stays() {
        let folder = tempfile::tempdir().unwrap();
        let owner = |name: &str| name.parse::<OwnerId>().unwrap();
        let first = HookSecrets::load(None, Some(folder.path())).unwrap();
        let again = HookSecrets::load(None, Some(folder.path())).unwrap();
        assert_eq!(first.of(owner("a")), again.of(owner("a")));
        assert_ne!(first.of(owner("a")), first.of(owner("b")));
        let chosen = HookSecrets::load(Some("x".repeat(32)), Some(folder.path())).unwrap();
        assert_ne!(chosen.of(owner("a")), first.of(owner("a")));
        assert!(matches!(
            HookSecrets::load(Some("short".to_owned()), None),
            Err(HookSecretError::TooShort(5))
        ));
        assert!(matches!(HookSecrets::load(None, None), Err(HookSecretError::Missing)));
    }
}
