//! Whoever collects spans: takes OTLP over HTTP, as programs under test send it, and reads it with OpenTelemetry's own types.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::{self as otlp, status::StatusCode};
use prost::Message;
use serde_json::{Value, json};

use crate::server::{Client, Receiver, Reply, Server};
use crate::{DEADLINE, id_of};

/// Where the caller is whose requests are traced: trace and span.
pub const CALLER: (&str, &str) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");

/// A collector on the loopback interface.
#[derive(Clone, Debug)]
pub struct Collector(Receiver);

/// A span that was collected.
#[derive(Clone, Debug)]
pub struct Span {
    /// Which trace, in hex.
    pub trace: String,
    /// Which span, in hex.
    pub id: String,
    /// Its parent in hex; empty for none.
    pub parent: String,
    /// What it is called.
    pub name: String,
    /// Its kind, by OTLP's number.
    pub kind: i32,
    /// When it began and ended, in nanoseconds.
    pub time: (u64, u64),
    /// What it says.
    pub attributes: BTreeMap<String, Value>,
    /// What went wrong, if its status says that something did.
    pub error: Option<String>,
    /// Which process it is of.
    pub resource: BTreeMap<String, Value>,
}

/// The spans of one trace.
#[derive(Clone, Debug)]
pub struct Traced(pub Vec<Span>);

impl Collector {
    /// One that takes what comes.
    pub fn start() -> Self {
        Self(Receiver::start([]))
    }

    /// One that takes connections and answers nobody.
    pub fn silent() -> Self {
        Self(Receiver::start(std::iter::repeat_n(Reply::Silence, 1000)))
    }

    /// What a program is told, so that it sends its spans here, and soon.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.0.url("")),
            ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
        ]
    }

    /// The same server, which is told so.
    #[must_use]
    pub fn of(&self, server: Server) -> Server {
        let environment = self.environment();
        environment
            .iter()
            .fold(server, |server, (name, value)| server.env(name, value))
    }

    /// Submits a file as [`CALLER`]; the job's id.
    ///
    /// # Panics
    /// If the file cannot be read, or the job is refused.
    pub fn submit(client: &Client, file: &Path, parameters: &str) -> String {
        let content = std::fs::read(file).expect("a file of the test's own");
        let (trace, span) = CALLER;
        let headers = [
            ("content-type", "application/octet-stream"),
            (
                "x-clearfleet-name",
                &*file.file_name().expect("a name").to_string_lossy(),
            ),
            ("traceparent", &format!("00-{trace}-{span}-01")),
        ];
        let answer = client.send("POST", &format!("/v1/jobs{parameters}"), &headers, &content);
        id_of(&answer.expect(201).json())
    }

    /// How often somebody sent spans.
    pub fn requests(&self) -> usize {
        self.0.told().len()
    }

    /// Everything that came so far.
    ///
    /// # Panics
    /// If something else came than spans.
    pub fn spans(&self) -> Vec<Span> {
        let told = self.0.told();
        let batches = told.iter().flat_map(|told| {
            assert_eq!((told.method.as_str(), told.path.as_str()), ("POST", "/v1/traces"));
            assert_eq!(told.header("content-type"), "application/x-protobuf");
            let request = ExportTraceServiceRequest::decode(told.body.as_slice());
            request.expect("a request of OTLP").resource_spans
        });
        batches.flat_map(of_resource).collect()
    }

    /// Waits until the spans of a trace are what is waited for; all of its spans then.
    ///
    /// # Panics
    /// If they do not become so.
    pub fn until(&self, trace: &str, wanted: impl Fn(&Traced) -> bool) -> Traced {
        let since = Instant::now();
        loop {
            let requests = self.requests();
            let found: Vec<Span> = self.spans().into_iter().filter(|span| span.trace == trace).collect();
            let found = Traced(found);
            if wanted(&found) {
                return found;
            }
            let left = DEADLINE.saturating_sub(since.elapsed());
            assert!(!left.is_zero(), "it never became so: {found:#?}");
            self.0.until(requests + 1, left);
        }
    }
}

impl Traced {
    /// Those of this name.
    pub fn named(&self, name: &str) -> Vec<&Span> {
        self.0.iter().filter(|span| span.name == name).collect()
    }

    /// The one of this name.
    ///
    /// # Panics
    /// If there is none, or more than one.
    pub fn one(&self, name: &str) -> &Span {
        match self.named(name).as_slice() {
            [span] => span,
            found => panic!("{} spans {name:?}: {self:#?}", found.len()),
        }
    }

    /// Those right beneath a span.
    pub fn beneath(&self, parent: &Span) -> Self {
        let of = |span: &&Span| span.parent == parent.id;
        Self(self.0.iter().filter(of).cloned().collect())
    }

    /// Their names, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.iter().map(|span| span.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Makes sure that every span is beneath another of the trace, or beneath `caller`, who is not in it.
    ///
    /// # Panics
    /// If one is not.
    pub fn assert_whole(&self, caller: &str) {
        for span in &self.0 {
            let known = span.parent == caller || self.0.iter().any(|other| other.id == span.parent);
            assert!(known, "{span:#?} is beneath no span of {self:#?}");
        }
    }
}

impl Span {
    /// What it says of this; null for nothing.
    pub fn says(&self, name: &str) -> &Value {
        self.attributes.get(name).unwrap_or(&Value::Null)
    }

    /// Seconds that it lasted.
    pub fn seconds(&self) -> f64 {
        (self.time.1 - self.time.0) as f64 / 1e9
    }

    /// Whether it lies within the time of another.
    pub fn is_within(&self, other: &Self) -> bool {
        other.time.0 <= self.time.0 && self.time.0 <= self.time.1 && self.time.1 <= other.time.1
    }
}

fn of_resource(batch: otlp::ResourceSpans) -> impl Iterator<Item = Span> {
    let resource = map(batch.resource.map(|resource| resource.attributes).unwrap_or_default());
    let spans = batch.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(move |span| Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        kind: span.kind,
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
        attributes: map(span.attributes),
        error: span
            .status
            .filter(|status| status.code == StatusCode::Error as i32)
            .map(|status| status.message),
        resource: resource.clone(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn map(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let value = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::BoolValue(truth)) => json!(truth),
        _ => Value::Null,
    };
    attributes
        .into_iter()
        .map(|attribute| (attribute.key, value(attribute.value)))
        .collect()
}
