//! What the API and the workers of Clearfleet agree on: jobs and their data, object keys, error codes, limits.
//!
//! Knows no model and no ffmpeg; [`job`] knows no storage and no queue.

mod code;
pub mod config;
pub mod job;
mod shutdown;
pub mod storage;

pub use code::{ErrorClass, ErrorCode};
pub use shutdown::Stop;
