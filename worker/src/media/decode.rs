//! Decoding a range of frames: seek, keep frames by their time, compare with the ledger, seek earlier where one is
//! missing.

use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clearfleet_common::job::{KeyPacket, LedgerSlice, Plan};
use clearfleet_common::{ErrorCode, Stop};

use super::codec::Decode;
use super::input;
use super::nut::NutReader;
use super::process::{Child, Confinement, Launch, ProcessLimits, Program};
use super::serve::ServedSource;
use crate::{Error, Result};

/// Where decoding starts where key packets are not known, in seconds before the first frame; nothing is the beginning of the
/// source. Demuxers seek to a key frame by its decoding time, and some by an index that is off: what one misses the next
/// finds.
const SEEKS: [Option<f64>; 5] = [Some(0.0), Some(0.5), Some(2.0), Some(10.0), None];

/// Demuxers without an index: they look for a moment in the bytes, and go on from any packet that is decoded about then. From
/// one in the middle of a group some decoders make pictures of what is missing, and say nothing; so they are sent to where a
/// key packet is decoded.
const WITHOUT_INDEX: [&str; 2] = ["mpegts", "mpeg"];

/// Makes the two fields of each frame one picture: one frame out for each in, at its time. It looks at the frames before
/// and after.
const DEINTERLACER: &str = "bwdif=mode=send_frame:parity=auto:deint=all";

/// Remembers which of the places to start from found all frames of this source.
#[derive(Debug, Default)]
pub(crate) struct SeekMemory(AtomicUsize);

/// Buffers of frames that go round between decoder, engine and encoder.
#[derive(Clone, Default)]
pub(crate) struct Buffers(Arc<std::sync::Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// A buffer, used before or new.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_default()
    }

    /// Gives a buffer back.
    pub(crate) fn give(&self, buffer: Vec<u8>) {
        if let Ok(mut pool) = self.0.lock() {
            pool.push(buffer);
        }
    }
}

/// What a decoder needs to know.
#[allow(missing_debug_implementations, reason = "it holds buffers and a source")]
pub struct DecodeOrder {
    pub(crate) source: Arc<ServedSource>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) slice: LedgerSlice,
    /// Whether the range begins with the video's first frame: then nothing may come before it.
    pub(crate) first: bool,
    /// Whether it ends with the video's last frame: then nothing may come after it.
    pub(crate) last: bool,
    /// Bytes of a decoded frame.
    pub(crate) frame_bytes: usize,
    /// Frames that wait to be taken at most.
    pub(crate) ahead: usize,
    pub(crate) seeks: Arc<SeekMemory>,
    pub(crate) buffers: Buffers,
    pub(crate) stop: Stop,
    pub(crate) deadline: Instant,
}

impl DecodeOrder {
    /// How many frames are to be decoded.
    pub fn frames(&self) -> u64 {
        self.slice.range().len()
    }

    /// How many of them wait to be taken at most.
    pub fn ahead(&self) -> usize {
        self.ahead
    }

    /// A buffer of the size of a decoded frame, with whatever was in it before.
    pub fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.buffers.take();
        buffer.resize(self.frame_bytes, 0);
        buffer
    }
}

/// A range of frames being decoded on a thread of its own.
pub(crate) struct Decoding {
    frames: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<Result<()>>>,
    decoded: Arc<AtomicBool>,
    busy: Arc<AtomicU64>,
}

impl Decoding {
    /// Starts decoding.
    ///
    /// # Errors
    /// `Internal` if no thread can be started.
    pub(crate) fn start(order: DecodeOrder) -> Result<Self> {
        let (sender, frames) = sync_channel(order.ahead);
        let decoded = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&decoded);
        let busy = Arc::new(AtomicU64::new(0));
        let sender = FrameSender {
            frames: sender,
            busy: Arc::clone(&busy),
        };
        let thread = std::thread::Builder::new().name("decode".to_owned()).spawn(move || {
            let result = order.run(&sender);
            flag.store(true, Ordering::Release);
            result
        });
        let thread = thread.map_err(|e| Error::internal("a thread cannot be started").because(e))?;
        Ok(Self {
            frames,
            thread: Some(thread),
            decoded,
            busy,
        })
    }
}

impl Decode for Decoding {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if let Ok(frame) = self.frames.recv() {
            return Ok(Some(frame));
        }
        let Some(thread) = self.thread.take() else {
            return Ok(None);
        };
        thread
            .join()
            .unwrap_or_else(|_| Err(Error::internal("the decoding thread panicked")))?;
        Ok(None)
    }

    fn take_busy(&self) -> Duration {
        Duration::from_nanos(self.busy.swap(0, Ordering::Relaxed))
    }

    fn is_decoded(&self) -> bool {
        self.decoded.load(Ordering::Acquire)
    }
}

