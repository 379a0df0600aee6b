//! What is deleted after its time, and by a person's command.
//!
//! A sweep may run in any process, in several at once, and break off anywhere: what it decides on it writes into the
//! record by compare-and-swap first, and the next sweep deletes what this one did not come to.

mod args;
mod delete;
mod orphans;
mod survey;
mod sweep;
#[cfg(test)]
#[cfg(feature = "standalone")]
mod tests;
mod ttl;
mod uploads;

pub use args::{Retention, RetentionArgs};
pub use delete::{delete_job, delete_objects};
pub use sweep::{Swept, sweep, sweep_daily};
pub use ttl::{ParseTtlError, Ttl};
