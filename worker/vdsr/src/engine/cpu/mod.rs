//! The network by kernels of this crate on all cores: the engine where there is no GPU.

mod bands;
mod layers;
mod strips;
#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc};

use self::{bands::Bands, layers::Layers, strips::Strips};
use super::{Engine, EngineKind, Precision, Session, Watch, bicubic::BicubicSession, report};
use crate::{
    error::{Error, Result},
    geometry::Geometry,
    ops::conv3x3::{Bf16Kernels, EDGE, F32Kernels, Kernels, Path},
    plane::{Plane, expect_finite},
    weights::Weights,
};

/// Columns of a strip: wider planes are made in several, so that memory does not grow with their width. The network
/// takes 76 KiB a column, half of it in bfloat16.
const DEFAULT_STRIP: u32 = 2048;

/// The narrowest strip, as for tiles.
const LEAST_STRIP: u32 = 8;

/// The engine in a precision. Refuses networks without 64 channels, strips below 8 pixels, and a path that this processor
/// lacks.
pub(super) fn build(weights: &Weights, precision: Precision, strip: Option<u32>) -> Result<Arc<dyn Engine>> {
    Ok(match precision {
        Precision::F32 => Arc::new(Cpu::<F32Kernels>::new(weights, strip)?),
        Precision::Bf16 => Arc::new(Cpu::<Bf16Kernels>::new(weights, strip)?),
    })
}

/// The engine: weights and kernels, which all sessions share.
struct Cpu<K: Kernels> {
    layers: Arc<Layers<K>>,
    strip: u32,
}

impl<K: Kernels> Cpu<K> {
    fn new(weights: &Weights, strip: Option<u32>) -> Result<Self> {
        Self::with_path(weights, strip, Path::choose::<K>()?)
    }

    fn with_path(weights: &Weights, strip: Option<u32>, path: Path) -> Result<Self> {
        let strip = strip.unwrap_or(DEFAULT_STRIP);
        if strip < LEAST_STRIP {
            return Err(Error::BadTile {
                least: LEAST_STRIP,
                found: strip,
            });
        }
        let layers = Arc::new(Layers::new(weights, K::new(path))?);
        Ok(Self { layers, strip })
    }
}

impl<K: Kernels> Engine for Cpu<K> {
    fn kind(&self) -> EngineKind {
        EngineKind::Cpu
    }

    fn fingerprint(&self) -> String {
        let (precision, path, algorithm) = (K::PRECISION, self.layers.kernels.path(), K::ALGORITHM);
        format!("cpu/{precision}/{path}/{algorithm}/strip{}", self.strip)
    }

    fn open(&self, geometry: Geometry) -> Result<Box<dyn Session>> {
        let bicubic = BicubicSession::new(geometry)?;
        let strips = Strips::new(geometry.target.columns(), self.strip as usize, self.layers.depth());
        Ok(Box::new(CpuSession {
            bicubic,
            enlarged: Plane::new(geometry.target, 0.0),
            bands: Bands::new(self.layers.depth(), strips.widest(), geometry.target.rows()),
            layers: Arc::clone(&self.layers),
            strips,
        }))
    }
}

struct CpuSession<K: Kernels> {
    bicubic: BicubicSession,
    /// The network's input.
    enlarged: Plane<f32>,
    strips: Strips,
    layers: Arc<Layers<K>>,
    bands: Bands<K>,
}

impl<K: Kernels> Session for CpuSession<K> {
    fn upscale(&mut self, source: &Plane<f32>, target: &mut Plane<f32>, watch: &dyn Watch) -> Result<()> {
        target.expect_size("target plane", self.enlarged.size())?;
        self.bicubic.enlarge(source, &mut self.enlarged)?;
        // Before the network: a tile would spread what is not a number over its neighbours.
        expect_finite(self.enlarged.data())?;
        let (steps, strips) = (self.bands.steps(), self.strips.count());
        for (index, strip) in self.strips.iter().enumerate() {
            self.bands.load(&self.enlarged, &strip.input);
            for step in 0..steps {
                if let Some((row, residual)) = self.bands.step(&self.layers, step) {
                    let residual = &residual[strip.core.start - strip.input.start..];
                    add_residual(&self.enlarged, residual, &strip.core, row, target);
                }
                report(watch, index * steps + step + 1, strips * steps)?;
            }
        }
        expect_finite(target.data())
    }
}

/// Writes the rows of a band from `row` on, columns of `core`: input + residual.
fn add_residual(
    enlarged: &Plane<f32>,
    residual: &[[f32; EDGE]],
    core: &Range<usize>,
    row: usize,
    target: &mut Plane<f32>,
) {
    for y in row..(row + EDGE).min(enlarged.size().rows()) {
        let input = &enlarged.row(y)[core.clone()];
        let output = &mut target.row_mut(y)[core.clone()];
        for ((to, from), column) in output.iter_mut().zip(input).zip(residual) {
            *to = from + column[y - row];
        }
    }
}
