use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use jiff::Timestamp;

use super::error::Answer;
use super::metrics::{Counting, StorageMetrics};
use super::{Stat, StorageConfig, StorageError, StorageTimeouts, Version};

/// An S3 store: MinIO or another, or the embedded one, and the bucket in it that calls go to.
///
/// Clones share connections. Every call ends: each attempt has a deadline, and what may succeed another time is tried
/// again as often as [`StorageTimeouts::attempts`] says. Writes are atomic: nobody sees a part of one, and once the call
/// has returned the object is on disk.
#[derive(Clone, Debug)]
pub struct Storage {
    pub(super) client: Client,
    pub(super) bucket: Arc<str>,
    pub(super) timeouts: StorageTimeouts,
    pub(super) signed_bodies: bool,
    metrics: Arc<StorageMetrics>,
}

/// Completing an upload may take a store long, since it may copy all of it.
pub(super) const COMPLETION: Duration = Duration::from_secs(300);

impl Storage {
    /// Makes the client and, if it is not there, the bucket.
    ///
    /// # Errors
    /// If the store does not answer, or refuses the credentials.
    pub async fn connect(config: &StorageConfig) -> Result<Self, StorageError> {
        let metrics = Arc::<StorageMetrics>::default();
        let counting = Counting(Arc::clone(&metrics));
        let storage = Self {
            client: Client::from_conf(client_config(config).interceptor(counting).build()),
            bucket: config.bucket.as_str().into(),
            timeouts: config.timeouts,
            signed_bodies: config.signed_bodies,
            metrics,
        };
        storage.make_bucket(&config.region).await?;
        Ok(storage)
    }

    /// The same store, another bucket, which must be there.
    #[must_use]
    pub fn in_bucket(&self, bucket: &str) -> Self {
        Self {
            bucket: bucket.into(),
            ..self.clone()
        }
    }

    /// The client beneath, for calls that this type does not offer.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What this client and its clones asked of the store.
    pub fn metrics(&self) -> &Arc<StorageMetrics> {
        &self.metrics
    }

    /// The bucket that calls go to.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What is known of an object without its content; nothing where there is none.
    ///
    /// # Errors
    /// If the store does not answer or refuses.
    pub async fn stat(&self, key: &str) -> Result<Option<Stat>, StorageError> {
        let head = self.client.head_object().bucket(&*self.bucket).key(key).send().await;
        let head = match head {
            Ok(head) => head,
            Err(error) if Answer::of(&error) == Some(Answer::Missing) => return Ok(None),
            Err(error) => return Err(StorageError::of("look at", key, error)),
        };
        Ok(Some(Stat {
            bytes: length(key, head.content_length)?,
            version: version(key, head.e_tag)?,
            modified: timestamp(head.last_modified),
            content_type: head.content_type.unwrap_or_default(),
        }))
    }

    /// Deletes an object. That there is none is fine.
    ///
    /// # Errors
    /// If the store does not answer or refuses.
    pub async fn delete(&self, key: &str) -> Result<(), StorageError> {
        match self.client.delete_object().bucket(&*self.bucket).key(key).send().await {
            Ok(_) => Ok(()),
            Err(error) if Answer::of(&error) == Some(Answer::Missing) => Ok(()),
            Err(error) => Err(StorageError::of("delete", key, error)),
        }
    }

    async fn make_bucket(&self, region: &str) -> Result<(), StorageError> {
        match self.client.head_bucket().bucket(&*self.bucket).send().await {
            Ok(_) => return Ok(()),
            Err(error) if Answer::of(&error) == Some(Answer::Missing) => {}
            Err(error) => return Err(StorageError::of("look at bucket", &self.bucket, error)),
        }
        // The first region is the one that may not be named.
        let place = (region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(region))
                .build()
        });
        let made = self
            .client
            .create_bucket()
            .bucket(&*self.bucket)
            .set_create_bucket_configuration(place)
            .send()
            .await;
        match made {
            Ok(_) => Ok(()),
            // Somebody else was faster.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_bucket_already_owned_by_you() || e.is_bucket_already_exists()) =>
            {
                Ok(())
            }
            Err(error) => Err(StorageError::of("make bucket", &self.bucket, error)),
        }
    }

    /// What overrides the configuration of a call that sends `bytes`.
    pub(super) fn sending(&self, bytes: usize) -> aws_sdk_s3::config::Builder {
        let timeouts = timeout_config(&self.timeouts, self.timeouts.sending(bytes));
        Config::builder().timeout_config(timeouts)
    }

    /// As [`sending`](Self::sending), for a call that is attempted once and may take `attempt`.
    pub(super) fn once(&self, attempt: Duration) -> aws_sdk_s3::config::Builder {
        Config::builder()
            .timeout_config(timeout_config(&self.timeouts, attempt))
            .retry_config(RetryConfig::disabled())
    }
}

