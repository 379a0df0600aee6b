use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use clearfleet_common::ErrorCode;
use clearfleet_common::config::Deadlines;
use clearfleet_common::job::{Denoise, FORMAT_VERSION, Filters, LedgerSlice, Marker, Plan, Timings};
use clearfleet_common::storage::ObjectKey;
use uuid::Uuid;
use vdsr::{Engine, FrameFormat, FrameUpscaler, Size};

use super::progress::Watching;
use super::store::Created;
use super::{Frames, JobContext, Progress, Stage};
use crate::media::codec::{Decode, DecodeOrder, EncodeOrder};
use crate::media::decode::{Buffers, SeekMemory};
use crate::media::frame_format;
use crate::{Error, Result};

/// The detail of an error that names the batch.
pub(crate) const BATCH_DETAIL: &str = "batch";

/// Frames that wait between two stages take at most this many bytes, but there are two at least.
const WAITING_BYTES: usize = 64 << 20;

/// Upscales the batches that `batches` gives, in its order, and creates their markers.
///
/// Stages overlap: while the engine works on a frame, later ones are decoded and earlier ones encoded, and the next
/// batch is asked for as soon as the last frame of this one is decoded, so that the engine does not idle at joints.
/// Where `batches` has none then, it is asked again before each frame that is left, and after the last: a batch that
/// comes late still follows without a joint. A batch whose marker is there already is done and is not done again.
///
/// # Errors
/// `FramesMismatch` if a batch does not decode as its ledger says: planning anew with `exact` may help. `EngineFailed`,
/// `DecodeFailed`, `EncodeFailed`, `DiskFull`, `DeadlineExceeded`, `Stopped`. Finished batches keep their markers. The
/// detail `batch` says which batch failed, where it is one's fault; those after it were not finished.
pub fn upscale(
    job: &JobContext,
    plan: &Arc<Plan>,
    engine: &dyn Engine,
    batches: &mut dyn Iterator<Item = u64>,
    progress: &Arc<dyn Progress>,
) -> Result<()> {
    let mut line = Line::open(job, plan, engine, progress)?;
    let mut upcoming = line.start_next(batches)?;
    let mut settling: Option<Settling> = None;
    while let Some(batch) = upcoming.take() {
        let (settled, next) = line.run(batch, batches)?;
        upcoming = next;
        if let Some(previous) = settling.replace(settled) {
            previous.wait()?;
        }
    }
    settling.map_or(Ok(()), Settling::wait)
}

/// The production line of one plan: what stays from batch to batch.
struct Line<'a> {
    job: &'a JobContext,
    plan: &'a Arc<Plan>,
    progress: &'a Arc<dyn Progress>,
    upscaler: FrameUpscaler,
    source_format: FrameFormat,
    source_bytes: usize,
    target_bytes: usize,
    seeks: Arc<SeekMemory>,
    sources: Buffers,
    targets: Buffers,
}

/// A batch that is being decoded.
struct Started {
    batch: u64,
    slice: LedgerSlice,
    decoding: Box<dyn Decode>,
    since: Instant,
    deadline: Instant,
}

impl<'a> Line<'a> {
    fn open(
        job: &'a JobContext,
        plan: &'a Arc<Plan>,
        engine: &dyn Engine,
        progress: &'a Arc<dyn Progress>,
    ) -> Result<Self> {
        let source = frame_format(&plan.video)?;
        let (width, height) = plan.video.target_size;
        let upscaler = FrameUpscaler::open(engine, source, Size { width, height }).map_err(engine_failed)?;
        let target_bytes = upscaler.target_format().bytes();
        Ok(Self {
            job,
            plan,
            progress,
            upscaler,
            source_format: source,
            source_bytes: source.bytes(),
            target_bytes,
            seeks: Arc::default(),
            sources: Buffers::default(),
            targets: Buffers::default(),
        })
    }

    /// Starts decoding the next batch that is not done.
    fn start_next(&self, batches: &mut dyn Iterator<Item = u64>) -> Result<Option<Started>> {
        for batch in batches {
            match self.found(batch).map_err(|e| of_batch(e, batch))? {
                Some(marker) => self.progress.batch_found(batch, &marker),
                None => return self.start(batch).map(Some).map_err(|e| of_batch(e, batch)),
            }
        }
        Ok(None)
    }

    /// The marker of a batch that is done.
    fn found(&self, batch: u64) -> Result<Option<Marker>> {
        let bytes = self.job.store.get(ObjectKey::Marker(self.job.key, batch))?;
        bytes.map(|bytes| read_json(&bytes, "marker")).transpose()
    }

