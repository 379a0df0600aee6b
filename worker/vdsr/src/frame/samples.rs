//! From stored codes to floats and back, row by row, and what the codes mean to the network.

use crate::{
    colour::{STUDIO_BLACK, STUDIO_SPAN},
    frame::format::{FrameFormat, Layout, Range},
    resample::Sample,
};

/// How a plane's samples are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Codes {
    /// One, or two in little-endian order.
    pub(super) bytes: usize,
    /// The highest code.
    pub(super) max: u16,
}

impl Codes {
    pub(super) fn of(format: &FrameFormat) -> Self {
        Self {
            bytes: format.sample_bytes(),
            max: format.max(),
        }
    }

    /// Row `y` of a plane as floats, in codes.
    pub(super) fn load(self, plane: &[u8], y: usize, row: &mut [f32]) {
        let stored = &plane[y * row.len() * self.bytes..][..row.len() * self.bytes];
        if self.bytes == 1 {
            for (to, from) in row.iter_mut().zip(stored) {
                *to = f32::from(*from);
            }
        } else {
            for (to, from) in row.iter_mut().zip(stored.as_chunks::<2>().0) {
                *to = f32::from(u16::from_le_bytes(*from));
            }
        }
    }

    /// Stores a row, `code` making each sample's code from its position; rounded and clamped to 0 ..= max.
    pub(super) fn store(self, stored: &mut [u8], code: impl Fn(usize) -> f32) {
        if self.bytes == 1 {
            for (x, to) in stored.iter_mut().enumerate() {
                *to = u8::from_f32(code(x), self.max as u8);
            }
        } else {
            for (x, to) in stored.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                *to = u16::from_f32(code(x), self.max).to_le_bytes();
            }
        }
    }

    /// Whether every sample of a plane is the highest code.
    pub(super) fn all_max(self, plane: &[u8]) -> bool {
        let [low, high] = self.max.to_le_bytes();
        if self.bytes == 1 {
            plane.iter().all(|sample| *sample == low)
        } else {
            plane.as_chunks::<2>().0.iter().all(|sample| *sample == [low, high])
        }
    }
}

/// The line from codes to luma in the network's domain (Y of BT.601 in studio range / 255).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Domain {
    /// Change of luma for one code; for RGB, of all three channels together.
    pub(super) scale: f32,
    /// Luma of code 0.
    pub(super) offset: f32,
}

impl Domain {
    pub(super) fn of(format: &FrameFormat) -> Self {
        // Codes per code of 8 bits.
        let unit = f32::from(1u16 << (format.bits - 8));
        let stored = Self {
            scale: 1.0 / (255.0 * unit),
            offset: 0.0,
        };
        match (format.layout, format.range) {
            // One channel is taken as stored.
            (Layout::Gray | Layout::GrayAlpha, _) | (_, Range::Limited) => stored,
            (_, Range::Full) => Self {
                scale: STUDIO_SPAN / f32::from(format.max()),
                offset: STUDIO_BLACK,
            },
        }
    }

    pub(super) fn luma(self, code: f32) -> f32 {
        code * self.scale + self.offset
    }
}
