//! Clearfleet's front: the command line, the HTTP API, and what both stand on.
//!
//! [`cli`] is what `clearfleet` does; [`http`] is the API and its server; [`records`] is every job's record in memory;
//! [`scheduler`] decides what is done next; [`owners`] says who may ask for what, and how much of it; [`webhooks`] tells others how jobs ended; [`retention`]
//! deletes what was kept long enough.

#[cfg(feature = "standalone")]
pub mod backup;
pub mod cli;
pub mod http;
pub mod owners;
pub mod records;
pub mod retention;
pub mod scheduler;
#[cfg(test)]
#[cfg(feature = "standalone")]
mod testing;
pub mod webhooks;
