//! Lines of memory that are asked for before they are needed: what the caches cannot guess from the order of accesses.

/// Floats in a line.
const LINE: usize = 16;

/// Asks for floats that will be read soon. The address need not exist.
#[inline(always)]
pub(super) fn soon_read(from: *const f32, floats: usize) {
    for line in 0..floats.div_ceil(LINE) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: asking reads nothing, and every x86-64 has the instruction.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line * LINE).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (from, line);
    }
}

/// Asks for floats that will be written soon.
#[inline(always)]
pub(super) fn soon_written(to: *const f32, floats: usize) {
    for line in 0..floats.div_ceil(LINE) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as in `soon_read`; where the instruction is missing it does nothing.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_ET0>(to.wrapping_add(line * LINE).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (to, line);
    }
}
