//! The ledger of a source: predicted from its packets where that is exact, else by decoding it.

use std::io::{BufRead, BufReader, Read};
use std::process::ChildStdout;
use std::time::Duration;

use clearfleet_common::config::Limits;
use clearfleet_common::job::{KeyPacket, Ledger, LedgerError};
use clearfleet_common::{ErrorCode, Stop};

use super::input::{self, VideoInput};
use super::probe::StreamInfo;
use super::process::{Child, Confinement, Launch, ProcessLimits, Program};
use crate::{Error, Result};

/// Where decoding starts before a moment in the middle, in seconds: pictures that refer across a key frame lie closer.
const LEAD_SECONDS: f64 = 2.0;

/// A line of a listing is never longer, in bytes.
const LONGEST_LINE: u64 = 4096;

/// What the packets of a stream tell of its frames.
pub(crate) struct Predicted {
    /// The ledger, or nothing where packets do not tell the frames: packets without a time, two at one time, damaged ones.
    pub(crate) ledger: Option<Ledger>,
    /// Packets at which decoding can start.
    pub(crate) keys: Vec<KeyPacket>,
}

/// Predicts frames from packets. Edit lists are applied by the demuxer, and what they cut off comes with the discard flag.
///
/// # Errors
/// `InputDamaged` if the packets cannot be read, `InputNoFrames` if there is none, `InputTooManyFrames`.
pub(crate) fn predict(video: &VideoInput<'_>, limits: &Limits, stop: &Stop, deadline: Duration) -> Result<Predicted> {
    let launch = Launch::new(Program::Ffprobe, &Confinement::reading(video.source))?
        .args(["-select_streams", &video.stream.index.to_string(), "-show_packets"])
        .args(["-show_entries", "packet=pts,dts,duration,flags", "-of", "csv=p=0"])
        .args(input::source_arguments(video.source, video.demuxer))
        .piped_stdout();
    let mut child = launch.spawn(stop, deadline)?;
    let listing = Listing::read(piped(&mut child)?, limits)?;
    let ended = child.finish(ErrorCode::InputDamaged, "reading the packets");
    let report = match video.source.take_failure() {
        // What ffprobe says of it is not the cause.
        Some(failure) if !stop.is_stopped() => return Err(Error::unreadable(failure)),
        _ => ended?,
    };
    if !report.errors.is_empty() {
        // Demuxers get over what is missing or damaged, and say so; frames would be missing without a word.
        let error = Error::new(ErrorCode::InputDamaged, "the video is damaged or cut off");
        return Err(error.with_ffmpeg(report.errors));
    }
    listing.predicted(video.stream)
}

/// The ledger of the frames that decoding the whole stream gives.
///
/// # Errors
/// `InputDamaged` if it cannot be decoded or its times are impossible, `InputNoFrames`, `InputTooManyFrames`; `FramesMismatch` if frames come
/// at times that do not increase.
pub(crate) fn decode_all(video: &VideoInput<'_>, limits: &Limits, stop: &Stop, deadline: Duration) -> Result<Ledger> {
    let found = decoded(video, &[], &[], limits.frames, stop, deadline)?;
    found.ledger(video.stream).map_err(out_of_order)
}

