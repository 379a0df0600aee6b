use std::collections::VecDeque;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::client::{COMPLETION, version};
use super::error::Answer;
use super::put::{Condition, WRITE_ID};
use super::{Digest, ObjectKey, Storage, StorageError, Version, Written};

/// The size of the first parts: 8 MiB.
const PART: u64 = 8 << 20;

/// S3 takes 10,000 parts at most and objects up to 5 TiB: beyond 11 GiB, a part is this fraction of what is written.
const GROWTH: u64 = 1_400;

/// How much may be on its way at a time, unless one part is more: 24 MiB, so that the store writes while we send.
const SENDING: usize = 24 << 20;

/// Writes a large object piece by piece; nobody sees it before [`finish`](Self::finish).
///
/// It holds one part of 8 MiB that is being filled and up to 24 MiB that are on their way; from 33 GiB on, two parts of a
/// 1,400th of the object each. Dropped unfinished, it takes back in the background what was sent; where that fails, as when the process dies,
/// [`Storage::abort_stale_writes`] does it later.
#[derive(Debug)]
pub struct ObjectWriter {
    storage: Storage,
    key: String,
    content_type: String,
    /// By what we recognise the object as ours.
    write: String,
    hasher: Sha256,
    bytes: u64,
    buffer: BytesMut,
    /// How large the buffer becomes.
    part: usize,
    upload: Option<Upload>,
    runtime: Handle,
}

/// Parts that were sent or are on their way.
#[derive(Debug)]
struct Upload {
    id: String,
    parts: Vec<CompletedPart>,
    /// Those on their way, in order, and their lengths.
    sending: VecDeque<(usize, JoinHandle<Result<CompletedPart, StorageError>>)>,
}

impl Storage {
    /// Begins a large object. It may be dropped on any thread; what it was made on must be a tokio runtime.
    ///
    /// # Errors
    /// None yet: what is not written is not asked for.
    pub async fn write(&self, key: ObjectKey, content_type: &str) -> Result<ObjectWriter, StorageError> {
        self.write_at(&key.to_string(), content_type).await
    }

    /// As [`write`](Self::write), at a key that is not one of ours: a place of an operator's own.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_at(&self, key: &str, content_type: &str) -> Result<ObjectWriter, StorageError> {
        Ok(ObjectWriter {
            storage: self.clone(),
            key: key.to_owned(),
            content_type: content_type.to_owned(),
            write: Uuid::new_v4().to_string(),
            hasher: Sha256::new(),
            bytes: 0,
            buffer: BytesMut::new(),
            part: PART as usize,
            upload: None,
            runtime: Handle::current(),
        })
    }
}

/// How large the part is that follows `bytes`.
fn part_size(bytes: u64) -> u64 {
    PART.max(bytes.div_ceil(GROWTH).next_multiple_of(1 << 20))
}

impl ObjectWriter {
    /// Takes the next piece; waits while the store is slower.
    ///
    /// # Errors
    /// If the store does not answer, refuses, or is full. Then the object cannot be finished.
    pub async fn write(&mut self, mut piece: Bytes) -> Result<(), StorageError> {
        self.hasher.update(&piece);
        self.bytes += piece.len() as u64;
        while !piece.is_empty() {
            // Not before more comes, so that the last part is never empty and a short object is sent whole.
            if self.buffer.len() == self.part {
                self.send_part().await?;
            }
            let taken = piece.split_to(piece.len().min(self.part - self.buffer.len()));
            self.buffer.extend_from_slice(&taken);
        }
        Ok(())
    }

    /// What was written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts the object in place, whatever was there.
    ///
    /// # Errors
    /// If the store does not answer, refuses, or is full.
    pub async fn finish(mut self) -> Result<Written, StorageError> {
        let version = if self.upload.is_none() {
            let body = self.buffer.split().freeze();
            self.storage.put_as(&self.key, &self.content_type, body).await?
        } else {
            let completed = self.complete(Condition::Always).await?;
            completed.ok_or_else(|| self.given_up())?
        };
        Ok(self.written(version))
    }

    /// Puts the object in place unless there is one; nothing where there is, and then what was sent is taken back.
    ///
    /// # Errors
    /// If the store does not answer, refuses, or is full. When it does not answer, the object may be in place.
    pub async fn finish_new(mut self) -> Result<Option<Written>, StorageError> {
        let version = if self.upload.is_none() {
            let body = self.buffer.split().freeze();
            self.storage.create_as(&self.key, &self.content_type, body).await?
        } else {
            self.complete(Condition::New).await?
        };
        match version {
            Some(version) => Ok(Some(self.written(version))),
            None => {
                self.take_back().await?;
                Ok(None)
            }
        }
    }

    /// Takes back what was sent.
    ///
    /// # Errors
    /// If the store does not answer or refuses.
    pub async fn abort(mut self) -> Result<(), StorageError> {
        self.take_back().await
    }

    fn written(&self, version: Version) -> Written {
        let digest: [u8; 32] = self.hasher.clone().finalize().into();
        Written {
            bytes: self.bytes,
            sha256: Digest(digest).to_string(),
            version,
        }
    }

