use bytes::{Bytes, BytesMut};

use super::received::Tail;
use super::{Received, ResumableUpload};
use crate::storage::multipart::Multipart;
use crate::storage::{ObjectKey, Storage, StorageError, Version};

/// How often a tail is written while others write theirs.
const ROUNDS: u32 = 20;

/// Adds bytes to an upload. Whole parts are stored as they fill; what is beyond them only by [`keep`](Self::keep).
///
/// It holds one part that is being filled and up to 24 MiB that are on their way, or two parts of uploads beyond 72 GiB.
#[derive(Debug)]
pub struct Appender {
    storage: Storage,
    upload: ResumableUpload,
    sent: Multipart,
    /// The part that is being filled, counted from 0, and what there is of it.
    part: u64,
    buffer: BytesMut,
    /// The tail that is stored, and where it ends.
    tail: Option<Version>,
    kept: u64,
}

impl Storage {
    /// What adds bytes to an upload of which this much has come. Called within a tokio runtime.
    pub fn append(&self, upload: ResumableUpload, received: &Received) -> Appender {
        let part = received.parts().len() as u64;
        let mut buffer = BytesMut::new();
        buffer.extend_from_slice(&received.beyond());
        Appender {
            storage: self.clone(),
            sent: Multipart::new(self, &upload.source(), upload.multipart.clone()),
            part,
            buffer,
            tail: received.tail_version(),
            kept: received.bytes(),
            upload,
        }
    }
}

impl Appender {
    /// The upload that it adds to.
    pub fn upload(&self) -> &ResumableUpload {
        &self.upload
    }

    /// Bytes of the upload that have come, those that are not stored yet included.
    pub fn bytes(&self) -> u64 {
        self.start() + self.buffer.len() as u64
    }

    /// Place of the part that is being filled; the end of the upload where all parts are filled.
    fn start(&self) -> u64 {
        (self.part * self.upload.part_bytes).min(self.upload.bytes)
    }

    /// Takes the next piece; waits while the store is slower.
    ///
    /// # Errors
    /// [`Missing`](StorageError::Missing) where the upload was taken back or is whole; [`TooLarge`](StorageError::TooLarge)
    /// where there is more than its length; or if the store does not answer, refuses, or is full.
    pub async fn write(&mut self, mut piece: Bytes) -> Result<(), StorageError> {
        if piece.len() as u64 > self.upload.bytes - self.bytes() {
            return Err(StorageError::TooLarge {
                key: self.upload.source(),
                limit: Some(self.upload.bytes),
            });
        }
        while !piece.is_empty() {
            let length = self.upload.part_length(self.part) as usize;
            let taken = piece.split_to(piece.len().min(length - self.buffer.len()));
            self.buffer.reserve(length - self.buffer.len());
            self.buffer.extend_from_slice(&taken);
            if self.buffer.len() == length {
                let body = std::mem::take(&mut self.buffer).freeze();
                self.part += 1;
                self.sent.send(self.part as i32, body).await?;
            }
        }
        Ok(())
    }

    /// Stores all that has come, so that another request can go on from there; gives how much that is.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn keep(&mut self) -> Result<u64, StorageError> {
        self.sent.all_arrived().await?;
        if !self.buffer.is_empty() && self.kept < self.bytes() {
            self.keep_tail().await?;
            self.kept = self.bytes();
        }
        Ok(self.bytes())
    }

    /// Stores what is beyond whole parts, unless another request has stored as much.
    async fn keep_tail(&mut self) -> Result<(), StorageError> {
        let key = ObjectKey::UploadTail(self.upload.job);
        let body = Tail::written(self.start(), &self.buffer);
        for _ in 0..ROUNDS {
            let written = match &self.tail {
                Some(version) => self.storage.replace(key, body.clone(), version).await?,
                None => self.storage.create(key, body.clone()).await?,
            };
            if written.is_some() {
                self.tail = written;
                return Ok(());
            }
            let theirs = self.storage.upload_tail(&self.upload).await?;
            if theirs.as_ref().is_some_and(|tail| tail.end() >= self.bytes()) {
                return Ok(());
            }
            self.tail = theirs.map(|tail| tail.version);
        }
        let doing = format!("write {key}");
        Err(StorageError::unavailable(doing, "others changed it each time"))
    }
}