/// The ledger of up to `frames` frames from the moment `from` on, in seconds after the video's beginning, found by decoding
/// there alone. The last of them ends where the frame after it begins, if there is one.
///
/// # Errors
/// `StretchEmpty` if no frame starts there or later; those of [`decode_all`].
pub(crate) fn decode_some(
    video: &VideoInput<'_>,
    from: f64,
    frames: u32,
    stop: &Stop,
    deadline: Duration,
) -> Result<Ledger> {
    let time_base = video.stream.time_base;
    let start = video.stream.start_pts.unwrap_or(0);
    let first = start.saturating_add((from / time_base.seconds(1)).ceil() as i64);
    let seek = format!("{:.6}", time_base.seconds(first) - LEAD_SECONDS);
    let seek = ["-seek_timestamp", "1", "-noaccurate_seek", "-ss", &seek];
    let trim = format!("trim=start_pts={first}");
    let count = (u64::from(frames) + 1).to_string();
    let keep = ["-vf", &trim, "-frames:v", &count];
    let mut found = if from > 0.0 {
        decoded(video, &seek, &keep, u64::MAX, stop, deadline)?
    } else {
        decoded(video, &[], &["-frames:v", &count], u64::MAX, stop, deadline)?
    };
    if found.pts.is_empty() {
        let message = format!("no frame starts {from} s after the beginning or later");
        return Err(Error::new(ErrorCode::StretchEmpty, message).with("from", from));
    }
    let kept = frames as usize;
    let Some(next) = found.pts.get(kept).copied() else {
        return found.ledger(video.stream).map_err(out_of_order);
    };
    found.pts.truncate(kept);
    Ledger::new(time_base, found.pts, next).map_err(out_of_order)
}

fn out_of_order(e: LedgerError) -> Error {
    let message = "the video's frames come at times that do not increase";
    match e {
        LedgerError::Empty => no_frames(),
        LedgerError::Far(_) => {
            Error::new(ErrorCode::InputDamaged, "the video's frames come at impossible times").because(e)
        }
        LedgerError::Order { .. } => Error::new(ErrorCode::FramesMismatch, message).because(e),
    }
}

/// Times of the frames that ffmpeg decodes with these options before and after the input; `InputTooManyFrames` beyond `most`.
fn decoded(
    video: &VideoInput<'_>,
    before: &[&str],
    after: &[&str],
    most: u64,
    stop: &Stop,
    deadline: Duration,
) -> Result<Times> {
    let limited = ProcessLimits::decoding(video.stream.width, video.stream.height);
    let launch = Launch::new(
        Program::Ffmpeg,
        &Confinement::reading(video.source).with_limits(limited),
    )?
    .args(["-copyts", "-noautorotate"])
    .args(before)
    .args(input::source_arguments(video.source, video.demuxer))
    .args(["-map", &format!("0:{}", video.stream.index), "-fps_mode", "passthrough"])
    .args(after)
    .args(["-enc_time_base", &video.stream.time_base.to_string()])
    .args(["-c:v", "rawvideo", "-f", "framecrc", "pipe:1"])
    .piped_stdout();
    let mut child = launch.spawn(stop, deadline)?;
    let found = Times::read(piped(&mut child)?, most)?;
    child.finish(ErrorCode::InputDamaged, "decoding the video")?;
    Ok(found)
}

/// What ffprobe lists of a stream's packets, a line each: time, decoding time, duration, flags.
#[derive(Default)]
pub(super) struct Listing {
    found: Times,
    keys: Vec<KeyPacket>,
    /// Whether a packet does not tell of its frame.
    vague: bool,
}

impl Listing {
    /// Reads it to its end.
    ///
    /// # Errors
    /// `InputDamaged` if it breaks off, `InputTooManyFrames`.
    pub(super) fn read(listing: impl Read, limits: &Limits) -> Result<Self> {
        let mut read = Self::default();
        for_each_line(listing, |line| {
            read.add(line);
            not_over(limits.frames, read.found.pts.len() as u64)
        })?;
        Ok(read)
    }

    fn add(&mut self, line: &str) {
        let mut fields = line.split(',');
        let mut next = || fields.next().unwrap_or("");
        let mut tick = || next().parse::<i64>().ok();
        let (pts, dts, duration) = (tick(), tick(), tick());
        let flags = next();
        if let (true, Some(pts)) = (flags.contains('K'), pts.or(dts)) {
            let dts = dts.unwrap_or(pts);
            self.keys.push(KeyPacket { pts, dts });
        }
        match pts {
            _ if flags.contains('D') => {}
            Some(pts) if !flags.contains('C') => self.found.add(pts, duration),
            _ => self.vague = true,
        }
    }

