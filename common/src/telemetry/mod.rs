//! What processes tell of themselves: metrics for Prometheus, traces for whoever collects them, and their log.

#[cfg(feature = "cli")]
mod log;
mod metrics;
#[cfg(feature = "trace")]
pub mod trace;

#[cfg(feature = "cli")]
pub use log::log_to_stderr;
pub use metrics::{CONTENT_TYPE, Families, Metric, ProcessMetrics, register, registry, text};
