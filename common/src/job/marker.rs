use serde::{Deserialize, Serialize};

/// Says that a batch is done and which segment holds it; created once, after the segment is whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    /// [`FORMAT_VERSION`](super::FORMAT_VERSION) of the build that wrote it.
    pub version: u32,
    /// Key of the segment.
    pub segment: String,
    /// Size of the segment in bytes.
    pub bytes: u64,
    /// Frames in the segment.
    pub frames: u64,
    /// SHA-256 of the segment, in hex.
    pub sha256: String,
    /// Who made it.
    pub worker: String,
    /// How long it took.
    pub timings: Timings,
}

/// Seconds that the stages of a batch were busy; they overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Waiting for decoded frames.
    pub decode_seconds: f64,
    /// The engine.
    pub infer_seconds: f64,
    /// Waiting for the encoder to take frames and to end.
    pub encode_seconds: f64,
    /// From the first frame asked for to the marker.
    pub total_seconds: f64,
}