    /// What it tells of the frames of `stream`.
    ///
    /// # Errors
    /// `InputNoFrames` if there is none.
    pub(super) fn predicted(self, stream: &StreamInfo) -> Result<Predicted> {
        let Self { mut found, keys, vague } = self;
        found.pts.sort_unstable();
        let ledger = match (!vague).then(|| found.ledger(stream)) {
            Some(Ok(ledger)) => Some(ledger.with_keys(keys.clone())),
            Some(Err(LedgerError::Empty)) => return Err(no_frames()),
            Some(Err(LedgerError::Order { .. } | LedgerError::Far(_))) | None => None,
        };
        Ok(Predicted { ledger, keys })
    }
}

/// Times of frames as they are found.
#[derive(Default)]
pub(super) struct Times {
    pts: Vec<i64>,
    /// The latest time, and how long that frame lasts, where it says so.
    latest: Option<(i64, Option<i64>)>,
}

impl Times {
    /// Reads what ffmpeg lists of decoded frames.
    ///
    /// # Errors
    /// `InputDamaged` if it breaks off; `InputTooManyFrames` beyond `most`.
    pub(super) fn read(listing: impl Read, most: u64) -> Result<Self> {
        let mut found = Self::default();
        for_each_line(listing, |line| {
            // stream, dts, pts, duration, size, checksum
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            if let (false, [_, _, pts, duration, ..]) = (line.starts_with('#'), fields.as_slice())
                && let Ok(pts) = pts.parse()
            {
                found.add(pts, duration.parse().ok());
            }
            not_over(most, found.pts.len() as u64)
        })?;
        Ok(found)
    }

    fn add(&mut self, pts: i64, duration: Option<i64>) {
        self.pts.push(pts);
        if self.latest.is_none_or(|(latest, _)| latest < pts) {
            self.latest = Some((pts, duration));
        }
    }

    /// The ledger; the last frame lasts as long as it says, else as the one before.
    ///
    /// # Errors
    /// If there is no frame, or if times do not increase.
    pub(super) fn ledger(self, stream: &StreamInfo) -> Result<Ledger, LedgerError> {
        let Self { pts, latest } = self;
        let (last, duration) = latest.ok_or(LedgerError::Empty)?;
        let before = pts.len().checked_sub(2).map(|n| last.saturating_sub(pts[n]));
        let lasts = [duration, before, Some(one_frame(stream))]
            .into_iter()
            .flatten()
            .find(|d| *d > 0);
        Ledger::new(stream.time_base, pts, last.saturating_add(lasts.unwrap_or(1)))
    }
}

/// Ticks of one frame by the stream's stated rate, or 40 ms.
fn one_frame(stream: &StreamInfo) -> i64 {
    let seconds = stream.avg_frame_rate.map_or(0.04, |rate| 1.0 / rate.as_f64());
    ((seconds / stream.time_base.seconds(1)).round() as i64).max(1)
}

fn not_over(limit: u64, frames: u64) -> Result<()> {
    if frames <= limit {
        return Ok(());
    }
    let message = format!("more frames than the limit of {limit}");
    Err(Error::new(ErrorCode::InputTooManyFrames, message).with("limit", limit))
}

fn no_frames() -> Error {
    Error::new(
        ErrorCode::InputNoFrames,
        "the video stream holds no frame that can be decoded",
    )
}

/// What a child writes.
fn piped(child: &mut Child) -> Result<ChildStdout> {
    child
        .take_stdout()
        .ok_or_else(|| Error::internal("a child without its pipe"))
}

fn for_each_line(listing: impl Read, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let broke = |e| Error::new(ErrorCode::InputDamaged, "a listing of ffmpeg's broke off").because(e);
    let mut lines = BufReader::new(listing);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .map_err(broke)?;
        if read == 0 {
            return Ok(());
        }
        each(String::from_utf8_lossy(&line).trim_end())?;
    }
}
