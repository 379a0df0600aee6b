//! Which instructions the kernels are compiled for, and which of them this processor has.

use std::{env, fmt};

use super::{BodyWeights, Column, EDGE, FirstWeights, Inside, LastWeights, Luma, SPAN, Scratch, Window, kernels};
use crate::error::{Error, Result};

/// Names a path, for tests and measurements: the fastest is taken without it.
const VARIABLE: &str = "VDSR_CPU_PATH";

/// A set of instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// What every processor of the architecture has.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

impl Path {
    /// The paths of this processor, slowest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        [Self::Portable, Self::Avx2, Self::Avx512]
            .into_iter()
            .filter(|path| path.is_available())
    }

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_available(self) -> bool {
        self == Self::Portable
    }

    /// What `VDSR_CPU_PATH` says, or the fastest.
    ///
    /// # Errors
    /// [`Error::CpuPath`] when this processor has no path of that name.
    pub(crate) fn choose() -> Result<Self> {
        match env::var(VARIABLE) {
            Ok(name) => Self::named(&name),
            Err(_) => Ok(Self::available().last().unwrap_or(Self::Portable)),
        }
    }

    /// The path of this name, if the processor has it.
    ///
    /// # Errors
    /// [`Error::CpuPath`].
    pub(crate) fn named(name: &str) -> Result<Self> {
        Self::available()
            .find(|path| path.to_string() == name)
            .ok_or_else(|| Error::CpuPath {
                found: name.to_owned(),
                available: Self::available().map(|path| path.to_string()).collect(),
            })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

/// The kernels, compiled for a path that this processor has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernels(Path);

/// Compiles the kernels for a type of register, as many of which as `$vectors` are summed up side by side.
macro_rules! compile {
    ($module:ident, $vector:ty, $vectors:literal $(, $features:literal)?) => {
        mod $module {
            use super::*;

            $(#[target_feature(enable = $features)])?
            pub(super) unsafe fn first(w: &FirstWeights, luma: Luma<'_>, inside: Inside, to: &mut [Column]) {
                // SAFETY: the caller vouches for the instructions.
                unsafe { kernels::first::<$vector, $vectors>(w, luma, inside, to) }
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
                unsafe { kernels::last::<$vector>(w, from, to) }
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
        // SAFETY: `Kernels::new` is given none but paths that the processor has.
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

impl Kernels {
    /// For `path`, or for what every processor has where this one lacks it.
    pub(crate) fn new(path: Path) -> Self {
        Self(if path.is_available() { path } else { Path::Portable })
    }

    /// The path.
    pub(crate) fn path(self) -> Path {
        self.0
    }

    /// Luma to 64 channels, with bias and ReLU: as many columns as `output` has.
    pub(crate) fn first(self, weights: &FirstWeights, luma: Luma<'_>, inside: Inside, output: &mut [Column]) {
        call!(self.0, first(weights, luma, inside, output));
    }

    /// 64 to 64 channels, with bias and ReLU. `output` is some tiles wide, and the window two columns wider.
    pub(crate) fn body(
        self,
        weights: &BodyWeights,
        window: Window<'_>,
        inside: Inside,
        output: &mut [Column],
        scratch: &mut Scratch,
    ) {
        assert!(output.len().is_multiple_of(EDGE) && window.middle.len() + EDGE == output.len() + SPAN);
        call!(self.0, body(weights, window, inside, output, scratch));
    }

    /// 64 channels to the residual of luma. The window is two columns wider than `output`.
    pub(crate) fn last(self, weights: &LastWeights, window: Window<'_>, output: &mut [[f32; EDGE]]) {
        call!(self.0, last(weights, window, output));
    }
}
