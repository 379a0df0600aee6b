//! API keys: who may ask, and as whom.
//!
//! A key is stored under the SHA-256 of its secret, which is shown once and kept nowhere. Every API process looks a secret
//! up by its digest and remembers what it found for [`Ages::fresh`]; while the store does not answer, for
//! [`Ages::usable`]. So a revoked key opens nothing at once where it was revoked, and nowhere after half a minute.

mod bootstrap;
mod cache;
mod policy;
mod record;
mod secret;
#[cfg(test)]
#[cfg(feature = "standalone")]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearfleet_common::job::FORMAT_VERSION;
use clearfleet_common::storage::{Digest, KeyPrefix, ObjectKey, Storage, StorageError, Version};
use futures::TryStreamExt;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::http::Role;

pub use bootstrap::{ADMIN_KEY_ENV, ADMIN_KEY_FILE, Bootstrap};
pub use policy::KeyPolicy;
pub use record::{KeyId, KeyName, KeyNameError, KeyRecord, NewKey};
pub use secret::{KeySecret, ParseKeyError};

use cache::Cache;

/// Look-ups in the store at once. Whoever tries out secrets causes no more than these.
const LOOKUPS: usize = 16;
/// How long a request waits for its look-up, both for its turn and for the store.
const PATIENCE: Duration = Duration::from_secs(5);
/// Keys read at once for a list.
const READS: usize = 16;

/// How long what was read counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ages {
    /// Without asking again.
    pub fresh: Duration,
    /// While the store does not answer.
    pub usable: Duration,
}

impl Default for Ages {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(10),
            usable: Duration::from_secs(30),
        }
    }
}

/// Why a key cannot be found, made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The store.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It takes too long to find out whether there is such a key.
    #[error("keys cannot be looked up in time")]
    Busy,
    /// There is no such key.
    #[error("there is no key {0}")]
    NoSuchKey(KeyId),
    /// Nobody could make keys any more.
    #[error("{0} is the last key of the role admin; make another one first")]
    LastAdmin(KeyId),
    /// The system has no randomness.
    #[error("a secret cannot be made")]
    Randomness(#[source] getrandom::Error),
    /// A key cannot be written as JSON.
    #[error("a key cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// Keys are required, and nobody has one.
    #[error("keys are required and there is none of the role admin: set {ADMIN_KEY_ENV}")]
    NoAdmin,
    /// The file with the first key cannot be read or written.
    #[error("{path} cannot be used for the first key")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// The file with the first key holds none.
    #[error("{path} holds no key")]
    FileContent {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        #[source]
        cause: ParseKeyError,
    },
}

/// A key that was just made; its secret can be had nowhere else.
#[derive(Clone, Debug)]
pub struct AddedKey {
    /// What is stored.
    pub record: KeyRecord,
    /// What its owner shows.
    pub secret: KeySecret,
}

/// A key with where it lies.
struct Placed {
    digest: Digest,
    record: KeyRecord,
    version: Version,
}

/// All API keys of an installation.
pub struct Keys {
    storage: Storage,
    /// The key that the operator chose: it is not stored and cannot be revoked, only changed at a start.
    fixed: Option<Digest>,
    ages: Ages,
    cache: Mutex<Cache>,
    lookups: Semaphore,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_fixed = self.fixed.is_some();
        f.debug_struct("Keys")
            .field("has_fixed", &has_fixed)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// The keys in this store, and `fixed`, an admin's key that the operator chose ([`ADMIN_KEY_ENV`]).
    pub fn new(storage: Storage, fixed: Option<&KeySecret>) -> Self {
        Self::with_ages(storage, fixed, Ages::default())
    }

