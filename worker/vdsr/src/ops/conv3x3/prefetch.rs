//! Lines of memory that are asked for before they are needed: what the caches cannot guess from the order of accesses.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

/// Bytes in a line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Defines how to ask. The address need not exist.
macro_rules! ask {
    ($(#[$doc:meta])* $name:ident, $hint:ident) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name<T>(values: *const T, count: usize) {
            #[cfg(target_arch = "x86_64")]
            for line in 0..(count * size_of::<T>()).div_ceil(LINE) {
                // SAFETY: asking touches nothing; where the instruction is missing it does nothing.
                unsafe { _mm_prefetch::<$hint>(values.cast::<i8>().wrapping_add(line * LINE)) };
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = (values, count);
        }
    };
}

ask!(
    /// Asks for values that will be read soon.
    soon_read,
    _MM_HINT_T0
);
ask!(
    /// Asks for values that will be read or written after many others, which they shall not push out of the first-level cache.
    needed_later,
    _MM_HINT_T1
);
ask!(
    /// Asks for values that will be written soon.
    soon_written,
    _MM_HINT_ET0
);
