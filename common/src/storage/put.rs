use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use uuid::Uuid;

use super::client::version;
use super::error::Answer;
use super::{ObjectKey, Storage, StorageError, Version};

/// What must be so for a write to take place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition<'a> {
    /// Nothing.
    Always,
    /// There is no object.
    New,
    /// The object is this version.
    Is(&'a Version),
}

impl Condition<'_> {
    /// Values of the headers `If-None-Match` and `If-Match`.
    pub(super) fn headers(self) -> (Option<String>, Option<String>) {
        match self {
            Self::Always => (None, None),
            Self::New => (Some("*".to_owned()), None),
            Self::Is(version) => (None, Some(version.as_str().to_owned())),
        }
    }
}

/// Name of the metadata by which a writer recognises an object as its own.
pub(super) const WRITE_ID: &str = "write";

/// An object to write whole.
struct Whole<'a> {
    key: &'a str,
    content_type: &'a str,
    body: Bytes,
    condition: Condition<'a>,
}

impl Storage {
    /// Writes an object, whatever was there.
    ///
    /// # Errors
    /// If the store does not answer, refuses, or is full.
    pub async fn put(&self, key: ObjectKey, body: Bytes) -> Result<Version, StorageError> {
        self.put_as(&key.to_string(), key.content_type(), body).await
    }

    /// Writes an object unless there is one; nothing where there is. Of several writers one succeeds.
    ///
    /// # Errors
    /// If the store does not answer, refuses, or is full. When it does not answer, the object may have been written.
    pub async fn create(&self, key: ObjectKey, body: Bytes) -> Result<Option<Version>, StorageError> {
        let name = key.to_string();
        self.put_if(&Whole {
            key: &name,
            content_type: key.content_type(),
            body,
            condition: Condition::New,
        })
        .await
    }

    /// Writes an object if it still is the `expected` version; nothing where it is not, or is gone. Of several writers
    /// that expect the same version one succeeds.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn replace(
        &self,
        key: ObjectKey,
        body: Bytes,
        expected: &Version,
    ) -> Result<Option<Version>, StorageError> {
        let name = key.to_string();
        let written = self
            .put_if(&Whole {
                key: &name,
                content_type: key.content_type(),
                body,
                condition: Condition::Is(expected),
            })
            .await;
        match written {
            Err(StorageError::Missing { .. }) => Ok(None),
            written => written,
        }
    }

    pub(super) async fn put_as(&self, key: &str, content_type: &str, body: Bytes) -> Result<Version, StorageError> {
        let config = self.sending(body.len());
        let put = self
            .client
            .put_object()
            .bucket(&*self.bucket)
            .key(key)
            .content_type(content_type)
            .body(ByteStream::from(body))
            .customize()
            .config_override(config);
        let put = if self.signed_bodies {
            put
        } else {
            put.disable_payload_signing()
        };
        let sent = put
            .send()
            .await
            .map_err(|error| StorageError::of("write", key, error))?;
        version(key, sent.e_tag)
    }

    /// Writes an object of one piece where nothing is there yet.
    pub(super) async fn create_as(
        &self,
        key: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Option<Version>, StorageError> {
        self.put_if(&Whole {
            key,
            content_type,
            body,
            condition: Condition::New,
        })
        .await
    }

    async fn put_if(&self, object: &Whole<'_>) -> Result<Option<Version>, StorageError> {
        let write = Uuid::new_v4().to_string();
        self.settle(object.key, &write, || self.attempt_put(object, &write))
            .await
    }

    async fn attempt_put(
        &self,
        object: &Whole<'_>,
        write: &str,
    ) -> Result<Option<String>, SdkError<PutObjectError, HttpResponse>> {
        let (if_none_match, if_match) = object.condition.headers();
        let put = self
            .client
            .put_object()
            .bucket(&*self.bucket)
            .key(object.key)
            .content_type(object.content_type)
            .metadata(WRITE_ID, write)
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            .body(ByteStream::from(object.body.clone()))
            .customize()
            .config_override(self.once(self.timeouts.sending(object.body.len())));
        let put = if self.signed_bodies {
            put
        } else {
            put.disable_payload_signing()
        };
        Ok(put.send().await?.e_tag)
    }

    /// Attempts a conditional write until it is known what became of it: the version that was written, or nothing where
    /// the condition did not hold.
    ///
    /// An attempt whose answer was lost may have succeeded, and then makes the next one fail by its own condition. So
    /// every write carries an id, and a failure after a lost answer is compared with what is there. Only when somebody
    /// has already replaced what we wrote, we believe that we did not write.
    pub(super) async fn settle<E, F>(
        &self,
        key: &str,
        write: &str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<Option<Version>, StorageError>
    where
        F: Future<Output = Result<Option<String>, SdkError<E, HttpResponse>>>,
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let mut unsure = false;
        let mut pause = Duration::from_millis(50);
        let mut attempts = 1;
        loop {
            let error = match attempt().await {
                Ok(etag) => return version(key, etag).map(Some),
                Err(error) => error,
            };
            let again = match Answer::of(&error) {
                Some(Answer::Unmet | Answer::Missing) if unsure => return self.written_as(key, write).await,
                Some(Answer::Unmet) => return Ok(None),
                Some(Answer::Conflict) => true,
                Some(Answer::TryAgain) | None => {
                    unsure = true;
                    !matches!(error, SdkError::ConstructionFailure(_))
                }
                Some(_) => false,
            };
            if !again || attempts >= self.timeouts.attempts {
                return Err(StorageError::of("write", key, error));
            }
            tracing::debug!(key, error = &error as &dyn std::error::Error, "writes again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
            attempts += 1;
        }
    }

    /// The version of the object at `key` if it was written as `write`.
    async fn written_as(&self, key: &str, write: &str) -> Result<Option<Version>, StorageError> {
        match self.client.head_object().bucket(&*self.bucket).key(key).send().await {
            Ok(head)
                if head
                    .metadata()
                    .and_then(|all| all.get(WRITE_ID))
                    .is_some_and(|id| id == write) =>
            {
                version(key, head.e_tag).map(Some)
            }
            Ok(_) => Ok(None),
            Err(error) if Answer::of(&error) == Some(Answer::Missing) => Ok(None),
            Err(error) => Err(StorageError::of("look at", key, error)),
        }
    }
}
