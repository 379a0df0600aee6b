use bytes::Bytes;
use uuid::Uuid;

use super::client::invalid;
use super::{ObjectKey, Storage, StorageError, Version};

/// A version that no object has.
const NO_VERSION: &str = "\"00000000000000000000000000000000\"";

impl Storage {
    /// Makes sure that the store honours `If-None-Match` and `If-Match` on what is written: everything that several
    /// processes agree on here stands on them. Not every store of S3's kind does.
    ///
    /// # Errors
    /// [`Invalid`](StorageError::Invalid) if it does not; or if it does not answer or refuses.
    pub async fn must_honour_conditions(&self) -> Result<(), StorageError> {
        let key = ObjectKey::Trial(Uuid::new_v4());
        let tried = self.try_conditions(key).await;
        let deleted = self.delete(&key.to_string()).await;
        tried.and(deleted)
    }

    async fn try_conditions(&self, key: ObjectKey) -> Result<(), StorageError> {
        let body = || Bytes::from_static(b"a trial");
        let broken = |header: &str| {
            let why =
                format!("this store does not honour {header}: several writers would all take themselves for the first");
            Err(invalid(self.bucket(), why))
        };
        let Some(first) = self.create(key, body()).await? else {
            return broken("If-None-Match");
        };
        if self.create(key, body()).await?.is_some() {
            return broken("If-None-Match");
        }
        if self
            .replace(key, body(), &Version::from(NO_VERSION.to_owned()))
            .await?
            .is_some()
        {
            return broken("If-Match");
        }
        match self.replace(key, Bytes::from_static(b"another"), &first).await? {
            None => broken("If-Match"),
            Some(_) if self.replace(key, body(), &first).await?.is_some() => broken("If-Match"),
            Some(_) => Ok(()),
        }
    }
}
