//! Encoding a batch: frames into ffmpeg as NUT, its packets back as a segment that carries the ledger's times.

use std::io::Write;
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clearfleet_common::job::{LedgerSlice, Plan, SegmentKind};
use clearfleet_common::{ErrorCode, Stop};

use super::codec::Encode;
use super::fragment::{self, SegmentClock};
use super::nut::{NutReader, NutStream, NutWriter, raw_fourcc};
use super::process::{Child, Confinement, Launch, ProcessLimits, Program};
use crate::steps::ObjectWriter;
use crate::{Error, Result};

/// The largest encoded frame that is taken, in bytes: FFV1 of a noisy 32K frame.
const LARGEST_PACKET: usize = 2 << 30;

/// What an encoder needs to know.
#[derive(Debug)]
pub struct EncodeOrder {
    pub(crate) plan: Arc<Plan>,
    pub(crate) slice: LedgerSlice,
    pub(crate) stop: Stop,
    pub(crate) deadline: Instant,
}

/// A batch being encoded.
pub(crate) struct Encoding {
    child: Child,
    frames: Option<NutWriter<ChildStdin>>,
    slice: LedgerSlice,
    shift: i64,
    written: usize,
    output: JoinHandle<Result<Box<dyn ObjectWriter>>>,
}

impl Encoding {
    /// Starts the encoder; what it makes goes to `segment`.
    ///
    /// # Errors
    /// `FfmpegMissing`, `EncodeFailed`, `Internal`.
    pub(crate) fn start(order: EncodeOrder, segment: Box<dyn ObjectWriter>) -> Result<Self> {
        let EncodeOrder {
            plan,
            slice,
            stop,
            deadline,
        } = order;
        let video = &plan.video;
        let time_base = video.time_base;
        let (width, height) = video.target_size;
        let confinement = Confinement::offline().with_limits(ProcessLimits::encoding(width, height));
        let mut launch = Launch::new(Program::Ffmpeg, &confinement)?
            // All that probing could find is in NUT's header, and every frame read ahead is memory.
            .args([
                "-f",
                "nut",
                "-probesize",
                "32",
                "-analyzeduration",
                "0",
                "-fpsprobesize",
                "0",
            ])
            .args(["-copyts", "-i", "pipe:0", "-map", "0:0", "-fps_mode", "passthrough"])
            .args(["-enc_time_base", &time_base.to_string()])
            .args(&plan.encoder.arguments)
            .args(&video.colour)
            .args(["-pix_fmt", &video.encoded_format]);
        launch = match plan.encoder.segment {
            SegmentKind::FragmentedMp4 => launch
                .args(["-video_track_timescale", &time_base.den().to_string()])
                .args(["-movflags", "empty_moov+default_base_moof+frag_keyframe", "-f", "mp4"]),
            SegmentKind::Nut => launch.args(["-f", "nut"]),
        };
        let remaining = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1));
        let mut child = launch
            .arg("pipe:1")
            .piped_stdin()
            .piped_stdout()
            .spawn(&stop, remaining)?;
        let no_pipe = || Error::internal("a child without its pipe");
        let stdin = child.take_stdin().ok_or_else(no_pipe)?;
        let stdout = child.take_stdout().ok_or_else(no_pipe)?;
        let frames = Some(writer(stdin, &plan)?);
        let output = {
            let (plan, slice) = (Arc::clone(&plan), slice.clone());
            let thread = std::thread::Builder::new().name("segment".to_owned());
            thread.spawn(move || write_segment(&plan, &slice, stdout, segment))
        };
        let output = output.map_err(|e| Error::internal("a thread cannot be started").because(e))?;
        Ok(Self {
            child,
            frames,
            shift: video.shift,
            slice,
            written: 0,
            output,
        })
    }

    /// Why a frame could not be written: the child's own words, or what stopped its output.
    fn failure(mut self, e: &std::io::Error) -> Error {
        self.frames = None;
        match self.end() {
            Err(why) => why,
            Ok(_) => Error::new(ErrorCode::EncodeFailed, format!("the encoder ended early: {e}")),
        }
    }

    /// Waits for the child and its output, once it gets no more frames.
    fn end(self) -> Result<Box<dyn ObjectWriter>> {
        let panicked = |_| Err(Error::internal("the segment's thread panicked"));
        let output = self.output.join().unwrap_or_else(panicked);
        let ended = self.child.finish(ErrorCode::EncodeFailed, "encoding");
        match (output, ended) {
            // A segment that cannot be written stops the encoder, not the other way round.
            (Err(output), _) if output.code() != ErrorCode::EncodeFailed => Err(output),
            (_, Err(ended)) => Err(ended),
            (output, Ok(_)) => output,
        }
    }
}

