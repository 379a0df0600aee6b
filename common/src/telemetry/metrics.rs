use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Media type of [`text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Upper bounds of histograms of seconds, from an answer out of memory to a batch.
const SECONDS: [f64; 12] = [
    0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0, 300.0, 1800.0,
];

/// Declares the metrics of a process, or of a part of one: a field's documentation is the help text, so that nobody writes
/// it twice.
#[macro_export]
macro_rules! metrics {
    ($(#[$outer:meta])* pub struct $name:ident {
        $(#[doc = $help:literal] $field:ident: $kind:ty = $metric:literal [$($label:literal),*],)*
    }) => {
        $(#[$outer])*
        pub struct $name {
            registry: ::prometheus::Registry,
            $(#[doc = $help] $field: $kind,)*
        }

        impl $name {
            /// Metrics that count from 0, in a registry of their own.
            pub fn new() -> Self {
                let registry = ::prometheus::Registry::new();
                Self {
                    $($field: $crate::telemetry::register(
                        &registry,
                        <$kind as $crate::telemetry::Metric>::make($metric, $help.trim(), &[$($label),*]),
                    ),)*
                    registry,
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}

/// What a metric of [`metrics!`](crate::metrics) can be.
pub trait Metric: Collector + Clone + Sized + 'static {
    /// A metric of this name, with this help text and these labels.
    ///
    /// # Errors
    /// If the name or a label is none.
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self>;
}

impl Metric for IntCounter {
    fn make(name: &str, help: &str, _: &[&str]) -> prometheus::Result<Self> {
        Self::new(name, help)
    }
}

impl Metric for IntGauge {
    fn make(name: &str, help: &str, _: &[&str]) -> prometheus::Result<Self> {
        Self::new(name, help)
    }
}

impl Metric for Gauge {
    fn make(name: &str, help: &str, _: &[&str]) -> prometheus::Result<Self> {
        Self::new(name, help)
    }
}

impl Metric for IntCounterVec {
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Metric for IntGaugeVec {
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Metric for HistogramVec {
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)
    }
}

/// Adds a metric to a registry.
///
/// # Panics
/// If it could not be made, or the registry has one of its name: names are written in the program.
pub fn register<M: Metric>(registry: &Registry, metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("names and labels are written in the program, and are valid");
    let registered = registry.register(Box::new(metric.clone()));
    registered.expect("no two metrics of a registry have one name");
    metric
}

/// All metrics of a registry in Prometheus' text format.
///
/// # Errors
/// If they cannot be written as text.
pub fn text(registry: &Registry) -> prometheus::Result<Vec<u8>> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}
