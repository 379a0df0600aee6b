use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::multipart::{Multipart, PART};
use super::put::Condition;
use super::{Digest, ObjectKey, Storage, StorageError, Version, Written};

/// S3 takes 10,000 parts at most and objects up to 5 TiB: beyond 11 GiB, a part is this fraction of what is written.
const GROWTH: u64 = 1_400;

/// Writes a large object piece by piece; nobody sees it before [`finish`](Self::finish).
///
/// It holds one part of 8 MiB that is being filled and up to 24 MiB that are on their way; from 33 GiB on, two parts of a
/// 1,400th of the object each. Dropped unfinished, it takes back in the background what was sent; where that fails, as
/// when the process dies, [`Storage::abort_stale_writes`] does it later.
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
    upload: Option<Multipart>,
    runtime: Handle,
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
            let id = self
                .storage
                .begin_multipart(&self.key, &self.content_type, &self.write)
                .await?;
            self.upload = Some(Multipart::new(&self.storage, &self.key, id));
        }
        let Some(upload) = &mut self.upload else {
            return Err(self.given_up());
        };
        let next = part_size(self.bytes) as usize;
        let body = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(next)).freeze();
        self.part = next;
        upload.send_next(body).await
    }

    /// Sends the last part and puts the object in place, if it may be.
    async fn complete(&mut self, condition: Condition<'_>) -> Result<Option<Version>, StorageError> {
        self.send_part().await?;
        let Some(upload) = &mut self.upload else {
            return Err(self.given_up());
        };
        upload.all_arrived().await?;
        let of = (&*self.key, upload.id(), &*self.write);
        let completed = self.storage.complete_multipart(of, upload.parts(), condition).await;
        let completed = match completed {
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
            Some(upload) => upload.take_back().await,
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
        let key = std::mem::take(&mut self.key);
        self.runtime.spawn(async move {
            if let Err(error) = upload.take_back().await {
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
