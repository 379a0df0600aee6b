use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which version of an object: its ETag, quotes included, as the store gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// The ETag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Version {
    fn from(etag: String) -> Self {
        Self(etag)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A small object in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What it holds.
    pub body: Bytes,
    /// Which version that is.
    pub version: Version,
}

/// What is known of an object without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Length.
    pub bytes: u64,
    /// Which version.
    pub version: Version,
    /// When it was written; to the second.
    pub modified: Timestamp,
    /// Its media type.
    pub content_type: String,
}

/// An object of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Which version.
    pub version: Version,
    /// Length.
    pub bytes: u64,
    /// When it was written; to the millisecond at best.
    pub modified: Timestamp,
}

/// An object that was written from a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Length.
    pub bytes: u64,
    /// SHA-256 of the content, in hex.
    pub sha256: String,
    /// Which version.
    pub version: Version,
}