    /// Sends what the buffer holds, once there is room for it on the way.
    async fn send_part(&mut self) -> Result<(), StorageError> {
        if self.upload.is_none() {
            self.upload = Some(self.begin().await?);
        }
        let Some(upload) = &mut self.upload else {
            return Err(self.given_up());
        };
        while upload.on_its_way() > 0 && upload.on_its_way() + self.buffer.len() > SENDING {
            upload.arrived().await?;
        }
        let next = part_size(self.bytes) as usize;
        let body = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(next)).freeze();
        self.part = next;
        let number = (upload.parts.len() + upload.sending.len()) as i32 + 1;
        let length = body.len();
        let (storage, key, id) = (self.storage.clone(), self.key.clone(), upload.id.clone());
        let sending = async move { storage.send_part(&key, &id, number, body).await };
        upload.sending.push_back((length, self.runtime.spawn(sending)));
        Ok(())
    }

    async fn begin(&self) -> Result<Upload, StorageError> {
        let made = self
            .storage
            .client
            .create_multipart_upload()
            .bucket(&*self.storage.bucket)
            .key(&self.key)
            .content_type(&self.content_type)
            .metadata(WRITE_ID, &self.write)
            .send()
            .await
            .map_err(|error| StorageError::of("begin to write", &self.key, error))?;
        let id = made.upload_id.ok_or_else(|| {
            let cause = "the store gave the upload no id";
            StorageError::unavailable(format!("begin to write {}", self.key), cause)
        })?;
        Ok(Upload {
            id,
            parts: Vec::new(),
            sending: VecDeque::new(),
        })
    }

    /// Sends the last part and puts the object in place, if it may be.
    async fn complete(&mut self, condition: Condition<'_>) -> Result<Option<Version>, StorageError> {
        self.send_part().await?;
        let Some(upload) = &mut self.upload else {
            return Err(self.given_up());
        };
        while upload.on_its_way() > 0 {
            upload.arrived().await?;
        }
        let (id, parts) = (&upload.id, &upload.parts);
        let attempt = || self.storage.attempt_completion(&self.key, id, parts, condition);
        let completed = match self.storage.settle(&self.key, &self.write, attempt).await {
            Err(StorageError::Missing { .. }) => Err(self.given_up()),
            completed => completed,
        };
        if let Ok(Some(_)) = &completed {
            self.upload = None;
        }
        completed
    }

    async fn take_back(&mut self) -> Result<(), StorageError> {
        match self.upload.take() {
            Some(upload) => upload.take_back(&self.storage, &self.key).await,
            None => Ok(()),
        }
    }

    fn given_up(&self) -> StorageError {
        let cause = "what was sent was taken back meanwhile, or replaced as soon as it was in place";
        StorageError::unavailable(format!("write {}", self.key), cause)
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        let (storage, key) = (self.storage.clone(), std::mem::take(&mut self.key));
        self.runtime.spawn(async move {
            if let Err(error) = upload.take_back(&storage, &key).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    key,
                    error,
                    "an unfinished write stays in the store until stale ones are removed"
                );
            }
        });
    }
}

impl Upload {
    /// How many bytes have been sent of which the store has not said yet that it has them.
    fn on_its_way(&self) -> usize {
        self.sending.iter().map(|(bytes, _)| bytes).sum()
    }

    /// Waits for the first part that is on its way.
    async fn arrived(&mut self) -> Result<(), StorageError> {
        let Some((_, sending)) = self.sending.front_mut() else {
            return Ok(());
        };
        let part = sending.await;
        self.sending.pop_front();
        self.parts
            .push(part.map_err(|stopped| StorageError::unavailable("send a part", stopped))??);
        Ok(())
    }

    async fn take_back(self, storage: &Storage, key: &str) -> Result<(), StorageError> {
        for (_, sending) in &self.sending {
            sending.abort();
        }
        for (_, sending) in self.sending {
            // Its result does not matter: that it has ended does, lest the part arrives after the abort.
            drop(sending.await);
        }
        storage.abort_upload(key, &self.id).await
    }
}

impl Storage {
    async fn send_part(&self, key: &str, id: &str, number: i32, body: Bytes) -> Result<CompletedPart, StorageError> {
        let config = self.sending(body.len());
        let part = self
            .client
            .upload_part()
            .bucket(&*self.bucket)
            .key(key)
            .upload_id(id)
            .part_number(number)
            .body(ByteStream::from(body))
            .customize()
            .config_override(config);
        let part = if self.signed_bodies {
            part
        } else {
            part.disable_payload_signing()
        };
        let sent = part
            .send()
            .await
            .map_err(|error| StorageError::of("write", key, error))?;
        let etag = version(key, sent.e_tag)?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .e_tag(etag.as_str())
            .build())
    }

    async fn attempt_completion(
        &self,
        key: &str,
        id: &str,
        parts: &[CompletedPart],
        condition: Condition<'_>,
    ) -> Result<Option<String>, SdkError<CompleteMultipartUploadError, HttpResponse>> {
        let (if_none_match, if_match) = condition.headers();
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(&*self.bucket)
            .key(key)
            .upload_id(id)
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts.to_vec()))
                    .build(),
            )
            .customize()
            .config_override(self.once(COMPLETION))
            .send()
            .await?;
        Ok(completed.e_tag)
    }

    /// Takes back the parts of an upload; that it is gone is fine.
    pub(super) async fn abort_upload(&self, key: &str, id: &str) -> Result<(), StorageError> {
        let aborted = self
            .client
            .abort_multipart_upload()
            .bucket(&*self.bucket)
            .key(key)
            .upload_id(id)
            .send()
            .await;
        match aborted {
            Ok(_) => Ok(()),
            Err(error) if Answer::of(&error) == Some(Answer::Missing) => Ok(()),
            Err(error) => Err(StorageError::of("take back a write of", key, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_the_largest_object() {
        let (mut bytes, mut largest) = (0, 0);
        for _ in 0..10_000 {
            largest = part_size(bytes);
            bytes += largest;
        }
        assert!(bytes >= 5 << 40, "{bytes}");
        assert!(largest <= 5 << 30, "{largest}");
        assert_eq!(part_size(11 << 30), PART + (1 << 20));
        assert_eq!(part_size(10 << 30), PART);
    }
}
