//! Where objects are kept, on the command line of a server.

use clearfleet_common::ErrorCode;
use clearfleet_common::args::S3Args;
use clearfleet_common::storage::StorageConfig;
use clearfleet_worker::{Error, Result};

use crate::http::AllowedPlace;

/// Where objects are kept, and which others jobs may use.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Storage")]
pub(super) struct StorageArgs {
    #[command(flatten)]
    s3: S3Args,
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
        self.s3.config()
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
