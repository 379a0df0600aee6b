//! How a worker is, over HTTP: `/healthz`, `/readyz`, `/metrics`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clearfleet_common::queue::BrokerMetrics;
use clearfleet_common::storage::{ObjectKey, Storage};
use clearfleet_common::telemetry::trace::SpanMetrics;
use clearfleet_common::telemetry::{self, Families, ProcessMetrics};
use tokio::net::TcpListener;

use crate::service::WorkerMetrics;

/// How long the store may take to say that it is there.
const CHECK: Duration = Duration::from_secs(5);

/// What is known of the worker in this process.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    works: OnceLock<Storage>,
    broker: OnceLock<Arc<BrokerMetrics>>,
    spans: OnceLock<Arc<SpanMetrics>>,
    drains: AtomicBool,
    distrusted: AtomicBool,
    metrics: Arc<WorkerMetrics>,
    process: ProcessMetrics,
}

impl Monitor {
    /// A worker that is not ready yet, which counts here.
    pub(super) fn new(metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            metrics,
            ..Self::default()
        }
    }

    /// It takes tasks, whose objects are in this store.
    pub(super) fn works(&self, storage: Storage) {
        // It begins once.
        let _ = self.works.set(storage);
    }

    /// It takes tasks from a broker.
    pub(super) fn consumes(&self, broker: Arc<BrokerMetrics>) {
        // It begins once.
        let _ = self.broker.set(broker);
    }

    /// Its spans are collected.
    pub(super) fn traces(&self, spans: Arc<SpanMetrics>) {
        // It begins once.
        let _ = self.spans.set(spans);
    }

    /// It takes no more.
    pub(super) fn drains(&self) {
        self.drains.store(true, Ordering::Release);
        self.metrics.drains();
    }

    /// It takes no more, since audits have shown that it makes wrong pictures.
    pub(super) fn is_distrusted(&self) {
        self.distrusted.store(true, Ordering::Release);
    }

    /// Why it takes no tasks, if it does not.
    async fn missing(&self) -> Option<&'static str> {
        let Some(storage) = self.works.get() else {
            return Some("the worker has not begun yet");
        };
        if self.drains.load(Ordering::Acquire) {
            return Some("the worker ends");
        }
        if self.distrusted.load(Ordering::Acquire) {
            return Some("the worker makes wrong pictures, as others have shown");
        }
        let key = ObjectKey::CurrentModels.to_string();
        match tokio::time::timeout(CHECK, storage.stat(&key)).await {
            Ok(Ok(_)) => None,
            Ok(Err(_)) | Err(_) => Some("the store does not answer"),
        }
    }
}

/// Answers until the process ends.
pub(super) async fn serve(listener: TcpListener, monitor: Arc<Monitor>) {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(monitor);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "nobody can ask how this worker is");
    }
}

async fn ready(State(monitor): State<Arc<Monitor>>) -> Response {
    match monitor.missing().await {
        None => "ok\n".into_response(),
        Some(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")).into_response(),
    }
}

async fn metrics(State(monitor): State<Arc<Monitor>>) -> Response {
    let store = monitor.works.get().map(|storage| &**storage.metrics() as &dyn Families);
    let parts = [&*monitor.metrics as &dyn Families, &monitor.process];
    let broker = monitor.broker.get().map(|broker| &**broker as &dyn Families);
    let spans = monitor.spans.get().map(|spans| &**spans as &dyn Families);
    let parts = parts.into_iter().chain(store).chain(broker).chain(spans);
    match telemetry::text(parts) {
        Ok(text) => ([(header::CONTENT_TYPE, telemetry::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
