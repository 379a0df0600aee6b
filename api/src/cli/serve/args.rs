use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueHint};
use clearfleet_common::ErrorCode;
use clearfleet_common::args::BrokerArgs;
use clearfleet_common::job::ClassName;
use clearfleet_worker::{Error, Result};
use etcetera::BaseStrategy as _;

use super::storage::StorageArgs;
use crate::owners::{ADMIN_KEY_ENV, KeyPolicy, KeySecret, QuotaArgs};
use crate::retention::RetentionArgs;
use crate::webhooks::{Reach, WEBHOOK_SECRET_ENV};
use clearfleet_worker::cli::{EngineArgs, LimitArgs};

/// Serve the HTTP API, with storage, queue, scheduler and workers in this one process; or with --amqp-url as one of several
/// that share a broker, a store and a fleet of workers.
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
    /// Pools of workers that jobs may ask for, the first for those that ask for none; workers of this process are in it.
    /// A rate is what one worker makes in pixels of results a second, for estimates before the first was heard of.
    #[arg(
        long,
        env = "CLEARFLEET_CLASSES",
        value_name = "NAME[=RATE],…",
        value_delimiter = ',',
        default_value = "default"
    )]
    class: Vec<ClassArg>,
    /// Frames of a batch in place of about half a minute's work.
    #[arg(long, env = "CLEARFLEET_BATCH_FRAMES", value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(super) batch_frames: Option<u64>,
    /// Share of finished batches that another worker of the same kind computes again, from 0 (none) to 1 (all). One whose
    /// frames two others contradict, twice, is told to stop. It takes three workers to tell who is wrong.
    #[arg(long, env = "CLEARFLEET_AUDIT_SHARE", value_name = "SHARE", default_value = "0.001", value_parser = share)]
    pub(super) audit_share: f64,
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
    pub(super) broker: BrokerArgs,
    #[command(flatten)]
    pub(super) storage: StorageArgs,
}

/// A pool of workers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ClassArg {
    name: ClassName,
    rate: Option<f64>,
}

impl FromStr for ClassArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, rate) = match text.split_once('=') {
            Some((name, rate)) => (name, Some(rate)),
            None => (text, None),
        };
        let rate = rate.map(|rate| {
            rate.parse()
                .map_err(|_| format!("{rate:?} is no number of pixels a second"))
        });
        let rate: Option<f64> = rate.transpose()?;
        if rate.is_some_and(|rate| !(rate.is_finite() && rate >= 1.0)) {
            return Err(format!("{text:?}: a rate is at least one pixel a second"));
        }
        Ok(Self {
            name: name.parse().map_err(|e| format!("{name:?}: {e}"))?,
            rate,
        })
    }
}

impl ServeArgs {
    /// The pools that jobs may ask for; the first is that of jobs which ask for none.
    pub(super) fn classes(&self) -> Vec<ClassName> {
        self.class.iter().map(|class| class.name).collect()
    }

    /// The pool of this process's workers.
    pub(super) fn own_class(&self) -> ClassName {
        self.class.first().map_or_else(ClassName::default, |class| class.name)
    }

    /// What a worker of a pool makes in a second before one was heard of, where that is said, or is `own` for the first.
    pub(super) fn rates(&self, own: f64) -> BTreeMap<ClassName, f64> {
        let rate = |(n, class): (usize, &ClassArg)| Some((class.name, class.rate.or((n == 0).then_some(own))?));
        self.class.iter().enumerate().filter_map(rate).collect()
    }

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

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share is a number from 0 to 1, such as 0.001".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_from_none_to_all() {
        assert_eq!((share("0"), share("0.001"), share("1")), (Ok(0.0), Ok(0.001), Ok(1.0)));
        for refused in ["", "-0.1", "1.1", "NaN", "0.1%", "inf"] {
            assert!(share(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn classes_have_names_and_may_have_rates() {
        let class = |text: &str| text.parse::<ClassArg>();
        let cpu = class("cpu").unwrap();
        assert_eq!((cpu.name.as_str(), cpu.rate), ("cpu", None));
        assert_eq!(class("h100=6e8").unwrap().rate, Some(6e8));
        for refused in ["", "=5", "a b", "cpu=", "cpu=fast", "cpu=0", "cpu=inf"] {
            assert!(class(refused).is_err(), "{refused}");
        }
    }
}
