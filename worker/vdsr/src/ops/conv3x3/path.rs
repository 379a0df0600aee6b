//! Which instructions kernels are compiled for, and which of them this processor has.

use std::{env, fmt};

use super::Kernels;
#[cfg(target_arch = "x86_64")]
use super::bf16::tiles;
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
    /// AVX-512's products of bfloat16.
    Avx512Bf16,
    /// AMX's tiles of bfloat16, where the system hands them out.
    Amx,
}

impl Path {
    /// Those of the kernels that this processor has, slowest first.
    pub(crate) fn available<K: Kernels>() -> impl Iterator<Item = Self> {
        K::PATHS.iter().copied().filter(|path| path.is_available())
    }

    /// The path, if the kernels have it on this processor, or else what every processor has.
    pub(super) fn or_portable<K: Kernels>(self) -> Self {
        Self::available::<K>()
            .find(|path| *path == self)
            .unwrap_or(Self::Portable)
    }

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            Self::Avx512Bf16 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16"),
            Self::Amx => Self::Avx512Bf16.is_available() && tiles::is_available(),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_available(self) -> bool {
        self == Self::Portable
    }

    /// What `VDSR_CPU_PATH` says, or the fastest.
    ///
    /// # Errors
    /// [`Error::CpuPath`] when the kernels have no path of that name on this processor.
    pub(crate) fn choose<K: Kernels>() -> Result<Self> {
        match env::var(VARIABLE) {
            Ok(name) => Self::named::<K>(&name),
            Err(_) => Ok(Self::available::<K>().last().unwrap_or(Self::Portable)),
        }
    }

    /// The path of this name, if the kernels have it on this processor.
    ///
    /// # Errors
    /// [`Error::CpuPath`].
    pub(crate) fn named<K: Kernels>(name: &str) -> Result<Self> {
        Self::available::<K>()
            .find(|path| path.to_string() == name)
            .ok_or_else(|| Error::CpuPath {
                found: name.to_owned(),
                precision: K::PRECISION,
                available: Self::available::<K>().map(|path| path.to_string()).collect(),
            })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512_bf16",
            Self::Amx => "amx",
        })
    }
}
