use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TIMEOUT,
    OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, SpanExporter, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::TRACER;
use super::client::Client;
use super::count::{Bounded, Counted, Counts, SpanMetrics};

/// What [`Tracing::end`] may take.
pub const CLOSING: Duration = Duration::from_secs(3);

/// The SDK's own name for how many spans may wait, and its default: it does not tell what it reads.
const QUEUE: (&str, usize) = ("OTEL_BSP_MAX_QUEUE_SIZE", 2048);

/// The one protocol that there is.
const PROTOCOL: &str = "http/protobuf";

/// Spans are collected: what gathers them and hands them on.
#[derive(Debug)]
pub struct Tracing {
    provider: SdkTracerProvider,
    counts: Arc<Counts>,
}

/// Why spans are not collected, though they should be.
#[derive(Debug, thiserror::Error)]
enum NoTracing {
    #[error("the protocol {0:?} is not spoken; there is {PROTOCOL}")]
    Protocol(String),
    #[error(transparent)]
    Client(#[from] reqwest::Error),
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

impl Tracing {
    /// Collects spans from now on, if the environment names a collector; once in a process, and before there is anything
    /// to trace. What OpenTelemetry's variables say otherwise is logged and leaves the program without traces: they are
    /// no reason not to work. Called on a tokio runtime, which carries spans to the collector.
    pub fn start(service: &'static str) -> Option<Self> {
        let endpoint = endpoint()?;
        match Self::to(&endpoint, service) {
            Ok(tracing) => {
                // It is the first.
                let _ = TRACER.set(tracing.provider.tracer_with_scope(scope()));
                tracing::info!(endpoint, "spans go to a collector");
                Some(tracing)
            }
            Err(e) => {
                tracing::error!(
                    endpoint,
                    error = &e as &dyn std::error::Error,
                    "spans are not collected"
                );
                None
            }
        }
    }

    fn to(endpoint: &str, service: &'static str) -> Result<Self, NoTracing> {
        let protocol = first_of(&[OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL]);
        if let Some(other) = protocol.filter(|protocol| protocol != PROTOCOL) {
            return Err(NoTracing::Protocol(other));
        }
        let timeout = first_of(&[OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT]);
        let timeout = timeout.and_then(|text| text.parse().ok()).map(Duration::from_millis);
        let timeout = timeout.unwrap_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT);
        let client = Client::new(endpoint, timeout, Handle::current())?;
        let counts = Arc::new(Counts::new());
        let exporter = Counted {
            exporter: SpanExporter::builder()
                .with_http()
                .with_http_client(client.clone())
                .build()?,
            client,
            counts: Arc::clone(&counts),
        };
        let queue = first_of(&[QUEUE.0]).and_then(|text| text.parse().ok());
        let queue = queue.filter(|queue| *queue > 0).unwrap_or(QUEUE.1);
        let config = BatchConfigBuilder::default().with_max_queue_size(queue).build();
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(service))
            .with_span_processor(Bounded::new(batches, queue, Arc::clone(&counts)))
            .build();
        Ok(Self { provider, counts })
    }

    /// What became of spans.
    pub fn metrics(&self) -> Arc<SpanMetrics> {
        Arc::clone(&self.counts.metrics)
    }

    /// Hands on what waits, within [`CLOSING`]; spans that end later are lost.
    pub async fn end(self) {
        let provider = self.provider.clone();
        let ending = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(CLOSING));
        match tokio::time::timeout(CLOSING, ending).await {
            Ok(Ok(Ok(()))) => {}
            // What a collector did not take is logged already.
            Ok(Ok(Err(e))) => tracing::debug!(error = &e as &dyn std::error::Error, "the last spans may be lost"),
            Ok(Err(_)) | Err(_) => tracing::debug!("the collector takes too long for the last spans"),
        }
    }
}

/// Where spans are to go; nothing where nobody wants them.
fn endpoint() -> Option<String> {
    let says = |name, wanted: &str| first_of(&[name]).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
    if says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    first_of(&[OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT])
}

/// The first of these variables that says anything: an empty one is none.
fn first_of(names: &[&str]) -> Option<String> {
    let mut values = names.iter().filter_map(|name| std::env::var(name).ok());
    values.find(|value| !value.trim().is_empty())
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("clearfleet")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

/// Who this process is: what the environment says, and what it leaves out.
fn resource(service: &'static str) -> Resource {
    let said = Resource::builder().build();
    let is_left_out = |own: &KeyValue| {
        let value = said.get(&own.key).map(|value| value.to_string());
        // Else it is the name that the SDK gives what has none.
        value.is_none_or(|value| value.starts_with("unknown_service"))
    };
    let own = [
        KeyValue::new("service.name", service),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
    ];
    Resource::builder()
        .with_attributes(own.into_iter().filter(is_left_out))
        .build()
}
