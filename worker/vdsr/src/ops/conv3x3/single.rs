//! The layers in 32-bit floats, body layers by minimal filtering.

use super::{
    BodyWeights, Column, EDGE, FirstWeights, Inside, Kernels, LastWeights, Luma, Path, Pixel, Scratch, Window, kernels,
};
use crate::weights::Layer;

/// The kernels for 32-bit floats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct F32Kernels(Path);

/// Compiles the kernels for a type of register, as many of which as `$vectors` are summed up side by side.
macro_rules! compile {
    ($module:ident, $vector:ty, $vectors:literal $(, $features:literal)?) => {
        mod $module {
            use super::*;

            $(#[target_feature(enable = $features)])?
            pub(super) unsafe fn first(w: &FirstWeights, luma: Luma<'_>, inside: Inside, to: &mut [Column]) {
                // SAFETY: the caller vouches for the instructions.
                unsafe { kernels::first::<$vector, $vectors, Pixel>(w, luma, inside, to) }
            }

            $(#[target_feature(enable = $features)])?
            pub(super) unsafe fn body(
                w: &BodyWeights, from: Window<'_>, inside: Inside, to: &mut [Column], scratch: &mut Scratch,
            ) {
                // SAFETY: the caller vouches for the instructions.
                unsafe { kernels::body::<$vector, $vectors>(w, from, inside, to, scratch) }
            }

            $(#[target_feature(enable = $features)])?
            pub(super) unsafe fn last(w: &LastWeights, from: Window<'_>, to: &mut [[f32; EDGE]]) {
                // SAFETY: the caller vouches for the instructions.
                unsafe { kernels::last::<$vector, Pixel>(w, from, to) }
            }
        }
    };
}

compile!(portable, [f32; 4], 2);
#[cfg(target_arch = "x86_64")]
compile!(avx2, std::arch::x86_64::__m256, 2, "avx2,fma");
#[cfg(target_arch = "x86_64")]
compile!(avx512, std::arch::x86_64::__m512, 4, "avx512f");

/// Calls a kernel as compiled for a path.
macro_rules! call {
    ($path:expr, $kernel:ident($($argument:expr),*)) => {
        // SAFETY: `F32Kernels::new` is given none but paths that the processor has.
        unsafe {
            match $path {
                #[cfg(target_arch = "x86_64")]
                Path::Avx512 => avx512::$kernel($($argument),*),
                #[cfg(target_arch = "x86_64")]
                Path::Avx2 => avx2::$kernel($($argument),*),
                _ => portable::$kernel($($argument),*),
            }
        }
    };
}

impl Kernels for F32Kernels {
    const PRECISION: &'static str = "f32";
    const ALGORITHM: &'static str = "winograd4";
    const PATHS: &'static [Path] = &[Path::Portable, Path::Avx2, Path::Avx512];

    type Pixel = Pixel;
    type Body = BodyWeights;

    const ZERO: Pixel = Pixel::ZERO;

    fn new(path: Path) -> Self {
        Self(path.or_portable::<Self>())
    }

    fn path(self) -> Path {
        self.0
    }

    fn prepare(layer: &Layer) -> BodyWeights {
        BodyWeights::new(layer)
    }

    fn first(self, weights: &FirstWeights, luma: Luma<'_>, inside: Inside, output: &mut [Column]) {
        call!(self.0, first(weights, luma, inside, output));
    }

    fn body(
        self,
        weights: &BodyWeights,
        window: Window<'_>,
        inside: Inside,
        output: &mut [Column],
        scratch: &mut Scratch,
    ) {
        assert!(output.len().is_multiple_of(EDGE) && window.fits(output.len()));
        call!(self.0, body(weights, window, inside, output, scratch));
    }

    fn last(self, weights: &LastWeights, window: Window<'_>, output: &mut [[f32; EDGE]]) {
        call!(self.0, last(weights, window, output));
    }
}
