//! What enlarges luma: engines behind one trait.

mod bicubic;
mod cpu;
mod precision;
mod reference;
#[cfg(test)]
mod tests;
mod wait;

use std::{fmt, ops::ControlFlow, str::FromStr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::precision::Precision;
use crate::{
    error::{Error, Result},
    geometry::Geometry,
    plane::Plane,
    weights::Weights,
};

/// Makes sessions. One engine serves many at a time.
pub trait Engine: Send + Sync {
    /// Which engine this is.
    fn kind(&self) -> EngineKind;

    /// What must be equal, next to the weights, for equal bits: engine, precision, kernel path, tile grid.
    fn fingerprint(&self) -> String;

    /// Opens a session for planes of one size.
    ///
    /// # Errors
    /// [`Error::EmptySize`] or [`Error::FactorOutOfRange`] for sizes that [`Geometry::new`] would refuse.
    fn open(&self, geometry: Geometry) -> Result<Box<dyn Session>>;
}

/// Enlarges the planes of one size, one after the other. It may keep what the next plane can use; the result never
/// depends on the planes before.
pub trait Session: Send {
    /// Enlarges one plane of luma in the network's domain: Y of BT.601 in studio range, divided by 255 (16/255 to
    /// 235/255), and slightly beyond for what codecs overshoot.
    ///
    /// After an error the target's content has no meaning, and the session can be used on.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when a plane is not of the session's geometry, [`Error::NotFinite`] when the network's
    /// output is not a number, [`Error::Stopped`] when `watch` says so, [`Error::Network`].
    fn upscale(&mut self, source: &Plane<f32>, target: &mut Plane<f32>, watch: &dyn Watch) -> Result<()>;
}

/// Told after each tile, on the thread that called [`Session::upscale`].
pub trait Watch: Sync {
    /// `done` of `total` tiles of this plane are made. Break ends the work with [`Error::Stopped`].
    fn tile_done(&self, done: usize, total: usize) -> ControlFlow<()>;
}

/// Never stops.
impl Watch for () {
    fn tile_done(&self, _done: usize, _total: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Reports tiles to a watch, as an error when it says to stop.
fn report(watch: &dyn Watch, done: usize, total: usize) -> Result<()> {
    if watch.tile_done(done, total).is_break() {
        Err(Error::Stopped)
    } else {
        Ok(())
    }
}

/// The engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The network as a plain candle graph on the CPU: slow, and what every other engine is compared with.
    #[default]
    Reference,
    /// The network by this crate's own kernels on all cores of the processor.
    Cpu,
    /// No network: bicubic enlargement.
    Bicubic,
    /// Bicubic that takes a stated time for each plane, most of it asleep: what scheduling is measured with.
    Wait,
}

impl EngineKind {
    /// Its name as written in configuration and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Cpu => "cpu",
            Self::Bicubic => "bicubic",
            Self::Wait => "wait",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Reference, Self::Cpu, Self::Bicubic, Self::Wait]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| Error::UnknownEngine { found: text.to_owned() })
    }
}

/// Which engine to build, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Which engine.
    pub kind: EngineKind,
    /// Arithmetic of the engine `cpu`; `reference` has [`Precision::F32`] alone. Part of the fingerprint.
    pub precision: Precision,
    /// Core edge of a tile in target pixels, for `cpu` the width of a strip, at least 8; the engine's own choice when absent.
    /// Part of the fingerprint.
    pub tile: Option<u32>,
    /// How long `wait` takes for each plane.
    pub wait: Duration,
}

impl Default for EngineOptions {
    /// The reference engine in 32-bit float with its own tiles; `wait` would sleep 20 ms.
    fn default() -> Self {
        Self {
            kind: EngineKind::default(),
            precision: Precision::default(),
            tile: None,
            wait: Duration::from_millis(20),
        }
    }
}

/// Builds an engine. Those without a network take no notice of the weights.
///
/// # Errors
/// [`Error::BadTile`] for tiles below 8 pixels, [`Error::Network`] when the weights cannot be put in place; of `reference`
/// [`Error::Precision`] for another than 32-bit float; of `cpu` [`Error::NetworkShape`] and [`Error::CpuPath`].
pub fn build_engine(options: &EngineOptions, weights: &Weights) -> Result<Arc<dyn Engine>> {
    if options.kind == EngineKind::Reference && options.precision != Precision::F32 {
        return Err(Error::Precision {
            engine: options.kind,
            found: options.precision,
        });
    }
    Ok(match options.kind {
        EngineKind::Reference => Arc::new(reference::Reference::new(weights, options.tile)?),
        EngineKind::Cpu => cpu::build(weights, options.precision, options.tile)?,
        EngineKind::Bicubic => Arc::new(bicubic::Bicubic),
        EngineKind::Wait => Arc::new(wait::Wait::new(options.wait)),
    })
}
