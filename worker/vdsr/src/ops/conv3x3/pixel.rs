//! What a layer hands to the next: pixels of 64 channels.

use half::bf16;

use super::{CHANNELS, vector::Vector};

/// The channels of one pixel: four lines of a cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Pixel(pub(crate) [f32; CHANNELS]);

impl Pixel {
    /// Zero in every channel: what layers see outside the plane.
    pub(crate) const ZERO: Self = Self([0.0; CHANNELS]);
}

/// The channels of one pixel in bfloat16: two lines of a cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Bf16Pixel(pub(super) [bf16; CHANNELS]);

impl Bf16Pixel {
    /// Zero in every channel.
    pub(super) const ZERO: Self = Self([bf16::ZERO; CHANNELS]);

    /// The first or the second half of the channels, in pairs.
    #[inline(always)]
    pub(super) fn half(&self, half: usize) -> &Half {
        &self.0.as_chunks().0.as_chunks().0[half]
    }

    /// The first or the second half of the channels, in pairs.
    #[inline(always)]
    pub(super) fn half_mut(&mut self, half: usize) -> &mut Half {
        &mut self.0.as_chunks_mut().0.as_chunks_mut().0[half]
    }
}

/// Half of a pixel's channels, in pairs: what instructions for bfloat16 take.
pub(super) type Half = [[bf16; 2]; CHANNELS / 4];

/// Channels that are computed with as 32-bit floats, however they are kept.
pub(super) trait Channels: Copy {
    /// Some channels, as many as a register has lanes.
    ///
    /// # Safety
    /// The processor has `V`'s instructions, and the pixel has the channels from `from` on.
    unsafe fn load<V: Vector>(&self, from: usize) -> V;

    /// The reverse of [`load`](Self::load), rounded to what is kept.
    ///
    /// # Safety
    /// The pixel has the channels from `from` on.
    unsafe fn store<V: Vector>(&mut self, from: usize, values: V);
}

impl Channels for Pixel {
    #[inline(always)]
    unsafe fn load<V: Vector>(&self, from: usize) -> V {
        // SAFETY: the caller asks for channels that exist, by instructions that exist.
        unsafe { V::load(self.0.as_ptr().add(from)) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(&mut self, from: usize, values: V) {
        // SAFETY: the caller names channels that exist.
        unsafe { values.store(self.0.as_mut_ptr().add(from)) };
    }
}

impl Channels for Bf16Pixel {
    #[inline(always)]
    unsafe fn load<V: Vector>(&self, from: usize) -> V {
        let mut lanes = [0.0; MOST_LANES];
        for (lane, value) in lanes.iter_mut().zip(&self.0[from..from + V::LANES]) {
            *lane = widen(*value);
        }
        // SAFETY: there are at least as many lanes; the caller vouches for the instructions.
        unsafe { V::load(lanes.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(&mut self, from: usize, values: V) {
        let mut lanes = [0.0; MOST_LANES];
        // SAFETY: there is room for all lanes.
        unsafe { values.store(lanes.as_mut_ptr()) };
        for (value, lane) in self.0[from..from + V::LANES].iter_mut().zip(lanes) {
            *value = round(lane);
        }
    }
}

/// Lanes of the widest register.
const MOST_LANES: usize = 16;

/// The same value. `half` looks for NaN, which keeps loops from being vectorised.
#[inline(always)]
pub(super) fn widen(value: bf16) -> f32 {
    f32::from_bits(u32::from(value.to_bits()) << 16)
}

/// The nearest value, of two the even one; NaN stays NaN.
#[inline(always)]
pub(super) fn round(value: f32) -> bf16 {
    const QUIET: u32 = 1 << 22;
    const INFINITE: u32 = 0x7f80_0000;
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // Compared as bits: a comparison of floats is not vectorised here.
    let nan = bits & !(1 << 31) > INFINITE;
    bf16::from_bits((if nan { bits | QUIET } else { nearest } >> 16) as u16)
}
