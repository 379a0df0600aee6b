use std::sync::Arc;
use std::time::Instant;

use aws_sdk_s3::config::interceptors::{BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use prometheus::{HistogramVec, IntCounterVec};

crate::metrics! {
    /// What a process asks of its S3 store, its own tries of one call taken together.
    #[derive(Debug)]
    pub struct StorageMetrics {
        /// Calls of the S3 store that ended, by operation and outcome: ok, missing, changed, refused, failed.
        requests: IntCounterVec = "clearfleet_storage_requests_total" ["operation", "outcome"],
        /// Seconds that calls of the S3 store took until their answer began, by operation.
        seconds: HistogramVec = "clearfleet_storage_request_seconds" ["operation"],
    }
}

/// Counts every call of a client.
#[derive(Debug)]
pub(super) struct Counting(pub(super) Arc<StorageMetrics>);

/// When a call began.
#[derive(Clone, Debug)]
struct Began(Instant);

impl Storable for Began {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Counting {
    fn name(&self) -> &'static str {
        "clearfleet-counting"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(Began(Instant::now()));
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map_or("other", Metadata::name);
        let status = context.response().map(|response| response.status().as_u16());
        let is_fine = matches!(context.output_or_error(), Some(Ok(_)));
        let outcome = outcome(is_fine, status);
        self.0.requests.with_label_values(&[operation, outcome]).inc();
        if let Some(Began(began)) = config.load::<Began>() {
            let seconds = self.0.seconds.with_label_values(&[operation]);
            seconds.observe(began.elapsed().as_secs_f64());
        }
        Ok(())
    }
}

/// What became of a call: an answer that only says that there is nothing, or something else, is no failure of the store.
fn outcome(is_fine: bool, status: Option<u16>) -> &'static str {
    match status {
        _ if is_fine => "ok",
        Some(404) => "missing",
        Some(304 | 409 | 412) => "changed",
        Some(400..=499) => "refused",
        _ => "failed",
    }
}