impl Encode for Encoding {
    fn frame(mut self: Box<Self>, bytes: &[u8]) -> Result<Box<dyn Encode>> {
        let pts = self.slice.pts().get(self.written).map(|pts| pts + self.shift);
        let (Some(frames), Some(pts)) = (&mut self.frames, pts) else {
            return Err(Error::internal("more frames than the batch has"));
        };
        self.written += 1;
        match frames.write(pts, true, bytes) {
            Ok(()) => Ok(self),
            Err(e) => Err(self.failure(&e)),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<Box<dyn ObjectWriter>> {
        if self.written != self.slice.pts().len() {
            return Err(Error::internal("fewer frames than the batch has"));
        }
        let closed = self.frames.take().map(|frames| frames.finish().map(drop));
        if let Some(Err(e)) = closed {
            return Err(self.failure(&e));
        }
        self.end()
    }
}

fn writer(stdin: ChildStdin, plan: &Plan) -> Result<NutWriter<ChildStdin>> {
    let video = &plan.video;
    let fourcc = raw_fourcc(&video.pixel_format);
    let stream = NutStream {
        time_base: video.time_base,
        fourcc: fourcc.ok_or_else(|| Error::internal(format!("{} has no name in NUT", video.pixel_format)))?,
        width: video.target_size.0,
        height: video.target_size.1,
        sample_aspect: video.sample_aspect,
        extradata: Vec::new(),
        decode_delay: 0,
        alpha: false,
    };
    let cannot = |e| Error::new(ErrorCode::EncodeFailed, "the encoder takes no frames").because(e);
    NutWriter::new(super::widened(stdin), &stream).map_err(cannot)
}

fn write_segment(
    plan: &Plan,
    slice: &LedgerSlice,
    stdout: ChildStdout,
    mut segment: Box<dyn ObjectWriter>,
) -> Result<Box<dyn ObjectWriter>> {
    match plan.encoder.segment {
        SegmentKind::FragmentedMp4 => {
            let num = plan.video.time_base.num();
            let clock = SegmentClock::new(slice, plan.video.shift, num, plan.encoder.reorder, frame_ticks(plan));
            fragment::retime(super::widened(stdout), &mut segment, &clock)?;
        }
        SegmentKind::Nut => write_nut(plan, slice, stdout, &mut segment)?,
    }
    Ok(segment)
}

/// Ticks of one frame at the average rate, at least 1.
pub(crate) fn frame_ticks(plan: &Plan) -> i64 {
    let ticks = 1.0 / (plan.video.frame_rate.as_f64() * plan.video.time_base.seconds(1));
    (ticks.round() as i64).max(1)
}

/// Copies an encoder's NUT with the ledger's times.
fn write_nut(plan: &Plan, slice: &LedgerSlice, stdout: ChildStdout, segment: &mut dyn Write) -> Result<()> {
    let mut reader = NutReader::open(super::widened(stdout), LARGEST_PACKET)
        .map_err(|e| Error::new(ErrorCode::EncodeFailed, "the encoder gave nothing").because(e))?;
    let stream = NutStream {
        time_base: plan.video.time_base,
        ..reader.stream().clone()
    };
    let cannot = |e| Error::write("a segment", e);
    let mut writer = NutWriter::new(segment, &stream).map_err(cannot)?;
    let mut packet = Vec::new();
    let mut times = slice.pts().iter();
    while let Some(info) = reader.next_into(&mut packet)? {
        let pts = times.next().ok_or_else(|| another_number(slice))?;
        writer
            .write_with_alpha(pts + plan.video.shift, info.key, &packet, reader.alpha())
            .map_err(cannot)?;
    }
    if times.next().is_some() {
        return Err(another_number(slice));
    }
    writer.finish().map_err(cannot)?;
    Ok(())
}

fn another_number(slice: &LedgerSlice) -> Error {
    let message = format!(
        "the encoder gave another number of frames than the {} it got",
        slice.range().len()
    );
    Error::new(ErrorCode::EncodeFailed, message)
}
