//! Sleeps in place of computing, so that scheduling can be measured on machines without GPUs.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Engine, EngineKind, Session, Watch, bicubic::BicubicSession, report};
use crate::{error::Result, geometry::Geometry, plane::Plane};

/// The shortest and the longest sleep between two looks at the watch, each of which is reported as a tile: a long wait has
/// longer ones, since every one costs the machine that is measured.
const NAPS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(50));

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
        let nap = (self.wait / 20).clamp(NAPS.0, NAPS.1);
        let naps = self.wait.as_nanos().div_ceil(nap.as_nanos()).max(1);
        let naps = u32::try_from(naps).unwrap_or(u32::MAX);
        let mut worked = since.elapsed();
        for done in 1..=naps {
            // What one nap oversleeps, the next makes up for.
            let due = nap.saturating_mul(done).min(self.wait);
            let since = Instant::now();
            thread::sleep(due.saturating_sub(worked));
            worked += since.elapsed();
            report(watch, done as usize, naps as usize)?;
        }
        Ok(())
    }
}
