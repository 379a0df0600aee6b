//! Uploads that go on in another request, of another process, after whatever broke them off.
//!
//! Nothing of one is in memory only: its description is written once and never changed, its parts are those of one S3
//! multipart upload, and what does not fill a part is in a tail beside it. Part k always holds the bytes
//! `[k * P, (k + 1) * P)`. So requests that bring the same bytes at once write the same parts, and how much has come is what
//! the store has, not what anybody says.

mod appender;
mod received;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::client::invalid;
use super::multipart::PART;
use super::put::Condition;
use super::{ObjectKey, Storage, StorageError, Version};
use crate::job::{FORMAT_VERSION, JobId, OwnerId};

pub use appender::Appender;
pub use received::{Arrival, Received};

/// S3 takes 10,000 parts at most: of large uploads a part is this fraction.
const PARTS: u64 = 9_000;

/// How often an upload is put together while others send its parts once more.
const ROUNDS: u32 = 20;

/// What is known of an upload from its beginning on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumableUpload {
    version: u32,
    /// The job whose source it becomes.
    pub job: JobId,
    /// Whose.
    pub owner: OwnerId,
    /// When it began.
    pub begun: Timestamp,
    /// Length of the whole.
    pub bytes: u64,
    /// What its client says of it, as it said it.
    pub metadata: String,
    /// Length of all parts but the last, in bytes.
    part_bytes: u64,
    /// Id of the multipart upload.
    multipart: String,
    /// By what the object is recognised as made of it.
    write: String,
}

impl ResumableUpload {
    /// Whether its parts are those of this multipart upload.
    pub(super) fn is_made_of(&self, multipart: &str) -> bool {
        self.multipart == multipart
    }

    fn source(&self) -> String {
        ObjectKey::Source(self.job).to_string()
    }

    /// How many parts it has.
    fn part_count(&self) -> u64 {
        self.bytes.div_ceil(self.part_bytes)
    }

    /// Length of a part, counted from 0.
    fn part_length(&self, part: u64) -> u64 {
        (self.bytes - part * self.part_bytes).min(self.part_bytes)
    }
}

/// How long the parts of an upload are, all but the last.
fn part_bytes(bytes: u64) -> u64 {
    PART.max(bytes.div_ceil(PARTS))
}

impl Storage {
    /// Begins the upload of a job's source of `bytes`, at least 1; where that was begun before, it is that one.
    ///
    /// # Errors
    /// If the store does not answer, refuses, or is full.
    pub async fn begin_upload(
        &self,
        (owner, job): (OwnerId, JobId),
        bytes: u64,
        metadata: &str,
    ) -> Result<ResumableUpload, StorageError> {
        let write = Uuid::new_v4().to_string();
        let source = ObjectKey::Source(job);
        let multipart = self
            .begin_multipart(&source.to_string(), source.content_type(), &write)
            .await?;
        let upload = ResumableUpload {
            version: FORMAT_VERSION,
            job,
            owner,
            begun: Timestamp::now(),
            bytes,
            metadata: metadata.to_owned(),
            part_bytes: part_bytes(bytes),
            multipart,
            write,
        };
        let key = ObjectKey::Upload(job);
        let body = serde_json::to_vec(&upload).map_err(|error| invalid(&key.to_string(), error.to_string()))?;
        if self.create(key, body.into()).await?.is_some() {
            return Ok(upload);
        }
        self.abort_upload(&upload.source(), &upload.multipart).await?;
        let before = self.upload(job).await?;
        before.ok_or_else(|| StorageError::Missing { key: key.to_string() })
    }

