//! What is written down of classes: `classes/{class}.json`.

use bytes::Bytes;
use clearfleet_common::job::{ClassName, FORMAT_VERSION};
use clearfleet_common::schedule::KnownClass;
use clearfleet_common::storage::{KeyPrefix, ObjectKey, Storage, StorageError};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    class: ClassName,
    fingerprint: String,
    pixels_per_second: f64,
}

/// All classes that were written down. What cannot be read is logged and left out: workers announce themselves anew.
pub(super) async fn read(storage: &Storage) -> Vec<KnownClass> {
    match read_all(storage).await {
        Ok(known) => known,
        Err(e) => {
            tracing::warn!(
                error = &e as &dyn std::error::Error,
                "what is known of classes cannot be read"
            );
            Vec::new()
        }
    }
}

async fn read_all(storage: &Storage) -> Result<Vec<KnownClass>, StorageError> {
    let keys: Vec<String> = storage
        .list(KeyPrefix::Classes)
        .map_ok(|listed| listed.key)
        .try_collect()
        .await?;
    let mut known = Vec::new();
    for key in keys {
        let Some(class) = ObjectKey::class(&key) else { continue };
        let Some(stored) = storage.get(ObjectKey::Class(class)).await? else {
            continue;
        };
        match serde_json::from_slice::<Written>(&stored.body) {
            Ok(written) => known.push(KnownClass {
                class: written.class,
                fingerprint: written.fingerprint,
                pixels_per_second: written.pixels_per_second,
            }),
            Err(e) => tracing::warn!(%class, error = &e as &dyn std::error::Error, "{key} cannot be understood"),
        }
    }
    Ok(known)
}

/// A class as it is written down.
pub(super) fn written(known: KnownClass) -> serde_json::Result<Bytes> {
    let written = Written {
        version: FORMAT_VERSION,
        class: known.class,
        fingerprint: known.fingerprint,
        pixels_per_second: known.pixels_per_second,
    };
    serde_json::to_vec(&written).map(Bytes::from)
}