    fn start(&self, batch: u64) -> Result<Started> {
        let bytes = self.job.store.get(ObjectKey::Ledger(self.job.key, batch))?;
        let missing = || Error::internal(format!("batch {batch} has no ledger"));
        let slice: LedgerSlice = read_json(&bytes.ok_or_else(missing)?, "ledger")?;
        let since = Instant::now();
        let deadline = since + Deadlines::batch(self.plan.batch_seconds);
        let whole = self.plan.until.is_none() && self.plan.zero == 0;
        let order = DecodeOrder {
            source: Arc::clone(&self.job.source),
            plan: Arc::clone(self.plan),
            slice: slice.clone(),
            first: batch == 0 && whole,
            last: batch + 1 == self.plan.batches.len() as u64 && whole,
            frame_bytes: self.source_bytes,
            ahead: waiting(self.source_bytes),
            seeks: Arc::clone(&self.seeks),
            buffers: self.sources.clone(),
            stop: self.job.stop.clone(),
            deadline,
        };
        let decoding = self.job.codec.decode(order)?;
        Ok(Started {
            batch,
            slice,
            decoding,
            since,
            deadline,
        })
    }

    /// Takes one batch through the engine; starts the next when this one's last frame is decoded.
    fn run(&mut self, started: Started, batches: &mut dyn Iterator<Item = u64>) -> Result<(Settling, Option<Started>)> {
        let batch = started.batch;
        self.progress.batch_started(batch, started.slice.range().len());
        self.frames(started, batches).map_err(|e| of_batch(e, batch))
    }

    fn frames(
        &mut self,
        mut started: Started,
        batches: &mut dyn Iterator<Item = u64>,
    ) -> Result<(Settling, Option<Started>)> {
        let mut settling = self.settle(&started)?;
        let mut timings = Timings::default();
        let mut next = None;
        let mut number = 0;
        loop {
            let before = Instant::now();
            let Some(source) = started.decoding.next()? else { break };
            if next.is_none() && started.decoding.is_decoded() {
                next = self.start_next(batches)?;
            }
            let meter = &self.job.meter;
            let busy = started.decoding.take_busy();
            meter.busy(Stage::Decode, busy);
            // The first frame comes after all that decoding begins with.
            let since = if number == 0 { started.since } else { before };
            meter.worked(Some(started.batch), Stage::Decode, since, busy);
            timings.decode_seconds += before.elapsed().as_secs_f64();
            let before = Instant::now();
            let target = self.frame(started.slice.range().start() + number, &source)?;
            self.progress.frame(&Frames {
                batch: started.batch,
                number,
                of: started.slice.range().len(),
                source_format: self.source_format,
                source: &source,
                target_format: self.upscaler.target_format(),
                target: &target,
            });
            number += 1;
            self.sources.give(source);
            let took = before.elapsed();
            self.job.meter.worked(Some(started.batch), Stage::Infer, before, took);
            timings.infer_seconds += took.as_secs_f64();
            let before = Instant::now();
            settling.send(Work::Frame(target))?;
            timings.encode_seconds += before.elapsed().as_secs_f64();
            self.progress.frame_done();
        }
        if next.is_none() {
            next = self.start_next(batches)?;
        }
        settling.send(Work::Done(timings))?;
        Ok((settling, next))
    }

    fn frame(&mut self, number: u64, source: &[u8]) -> Result<Vec<u8>> {
        self.upscaler.set_filters(filters(self.plan.video.filters_of(number)));
        let mut target = self.targets.take();
        target.resize(self.target_bytes, 0);
        let watch = Watching {
            stop: &self.job.stop,
            progress: self.progress.as_ref(),
        };
        self.upscaler
            .upscale(source, &mut target, &watch)
            .map_err(engine_failed)?;
        Ok(target)
    }

