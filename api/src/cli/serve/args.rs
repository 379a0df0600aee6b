use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::ClassName;
use clearfleet_worker::{Error, Result};
use etcetera::BaseStrategy as _;

use super::storage::StorageArgs;
use crate::cli::engine::EngineArgs;
use crate::cli::local::LimitArgs;
use crate::owners::{ADMIN_KEY_ENV, KeyPolicy, KeySecret, QuotaArgs};
use crate::retention::RetentionArgs;
use crate::webhooks::{Reach, WEBHOOK_SECRET_ENV};

/// Serve the HTTP API, with storage, queue, scheduler and workers in this one process.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clearfleet serve\n  \
    clearfleet serve --listen 0.0.0.0:8080 --data-dir /srv/clearfleet\n\n\
    SIGTERM or Ctrl-C lets work end within --grace; what is not finished by then goes on after the next start.")]
pub(in crate::cli) struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(
        long,
        env = "CLEARFLEET_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080"
    )]
    pub(super) listen: SocketAddr,
    /// Where everything is kept [default: clearfleet in the user's data folder].
    #[arg(long, env = "CLEARFLEET_DATA_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    data_dir: Option<PathBuf>,
    /// How long work may go on after SIGTERM, in seconds.
    #[arg(long, env = "CLEARFLEET_GRACE", value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    pub(super) grace: Duration,
    /// Name of the pool that this process's workers form.
    #[arg(long, env = "CLEARFLEET_CLASS", value_name = "NAME", default_value_t)]
    pub(super) class: ClassName,
    /// Frames of a batch in place of about half a minute's work.
    #[arg(long, env = "CLEARFLEET_BATCH_FRAMES", value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(super) batch_frames: Option<u64>,
    /// Print where it listens as JSON, for scripts.
    #[arg(long)]
    pub(super) json: bool,

    /// Ask nobody for a key, whoever can connect. By default keys are needed unless only this machine can.
    #[arg(long, env = "CLEARFLEET_NO_AUTH", conflicts_with = "require_keys")]
    no_auth: bool,
    /// Ask everybody for a key, also where only this machine can connect, as behind a proxy.
    #[arg(long, env = "CLEARFLEET_REQUIRE_KEYS")]
    require_keys: bool,
    /// A key of an admin that counts beside those that are stored.
    #[arg(long, env = ADMIN_KEY_ENV, value_name = "KEY", hide_env_values = true)]
    pub(super) admin_key: Option<KeySecret>,
    /// What webhooks are signed with [default: made once, in the data folder].
    #[arg(long, env = WEBHOOK_SECRET_ENV, value_name = "SECRET", hide_env_values = true)]
    pub(super) webhook_secret: Option<String>,
    /// Send webhooks to addresses inside this network too.
    #[arg(long, env = "CLEARFLEET_ALLOW_PRIVATE_WEBHOOKS")]
    allow_private_webhooks: bool,

    #[command(flatten)]
    pub(super) engine: EngineArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    #[command(flatten)]
    pub(super) quotas: QuotaArgs,
    #[command(flatten)]
    pub(super) retention: RetentionArgs,
    #[command(flatten)]
    pub(super) storage: StorageArgs,
}

impl ServeArgs {
    /// Where everything is kept.
    ///
    /// # Errors
    /// `SettingsInvalid` where no folder is named and there is no home for one.
    pub(super) fn data_dir(&self) -> Result<PathBuf> {
        data_dir(self.data_dir.as_deref())
    }

    /// When keys are needed.
    pub(super) fn policy(&self) -> KeyPolicy {
        match (self.no_auth, self.require_keys) {
            (true, _) => KeyPolicy::Never,
            (false, true) => KeyPolicy::Always,
            (false, false) => KeyPolicy::Auto,
        }
    }

    /// Where webhooks may go.
    pub(super) fn reach(&self) -> Reach {
        if self.allow_private_webhooks {
            Reach::Everywhere
        } else {
            Reach::Public
        }
    }
}

/// The data folder that is named, or that of this user.
///
/// # Errors
/// `SettingsInvalid` where none is named and there is no home for one.
pub(in crate::cli) fn data_dir(named: Option<&std::path::Path>) -> Result<PathBuf> {
    if let Some(named) = named {
        return std::path::absolute(named).map_err(|e| Error::write(named.display(), e));
    }
    let strategy = etcetera::choose_base_strategy().map_err(|e| {
        let message = "there is no home folder to keep data in: name one with --data-dir";
        Error::new(ErrorCode::SettingsInvalid, message).because(e)
    })?;
    Ok(strategy.data_dir().join("clearfleet"))
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}
