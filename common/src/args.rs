//! What the programs of a fleet share on the command line: where the store is, and the broker.

use crate::queue::{AmqpConfig, AmqpQueue, AmqpTimeouts, AmqpUrl};
use crate::storage::{Secret, StorageConfig, StorageTimeouts};

/// An S3 store.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Storage")]
pub struct S3Args {
    /// An S3 store to keep everything in. A bucket is of one fleet, or of one server without a broker.
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
    /// Name the bucket in the host rather than the path, as the stores of cloud providers want it.
    #[arg(long, env = "CLEARFLEET_S3_VIRTUAL_HOST")]
    s3_virtual_host: bool,
}

impl S3Args {
    /// The store that is named, if one is.
    pub fn config(&self) -> Option<StorageConfig> {
        let keys = self.s3_access_key.as_ref().zip(self.s3_secret_key.as_ref());
        let (endpoint, (access_key, secret_key)) = self.s3_endpoint.as_ref().zip(keys)?;
        Some(StorageConfig {
            endpoint: endpoint.clone(),
            region: self.s3_region.clone(),
            bucket: self.s3_bucket.clone(),
            access_key: access_key.clone(),
            secret_key: secret_key.clone(),
            path_style: !self.s3_virtual_host,
            signed_bodies: true,
            timeouts: StorageTimeouts::default(),
        })
    }
}

/// A message broker.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Broker")]
pub struct BrokerArgs {
    /// A RabbitMQ that a fleet shares, as amqp://user:password@host:5672/vhost; better in the environment than here, where
    /// others may see it.
    #[arg(long, env = "CLEARFLEET_AMQP_URL", value_name = "URL", hide_env_values = true)]
    amqp_url: Option<AmqpUrl>,
}

impl BrokerArgs {
    /// Whether a broker is named.
    pub fn is_named(&self) -> bool {
        self.amqp_url.is_some()
    }

    /// The broker that is named, if one is; it is connected to with the first call. `name` is what its lists of connections
    /// call this process.
    pub fn queue(&self, name: &str) -> Option<AmqpQueue> {
        let config = AmqpConfig {
            url: self.amqp_url.clone()?,
            name: name.to_owned(),
            timeouts: AmqpTimeouts::default(),
        };
        Some(AmqpQueue::new(config))
    }
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::from(text.to_owned()))
}
