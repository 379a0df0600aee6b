#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::{FORMAT_VERSION, FrameRange, TimeBase};

/// Every frame of a video once, in order, with its presentation time: the contract between planning and work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    time_base: TimeBase,
    pts: Vec<i64>,
    end: i64,
    keys: Vec<KeyPacket>,
}

/// A packet at which decoding can start: of frames before it in time nothing is promised then, of those after it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(i64, i64)", into = "(i64, i64)")]
pub struct KeyPacket {
    /// When its frame is shown, in ticks.
    pub pts: i64,
    /// When it is decoded, in ticks: at or before that.
    pub dts: i64,
}

impl From<(i64, i64)> for KeyPacket {
    fn from((pts, dts): (i64, i64)) -> Self {
        Self { pts, dts }
    }
}

impl From<KeyPacket> for (i64, i64) {
    fn from(KeyPacket { pts, dts }: KeyPacket) -> Self {
        (pts, dts)
    }
}

/// How many key packets before it a batch knows, each twice as far away as the one before: a demuxer may miss one.
const STARTS: u32 = 3;

/// Times that are no ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// There is no frame.
    #[error("no frame")]
    Empty,
    /// A time that is farther from 0 than [`Ledger::FARTHEST`].
    #[error("a time of {0} ticks is beyond 2^62")]
    Far(i64),
    /// Frames whose times do not increase.
    #[error("frame {frame} is at {pts}, and the one before it at {previous}")]
    Order {
        /// The frame that is early, counted from 0.
        frame: usize,
        /// Its time in ticks.
        pts: i64,
        /// The time of the frame before it.
        previous: i64,
    },
}

impl Ledger {
    /// The latest time, and before 0 the earliest, in ticks: between any two lies a number of ticks that 64 bits hold.
    pub const FARTHEST: i64 = (1 << 62) - 1;

    /// A ledger of frames at `pts`, in ticks of `time_base`; the last frame is shown until `end`.
    ///
    /// # Errors
    /// If there is no frame, if times do not increase, or if one is beyond [`Self::FARTHEST`].
    pub fn new(time_base: TimeBase, pts: Vec<i64>, end: i64) -> Result<Self, LedgerError> {
        if pts.is_empty() {
            return Err(LedgerError::Empty);
        }
        let shown_until = pts.iter().skip(1).chain([&end]);
        for (frame, (&previous, &next)) in pts.iter().zip(shown_until).enumerate() {
            if next <= previous {
                return Err(LedgerError::Order {
                    frame: frame + 1,
                    pts: next,
                    previous,
                });
            }
        }
        // What lies between these does so too.
        if let Some(far) = [pts[0], end].into_iter().find(|tick| is_far(*tick)) {
            return Err(LedgerError::Far(far));
        }
        Ok(Self {
            time_base,
            pts,
            end,
            keys: Vec::new(),
        })
    }

    /// The same with the packets at which decoding can start, in any order.
    #[must_use]
    pub fn with_keys(self, mut keys: Vec<KeyPacket>) -> Self {
        keys.sort_unstable();
        Self { keys, ..self }
    }

    /// The length of a tick.
    pub fn time_base(&self) -> TimeBase {
        self.time_base
    }

    /// Times of all frames in ticks, increasing.
    pub fn pts(&self) -> &[i64] {
        &self.pts
    }

    /// When the last frame ends, in ticks.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Number of frames, at least 1.
    #[allow(clippy::len_without_is_empty, reason = "a ledger is never empty")]
    pub fn len(&self) -> u64 {
        self.pts.len() as u64
    }

    /// All frames.
    pub fn range(&self) -> FrameRange {
        FrameRange::new(0, self.len()).expect("a ledger is never empty")
    }

    /// Frames a second on average.
    pub fn average_rate(&self) -> f64 {
        self.len() as f64 / self.time_base.seconds(self.end - self.pts[0])
    }

    /// The ledger of the frames shown in `[from, until)` ticks, or nothing where there are none.
    pub fn stretch(&self, from: i64, until: i64) -> Option<Self> {
        let frames = self.frames_in(from, until)?;
        let (first, last) = (frames.start() as usize, frames.end() as usize);
        let end = self.pts.get(last).copied().unwrap_or(self.end);
        let part = Self::new(self.time_base, self.pts[first..last].to_vec(), end).ok()?;
        Some(part.with_keys(self.keys.clone()))
    }

    /// The frames shown in `[from, until)` ticks, or nothing where there are none.
    pub fn frames_in(&self, from: i64, until: i64) -> Option<FrameRange> {
        let before = |tick: i64| self.pts.partition_point(|&t| t < tick) as u64;
        FrameRange::new(before(from), before(until)).ok()
    }