/// Where decoded frames go.
struct FrameSender {
    frames: SyncSender<Vec<u8>>,
    /// Nanoseconds of decoding that nobody has asked for yet.
    busy: Arc<AtomicU64>,
}

impl FrameSender {
    /// Hands a frame on that was begun at `since`; false if nobody takes frames any more.
    fn send(&self, frame: Vec<u8>, since: Instant) -> bool {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.busy.fetch_add(nanos, Ordering::Relaxed);
        self.frames.send(frame).is_ok()
    }
}

/// How one pass over the source ended.
enum Pass {
    /// Every frame of the range was sent.
    Complete,
    /// Frames are missing, others came, or decoding failed from there: why.
    Mismatch(Error),
    /// Nobody takes frames any more.
    Abandoned,
}

impl DecodeOrder {
    /// Times of the frames that are to be decoded, from the one that a deinterlacer looks back to on; and how many of them
    /// are not of the range.
    fn expected(&self) -> (Vec<i64>, usize) {
        let before = self.slice.lead().last().filter(|_| self.plan.video.deinterlace);
        let times = before.into_iter().chain(self.slice.pts()).copied();
        (times.collect(), usize::from(before.is_some()))
    }

    fn run(&self, sender: &FrameSender) -> Result<()> {
        let mut sent = 0;
        let mut last = None;
        let remembered = self.seeks.0.load(Ordering::Relaxed);
        // Before a stretch there are frames that its ledger does not know.
        let looks_back = self.plan.video.deinterlace && self.slice.lead().is_empty();
        let seeks = self.places();
        let first = remembered.max(usize::from(looks_back)).min(seeks.len() - 1);
        for (n, seek) in seeks.iter().enumerate().skip(first) {
            match self.pass(*seek, sender, &mut sent)? {
                Pass::Abandoned => return Ok(()),
                Pass::Complete => {
                    self.seeks.0.fetch_max(n, Ordering::Relaxed);
                    return Ok(());
                }
                Pass::Mismatch(why) => {
                    tracing::debug!(range = %self.slice.range(), ?seek, error = %why, "a cut missed frames");
                    last = Some(why);
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::internal("no way to cut was tried")))
    }

    /// The moments in seconds to decode from, the best first; nothing is the beginning of the source.
    fn places(&self) -> Vec<Option<f64>> {
        if self.first {
            // Twice: a decoder that the system killed is replaced.
            return vec![None; 2];
        }
        let Plan { video, demuxer, .. } = &*self.plan;
        let starts = self.slice.starts();
        if starts.is_empty() {
            let start = video.time_base.seconds(self.expected().0[0]);
            return SEEKS.map(|earlier| earlier.map(|earlier| start - earlier)).to_vec();
        }
        let place = |key: &KeyPacket| {
            if WITHOUT_INDEX.contains(&demuxer.as_str()) {
                video.time_base.seconds(key.dts)
            } else {
                // ffmpeg counts microseconds; one too early would be of the key packet before.
                (video.time_base.seconds(key.pts) * 1e6).ceil() / 1e6
            }
        };
        starts.iter().map(|key| Some(place(key))).chain([None]).collect()
    }

    /// Decodes from `seek` on; frames that were `sent` by an earlier pass are not sent again.
    fn pass(&self, seek: Option<f64>, sender: &FrameSender, sent: &mut usize) -> Result<Pass> {
        let mut child = self.launch(seek)?;
        let stdout = child
            .take_stdout()
            .ok_or_else(|| Error::internal("a child without its pipe"))?;
        let found = match self.read(stdout, sender, sent) {
            // What is not read any more is of no use; dropping the child ends it.
            Ok(Found::All { ended: false }) => return Ok(Pass::Complete),
            Ok(Found::Abandoned) => return Ok(Pass::Abandoned),
            Ok(Found::Other(why)) => return Ok(Pass::Mismatch(why)),
            found => found,
        };
        let ended = child.finish(ErrorCode::DecodeFailed, "decoding");
        if let Some(failure) = self.source.take_failure() {
            return Err(Error::unreadable(failure));
        }
        match (found, ended) {
            (_, Err(e)) if e.code() != ErrorCode::DecodeFailed => Err(e),
            // What broke the pipe is in the child's own words.
            (_, Err(e)) => Ok(Pass::Mismatch(e)),
            (Err(e), Ok(_)) | (Ok(Found::Missing(e)), Ok(_)) => Ok(Pass::Mismatch(e)),
            (Ok(_), Ok(_)) => Ok(Pass::Complete),
        }
    }

    fn launch(&self, seek: Option<f64>) -> Result<Child> {
        let Plan { video, demuxer, .. } = &*self.plan;
        let start = self.expected().0[0];
        let (width, height) = video.source_size;
        let confinement = Confinement::reading(&self.source).with_limits(ProcessLimits::decoding(width, height));
        let mut launch = Launch::new(Program::Ffmpeg, &confinement)?.args(["-copyts", "-noautorotate"]);
        if let Some(at) = seek {
            launch = launch.args(["-seek_timestamp", "1", "-noaccurate_seek", "-ss", &format!("{at:.6}")]);
        }
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        launch
            .args(input::decoder_arguments(
                video.stream as usize,
                video.decoder.as_deref(),
            ))
            .args(input::source_arguments(&self.source, demuxer))
            .args(["-map", &format!("0:{}", video.stream), "-an", "-sn", "-dn"])
            .args(["-vf", &self.filters(start)])
            // Frames of another size come as they are, and are refused, rather than squeezed.
            .args(["-autoscale", "0", "-fps_mode", "passthrough"])
            .args(["-enc_time_base", &video.time_base.to_string()])
            .args([
                "-c:v",
                "rawvideo",
                "-pix_fmt",
                &video.pixel_format,
                "-f",
                "nut",
                "pipe:1",
            ])
            .piped_stdout()
            .spawn(&self.stop, remaining.max(Duration::from_millis(1)))
    }

    /// What frames go through: times come out as from `start` on.
    fn filters(&self, start: i64) -> String {
        let mut filters = Vec::new();
        if self.plan.video.deinterlace {
            // The filter halves the ticks.
            filters.push(format!("{DEINTERLACER},settb={}", self.plan.video.time_base));
        }
        // Frames before the range are dropped where they are cheap to drop. At the ends of the video nothing is, so
        // that a frame the ledger does not know is seen.
        let from = (!self.first).then(|| format!("start_pts={start}"));
        let until = (!self.last).then(|| format!("end_pts={}", self.slice.end()));
        let ends: Vec<String> = from.into_iter().chain(until).collect();
        if !ends.is_empty() {
            filters.push(format!("trim={}", ends.join(":")));
        }
        filters.push(format!("setpts=PTS-({start})"));
        filters.join(",")
    }

    fn read(&self, stdout: ChildStdout, sender: &FrameSender, sent: &mut usize) -> Result<Found> {
        let (expected, before) = self.expected();
        let first = self.slice.range().start() - before as u64;
        let mut reader = NutReader::open(super::widened(stdout), self.frame_bytes.max(1 << 16))?;
        let clock = reader.stream().time_base;
        for n in 0.. {
            let since = Instant::now();
            let mut buffer = self.buffers.take();
            let packet = reader.next_into(&mut buffer)?;
            let found = packet.map(|info| clock.rescale(info.pts, self.plan.video.time_base) + expected[0]);
            match (found, expected.get(n).copied()) {
                (None, None) => break,
                (Some(found), Some(pts)) if found == pts => {}
                (None, pts) => return Ok(Found::Missing(self.differs(first + n as u64, None, pts))),
                (found, pts) => return Ok(Found::Other(self.differs(first + n as u64, found, pts))),
            }
            if buffer.len() != self.frame_bytes {
                let error = Error::new(
                    ErrorCode::DecodeFailed,
                    "the video changes its size or its format midway",
                );
                return Ok(Found::Other(
                    error.with("expected", self.frame_bytes).with("found", buffer.len()),
                ));
            }
            if n < before + *sent {
                self.buffers.give(buffer);
            } else if !sender.send(buffer, since) {
                return Ok(Found::Abandoned);
            } else {
                *sent += 1;
            }
            if n + 1 == expected.len() && !self.last {
                return Ok(Found::All { ended: false });
            }
        }
        Ok(Found::All { ended: true })
    }

    fn differs(&self, frame: u64, found: Option<i64>, expected: Option<i64>) -> Error {
        let at = |time: Option<i64>| time.map_or("no frame".to_owned(), |t| format!("one at {t}"));
        let message = format!("frames {} do not decode as the ledger says", self.slice.range());
        let error = Error::new(ErrorCode::FramesMismatch, message).with("frame", frame);
        error.with("expected", at(expected)).with("found", at(found))
    }
}

/// What a child's frames were.
enum Found {
    /// Those of the ledger; whether the child was read to its end.
    All { ended: bool },
    /// Some of them, then the end.
    Missing(Error),
    /// One that the ledger does not have there.
    Other(Error),
    /// Nobody takes frames any more.
    Abandoned,
}
