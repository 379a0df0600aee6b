//! Which ends somebody was told of, and how far the telling is: one object for each job that has something to tell.

use clearfleet_common::job::{FORMAT_VERSION, Hook, JobId};
use clearfleet_common::storage::{ObjectKey, Storage, StorageError, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Telling {
    pub(super) version: u32,
    /// When the job ended that last time of which nobody is to be told any more: they were, or never answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) settled: Option<Timestamp>,
    /// What is to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hook: Option<Hook>,
    /// How often that was tried; the one who tries counts before it does.
    #[serde(default)]
    pub(super) attempts: u32,
    /// When it is to be tried again. Until then it belongs to whoever counted the last attempt.
    pub(super) due: Timestamp,
}

/// What is stored, and its version.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) telling: Telling,
    pub(super) version: Version,
}

impl Telling {
    fn new(hook: Hook, settled: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            version: FORMAT_VERSION,
            settled,
            hook: Some(hook),
            attempts: 0,
            due: now,
        }
    }

    /// Whether this end, or a later one, is known.
    pub(super) fn knows(&self, hook: &Hook) -> bool {
        let known = self.settled.max(self.hook.as_ref().map(|hook| hook.at));
        known.is_some_and(|at| at >= hook.at)
    }
}

/// The entry of a job; nothing where there was nothing to tell yet.
pub(super) async fn read(storage: &Storage, job: JobId) -> Result<Option<Entry>, StorageError> {
    let key = ObjectKey::Hook(job);
    let Some(stored) = storage.get(key).await? else {
        return Ok(None);
    };
    let invalid = |why: String| StorageError::Invalid {
        key: key.to_string(),
        why,
    };
    let telling: Telling = serde_json::from_slice(&stored.body).map_err(|e| invalid(e.to_string()))?;
    if telling.version > FORMAT_VERSION {
        return Err(invalid(format!("it is of version {}", telling.version)));
    }
    Ok(Some(Entry {
        telling,
        version: stored.version,
    }))
}

/// Writes down that somebody is to be told; after this it is not lost. An end that is known already changes nothing, and an
/// older one that waits gives way.
pub(super) async fn accept(storage: &Storage, hook: &Hook, now: Timestamp) -> Result<Entry, StorageError> {
    loop {
        let before = read(storage, hook.job).await?;
        let (telling, written) = match before {
            Some(entry) if entry.telling.knows(hook) => return Ok(entry),
            Some(Entry { telling, version }) => {
                let telling = Telling::new(hook.clone(), telling.settled, now);
                let written = replace(storage, hook.job, &telling, &version).await?;
                (telling, written)
            }
            None => {
                let telling = Telling::new(hook.clone(), None, now);
                let written = storage
                    .create(ObjectKey::Hook(hook.job), json(hook.job, &telling)?)
                    .await?;
                (telling, written)
            }
        };
        if let Some(version) = written {
            return Ok(Entry { telling, version });
        }
    }
}

/// Writes it if it is still what it was; nothing where it is not.
pub(super) async fn replace(
    storage: &Storage,
    job: JobId,
    telling: &Telling,
    expected: &Version,
) -> Result<Option<Version>, StorageError> {
    storage
        .replace(ObjectKey::Hook(job), json(job, telling)?, expected)
        .await
}

fn json(job: JobId, telling: &Telling) -> Result<bytes::Bytes, StorageError> {
    let json = serde_json::to_vec(telling).map_err(|e| StorageError::Invalid {
        key: ObjectKey::Hook(job).to_string(),
        why: e.to_string(),
    })?;
    Ok(json.into())
}
