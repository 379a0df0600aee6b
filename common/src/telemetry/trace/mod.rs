//! Traces: where one belongs that came in with a request, and the spans that this process adds to it.
//!
//! Spans are made by hand, with their own beginning and end, and of what is logged none becomes one: so the exporter, the
//! store and the broker's client never trace themselves. Where nobody collects spans there is no exporter and no thread,
//! [`is_on`] is false, and a trace that comes in is handed on as it came.

mod client;
mod count;
mod export;

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::SystemTime;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanBuilder, Tracer as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;

pub use count::SpanMetrics;
pub use export::{CLOSING, Tracing};
pub use opentelemetry::trace::{FutureExt, Span, SpanKind, Status, TraceContextExt};
pub use opentelemetry::{Context, KeyValue};
pub use opentelemetry_sdk::trace::Span as SdkSpan;

use crate::job::TraceParent;

/// The header that says where a request belongs.
pub const HEADER: &str = "traceparent";

/// Set once, by the program's `main`, where spans are collected.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Whether spans are collected.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// Begins a span of what began at this time; nothing where none are collected.
pub fn begin(
    name: impl Into<Cow<'static, str>>,
    kind: SpanKind,
    began: SystemTime,
    parent: &Context,
) -> Option<SdkSpan> {
    let tracer = TRACER.get()?;
    let span = SpanBuilder::from_name(name).with_kind(kind).with_start_time(began);
    Some(tracer.build_with_context(span, parent))
}

/// Says of a span that it failed: a code, and why, for a person.
pub fn fail(span: &mut impl Span, code: &'static str, why: String) {
    span.set_attribute(KeyValue::new("error.type", code));
    span.set_status(Status::error(why));
}

/// A number as attributes have them: what does not fit is the largest.
pub fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What a header says, as the parent of spans; of one that says nothing, or cannot be read, they begin a trace.
pub fn parent(header: Option<&str>) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Header(header))
}

/// Where in a trace what runs now belongs, in the form in which it is handed on; nothing outside of any.
pub fn current() -> Option<TraceParent> {
    Context::map_current(written)
}

fn written(context: &Context) -> Option<TraceParent> {
    let mut written = Written(None);
    TraceContextPropagator::new().inject_context(context, &mut written);
    written.0
}

/// The one header that is read.
struct Header<'a>(Option<&'a str>);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.filter(|_| key == HEADER)
    }

    fn keys(&self) -> Vec<&str> {
        vec![HEADER]
    }
}

/// The one header that is written.
struct Written(Option<TraceParent>);

impl Injector for Written {
    fn set(&mut self, key: &str, value: String) {
        if key == HEADER {
            self.0 = Some(TraceParent::new(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_comes_in_is_handed_on() {
        for (header, handed_on) in [
            (SAMPLED, Some(SAMPLED)),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
                Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
            ),
            // Of a later version, what this one knows of it.
            (
                "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
                Some(SAMPLED),
            ),
            ("", None),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", None),
            ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", None),
            ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", None),
            ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None),
        ] {
            let found = written(&parent(Some(header)));
            assert_eq!(found.as_ref().map(TraceParent::as_str), handed_on, "{header}");
        }
        assert_eq!(written(&parent(None)), None);
    }

    #[tokio::test]
    async fn what_runs_for_a_request_belongs_where_it_does() {
        assert_eq!(current(), None);
        let inside = async {
            tokio::task::yield_now().await;
            current()
        };
        let found = inside.with_context(parent(Some(SAMPLED))).await;
        assert_eq!(found, Some(TraceParent::new(SAMPLED)));
        assert_eq!(current(), None);
        // Nobody collects spans here.
        assert!(!is_on());
        assert!(begin("span", SpanKind::Internal, SystemTime::now(), &Context::new()).is_none());
    }

    proptest! {
        /// Whatever clients send, what is handed on has one form and one length.
        #[test]
        fn what_is_handed_on_is_well_formed(header in "\\PC{0,80}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}") {
            if let Some(found) = written(&parent(Some(&header))) {
                let found = found.as_str();
                prop_assert_eq!(found.len(), SAMPLED.len());
                let again = written(&parent(Some(found)));
                prop_assert_eq!(again.as_ref().map(TraceParent::as_str), Some(found));
            }
        }
    }
}
