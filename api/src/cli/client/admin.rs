//! What only an admin asks.

use std::io::Write;

use clearfleet_common::ErrorCode;
use reqwest::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CONNECT, Client, ClientError, IDLE, Result, SHORT_CALL, answered, understood};

/// How long a server may take before a backup begins to come: it copies what its disk cannot link.
const COPYING: std::time::Duration = std::time::Duration::from_secs(3600);

/// A key, as the server shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::cli) struct KeyView {
    pub(in crate::cli) id: String,
    pub(in crate::cli) name: String,
    pub(in crate::cli) owner: String,
    pub(in crate::cli) role: String,
    pub(in crate::cli) created: String,
    pub(in crate::cli) revoked: Option<String>,
}

/// A key that was just made.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::cli) struct MadeKey {
    #[serde(flatten)]
    pub(in crate::cli) key: KeyView,
    /// Shown this once.
    pub(in crate::cli) secret: String,
}

#[derive(Deserialize)]
struct KeyList {
    keys: Vec<KeyView>,
}

impl Client {
    /// All keys.
    ///
    /// # Errors
    /// `Unauthorized`, `Forbidden`, `Unavailable`, and what else the server says.
    pub(in crate::cli) async fn keys(&self) -> Result<Vec<KeyView>> {
        let response = answered(self.http.get(self.route("v1/keys")).timeout(SHORT_CALL)).await?;
        let list: KeyList = understood(response).await?;
        Ok(list.keys)
    }

    /// Makes a key as `request`, a JSON document, says. Tried once: another attempt might make a second one.
    ///
    /// # Errors
    /// As [`keys`](Self::keys).
    pub(in crate::cli) async fn add_key(&self, request: &Value) -> Result<MadeKey> {
        let call = self.http.post(self.route("v1/keys")).json(request).timeout(SHORT_CALL);
        understood(answered(call).await?).await
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// `NotFound`; `StateConflict` for the last one of the role admin; as [`keys`](Self::keys).
    pub(in crate::cli) async fn revoke_key(&self, id: &str) -> Result<()> {
        let mut route = self.route("v1/keys/");
        // An id is one part of the path, whatever is in it.
        if let Ok(mut parts) = route.path_segments_mut() {
            parts.pop_if_empty().push(id);
        }
        answered(self.http.delete(route).timeout(SHORT_CALL)).await.map(drop)
    }

    /// Writes a backup of the server into `file`; says how many bytes it has.
    ///
    /// # Errors
    /// `NotOffered` where the server keeps its data elsewhere; `Unavailable` where it breaks off; `OutputUnwritable`,
    /// `DiskFull`; as [`keys`](Self::keys).
    #[cfg(feature = "standalone")]
    pub(in crate::cli) async fn backup(&self, mut file: impl Write, progress: impl Fn(u64)) -> Result<u64> {
        let late = || ClientError::new(ErrorCode::Timeout, "the backup stopped coming").transient();
        let asked = answered(self.http.get(self.route("v1/backup")));
        let mut response: Response = tokio::time::timeout(CONNECT + COPYING, asked)
            .await
            .map_err(|_| late())??;
        let mut bytes = 0;
        loop {
            let piece = tokio::time::timeout(IDLE, response.chunk()).await.map_err(|_| late())?;
            let Some(piece) = piece.map_err(ClientError::unreachable)? else {
                return Ok(bytes);
            };
            file.write_all(&piece)
                .map_err(|e| ClientError::write("the backup", &e))?;
            bytes += piece.len() as u64;
            progress(bytes);
        }
    }
}