    /// What the worker of one batch reads: the times of `range`, of up to `lead` frames before it, and of what follows.
    ///
    /// # Panics
    /// If `range` reaches beyond the last frame.
    pub fn slice(&self, range: FrameRange, lead: usize) -> LedgerSlice {
        let (start, end) = (range.start() as usize, range.end() as usize);
        let first = start.saturating_sub(lead);
        let next = self.pts.get(end).copied().unwrap_or(self.end);
        let times: Vec<i64> = self.pts[first..end].iter().copied().chain([next]).collect();
        let keys = self.keys.partition_point(|key| key.pts <= times[0]);
        let starts = (0..STARTS).filter_map(|n| keys.checked_sub(1 << n));
        LedgerSlice {
            range,
            lead: start - first,
            starts: starts.map(|at| self.keys[at]).collect(),
            times,
        }
    }
}

fn is_far(tick: i64) -> bool {
    !(-Ledger::FARTHEST..=Ledger::FARTHEST).contains(&tick)
}

/// The times of one batch's frames, of a few before it, and of the moment at which its last frame ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Coded", into = "Coded")]
pub struct LedgerSlice {
    range: FrameRange,
    lead: usize,
    times: Vec<i64>,
    starts: Vec<KeyPacket>,
}

impl LedgerSlice {
    /// Frames that a batch may have, a million: a few bytes can tell of any number, and all their times are kept in memory.
    pub const MOST_FRAMES: u64 = 1 << 20;

    /// Whether both are of the same frames at the same times.
    pub fn same_frames(&self, other: &Self) -> bool {
        (self.range, self.pts(), self.end()) == (other.range, other.pts(), other.end())
    }

    /// Packets at which decoding can start for the earliest of these times, the nearest first; none where that is not known.
    pub fn starts(&self) -> &[KeyPacket] {
        &self.starts
    }

    /// The frames of the batch.
    pub fn range(&self) -> FrameRange {
        self.range
    }

    /// Times of the last frames before the batch, in ticks, oldest first.
    pub fn lead(&self) -> &[i64] {
        &self.times[..self.lead]
    }

    /// Times of the batch's frames in ticks.
    pub fn pts(&self) -> &[i64] {
        &self.times[self.lead..self.times.len() - 1]
    }

    /// When the batch's last frame ends, in ticks.
    pub fn end(&self) -> i64 {
        self.times[self.times.len() - 1]
    }
}

/// A slice as it is stored: the first time, then runs of equal steps.
#[derive(Serialize, Deserialize)]
struct Coded {
    version: u32,
    range: FrameRange,
    lead: usize,
    first: i64,
    runs: Vec<(i64, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    starts: Vec<KeyPacket>,
}

impl From<LedgerSlice> for Coded {
    fn from(slice: LedgerSlice) -> Self {
        let mut runs: Vec<(i64, u64)> = Vec::new();
        for pair in slice.times.windows(2) {
            let step = pair[1] - pair[0];
            match runs.last_mut() {
                Some((last, count)) if *last == step => *count += 1,
                _ => runs.push((step, 1)),
            }
        }
        Self {
            version: FORMAT_VERSION,
            range: slice.range,
            lead: slice.lead,
            first: slice.times[0],
            runs,
            starts: slice.starts,
        }
    }
}

impl TryFrom<Coded> for LedgerSlice {
    type Error = String;

    fn try_from(coded: Coded) -> Result<Self, Self::Error> {
        if coded.version > FORMAT_VERSION {
            return Err(format!(
                "ledger of version {}, and this build reads up to {FORMAT_VERSION}",
                coded.version
            ));
        }
        let steps = coded
            .runs
            .iter()
            .try_fold(0u64, |sum, (_, count)| sum.checked_add(*count));
        let expected = coded.range.len().checked_add(coded.lead as u64);
        if steps.is_none() || steps != expected || coded.lead as u64 > coded.range.start() {
            return Err(format!(
                "ledger of {} with {steps:?} steps, and {expected:?} were expected",
                coded.range
            ));
        }
        if steps > Some(Self::MOST_FRAMES) {
            return Err(format!(
                "ledger of {}, and a batch has at most {} frames",
                coded.range,
                Self::MOST_FRAMES
            ));
        }
        let mut times = vec![coded.first];
        for (step, count) in coded.runs {
            for _ in 0..count {
                let next = times[times.len() - 1].checked_add(step).filter(|_| step > 0);
                times.push(next.ok_or_else(|| format!("a step of {step} ticks"))?);
            }
        }
        if let Some(far) = [coded.first, times[times.len() - 1]]
            .into_iter()
            .find(|tick| is_far(*tick))
        {
            return Err(LedgerError::Far(far).to_string());
        }
        Ok(Self {
            range: coded.range,
            lead: coded.lead,
            times,
            starts: coded.starts,
        })
    }
}
