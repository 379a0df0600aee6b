//! What the database holds.

use std::collections::BTreeMap;

use redb::TableDefinition;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::storage::embedded::blobs::BlobId;

/// Facts about the folder: `version`.
pub(in crate::storage::embedded) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Buckets, and when they were made, in milliseconds since the epoch.
pub(in crate::storage::embedded) const BUCKETS: TableDefinition<'_, &str, i64> = TableDefinition::new("buckets");

/// [`Object`]s by bucket and key.
pub(in crate::storage::embedded) const OBJECTS: TableDefinition<'_, (&str, &[u8]), &[u8]> =
    TableDefinition::new("objects");

/// The blobs of a content that is made of several, by the content and the offset in it: the blob and its length.
///
/// So a finished upload is its parts as they were sent; none is copied, and a range is found by a search.
pub(in crate::storage::embedded) const EXTENTS: TableDefinition<'_, (u128, u64), (u128, u64)> =
    TableDefinition::new("extents");

/// [`Upload`]s by bucket, key and id.
pub(in crate::storage::embedded) const UPLOADS: TableDefinition<'_, (&str, &[u8], u128), &[u8]> =
    TableDefinition::new("uploads");

/// [`Part`]s by upload and number.
pub(in crate::storage::embedded) const PARTS: TableDefinition<'_, (u128, u32), &[u8]> = TableDefinition::new("parts");

/// What was said of an object by whoever wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::storage::embedded) struct Described {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::storage::embedded) content_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::storage::embedded) metadata: BTreeMap<String, String>,
}

/// An object, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::storage::embedded) struct Object {
    pub(in crate::storage::embedded) bytes: u64,
    /// Without quotes.
    pub(in crate::storage::embedded) etag: String,
    /// Milliseconds since the epoch.
    pub(in crate::storage::embedded) modified: i64,
    pub(in crate::storage::embedded) content: Content,
    #[serde(flatten)]
    pub(in crate::storage::embedded) described: Described,
}

/// Where an object's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::storage::embedded) enum Content {
    /// In one file.
    Blob(BlobId),
    /// In several: see [`EXTENTS`].
    Extents(Uuid),
}

impl Content {
    /// No two contents have the same.
    pub(in crate::storage::embedded) fn id(self) -> Uuid {
        match self {
            Self::Blob(id) | Self::Extents(id) => id,
        }
    }
}

/// An upload in parts that is neither finished nor aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::storage::embedded) struct Upload {
    /// Milliseconds since the epoch.
    pub(in crate::storage::embedded) begun: i64,
    #[serde(flatten)]
    pub(in crate::storage::embedded) described: Described,
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::storage::embedded) struct Part {
    pub(in crate::storage::embedded) bytes: u64,
    /// Without quotes.
    pub(in crate::storage::embedded) etag: String,
    /// Milliseconds since the epoch.
    pub(in crate::storage::embedded) modified: i64,
    pub(in crate::storage::embedded) blob: BlobId,
}

/// What the database holds for `value`.
pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(value).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

/// Reads what [`encode`] wrote.
pub(in crate::storage::embedded) fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, redb::Error> {
    serde_json::from_slice(value).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

/// Now, in milliseconds since the epoch.
pub(in crate::storage::embedded) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