    /// As [`new`](Self::new), with other ages.
    pub fn with_ages(storage: Storage, fixed: Option<&KeySecret>, ages: Ages) -> Self {
        Self {
            storage,
            fixed: fixed.map(KeySecret::digest),
            ages,
            cache: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS),
        }
    }

    /// Whether this is the secret of the key that the operator chose.
    pub(super) fn is_fixed(&self, shown: &str) -> bool {
        use subtle::ConstantTimeEq;
        let digest = secret::digest(shown);
        self.fixed.is_some_and(|fixed| fixed.0.ct_eq(&digest.0).into())
    }

    /// The stored key with this secret; nothing where there is none, or none that counts any more.
    ///
    /// # Errors
    /// [`KeyError::Storage`], [`KeyError::Busy`] where that cannot be found out.
    pub async fn find(&self, shown: &str) -> Result<Option<Arc<KeyRecord>>, KeyError> {
        let digest = secret::digest(shown);
        if let Some(found) = self.cached(digest, self.ages.fresh) {
            return Ok(found);
        }
        let looked_up = timeout(PATIENCE, self.look_up(digest)).await;
        match looked_up.unwrap_or(Err(KeyError::Busy)) {
            Err(error) => match self.cached(digest, self.ages.usable) {
                Some(found) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a key is taken as it was last read"
                    );
                    Ok(found)
                }
                None => Err(error),
            },
            found => found,
        }
    }

    async fn look_up(&self, digest: Digest) -> Result<Option<Arc<KeyRecord>>, KeyError> {
        let _turn = self.lookups.acquire().await.map_err(|_| KeyError::Busy)?;
        loop {
            // Somebody else may have found it while we waited.
            if let Some(found) = self.cached(digest, self.ages.fresh) {
                return Ok(found);
            }
            let (read, epoch) = (Instant::now(), self.cache().epoch());
            let placed = self.read(digest).await?;
            let found = placed
                .map(|placed| placed.record)
                .filter(KeyRecord::counts)
                .map(Arc::new);
            // Not where a key was revoked meanwhile: it may have been this one.
            if self.cache().remember(digest, found.clone(), read, epoch) {
                return Ok(found);
            }
        }
    }

    fn cached(&self, digest: Digest, age: Duration) -> Option<Option<Arc<KeyRecord>>> {
        self.cache().get(digest, age, Instant::now())
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, digest: Digest) -> Result<Option<Placed>, KeyError> {
        let key = ObjectKey::ApiKey(digest);
        let Some(stored) = self.storage.get(key).await? else {
            return Ok(None);
        };
        let record = KeyRecord::parse(&stored.body).map_err(|why| StorageError::Invalid {
            key: key.to_string(),
            why,
        })?;
        Ok(Some(Placed {
            digest,
            record,
            version: stored.version,
        }))
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`KeyError::Storage`], [`KeyError::Randomness`].
    pub async fn add(&self, key: NewKey) -> Result<AddedKey, KeyError> {
        let secret = KeySecret::generate().map_err(KeyError::Randomness)?;
        let record = KeyRecord::new(key, Timestamp::now());
        self.store(&secret, &record).await?;
        Ok(AddedKey { record, secret })
    }

    /// Stores a new key; says whether it did, or there was one with this secret.
    async fn store(&self, secret: &KeySecret, record: &KeyRecord) -> Result<bool, KeyError> {
        let digest = secret.digest();
        let created = self.storage.create(ObjectKey::ApiKey(digest), written(record)?).await?;
        self.cache().forget(digest);
        Ok(created.is_some())
    }

    /// All keys, revoked ones included, in the order they were made.
    ///
    /// # Errors
    /// [`KeyError::Storage`].
    pub async fn list(&self) -> Result<Vec<KeyRecord>, KeyError> {
        let all = self.all().await?;
        Ok(all.into_iter().map(|placed| placed.record).collect())
    }

    async fn all(&self) -> Result<Vec<Placed>, KeyError> {
        let digests = self.storage.list(KeyPrefix::ApiKeys).map_err(KeyError::from);
        let read = digests.map_ok(|listed| async move {
            match ObjectKey::key_digest(&listed.key) {
                Some(digest) => self.read(digest).await,
                None => Ok(None),
            }
        });
        let read: Vec<Option<Placed>> = read.try_buffered(READS).try_collect().await?;
        let mut all: Vec<Placed> = read.into_iter().flatten().collect();
        all.sort_by_key(|placed| placed.record.id);
        Ok(all)
    }

    /// Ends a key: at once for this process, within half a minute for others. One that is ended already stays as it is.
    ///
    /// # Errors
    /// [`KeyError::NoSuchKey`]; [`KeyError::LastAdmin`], so that an installation does not lock itself out;
    /// [`KeyError::Storage`].
    pub async fn revoke(&self, id: KeyId) -> Result<KeyRecord, KeyError> {
        loop {
            let all = self.all().await?;
            let is_admin = |placed: &&Placed| placed.record.role == Role::Admin && placed.record.counts();
            let admins = all.iter().filter(is_admin).count() + usize::from(self.fixed.is_some());
            let placed = all.into_iter().find(|placed| placed.record.id == id);
            let Some(Placed {
                digest,
                mut record,
                version,
            }) = placed
            else {
                return Err(KeyError::NoSuchKey(id));
            };
            if !record.counts() {
                return Ok(record);
            }
            if record.role == Role::Admin && admins == 1 {
                return Err(KeyError::LastAdmin(id));
            }
            record.revoked = Some(Timestamp::now());
            record.version = FORMAT_VERSION;
            let key = ObjectKey::ApiKey(digest);
            let replaced = self.storage.replace(key, written(&record)?, &version).await?;
            self.cache().forget(digest);
            // Somebody else changed it: look again.
            if replaced.is_some() {
                return Ok(record);
            }
        }
    }
}

fn written(record: &KeyRecord) -> Result<Bytes, KeyError> {
    serde_json::to_vec(record)
        .map(Bytes::from)
        .map_err(KeyError::Unwritable)
}
