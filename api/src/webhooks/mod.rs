//! Webhooks: somebody who asked is told when a job ends.
//!
//! The scheduler publishes a [`Hook`](clearfleet_common::job::Hook) for each end; every API process takes them. What is
//! to be told is written to the store before the message is acknowledged, and so is each attempt before it is made: its
//! next due time is at the same time the claim of the process that makes it. So nothing is lost with a process or a
//! broker, and an end is told at least once; receivers know it by `Clearfleet-Delivery` when it comes again. An end whose
//! message was lost is found by the records.

mod address;
mod counts;
mod deliver;
mod intake;
mod ledger;
mod secret;
mod send;
#[cfg(test)]
#[cfg(feature = "standalone")]
mod tests;

pub use address::{HookUrl, HookUrlError, PrivateAddress, Reach};
pub use counts::HookCounts;
pub use deliver::{HookTimes, Webhooks};
pub use secret::{HookSecret, HookSecretError, HookSecrets, WEBHOOK_SECRET_ENV, WEBHOOK_SECRET_FILE};
