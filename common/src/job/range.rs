use std::fmt;

use serde::{Deserialize, Serialize};

/// Frames `[start, end)` of a video, counted from 0 in presentation order; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u64, u64)", into = "(u64, u64)")]
pub struct FrameRange {
    start: u64,
    end: u64,
}

/// A range that holds no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frames [{start}, {end}) hold no frame")]
pub struct FrameRangeError {
    /// First frame.
    pub start: u64,
    /// One past the last frame.
    pub end: u64,
}

impl FrameRange {
    /// Frames `[start, end)`.
    ///
    /// # Errors
    /// If `start >= end`.
    pub fn new(start: u64, end: u64) -> Result<Self, FrameRangeError> {
        if start < end {
            Ok(Self { start, end })
        } else {
            Err(FrameRangeError { start, end })
        }
    }

    /// The first frame.
    pub fn start(self) -> u64 {
        self.start
    }

    /// One past the last frame.
    pub fn end(self) -> u64 {
        self.end
    }

    /// Number of frames, at least 1.
    #[allow(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether a frame is one of them.
    pub fn contains(self, frame: u64) -> bool {
        (self.start..self.end).contains(&frame)
    }

    /// Cuts the range into batches of `size` frames in order; the last may be shorter. `size` 0 counts as 1.
    pub fn batches(self, size: u64) -> impl Iterator<Item = Self> {
        let size = size.max(1);
        (0..self.len().div_ceil(size)).map(move |n| Self {
            start: self.start + n * size,
            end: (self.start + (n + 1) * size).min(self.end),
        })
    }
}

impl TryFrom<(u64, u64)> for FrameRange {
    type Error = FrameRangeError;

    fn try_from((start, end): (u64, u64)) -> Result<Self, Self::Error> {
        Self::new(start, end)
    }
}

impl From<FrameRange> for (u64, u64) {
    fn from(range: FrameRange) -> Self {
        (range.start, range.end)
    }
}

impl fmt::Display for FrameRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_range_is_refused() {
        assert_eq!(FrameRange::new(3, 3), Err(FrameRangeError { start: 3, end: 3 }));
        assert!(serde_json::from_str::<FrameRange>("[5,4]").is_err());
    }

    proptest! {
        #[test]
        fn batches_hold_every_frame_once_in_order(start in 0u64..1000, len in 1u64..500, size in 0u64..60) {
            let range = FrameRange::new(start, start + len).unwrap();
            let frames: Vec<u64> = range.batches(size).flat_map(|b| b.start()..b.end()).collect();
            prop_assert_eq!(frames, (start..start + len).collect::<Vec<_>>());
            prop_assert!(range.batches(size).all(|b| b.len() <= size.max(1)));
        }
    }
}
