//! Limits and sizes that operators may change, with the defaults that suit one machine.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a source may be at most. Whoever refuses a source names the limit and what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Size of the source in bytes.
    pub bytes: u64,
    /// Width or height of the source or the result, in pixels.
    pub edge: u32,
    /// Pixels of one frame of the source or the result.
    pub pixels: u64,
    /// Frames of a video.
    pub frames: u64,
    /// Length of a video.
    pub seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1 << 40,
            edge: 32_768,
            pixels: 268_435_456,
            frames: 10_000_000,
            seconds: 86_400,
        }
    }
}

/// How long the steps of a job may take before they count as hung.
pub struct Deadlines;

impl Deadlines {
    /// Plan and assemble: 10 minutes and one a GiB of source, 2 hours at most.
    pub fn media(source_bytes: u64) -> Duration {
        let minutes = 10 + source_bytes.div_ceil(1 << 30);
        Duration::from_secs(60 * minutes).min(Self::longest())
    }

    /// A batch: ten times its estimate in seconds, at least 10 minutes, at most 2 hours.
    pub fn batch(estimate_seconds: f64) -> Duration {
        // What is no time at all, or too long for one, is not known.
        let expected = Duration::try_from_secs_f64(10.0 * estimate_seconds).unwrap_or(Self::longest());
        expected.clamp(Duration::from_secs(600), Self::longest())
    }

    /// The longest of all: two hours.
    pub fn longest() -> Duration {
        Duration::from_secs(2 * 3600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_ten_times_as_long_as_it_should_take() {
        assert_eq!(Deadlines::batch(90.0), Duration::from_secs(900));
        assert_eq!(Deadlines::batch(0.0), Duration::from_secs(600));
        for unknown in [-1.0, 1e300, f64::INFINITY, f64::NAN] {
            assert_eq!(Deadlines::batch(unknown), Deadlines::longest());
        }
    }
}
