//! A worker of the fleet on an S3 store and a queue of their own; the test is the scheduler.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod audits;
mod deliveries;
mod endings;
mod film;
mod lanes;
mod script;
mod sound;
mod world;
