//! An engine that fails silently: what audits are tested with. Only builds with debug assertions have it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vdsr::{Engine, EngineKind, Geometry, Plane, Result, Session, Watch};

use crate::service::EngineBuilder;

/// The same engine, of which one sample of each plane is wrong. Its first session, which the worker tests it with, is not.
pub(super) fn wrong_pixel(plain: EngineBuilder) -> EngineBuilder {
    Arc::new(move || {
        Ok(Arc::new(Faulty {
            engine: plain()?,
            tested: AtomicBool::new(false),
        }))
    })
}

struct Faulty {
    engine: Arc<dyn Engine>,
    tested: AtomicBool,
}

impl Engine for Faulty {
    fn kind(&self) -> EngineKind {
        self.engine.kind()
    }

    fn fingerprint(&self) -> String {
        self.engine.fingerprint()
    }

    fn open(&self, geometry: Geometry) -> Result<Box<dyn Session>> {
        let session = self.engine.open(geometry)?;
        if !self.tested.swap(true, Ordering::Relaxed) {
            return Ok(session);
        }
        Ok(Box::new(FaultySession(session)))
    }
}

struct FaultySession(Box<dyn Session>);

impl Session for FaultySession {
    fn upscale(&mut self, source: &Plane<f32>, target: &mut Plane<f32>, watch: &dyn Watch) -> Result<()> {
        self.0.upscale(source, target, watch)?;
        let samples = target.data_mut();
        let middle = samples.len() / 2;
        if let Some(sample) = samples.get_mut(middle) {
            *sample = if *sample < 0.5 { 0.8 } else { 0.2 };
        }
        Ok(())
    }
}
