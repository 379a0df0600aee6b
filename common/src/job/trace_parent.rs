use serde::{Deserialize, Serialize};

/// Where in a trace something belongs: `traceparent` of the W3C's Trace Context, as its header writes it.
///
/// It is carried and not looked at: who takes part in traces reads it, and begins a trace of its own where it cannot be
/// read. What a build of before it leaves out costs a trace its coherence, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceParent(Box<str>);

impl TraceParent {
    /// What a header says.
    pub fn new(header: impl Into<Box<str>>) -> Self {
        Self(header.into())
    }

    /// The header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
