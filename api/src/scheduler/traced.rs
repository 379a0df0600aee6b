//! The span of a job's end.

use std::time::SystemTime;

use clearfleet_common::job::{Record, TraceParent};
use clearfleet_common::telemetry::trace::{self, KeyValue, Span, SpanKind};

/// A job has ended, and whoever asked to be told is told: this began at `began` and is done now. Where it is not done at
/// the first attempt, or not by the first scheduler, there are as many spans.
pub(super) fn ended(record: &Record, began: SystemTime) {
    // One that was brought back meanwhile goes on.
    if !trace::is_on() || !record.state.is_ended() {
        return;
    }
    let parent = trace::parent(record.trace.as_ref().map(TraceParent::as_str));
    let Some(mut span) = trace::begin("end", SpanKind::Internal, began, &parent) else {
        return;
    };
    span.set_attribute(KeyValue::new("clearfleet.job", record.id.to_string()));
    span.set_attribute(KeyValue::new("clearfleet.owner", record.owner.to_string()));
    span.set_attribute(KeyValue::new("clearfleet.state", record.state.to_string()));
    if let Some(ended) = record.ended {
        let seconds = ended.duration_since(record.created).as_secs_f64();
        span.set_attribute(KeyValue::new("clearfleet.job.seconds", seconds));
    }
    if let Some(plan) = &record.plan {
        span.set_attribute(KeyValue::new("clearfleet.batches", trace::whole(plan.batches)));
        span.set_attribute(KeyValue::new("clearfleet.frames", trace::whole(plan.frames)));
    }
    if let Some(failure) = &record.failure {
        trace::fail(&mut span, failure.code.as_str(), failure.message.clone());
    }
    span.end();
}
