//! One attempt to tell somebody.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::job::Hook;
use jiff::Timestamp;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;

use super::address::{CheckedResolver, Lookup};
use super::{HookSecrets, HookUrl, HookUrlError, Reach};

/// How long an attempt may take, from the name to the status.
pub(super) const DEADLINE: Duration = Duration::from_secs(15);
/// How long a connection may take of it.
const CONNECT: Duration = Duration::from_secs(5);

/// Why an attempt did not reach its receiver, or was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The address is refused.
    #[error("the address is refused")]
    Address(#[from] HookUrlError),
    /// Another status than 2xx; redirects are not followed.
    #[error("the receiver answered {0}")]
    Status(u16),
    /// No answer.
    #[error("the receiver cannot be reached, or did not answer in time")]
    Unreachable(#[source] reqwest::Error),
}

/// Sends webhooks, with what is in the environment left aside: no proxy, no redirects, no cookies.
#[derive(Debug)]
pub(super) struct Sender {
    client: reqwest::Client,
    secrets: HookSecrets,
    reach: Reach,
}

impl Sender {
    pub(super) fn new(secrets: HookSecrets, reach: Reach, lookup: Arc<dyn Lookup>) -> Result<Self, reqwest::Error> {
        // Another part of the process may have chosen already, and chose the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(CheckedResolver { lookup, reach })
            .timeout(DEADLINE)
            .connect_timeout(CONNECT)
            // A connection that is kept would be to an address that was checked long ago.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("clearfleet/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, secrets, reach })
    }

    /// Tells the receiver, and waits for the status of its answer; what it says beside that is not read.
    pub(super) async fn send(&self, hook: &Hook, body: Vec<u8>) -> Result<(), SendError> {
        let url = HookUrl::parse(&hook.url, self.reach)?;
        let now = Timestamp::now();
        let signature = self.secrets.of(hook.owner).sign(now, &body);
        let request = self
            .client
            .post(url.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header("Clearfleet-Event", <&str>::from(hook.event))
            // The same for every attempt: receivers know by it what they have already.
            .header(
                "Clearfleet-Delivery",
                format!("{}.{}", hook.job, hook.at.as_microsecond()),
            )
            .header("Clearfleet-Timestamp", now.as_second())
            .header("Clearfleet-Signature", signature)
            .body(body);
        let answer = request.send().await.map_err(|e| {
            // The address may hold what only its owner should know.
            let error = e.without_url();
            match private(&error) {
                Some(address) => SendError::Address(address.into()),
                None => SendError::Unreachable(error),
            }
        })?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(SendError::Status(status.as_u16())),
        }
    }
}

/// The address that our resolver refused, if that is why.
fn private(error: &reqwest::Error) -> Option<super::PrivateAddress> {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if let Some(private) = error.downcast_ref() {
            return Some(*private);
        }
        cause = error.source();
    }
    None
}
