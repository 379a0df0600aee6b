//! No network: the baseline, and what media tests run on.

use super::{Engine, EngineKind, Session, Watch, report};
use crate::{error::Result, geometry::Geometry, plane::Plane, resample::Resampler};

/// The engine; it has no state.
pub(super) struct Bicubic;

impl Engine for Bicubic {
    fn kind(&self) -> EngineKind {
        EngineKind::Bicubic
    }

    fn fingerprint(&self) -> String {
        // The resampler's bits do not depend on the machine.
        "bicubic/f32".to_owned()
    }

    fn open(&self, geometry: Geometry) -> Result<Box<dyn Session>> {
        Ok(Box::new(BicubicSession::new(geometry)?))
    }
}

/// One tap table for all planes.
pub(super) struct BicubicSession {
    geometry: Geometry,
    resampler: Resampler,
}

impl BicubicSession {
    /// Refuses what [`Geometry::new`] refuses.
    pub(super) fn new(geometry: Geometry) -> Result<Self> {
        let geometry = Geometry::new(geometry.source, geometry.target)?;
        Ok(Self {
            geometry,
            resampler: Resampler::new(geometry.source, geometry.target),
        })
    }

    /// Enlarges without telling anyone.
    pub(super) fn enlarge(&self, source: &Plane<f32>, target: &mut Plane<f32>) -> Result<()> {
        source.expect_size("source plane", self.geometry.source)?;
        target.expect_size("target plane", self.geometry.target)?;
        self.resampler.run(source.data(), target.data_mut(), f32::MAX)
    }
}

impl Session for BicubicSession {
    fn upscale(&mut self, source: &Plane<f32>, target: &mut Plane<f32>, watch: &dyn Watch) -> Result<()> {
        self.enlarge(source, target)?;
        report(watch, 1, 1)
    }
}
