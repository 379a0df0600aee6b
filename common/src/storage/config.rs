use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where objects are kept, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageConfig {
    /// Address of the store, such as `http://127.0.0.1:9000`; plain `http` is for the loopback interface and private
    /// networks.
    pub endpoint: String,
    /// Its region; stores that have none take `us-east-1`.
    pub region: String,
    /// The bucket that everything goes into; it is made when it is not there.
    pub bucket: String,
    /// Who asks.
    pub access_key: String,
    /// What proves it.
    pub secret_key: Secret,
    /// Whether the bucket is the first part of the path rather than of the host name. MinIO and the embedded store want
    /// it.
    pub path_style: bool,
    /// Whether the signature of a call covers the body, so that the store checks a SHA-256 of what it received. Without
    /// it writing is faster; the loopback interface loses nothing.
    #[serde(default = "signed")]
    pub signed_bodies: bool,
    /// How long calls may take.
    #[serde(default)]
    pub timeouts: StorageTimeouts,
}

fn signed() -> bool {
    true
}

/// A secret, which is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for whoever needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How long calls to the store may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageTimeouts {
    /// To connect.
    pub connect: Duration,
    /// For one attempt at a call; what sends a body has 1 s more for each MiB.
    pub attempt: Duration,
    /// Between two pieces of a body that is read.
    pub idle: Duration,
    /// Attempts at a call before it counts as failed, at least 1; those after the first wait longer and longer.
    pub attempts: u32,
}

impl Default for StorageTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            attempt: Duration::from_secs(15),
            idle: Duration::from_secs(30),
            attempts: 4,
        }
    }
}

impl StorageTimeouts {
    /// For one attempt that sends `bytes`.
    pub(super) fn sending(&self, bytes: usize) -> Duration {
        self.attempt + Duration::from_secs((bytes as u64).div_ceil(1 << 20))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let secret = Secret::from("hidden".to_owned());
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose(), "hidden");
    }
}
