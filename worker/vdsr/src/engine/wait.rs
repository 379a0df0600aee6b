//! Sleeps in place of computing, so that scheduling can be measured on machines without GPUs.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Engine, EngineKind, Session, Watch, bicubic::BicubicSession, report};
use crate::{error::Result, geometry::Geometry, plane::Plane};

/// The longest sleep between two looks at the watch: each is reported as a tile.
const NAP: Duration = Duration::from_millis(20);

/// The engine: how long a plane takes, bicubic enlargement included.
pub(super) struct Wait {
    wait: Duration,
}

impl Wait {
    pub(super) fn new(wait: Duration) -> Self {
        Self { wait }
    }
}

impl Engine for Wait {
    fn kind(&self) -> EngineKind {
        EngineKind::Wait
    }

    fn fingerprint(&self) -> String {
        "wait/f32".to_owned()
    }

    fn open(&self, geometry: Geometry) -> Result<Box<dyn Session>> {
        Ok(Box::new(WaitSession {
            wait: self.wait,
            bicubic: BicubicSession::new(geometry)?,
        }))
    }
}

struct WaitSession {
    wait: Duration,
    bicubic: BicubicSession,
}

impl Session for WaitSession {
    fn upscale(&mut self, source: &Plane<f32>, target: &mut Plane<f32>, watch: &dyn Watch) -> Result<()> {
        let since = Instant::now();
        self.bicubic.enlarge(source, target)?;
        let mut left = self.wait.saturating_sub(since.elapsed());
        let naps = left.as_nanos().div_ceil(NAP.as_nanos()).max(1);
        let naps = usize::try_from(naps).unwrap_or(usize::MAX);
        for nap in 1..=naps {
            thread::sleep(left.min(NAP));
            left = left.saturating_sub(NAP);
            report(watch, nap, naps)?;
        }
        Ok(())
    }
}