    /// Starts the thread that encodes a batch and makes it count.
    fn settle(&self, started: &Started) -> Result<Settling> {
        let (work, receiver) = sync_channel(waiting(self.target_bytes));
        let settler = Settler {
            job: self.job.clone(),
            plan: Arc::clone(self.plan),
            progress: Arc::clone(self.progress),
            slice: started.slice.clone(),
            batch: started.batch,
            since: started.since,
            deadline: started.deadline,
            buffers: self.targets.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("encode".to_owned())
            .spawn(move || settler.run(&receiver).map_err(|e| of_batch(e, settler.batch)));
        let thread = thread.map_err(|e| Error::internal("a thread cannot be started").because(e))?;
        Ok(Settling {
            work: Some(work),
            thread: Some(thread),
        })
    }
}

/// What the engine hands to the encoder.
enum Work {
    Frame(Vec<u8>),
    Done(Timings),
}

/// A batch that is being encoded and settled on a thread of its own. Dropped, it waits for the thread, so that nothing
/// half-written is left behind.
struct Settling {
    work: Option<SyncSender<Work>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Settling {
    /// Hands on work; where the thread has ended, its error.
    fn send(&mut self, work: Work) -> Result<()> {
        match self.work.as_ref().map(|channel| channel.send(work)) {
            Some(Ok(())) => Ok(()),
            _ => self
                .join()
                .and_then(|()| Err(Error::internal("the encoder's thread ended early"))),
        }
    }

    fn wait(mut self) -> Result<()> {
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        self.work = None;
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread
            .join()
            .unwrap_or_else(|_| Err(Error::internal("the encoder's thread panicked")))
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if let Err(error) = self.join() {
            tracing::debug!(%error, "a batch ended with the step");
        }
    }
}

struct Settler {
    job: JobContext,
    plan: Arc<Plan>,
    progress: Arc<dyn Progress>,
    slice: LedgerSlice,
    batch: u64,
    since: Instant,
    deadline: Instant,
    buffers: Buffers,
}

impl Settler {
    fn run(&self, work: &Receiver<Work>) -> Result<()> {
        let store = &self.job.store;
        let key = ObjectKey::Segment(self.job.key, self.batch, Uuid::new_v4());
        let order = EncodeOrder {
            plan: Arc::clone(&self.plan),
            slice: self.slice.clone(),
            stop: self.job.stop.clone(),
            deadline: self.deadline,
        };
        let mut encoding = self.job.codec.encode(order, store.write(key)?)?;
        let mut timings = loop {
            match work.recv() {
                Ok(Work::Frame(frame)) => {
                    let before = Instant::now();
                    encoding = encoding.frame(&frame)?;
                    self.encoded(before);
                    self.buffers.give(frame);
                }
                Ok(Work::Done(timings)) => break timings,
                // The engine's side failed and says why itself.
                Err(_) => return Err(Error::stopped()),
            }
        };
        let before = Instant::now();
        let (bytes, sha256) = encoding.finish()?.finish()?;
        self.encoded(before);
        timings.encode_seconds += before.elapsed().as_secs_f64();
        timings.total_seconds = self.since.elapsed().as_secs_f64();
        let marker = Marker {
            version: FORMAT_VERSION,
            segment: key.to_string(),
            bytes,
            frames: self.slice.range().len(),
            sha256,
            worker: self.job.worker.clone(),
            timings,
        };
        let name = ObjectKey::Marker(self.job.key, self.batch);
        if store.create(name, &write_json(&marker)?)? == Created::Existed {
            // Another worker was faster; only the segment that its marker names counts.
            store.delete(key)?;
        }
        self.job.meter.batch(&marker.timings);
        self.progress.batch_done(self.batch, &marker);
        Ok(())
    }

    fn encoded(&self, since: Instant) {
        let took = since.elapsed();
        self.job.meter.busy(Stage::Encode, took);
        self.job.meter.worked(Some(self.batch), Stage::Encode, since, took);
    }
}

/// Says which batch failed, unless that is said already.
fn of_batch(error: Error, batch: u64) -> Error {
    if error.code() == ErrorCode::Stopped || error.details().contains_key(BATCH_DETAIL) {
        error
    } else {
        error.with(BATCH_DETAIL, batch)
    }
}

/// How many frames of `bytes` each may wait between two stages.
fn waiting(bytes: usize) -> usize {
    (WAITING_BYTES / bytes.max(1)).clamp(2, 8)
}

/// The noise of a camera in good light and of most codecs, as a standard deviation in codes of 8 bits.
const LIGHT_NOISE: f32 = 5.0;
/// That of a camera in the dark.
const STRONG_NOISE: f32 = 15.0;

/// What is done before enlarging, in the engine's terms.
pub(super) fn filters(filters: Filters) -> vdsr::Filters {
    vdsr::Filters {
        noise: match filters.denoise {
            Denoise::Off => 0.0,
            Denoise::Light => LIGHT_NOISE,
            Denoise::Strong => STRONG_NOISE,
        },
        sharpen: filters.sharpen.get() as f32,
    }
}

pub(super) fn engine_failed(e: vdsr::Error) -> Error {
    match e {
        vdsr::Error::Stopped => Error::stopped(),
        e => Error::new(ErrorCode::EngineFailed, "the engine failed").because(e),
    }
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::internal(format!("a stored {what} cannot be read")).because(e))
}

pub(crate) fn write_json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::internal("a value cannot be stored").because(e))
}
