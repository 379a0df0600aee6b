//! The layers in bfloat16: what a layer hands on and the weights of body layers are rounded to it, sums are 32-bit floats.
//!
//! Body layers are direct convolution: nine products with shifted inputs. Nothing in a sum depends on where a pixel lies, so
//! strips do not show in the result. The first and the last layer take a thirtieth of the time, and keep their weights as they are.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(target_arch = "x86_64")]
pub(super) mod tiles;
mod weights;

pub(crate) use self::weights::Bf16Weights;
use super::{
    Column, EDGE, FirstWeights, Inside, Kernels, LastWeights, Luma, Path, Scratch, Window, kernels, pixel::Bf16Pixel,
};
use crate::weights::Layer;

/// The kernels for bfloat16.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bf16Kernels(Path);

/// The layers at either end, in registers of 32-bit floats.
macro_rules! compile {
    ($module:ident, $vector:ty, $vectors:literal $(, $features:literal)?) => {
        mod $module {
            use super::*;

            $(#[target_feature(enable = $features)])?
            pub(super) unsafe fn first(w: &FirstWeights, luma: Luma<'_>, inside: Inside, to: &mut [Column<Bf16Pixel>]) {
                // SAFETY: the caller vouches for the instructions.
                unsafe { kernels::first::<$vector, $vectors, Bf16Pixel>(w, luma, inside, to) }
            }

            $(#[target_feature(enable = $features)])?
            pub(super) unsafe fn last(w: &LastWeights, from: Window<'_, Bf16Pixel>, to: &mut [[f32; EDGE]]) {
                // SAFETY: the caller vouches for the instructions.
                unsafe { kernels::last::<$vector, Bf16Pixel>(w, from, to) }
            }
        }
    };
}

compile!(narrow, [f32; 4], 2);
#[cfg(target_arch = "x86_64")]
compile!(wide, std::arch::x86_64::__m512, 4, "avx512f");

impl Kernels for Bf16Kernels {
    const PRECISION: &'static str = "bf16";
    const ALGORITHM: &'static str = "direct";
    const PATHS: &'static [Path] = &[Path::Portable, Path::Avx512Bf16, Path::Amx];

    type Pixel = Bf16Pixel;
    type Body = Bf16Weights;

    const ZERO: Bf16Pixel = Bf16Pixel::ZERO;

    fn new(path: Path) -> Self {
        Self(path.or_portable::<Self>())
    }

    fn path(self) -> Path {
        self.0
    }

    fn prepare(layer: &Layer) -> Bf16Weights {
        Bf16Weights::new(layer)
    }

    fn first(self, weights: &FirstWeights, luma: Luma<'_>, inside: Inside, output: &mut [Column<Bf16Pixel>]) {
        // SAFETY: `new` is given none but paths that the processor has; those with bfloat16 have AVX-512.
        unsafe {
            match self.0 {
                #[cfg(target_arch = "x86_64")]
                Path::Avx512Bf16 | Path::Amx => wide::first(weights, luma, inside, output),
                _ => narrow::first(weights, luma, inside, output),
            }
        }
    }

    fn body(
        self,
        weights: &Bf16Weights,
        window: Window<'_, Bf16Pixel>,
        inside: Inside,
        output: &mut [Column<Bf16Pixel>],
        _scratch: &mut Scratch,
    ) {
        assert!(output.len().is_multiple_of(EDGE) && window.fits(output.len()));
        match self.0 {
            // SAFETY: `new` is given none but paths that the processor has.
            #[cfg(target_arch = "x86_64")]
            Path::Amx => unsafe { amx::body(weights, window, inside, output) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512Bf16 => unsafe { avx512::body(weights, window, inside, output) },
            _ => portable::body(weights, window, inside, output),
        }
    }

    fn last(self, weights: &LastWeights, window: Window<'_, Bf16Pixel>, output: &mut [[f32; EDGE]]) {
        assert!(window.fits(output.len()));
        // SAFETY: as in `first`.
        unsafe {
            match self.0 {
                #[cfg(target_arch = "x86_64")]
                Path::Avx512Bf16 | Path::Amx => wide::last(weights, window, output),
                _ => narrow::last(weights, window, output),
            }
        }
    }
}
