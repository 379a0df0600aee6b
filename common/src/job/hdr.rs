use serde::{Deserialize, Serialize};

/// What a video of high dynamic range says of itself as a whole, for displays that show less: the static metadata of
/// HDR10. Numbers are the codes of the streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hdr10 {
    /// The display on which it was graded (SMPTE ST 2086).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mastering: Option<MasteringDisplay>,
    /// How bright it gets (CTA-861.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub light: Option<ContentLight>,
}

/// The display on which a video was graded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasteringDisplay {
    /// Chromaticities x and y of red, green and blue, in 1/50,000.
    pub primaries: [(u16, u16); 3],
    /// Chromaticity x and y of white, in 1/50,000.
    pub white: (u16, u16),
    /// The most it shows, in 1/10,000 cd/m².
    pub max_luminance: u32,
    /// The least it shows, in 1/10,000 cd/m².
    pub min_luminance: u32,
}

/// How bright a video gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentLight {
    /// The brightest pixel of all frames, in cd/m²; 0 is unknown.
    pub max_content: u16,
    /// The largest mean of a frame, in cd/m²; 0 is unknown.
    pub max_average: u16,
}

impl Hdr10 {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.mastering.is_none() && self.light.is_none()
    }
}