    /// The upload of a job's source; nothing where there is none, or it is over.
    ///
    /// # Errors
    /// [`Invalid`](StorageError::Invalid) where it cannot be understood; or if the store does not answer or refuses.
    pub async fn upload(&self, job: JobId) -> Result<Option<ResumableUpload>, StorageError> {
        let key = ObjectKey::Upload(job);
        let Some(stored) = self.get(key).await? else {
            return Ok(None);
        };
        let read: Result<ResumableUpload, _> = serde_json::from_slice(&stored.body);
        let upload = read.map_err(|error| invalid(&key.to_string(), error.to_string()))?;
        if upload.version > FORMAT_VERSION {
            let why = format!("it is of version {}, which this build does not know", upload.version);
            return Err(invalid(&key.to_string(), why));
        }
        Ok(Some(upload))
    }

    /// Puts the source in place that an upload has brought; nothing where it is not all there yet. Others may do so at the
    /// same time. The upload's own objects stay until they are [deleted](Self::delete_upload).
    ///
    /// # Errors
    /// [`Missing`](StorageError::Missing) where the upload was taken back; or if the store does not answer, refuses, or is
    /// full.
    pub async fn complete_upload(&self, upload: &ResumableUpload) -> Result<Option<Version>, StorageError> {
        let source = upload.source();
        let of = (&*source, &*upload.multipart, &*upload.write);
        for _ in 0..ROUNDS {
            let received = match self.received(upload).await? {
                Arrival::Whole(version) => return Ok(Some(version)),
                Arrival::Partial(received) => received,
            };
            if received.bytes() < upload.bytes {
                return Ok(None);
            }
            match self.complete_multipart(of, received.parts(), Condition::New).await {
                Ok(Some(version)) => return Ok(Some(version)),
                // Somebody was faster, or has sent a part again, which is another part then: look again.
                Ok(None) | Err(StorageError::Missing { .. } | StorageError::Denied { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let doing = format!("put {source} together");
        Err(StorageError::unavailable(doing, "its parts changed each time"))
    }

    /// Deletes what there is of a job's upload; that there is none is fine, and a source that it became stays.
    ///
    /// # Errors
    /// If the store does not answer or refuses; another call deletes the rest then.
    pub async fn delete_upload(&self, job: JobId) -> Result<(), StorageError> {
        // The description last, since only it names the parts.
        match self.upload(job).await {
            Ok(Some(upload)) => self.abort_upload(&upload.source(), &upload.multipart).await?,
            Ok(None) | Err(StorageError::Invalid { .. }) => {}
            Err(error) => return Err(error),
        }
        self.delete(&ObjectKey::UploadTail(job).to_string()).await?;
        self.delete(&ObjectKey::Upload(job).to_string()).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn upload(bytes: u64) -> ResumableUpload {
        ResumableUpload {
            version: FORMAT_VERSION,
            job: JobId::from_u128(1),
            owner: OwnerId::default(),
            begun: Timestamp::UNIX_EPOCH,
            bytes,
            metadata: String::new(),
            part_bytes: part_bytes(bytes),
            multipart: String::new(),
            write: String::new(),
        }
    }

    proptest! {
        #[test]
        fn parts_are_of_one_length_and_few_enough(bytes in 1_u64..5 << 40) {
            let upload = upload(bytes);
            let parts = upload.part_count();
            prop_assert!(parts <= PARTS, "{parts}");
            prop_assert!((PART..=5 << 30).contains(&upload.part_bytes));
            let last = upload.part_length(parts - 1);
            prop_assert!((1..=upload.part_bytes).contains(&last));
            prop_assert_eq!((parts - 1) * upload.part_bytes + last, bytes);
            prop_assert!(parts == 1 || upload.part_length(0) == upload.part_bytes);
        }
    }

    #[test]
    fn parts_are_those_of_the_design() {
        assert_eq!(part_bytes(1), 8 << 20);
        assert_eq!(part_bytes(PARTS * (8 << 20)), 8 << 20);
        assert_eq!(part_bytes(PARTS * (8 << 20) + 1), (8 << 20) + 1);
        assert_eq!(part_bytes(1 << 40), 122_167_959);
    }
}
