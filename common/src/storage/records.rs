use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::client::invalid;
use super::{ObjectKey, Storage, StorageError, Version};
use crate::job::{FORMAT_VERSION, JobId, OwnerId, Record};

/// How often a change is tried while others are faster.
const ROUNDS: u32 = 100;

impl Storage {
    /// A job's record; nothing where there is none.
    ///
    /// # Errors
    /// [`Invalid`](StorageError::Invalid) where a newer build wrote it, or it is no record; or if the store does not
    /// answer or refuses.
    pub async fn record(&self, owner: OwnerId, job: JobId) -> Result<Option<(Record, Version)>, StorageError> {
        let key = ObjectKey::Record(owner, job);
        let Some(stored) = self.get(key).await? else {
            return Ok(None);
        };
        let record = parse(&stored.body).map_err(|why| invalid(&key.to_string(), why))?;
        Ok(Some((record, stored.version)))
    }

    /// Writes the record of a new job, and before it that the job is active; nothing where there is one already.
    ///
    /// # Errors
    /// If the store does not answer, refuses, or is full. When it does not answer, the record may have been written.
    pub async fn create_record(&self, record: &Record) -> Result<Option<Version>, StorageError> {
        // The other way round, a job whose writer dies in between would never be looked at.
        let owner = Bytes::from(record.owner.to_string());
        self.put(ObjectKey::Active(record.id), owner).await?;
        self.create(key_of(record), serialised(record)?).await
    }

    /// Replaces a record; nothing where somebody else has changed or deleted it.
    ///
    /// # Errors
    /// As [`create_record`](Self::create_record).
    pub async fn replace_record(&self, record: &Record, expected: &Version) -> Result<Option<Version>, StorageError> {
        self.replace(key_of(record), serialised(record)?, expected).await
    }

    /// Reads a record, changes it, writes it, and does so again while others are faster; gives what is there in the
    /// end, or nothing where there is no record.
    ///
    /// `change` says whether it changed anything, and is called again with what the others wrote. Its error is passed
    /// on and nothing is written.
    ///
    /// # Errors
    /// As [`record`](Self::record) and [`replace_record`](Self::replace_record); also if others are faster a hundred
    /// times.
    pub async fn update_record<E>(
        &self,
        owner: OwnerId,
        job: JobId,
        mut change: impl FnMut(&mut Record) -> Result<bool, E>,
    ) -> Result<Result<Option<(Record, Version)>, E>, StorageError> {
        for round in 0..ROUNDS {
            let Some((mut record, version)) = self.record(owner, job).await? else {
                return Ok(Ok(None));
            };
            match change(&mut record) {
                Err(refused) => return Ok(Err(refused)),
                Ok(false) => return Ok(Ok(Some((record, version)))),
                Ok(true) => {}
            }
            record.version = FORMAT_VERSION;
            if let Some(version) = self.replace_record(&record, &version).await? {
                return Ok(Ok(Some((record, version))));
            }
            tokio::time::sleep(Duration::from_millis(u64::from(round.min(50)))).await;
        }
        let doing = format!("change {}", ObjectKey::Record(owner, job));
        Err(StorageError::unavailable(doing, "others changed it each time"))
    }
}

fn key_of(record: &Record) -> ObjectKey {
    ObjectKey::Record(record.owner, record.id)
}

fn serialised(record: &Record) -> Result<Bytes, StorageError> {
    match serde_json::to_vec(record) {
        Ok(json) => Ok(json.into()),
        Err(error) => Err(invalid(&key_of(record).to_string(), error.to_string())),
    }
}

/// The record that `body` holds, or what is wrong with it.
fn parse(body: &[u8]) -> Result<Record, String> {
    #[derive(Deserialize)]
    struct Envelope {
        version: u32,
    }
    // First, since the rest of a newer record may be anything.
    let Envelope { version } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if version > FORMAT_VERSION {
        return Err(format!(
            "it is of version {version}, and this build knows up to {FORMAT_VERSION}"
        ));
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_records_are_refused() {
        let newer = serde_json::json!({"version": FORMAT_VERSION + 1, "id": {"of": "another kind"}});
        let why = parse(newer.to_string().as_bytes()).unwrap_err();
        assert_eq!(why, "it is of version 2, and this build knows up to 1");
        assert!(parse(b"{\"version\":1}").unwrap_err().contains("missing field"));
        assert!(parse(b"").is_err());
    }
}
