//! What networks are computed in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Arithmetic of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit float.
    #[default]
    F32,
    /// Weights and what goes from layer to layer in bfloat16, sums in 32-bit float: fast where the processor multiplies it,
    /// and slow elsewhere.
    Bf16,
}

impl Precision {
    /// Its name as written in configuration and fingerprints.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