fn client_config(config: &StorageConfig) -> aws_sdk_s3::config::Builder {
    let http = aws_smithy_http_client::Builder::new();
    // Without TLS no certificates need to be read, which takes longer than all else here.
    let http = if config.endpoint.starts_with("http://") {
        http.build_http()
    } else {
        http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
    };
    let secret = config.secret_key.expose();
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(&config.endpoint)
        .region(Region::new(config.region.clone()))
        .credentials_provider(Credentials::new(&config.access_key, secret, None, None, "clearfleet"))
        .force_path_style(config.path_style)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(config.timeouts.attempts.max(1))
                .with_max_backoff(Duration::from_secs(5)),
        )
        .timeout_config(timeout_config(&config.timeouts, config.timeouts.attempt))
        // The signature covers a SHA-256 of every body sent, or the body does not leave the machine: another checksum
        // would say nothing more.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        // What is sent has a deadline for each attempt, and readers watch what they read.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

fn timeout_config(timeouts: &StorageTimeouts, attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .operation_attempt_timeout(attempt)
        // All attempts, and what lies between them.
        .operation_timeout((attempt + Duration::from_secs(5)) * timeouts.attempts.max(1))
        .build()
}

/// The version that an answer about `key` names.
pub(super) fn version(key: &str, etag: Option<String>) -> Result<Version, StorageError> {
    etag.map(Version::from)
        .ok_or_else(|| invalid(key, "the store names no ETag"))
}

/// The length that an answer about `key` names.
pub(super) fn length(key: &str, bytes: Option<i64>) -> Result<u64, StorageError> {
    bytes
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or_else(|| invalid(key, "the store names no length"))
}

/// A time as the store writes it; the epoch where it names none.
pub(super) fn timestamp(time: Option<aws_smithy_types::DateTime>) -> Timestamp {
    time.and_then(|time| Timestamp::new(time.secs(), time.subsec_nanos() as i32).ok())
        .unwrap_or_default()
}

pub(super) fn invalid(key: &str, why: impl Into<String>) -> StorageError {
    StorageError::Invalid {
        key: key.to_owned(),
        why: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::job::{JobId, OwnerId};
    use crate::storage::{KeyPrefix, ObjectKey};

    /// Compiles only if calls may run as tasks of their own.
    #[allow(dead_code, reason = "what is checked is that it compiles")]
    fn calls_can_be_spawned(storage: &Storage, version: &Version) {
        fn sendable(_: impl Send) {}
        let key = ObjectKey::CurrentModels;
        sendable(storage.create(key, Default::default()));
        sendable(storage.replace(key, Default::default(), version));
        sendable(storage.read("", None, Some(version)));
        sendable(storage.delete_all(KeyPrefix::All));
        sendable(storage.list(KeyPrefix::All));
        sendable(async {
            let writer = storage.write(key, "").await?;
            writer.finish_new().await
        });
        let change = |_: &mut _| Ok::<_, Infallible>(true);
        sendable(storage.update_record(OwnerId::default(), JobId::LOCAL, change));
    }

    #[test]
    fn times_are_those_of_the_store() {
        let time = aws_smithy_types::DateTime::from_secs_and_nanos(1, 500_000_000);
        assert_eq!(timestamp(Some(time)), Timestamp::from_millisecond(1500).unwrap());
        assert_eq!(timestamp(None), Timestamp::UNIX_EPOCH);
    }
}
