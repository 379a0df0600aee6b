//! The first key: somebody must be able to make the others.

use std::path::{Path, PathBuf};

use clearfleet_common::job::OwnerId;
use jiff::Timestamp;

use super::{KeyError, KeyName, KeyRecord, KeySecret, Keys, NewKey};
use crate::http::Role;
use crate::owners::{Quota, secret_file};

/// The variable with an admin's key that the operator chose.
pub const ADMIN_KEY_ENV: &str = "CLEARFLEET_ADMIN_KEY";
/// The file of the data folder with the first key.
pub const ADMIN_KEY_FILE: &str = "admin.key";

/// Where the first key of the role admin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// The operator chose it.
    Chosen,
    /// There was one.
    Existing,
    /// It was made and lies in this file.
    Made(PathBuf),
}

impl Keys {
    /// Makes sure that there is a key of the role admin, where keys are required: the one that the operator chose, or one
    /// that exists, or a new one, whose secret is written to [`ADMIN_KEY_FILE`] with mode 0600.
    ///
    /// The key's owner is `local`, so that it opens the jobs that were made before keys were required.
    ///
    /// # Errors
    /// [`KeyError::NoAdmin`] where there is none and no data folder to write one to; [`KeyError::File`],
    /// [`KeyError::FileContent`], [`KeyError::Storage`], [`KeyError::Randomness`].
    pub async fn bootstrap(&self, data_dir: Option<&Path>) -> Result<Bootstrap, KeyError> {
        if self.fixed.is_some() {
            return Ok(Bootstrap::Chosen);
        }
        let is_admin = |record: &KeyRecord| record.role == Role::Admin && record.counts();
        if self.list().await?.iter().any(is_admin) {
            return Ok(Bootstrap::Existing);
        }
        let path = data_dir.ok_or(KeyError::NoAdmin)?.join(ADMIN_KEY_FILE);
        let name: KeyName = "first".parse().map_err(|_| KeyError::NoAdmin)?;
        let record = KeyRecord::new(
            NewKey {
                name,
                owner: OwnerId::default(),
                role: Role::Admin,
                quota: Quota::default(),
            },
            Timestamp::now(),
        );
        // Of a start that died between the file and the store, or of a store that was lost since.
        if let Some(secret) = read(&path)?
            && self.store(&secret, &record).await?
        {
            return Ok(Bootstrap::Made(path));
        }
        let secret = KeySecret::generate().map_err(KeyError::Randomness)?;
        secret_file::write(&path, secret.expose()).map_err(|cause| KeyError::File {
            path: path.clone(),
            cause,
        })?;
        self.store(&secret, &record).await?;
        Ok(Bootstrap::Made(path))
    }
}

fn read(path: &Path) -> Result<Option<KeySecret>, KeyError> {
    let path = || path.to_owned();
    let text = secret_file::read(&path()).map_err(|cause| KeyError::File { path: path(), cause })?;
    let secret = text.map(|text| text.parse()).transpose();
    secret.map_err(|cause| KeyError::FileContent { path: path(), cause })
}
