//! Quotas on the command line of a server.

use std::num::NonZeroU32;
use std::path::PathBuf;

use super::{Quota, Space, space};

/// How much an owner may use and how much room there is; without these options as much as goes. Keys may have limits of
/// their own.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Quotas")]
pub struct QuotaArgs {
    /// Bytes of sources and results that an owner may have stored.
    #[arg(long, env = "CLEARFLEET_QUOTA_BYTES", value_name = "BYTES")]
    quota_bytes: Option<u64>,
    /// Jobs of an owner that have not ended.
    #[arg(long, env = "CLEARFLEET_QUOTA_JOBS", value_name = "JOBS")]
    quota_jobs: Option<u64>,
    /// Requests of an owner in a minute.
    #[arg(long, env = "CLEARFLEET_QUOTA_REQUESTS", value_name = "REQUESTS")]
    quota_requests: Option<NonZeroU32>,
    /// Bytes of sources and results of all owners.
    #[arg(long, env = "CLEARFLEET_STORAGE_BUDGET", value_name = "BYTES")]
    storage_budget: Option<u64>,
    /// Bytes of the data folder's file system that uploads leave free.
    #[arg(long, env = "CLEARFLEET_STORAGE_SPARE", value_name = "BYTES", default_value_t = space::SPARE)]
    storage_spare: u64,
}

impl QuotaArgs {
    /// The limits of owners.
    pub fn quota(&self) -> Quota {
        Quota {
            stored_bytes: self.quota_bytes,
            live_jobs: self.quota_jobs,
            requests_a_minute: self.quota_requests,
        }
    }

    /// The room for all; `folder` is where the store is, if that is on this machine.
    pub fn space(&self, folder: Option<PathBuf>) -> Space {
        Space {
            budget: self.storage_budget,
            folder,
            spare: self.storage_spare,
        }
    }
}
