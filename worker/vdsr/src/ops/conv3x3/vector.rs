//! Registers of floats: what the kernels are written in, once for all instruction sets.

/// A register of 32-bit floats.
///
/// Whoever makes the first value promises that the processor has the instructions; so what only combines values is safe.
pub(super) trait Vector: Copy {
    /// Floats in a register.
    const LANES: usize;

    /// The same value in every lane.
    ///
    /// # Safety
    /// The processor has the implementation's instructions.
    unsafe fn splat(value: f32) -> Self;

    /// Reads `LANES` floats.
    ///
    /// # Safety
    /// As [`splat`](Self::splat), and the floats may be read.
    unsafe fn load(from: *const f32) -> Self;

    /// Writes `LANES` floats.
    ///
    /// # Safety
    /// The floats may be written.
    unsafe fn store(self, to: *mut f32);

    /// `self + other`.
    fn plus(self, other: Self) -> Self;

    /// `self - other`.
    fn minus(self, other: Self) -> Self;

    /// `self × factor + addend`, rounded once where the processor can.
    fn times_plus(self, factor: Self, addend: Self) -> Self;

    /// `self × factor + addend`.
    #[inline(always)]
    fn scaled_plus(self, factor: f32, addend: Self) -> Self {
        // SAFETY: a value exists, so the processor has the instructions.
        self.times_plus(unsafe { Self::splat(factor) }, addend)
    }

    /// What is above 0, and 0 for the rest; NaN stays NaN.
    fn positive(self) -> Self;

    /// All lanes together.
    fn sum(self) -> f32;
}

/// Without instructions that need to be looked for: four lanes, which SSE2 and NEON hold in a register.
impl Vector for [f32; 4] {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller lets these floats be read.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller lets these floats be written.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + other[lane])
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] - other[lane])
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, addend: Self) -> Self {
        std::array::from_fn(|lane| self[lane] * factor[lane] + addend[lane])
    }

    #[inline(always)]
    fn positive(self) -> Self {
        self.map(|value| if value < 0.0 { 0.0 } else { value })
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        (self[0] + self[1]) + (self[2] + self[3])
    }
}

/// Implements [`Vector`] by intrinsics of one prefix.
#[cfg(target_arch = "x86_64")]
macro_rules! intrinsics {
    ($vector:ident, $lanes:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $fma:ident, $max:ident, $zero:ident) => {
        impl Vector for $vector {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: the caller vouches for the instructions.
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller vouches for the instructions and lets these floats be read.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: a value exists, so the processor has the instructions; the caller lets these floats be written.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                // SAFETY: a value exists, so the processor has the instructions.
                unsafe { $add(self, other) }
            }

            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                // SAFETY: as in `plus`.
                unsafe { $sub(self, other) }
            }

            #[inline(always)]
            fn times_plus(self, factor: Self, addend: Self) -> Self {
                // SAFETY: as in `plus`.
                unsafe { $fma(self, factor, addend) }
            }

            #[inline(always)]
            fn positive(self) -> Self {
                // The instruction gives its second operand where one of them is NaN.
                // SAFETY: as in `plus`.
                unsafe { $max($zero(), self) }
            }

            #[inline(always)]
            fn sum(self) -> f32 {
                let mut lanes = [0.0; $lanes];
                // SAFETY: there is room for all lanes.
                unsafe { self.store(lanes.as_mut_ptr()) };
                let mut half = $lanes / 2;
                while half > 0 {
                    for lane in 0..half {
                        lanes[lane] += lanes[lane + half];
                    }
                    half /= 2;
                }
                lanes[0]
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    intrinsics!(
        __m512,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_fmadd_ps,
        _mm512_max_ps,
        _mm512_setzero_ps
    );
    intrinsics!(
        __m256,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_fmadd_ps,
        _mm256_max_ps,
        _mm256_setzero_ps
    );
}
