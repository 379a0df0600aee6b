use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};
use prometheus::IntCounterVec;

use super::client::Client;

/// How often it is said that spans are lost.
const SAY_EVERY: Duration = Duration::from_secs(60);

crate::metrics! {
    /// What became of spans.
    #[derive(Debug)]
    pub struct SpanMetrics {
        /// Spans by what became of them: taken by the collector; failed, since it was away or did not want them; dropped, since too many waited.
        spans: IntCounterVec = "clearfleet_spans_total" ["outcome"],
    }
}

/// What processor and exporter both know.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) metrics: Arc<SpanMetrics>,
    waiting: AtomicUsize,
    said: Mutex<Option<Instant>>,
}

impl Counts {
    pub(super) fn new() -> Self {
        let metrics = SpanMetrics::new();
        // Shown from the start, so that a rate of what goes wrong has a beginning.
        for outcome in ["taken", "failed", "dropped"] {
            metrics.spans.with_label_values(&[outcome]);
        }
        Self {
            metrics: Arc::new(metrics),
            waiting: AtomicUsize::new(0),
            said: Mutex::default(),
        }
    }

    fn count(&self, outcome: &str, spans: usize) {
        self.metrics.spans.with_label_values(&[outcome]).inc_by(spans as u64);
    }

    /// Says that spans are lost, unless that was said a moment ago.
    fn say(&self, trouble: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|said| said.elapsed() < SAY_EVERY) {
            return;
        }
        *said = Some(Instant::now());
        let lost = |outcome| self.metrics.spans.with_label_values(&[outcome]).get();
        let (failed, dropped) = (lost("failed"), lost("dropped"));
        tracing::warn!(
            failed,
            dropped,
            trouble,
            "spans are lost on their way to the collector; the work itself goes on"
        );
    }
}

/// Lets no more spans wait than may, and counts those that may not.
#[derive(Debug)]
pub(super) struct Bounded {
    batches: BatchSpanProcessor,
    limit: usize,
    counts: Arc<Counts>,
}

impl Bounded {
    /// In front of one whose queue is as long as this limit: so it never has to drop what nobody would count.
    pub(super) fn new(batches: BatchSpanProcessor, limit: usize, counts: Arc<Counts>) -> Self {
        Self { batches, limit, counts }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let one_more = |waiting| (waiting < self.limit).then_some(waiting + 1);
        let admitted = self
            .counts
            .waiting
            .try_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        if admitted.is_ok() {
            self.batches.on_end(span);
        } else {
            self.counts.count("dropped", 1);
            self.counts.say("too many wait");
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts what an exporter does.
#[derive(Debug)]
pub(super) struct Counted<E> {
    pub(super) exporter: E,
    pub(super) client: Client,
    pub(super) counts: Arc<Counts>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let count = spans.len();
        self.counts.waiting.fetch_sub(count, Ordering::AcqRel);
        let exported = self.exporter.export(spans).await;
        match &exported {
            Ok(()) => self.counts.count("taken", count),
            Err(e) => {
                self.counts.count("failed", count);
                self.counts.say(&self.client.trouble().unwrap_or_else(|| e.to_string()));
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
