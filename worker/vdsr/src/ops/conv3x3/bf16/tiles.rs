//! The tile registers of AMX, by inline assembly: stable Rust has no intrinsics for them.
//!
//! There are eight, of up to 16 rows of 64 bytes. Their shapes are part of a thread's state. The compiler does not use them,
//! so they keep what they hold from one function to the next.

use std::{
    arch::{asm, x86_64::__cpuid_count},
    marker::PhantomData,
    sync::LazyLock,
};

/// Rows of a register.
pub(super) const ROWS: usize = 16;

/// Bytes of a register's row.
pub(super) const ROW_BYTES: usize = 64;

/// Registers whose rows are counted by [`Tiles::shape`]: those for sums and inputs. The rest, for weights, is whole.
const SHAPED: usize = 5;

/// Whether the processor has tiles and products of bfloat16, and the system lets this process use them.
pub(crate) fn is_available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(|| has_instructions() && ask());
    *AVAILABLE
}

fn has_instructions() -> bool {
    const BF16: u32 = 1 << 22;
    const TILES: u32 = 1 << 24;
    is_x86_feature_detected!("avx512f") && __cpuid_count(7, 0).edx & (BF16 | TILES) == BF16 | TILES
}

/// Linux saves the registers' 8 KiB only for processes that have asked for it.
#[cfg(target_os = "linux")]
fn ask() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes numbers, and grants or refuses.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn ask() -> bool {
    false
}

/// This thread's registers, shaped; released at the end, so that nobody saves and restores them for nothing.
pub(super) struct Tiles {
    rows: usize,
    /// They belong to a thread.
    _thread: PhantomData<*const ()>,
}

impl Tiles {
    /// All registers with 16 rows.
    ///
    /// # Safety
    /// [`is_available`], and there are no other `Tiles` on this thread.
    pub(super) unsafe fn new() -> Self {
        let mut tiles = Self {
            rows: 0,
            _thread: PhantomData,
        };
        tiles.shape(ROWS);
        tiles
    }

    /// Gives registers 0 to 4 this many rows, 1 to 16. Unless they have them already, all registers lose what they hold.
    pub(super) fn shape(&mut self, rows: usize) {
        #[repr(align(64))]
        struct Shapes([u8; 64]);
        assert!((1..=ROWS).contains(&rows));
        if self.rows == rows {
            return;
        }
        // Palette 1; from byte 16 on each register's bytes a row, from byte 48 on its rows.
        let mut shapes = Shapes([0; 64]);
        shapes.0[0] = 1;
        for register in 0..8 {
            shapes.0[16 + 2 * register] = ROW_BYTES as u8;
            shapes.0[48 + register] = if register < SHAPED { rows as u8 } else { ROWS as u8 };
        }
        // SAFETY: the processor has the instruction, since there are `Tiles`; the shapes are valid.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, preserves_flags, readonly)) };
        self.rows = rows;
    }

    /// Sets a register to zero.
    #[inline(always)]
    pub(super) fn zero<const REGISTER: u8>(&self) {
        // SAFETY: the registers are shaped.
        unsafe { asm!("tilezero tmm{}", const REGISTER, options(nostack, preserves_flags, nomem)) };
    }

    /// Reads a register's rows, `stride` bytes from one to the next.
    ///
    /// # Safety
    /// So many rows may be read.
    #[inline(always)]
    pub(super) unsafe fn load<const REGISTER: u8>(&self, from: *const u8, stride: usize) {
        // SAFETY: the registers are shaped, and the caller lets these bytes be read.
        unsafe {
            asm!("tileloadd tmm{}, [{} + {}]", const REGISTER, in(reg) from, in(reg) stride,
                options(nostack, preserves_flags, readonly));
        }
    }

    /// Writes a register's rows, one behind the other.
    ///
    /// # Safety
    /// So many rows may be written.
    #[inline(always)]
    pub(super) unsafe fn store<const REGISTER: u8>(&self, to: *mut u8) {
        // SAFETY: the registers are shaped, and the caller lets these bytes be written.
        unsafe {
            asm!("tilestored [{} + {}], tmm{}", in(reg) to, in(reg) ROW_BYTES, const REGISTER,
                options(nostack, preserves_flags));
        }
    }

    /// Adds to `SUMS` the product of `INPUTS` (rows × 32 numbers) and `WEIGHTS` (32 × 16, pairs of its rows interleaved).
    #[inline(always)]
    pub(super) fn multiply<const SUMS: u8, const INPUTS: u8, const WEIGHTS: u8>(&self) {
        // SAFETY: the registers are shaped.
        unsafe {
            asm!("tdpbf16ps tmm{}, tmm{}, tmm{}", const SUMS, const INPUTS, const WEIGHTS,
                options(nostack, preserves_flags, nomem));
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the processor has the instruction, since there are `Tiles`.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
    }
}
