//! Engines that do as they are told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use clearfleet_worker::service::EngineBuilder;
use vdsr::{Engine, EngineKind, EngineOptions, Geometry, Plane, Session, Size, Watch, Weights};

use crate::world::PATIENCE;

pub(crate) fn bicubic() -> EngineBuilder {
    engine(EngineKind::Bicubic)
}

fn engine(kind: EngineKind) -> EngineBuilder {
    Arc::new(move || {
        let options = EngineOptions {
            kind,
            ..EngineOptions::default()
        };
        vdsr::build_engine(&options, &Weights::embedded()?)
    })
}

/// What an engine is asked to do, in order; and how far it may go.
#[derive(Default)]
pub(crate) struct Script {
    state: Mutex<Written>,
    changed: Condvar,
    builds: AtomicUsize,
}

#[derive(Default)]
struct Written {
    log: Vec<Asked>,
    permits: Option<usize>,
    panics_at: Option<usize>,
}

/// What an engine was asked, with the size of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Open(Size),
    Frame(Size),
}

impl Script {
    /// An engine that stops before each frame until it is let on.
    pub(crate) fn gated() -> Arc<Self> {
        let script = Self::default();
        script.state.lock().unwrap().permits = Some(0);
        Arc::new(script)
    }

    /// An engine that panics at this frame, counted from 1.
    pub(crate) fn panicking_at(frame: usize) -> Arc<Self> {
        let script = Self::default();
        script.state.lock().unwrap().panics_at = Some(frame);
        Arc::new(script)
    }

    /// Lets it make this many frames more.
    pub(crate) fn let_on(&self, frames: usize) {
        let mut state = self.state.lock().unwrap();
        state.permits = state.permits.map(|permits| permits + frames);
        self.changed.notify_all();
    }

    /// Never stops it again.
    pub(crate) fn open(&self) {
        self.state.lock().unwrap().permits = None;
        self.changed.notify_all();
    }

    pub(crate) fn log(&self) -> Vec<Asked> {
        self.state.lock().unwrap().log.clone()
    }

    pub(crate) fn frames(&self) -> usize {
        self.log()
            .iter()
            .filter(|asked| matches!(asked, Asked::Frame(_)))
            .count()
    }

    pub(crate) fn builds(&self) -> usize {
        self.builds.load(Ordering::Relaxed)
    }

    /// Waits until what it was asked fits.
    pub(crate) async fn until(self: &Arc<Self>, fits: impl Fn(&[Asked]) -> bool) {
        let reached = async {
            while !fits(&self.log()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, reached).await;
        found.unwrap_or_else(|_| panic!("the engine was asked {:?}", self.log()));
    }

    pub(crate) fn builder(self: &Arc<Self>) -> EngineBuilder {
        let script = Arc::clone(self);
        let plain = bicubic();
        Arc::new(move || {
            script.builds.fetch_add(1, Ordering::Relaxed);
            Ok(Arc::new(Scripted {
                script: Arc::clone(&script),
                engine: plain()?,
            }))
        })
    }

    fn ask(&self, asked: Asked) {
        self.state.lock().unwrap().log.push(asked);
    }

    /// Waits for a permit; false if the work was stopped.
    fn pass(&self, watch: &dyn Watch) -> bool {
        let mut state = self.state.lock().unwrap();
        let frames = state
            .log
            .iter()
            .filter(|asked| matches!(asked, Asked::Frame(_)))
            .count();
        if state.panics_at == Some(frames) {
            drop(state);
            panic!("as the script says");
        }
        loop {
            match &mut state.permits {
                None => return true,
                Some(0) => {}
                Some(permits) => {
                    *permits -= 1;
                    return true;
                }
            }
            drop(state);
            // As between two tiles.
            if watch.tile_done(1, 2).is_break() {
                return false;
            }
            let waited = self
                .changed
                .wait_timeout(self.state.lock().unwrap(), Duration::from_millis(5));
            state = waited.unwrap().0;
        }
    }
}

struct Scripted {
    script: Arc<Script>,
    engine: Arc<dyn Engine>,
}

struct ScriptedSession {
    script: Arc<Script>,
    session: Box<dyn Session>,
    size: Size,
}

/// The picture of the worker's self-test is none of a script's business.
const SELF_TEST: Size = Size { width: 48, height: 32 };

impl Engine for Scripted {
    fn kind(&self) -> EngineKind {
        self.engine.kind()
    }

    fn fingerprint(&self) -> String {
        self.engine.fingerprint()
    }

    fn open(&self, geometry: Geometry) -> vdsr::Result<Box<dyn Session>> {
        let session = self.engine.open(geometry)?;
        if geometry.source == SELF_TEST {
            return Ok(session);
        }
        self.script.ask(Asked::Open(geometry.source));
        Ok(Box::new(ScriptedSession {
            script: Arc::clone(&self.script),
            session,
            size: geometry.source,
        }))
    }
}

impl Session for ScriptedSession {
    fn upscale(&mut self, source: &Plane<f32>, target: &mut Plane<f32>, watch: &dyn Watch) -> vdsr::Result<()> {
        self.script.ask(Asked::Frame(self.size));
        if !self.script.pass(watch) {
            return Err(vdsr::Error::Stopped);
        }
        self.session.upscale(source, target, watch)
    }
}
