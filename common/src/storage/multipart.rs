use std::collections::VecDeque;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::client::{COMPLETION, version};
use super::error::Answer;
use super::put::{Condition, WRITE_ID};
use super::{Storage, StorageError, Version};

/// The least that parts are made of: 8 MiB.
pub(super) const PART: u64 = 8 << 20;

/// How much may be on its way at a time, unless one part is more: 24 MiB, so that the store writes while we send.
const SENDING: usize = 24 << 20;

/// Parts of one object that were sent or are on their way. Dropped, those on their way still arrive.
#[derive(Debug)]
pub(super) struct Multipart {
    storage: Storage,
    key: String,
    id: String,
    parts: Vec<CompletedPart>,
    /// Those on their way, in order, and their lengths.
    sending: VecDeque<(usize, JoinHandle<Result<CompletedPart, StorageError>>)>,
    runtime: Handle,
}

impl Multipart {
    /// Parts for the multipart upload `id`. Called within a tokio runtime.
    pub(super) fn new(storage: &Storage, key: &str, id: String) -> Self {
        Self {
            storage: storage.clone(),
            key: key.to_owned(),
            id,
            parts: Vec::new(),
            sending: VecDeque::new(),
            runtime: Handle::current(),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Sends the part after the last, where this sends all of them.
    pub(super) async fn send_next(&mut self, body: Bytes) -> Result<(), StorageError> {
        let number = (self.parts.len() + self.sending.len()) as i32 + 1;
        self.send(number, body).await
    }

    /// Sends a part, once there is room for it on the way; parts are numbered from 1.
    pub(super) async fn send(&mut self, number: i32, body: Bytes) -> Result<(), StorageError> {
        while self.on_its_way() > 0 && self.on_its_way() + body.len() > SENDING {
            self.arrived().await?;
        }
        let length = body.len();
        let (storage, key, id) = (self.storage.clone(), self.key.clone(), self.id.clone());
        let sending = async move { storage.send_part(&key, &id, number, body).await };
        self.sending.push_back((length, self.runtime.spawn(sending)));
        Ok(())
    }

    /// Waits until the store has all that was sent.
    pub(super) async fn all_arrived(&mut self) -> Result<(), StorageError> {
        while !self.sending.is_empty() {
            self.arrived().await?;
        }
        Ok(())
    }

    /// The parts that the store has, in the order in which they were sent.
    pub(super) fn parts(&self) -> &[CompletedPart] {
        &self.parts
    }

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

    /// Takes back all that was sent.
    pub(super) async fn take_back(self) -> Result<(), StorageError> {
        for (_, sending) in &self.sending {
            sending.abort();
        }
        for (_, sending) in self.sending {
            // Its result does not matter: that it has ended does, lest the part arrives after the abort.
            drop(sending.await);
        }
        self.storage.abort_upload(&self.key, &self.id).await
    }
}

impl Storage {
    /// Begins an object of parts, which `write` is to recognise as ours; gives the id of its multipart upload.
    pub(super) async fn begin_multipart(
        &self,
        key: &str,
        content_type: &str,
        write: &str,
    ) -> Result<String, StorageError> {
        let made = self
            .client
            .create_multipart_upload()
            .bucket(&*self.bucket)
            .key(key)
            .content_type(content_type)
            .metadata(WRITE_ID, write)
            .send()
            .await
            .map_err(|error| StorageError::of("begin to write", key, error))?;
        made.upload_id.ok_or_else(|| {
            let cause = "the store gave the upload no id";
            StorageError::unavailable(format!("begin to write {key}"), cause)
        })
    }

    /// Puts the object that the parts make in place, if it may be; nothing where it may not.
    ///
    /// # Errors
    /// [`Missing`](StorageError::Missing) where there is no such multipart upload; or if the store does not answer,
    /// refuses, or is full.
    pub(super) async fn complete_multipart(
        &self,
        (key, id, write): (&str, &str, &str),
        parts: &[CompletedPart],
        condition: Condition<'_>,
    ) -> Result<Option<Version>, StorageError> {
        let attempt = || self.attempt_completion(key, id, parts, condition);
        self.settle(key, write, attempt).await
    }

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
