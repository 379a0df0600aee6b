//! Where objects are kept, on the command line of a server.

use clearfleet_common::ErrorCode;
use clearfleet_common::storage::{Secret, StorageConfig, StorageTimeouts};
use clearfleet_worker::{Error, Result};

use crate::http::AllowedPlace;

/// Where objects are kept, and which others jobs may use.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Storage")]
pub(super) struct StorageArgs {
    /// An S3 store to keep everything in, in place of the data folder. A bucket is of one server.
    #[arg(long, env = "CLEARFLEET_S3_ENDPOINT", value_name = "URL", requires_all = ["s3_access_key", "s3_secret_key"])]
    s3_endpoint: Option<String>,
    /// Its region.
    #[arg(long, env = "CLEARFLEET_S3_REGION", value_name = "NAME", default_value = "us-east-1")]
    s3_region: String,
    /// The bucket in it; it is made where it is not there.
    #[arg(
        long,
        env = "CLEARFLEET_S3_BUCKET",
        value_name = "NAME",
        default_value = "clearfleet"
    )]
    s3_bucket: String,
    /// Who asks it.
    #[arg(long, env = "CLEARFLEET_S3_ACCESS_KEY", value_name = "KEY", hide_env_values = true)]
    s3_access_key: Option<String>,
    /// What proves that; better in the environment than here, where others may see it.
    #[arg(long, env = "CLEARFLEET_S3_SECRET_KEY", value_name = "SECRET", hide_env_values = true, value_parser = secret)]
    s3_secret_key: Option<Secret>,
    /// Objects of the same store that every user may use as sources in place, and have results written to:
    /// s3://bucket/prefix, where a prefix is what keys begin with. May be given several times.
    #[arg(
        long,
        env = "CLEARFLEET_ALLOW_OBJECTS",
        value_name = "s3://BUCKET/PREFIX",
        value_delimiter = ','
    )]
    allow_objects: Vec<AllowedPlace>,
}

impl StorageArgs {
    /// The store that is named; nothing for the one in the data folder.
    pub(super) fn config(&self) -> Option<StorageConfig> {
        let (endpoint, (access_key, secret_key)) = self
            .s3_endpoint
            .as_ref()
            .zip(self.s3_access_key.as_ref().zip(self.s3_secret_key.as_ref()))?;
        Some(StorageConfig {
            endpoint: endpoint.clone(),
            region: self.s3_region.clone(),
            bucket: self.s3_bucket.clone(),
            access_key: access_key.clone(),
            secret_key: secret_key.clone(),
            path_style: true,
            signed_bodies: true,
            timeouts: StorageTimeouts::default(),
        })
    }

    /// What jobs may use in place.
    ///
    /// # Errors
    /// `SettingsInvalid` for the bucket `own`, which everything is kept in: through it each owner could read all others'.
    pub(super) fn places(&self, own: &str) -> Result<Vec<AllowedPlace>> {
        if self.allow_objects.iter().any(|place| place.bucket == own) {
            let message = format!("objects of the bucket {own} cannot be allowed: everybody's are kept there");
            return Err(Error::new(ErrorCode::SettingsInvalid, message));
        }
        Ok(self.allow_objects.clone())
    }
}

fn secret(text: &str) -> std::result::Result<Secret, std::convert::Infallible> {
    Ok(Secret::from(text.to_owned()))
}
