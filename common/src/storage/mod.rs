//! Everything that is stored: the names, and the S3 client that keeps it.

mod client;
mod conditions;
mod config;
#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod key;
mod list;
mod metrics;
mod multipart;
mod object;
mod put;
mod reader;
mod records;
mod resumable;
mod stale;
mod writer;

pub use client::Storage;
pub use config::{Secret, StorageConfig, StorageTimeouts};
pub use error::StorageError;
pub use key::{Digest, KeyPrefix, ObjectKey, PlanKey};
pub use metrics::StorageMetrics;
pub use object::{Listed, Stat, Stored, Version, Written};
pub use reader::ObjectReader;
pub use resumable::{Appender, Arrival, Received, ResumableUpload};
pub use writer::ObjectWriter;
