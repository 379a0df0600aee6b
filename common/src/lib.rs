//! What the API and the workers of Clearfleet agree on: jobs and their data, object keys, queues, error codes, limits.
//!
//! Knows no model and no ffmpeg; [`job`] and [`schedule`] know no storage and no queue.

#[cfg(all(feature = "amqp", feature = "cli"))]
pub mod args;
mod code;
pub mod config;
pub mod job;
mod journal;
pub mod mp4;
pub mod queue;
pub mod schedule;
mod shutdown;
pub mod storage;
pub mod telemetry;

pub use code::{ErrorClass, ErrorCode};
pub use journal::Journal;
pub use shutdown::Stop;
