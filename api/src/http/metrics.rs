//! What this process counts, for Prometheus.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use clearfleet_common::job::State;
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};
use strum::VariantArray;

use crate::records::Records;

clearfleet_common::metrics! {
    /// The metrics of one process.
    #[derive(Debug)]
    pub struct Metrics {
        /// Requests that were answered, by method, route and status.
        requests: IntCounterVec = "clearfleet_http_requests_total" ["method", "route", "status"],
        /// Seconds until an answer began, by method and route.
        request_seconds: HistogramVec = "clearfleet_http_request_seconds" ["method", "route"],
        /// Bytes of sources that were uploaded, those of refused uploads included.
        uploaded_bytes: IntCounter = "clearfleet_http_uploaded_bytes_total" [],
        /// Streams of events that are open.
        streams: IntGauge = "clearfleet_http_event_streams" [],
        /// Jobs of all owners, by state.
        jobs: IntGaugeVec = "clearfleet_jobs" ["state"],
    }
}

impl Metrics {
    /// The registry, for metrics of other parts of the process.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn answered(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        // Methods that nobody knows would else make labels without end.
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        self.requests.with_label_values(&[method, route, status.as_str()]).inc();
        self.request_seconds
            .with_label_values(&[method, route])
            .observe(took.as_secs_f64());
    }

    pub(super) fn uploaded(&self, bytes: u64) {
        self.uploaded_bytes.inc_by(bytes);
    }

    /// Counts a stream of events until the returned value is dropped.
    pub(super) fn stream(&self) -> OpenStream {
        self.streams.inc();
        OpenStream(self.streams.clone())
    }

    /// Takes down how many jobs there are.
    pub(super) fn count(&self, records: &Records) {
        let counts = records.counts();
        for state in State::VARIANTS {
            let jobs = counts.get(state).copied().unwrap_or(0);
            let gauge = self.jobs.with_label_values(&[<&str>::from(*state)]);
            gauge.set(i64::try_from(jobs).unwrap_or(i64::MAX));
        }
    }
}

/// An open stream of events.
#[derive(Debug)]
pub(super) struct OpenStream(IntGauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}
