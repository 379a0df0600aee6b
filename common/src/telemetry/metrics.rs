use std::collections::HashMap;
use std::fmt;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
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
                Self::labelled(::std::collections::HashMap::new())
            }

            /// The same, each with these labels beside its own.
            pub fn labelled(labels: ::std::collections::HashMap<String, String>) -> Self {
                let registry = $crate::telemetry::registry(labels);
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

        impl $crate::telemetry::Families for $name {
            fn families(&self) -> ::std::vec::Vec<::prometheus::proto::MetricFamily> {
                self.registry.gather()
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

impl Metric for CounterVec {
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(Opts::new(name, help), labels)
    }
}

impl Metric for GaugeVec {
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(Opts::new(name, help), labels)
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

/// An empty registry, whose metrics all have these labels.
///
/// # Panics
/// If a label is none: labels are written in the program.
pub fn registry(labels: HashMap<String, String>) -> Registry {
    Registry::new_custom(None, Some(labels)).expect("labels are written in the program, and are valid")
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

/// Metrics of a part of a process, as they are now. No two parts of a process have one of the same name.
pub trait Families: fmt::Debug + Send + Sync {
    /// All of them, by name.
    fn families(&self) -> Vec<MetricFamily>;
}

/// What the system says of this process: memory, processor time, files. Their names are those of all Prometheus clients.
#[derive(Debug)]
pub struct ProcessMetrics(ProcessCollector);

impl ProcessMetrics {
    /// Of this process.
    pub fn new() -> Self {
        Self(ProcessCollector::for_self())
    }
}

impl Default for ProcessMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Families for ProcessMetrics {
    fn families(&self) -> Vec<MetricFamily> {
        self.0.collect()
    }
}

/// All metrics of some parts of a process in Prometheus' text format, by name.
///
/// # Errors
/// If they cannot be written as text.
pub fn text<'a>(parts: impl IntoIterator<Item = &'a dyn Families>) -> prometheus::Result<Vec<u8>> {
    let mut families: Vec<_> = parts.into_iter().flat_map(Families::families).collect();
    families.sort_by(|one, other| one.name().cmp(other.name()));
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    Ok(text)
}
