//! The worker's engine: one for all lanes, in turns, guarded against its own panics, and measured.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clearfleet_common::Stop;
use clearfleet_common::job::{Lane, OwnerId};
use vdsr::{Engine, EngineKind, Geometry, Plane, Session, Watch};

use super::metrics::WorkerMetrics;
use super::turns::{Turn, Turns};

/// Builds the engine, when the worker starts and again after a panic.
pub type EngineBuilder = Arc<dyn Fn() -> vdsr::Result<Arc<dyn Engine>> + Send + Sync>;

/// How much engine time has a say in the measured rate: half of it.
const RATE_MEMORY_SECONDS: f64 = 30.0;

/// One engine that several threads use in turns.
pub(super) struct SharedEngine {
    build: EngineBuilder,
    kind: EngineKind,
    fingerprint: String,
    /// Nothing after a panic, until the next task builds another.
    current: Mutex<Option<Arc<dyn Engine>>>,
    turns: Turns,
    rate: Mutex<f64>,
    metrics: Arc<WorkerMetrics>,
}

impl SharedEngine {
    /// Builds the engine; `pixels_per_second` is taken for its rate until it is measured. What it makes is counted.
    pub(super) fn new(
        build: EngineBuilder,
        pixels_per_second: f64,
        metrics: Arc<WorkerMetrics>,
    ) -> vdsr::Result<Arc<Self>> {
        let engine = guarded(|| build())?;
        Ok(Arc::new(Self {
            build,
            kind: engine.kind(),
            fingerprint: engine.fingerprint(),
            current: Mutex::new(Some(engine)),
            turns: Turns::new(),
            rate: Mutex::new(pixels_per_second),
            metrics,
        }))
    }

    /// The engine as it is now, or a new one after a panic.
    pub(super) fn current(&self) -> vdsr::Result<Arc<dyn Engine>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*current {
            return Ok(Arc::clone(engine));
        }
        let engine = guarded(|| (self.build)())?;
        tracing::info!("the engine was built anew after a panic");
        *current = Some(Arc::clone(&engine));
        Ok(engine)
    }

    /// The engine as one task sees it.
    pub(super) fn for_task(self: &Arc<Self>, lane: Lane, owner: OwnerId, stop: Stop) -> TaskEngine {
        TaskEngine(Seat {
            shared: Arc::clone(self),
            lane,
            owner,
            stop,
        })
    }

    /// What must be equal, next to the weights, for equal bits.
    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Pixels of results that it makes in a second: a moving mean of what was measured.
    pub(super) fn pixels_per_second(&self) -> f64 {
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes threads that wait for a turn look whether they should go on.
    pub(super) fn wake(&self) {
        self.turns.wake();
    }

    fn measured(&self, pixels: usize, busy: Duration) {
        self.metrics.made(pixels, busy);
        let seconds = busy.as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let keep = 0.5f64.powf(seconds / RATE_MEMORY_SECONDS);
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        *rate = *rate * keep + pixels as f64 / seconds * (1.0 - keep);
    }

    fn broken(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Where a task sits at the engine.
#[derive(Clone)]
struct Seat {
    shared: Arc<SharedEngine>,
    lane: Lane,
    owner: OwnerId,
    stop: Stop,
}

/// The engine as one task sees it: each frame waits for its turn.
pub(super) struct TaskEngine(Seat);

impl Engine for TaskEngine {
    fn kind(&self) -> EngineKind {
        self.0.shared.kind
    }

    fn fingerprint(&self) -> String {
        self.0.shared.fingerprint.clone()
    }

    fn open(&self, geometry: Geometry) -> vdsr::Result<Box<dyn Session>> {
        let engine = self.0.shared.current()?;
        let session = guarded(|| engine.open(geometry)).inspect_err(|e| self.0.look_at(e))?;
        Ok(Box::new(TaskSession {
            seat: self.0.clone(),
            session,
            pixels: geometry.target.pixels(),
        }))
    }
}

impl Seat {
    /// Throws the engine away after a panic: what it left half-done cannot be known.
    fn look_at(&self, error: &vdsr::Error) {
        if let vdsr::Error::Panicked { message } = error {
            tracing::error!(message, "the engine panicked");
            self.shared.broken();
        }
    }
}

struct TaskSession {
    seat: Seat,
    session: Box<dyn Session>,
    pixels: usize,
}

impl Session for TaskSession {
    fn upscale(&mut self, source: &Plane<f32>, target: &mut Plane<f32>, watch: &dyn Watch) -> vdsr::Result<()> {
        let Self { seat, session, pixels } = self;
        let turn = seat.shared.turns.take(seat.lane, seat.owner, &seat.stop);
        let watching = Pausing {
            turn: Mutex::new(turn.ok_or(vdsr::Error::Stopped)?),
            paused: Mutex::new(Duration::ZERO),
            stop: &seat.stop,
            watch,
        };
        let since = Instant::now();
        guarded(|| session.upscale(source, target, &watching)).inspect_err(|e| seat.look_at(e))?;
        let paused = watching.paused.into_inner().unwrap_or_else(PoisonError::into_inner);
        seat.shared.measured(*pixels, since.elapsed().saturating_sub(paused));
        Ok(())
    }
}

/// Lets others go first between two tiles. Calls come from one thread; the locks are for the trait's sake.
struct Pausing<'a> {
    turn: Mutex<Turn<'a>>,
    paused: Mutex<Duration>,
    stop: &'a Stop,
    watch: &'a dyn Watch,
}

impl Watch for Pausing<'_> {
    fn tile_done(&self, done: usize, total: usize) -> ControlFlow<()> {
        self.watch.tile_done(done, total)?;
        if done >= total {
            return ControlFlow::Continue(());
        }
        let since = Instant::now();
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = turn.pause(self.stop);
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) += since.elapsed();
        if goes_on {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

/// Runs what belongs to an engine; a panic becomes an error.
fn guarded<T>(run: impl FnOnce() -> vdsr::Result<T>) -> vdsr::Result<T> {
    // What it may have left half-done is thrown away by whoever sees the error.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        Err(vdsr::Error::Panicked {
            message: panic_message(&*panic),
        })
    })
}

/// What a panic said.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}
