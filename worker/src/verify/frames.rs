//! Every frame of a video, decoded in full and made small: its time, its luma and its mean colour.

use std::process::ChildStdout;

use clearfleet_common::config::{Deadlines, Limits};
use clearfleet_common::job::TimeBase;
use clearfleet_common::{ErrorCode, Stop};

use crate::media::input::{self, VideoInput};
use crate::media::nut::NutReader;
use crate::media::process::{Child, Confinement, Launch, ProcessLimits, Program};
use crate::media::widened;
use crate::{Error, Result};

/// The longer edge of a small picture, in pixels: enough to tell frames apart, and little enough that what a codec loses is
/// averaged away.
pub(super) const LONGER_EDGE: u32 = 64;
/// The shorter edge of a small picture, at least.
const SHORTEST_EDGE: u32 = 8;
/// Ticks that are added to each time on its way here: NUT holds no negative ones.
const AHEAD: i64 = 1 << 40;

/// Size of the small pictures of a source and of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SmallSize {
    pub(super) width: u32,
    pub(super) height: u32,
}

/// A frame, small.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Small {
    /// When it is shown, in ticks of its stream.
    pub(super) pts: i64,
    /// Luma of BT.601, full range.
    pub(super) luma: Vec<u8>,
    /// Means of red, green and blue.
    pub(super) mean: [f64; 3],
    /// Alpha, 255 where it is opaque.
    pub(super) alpha: Vec<u8>,
}

/// The frames of one video in order, as they are decoded.
pub(super) struct Frames {
    child: Option<Child>,
    stdout: Option<ChildStdout>,
    reader: Option<NutReader<ChildStdout>>,
    size: SmallSize,
    time_base: TimeBase,
    limit: u64,
    seen: u64,
    packet: Vec<u8>,
    /// What the decoder complained of; complete after the last frame.
    errors: Vec<String>,
}

impl SmallSize {
    /// For a source of this size; sources that are small themselves are not enlarged.
    pub(super) fn of(width: u32, height: u32) -> Self {
        let longer = f64::from(width.max(height));
        let factor = (f64::from(LONGER_EDGE) / longer).min(1.0);
        let edge = |e: u32| ((f64::from(e) * factor).round() as u32).max(SHORTEST_EDGE);
        Self {
            width: edge(width),
            height: edge(height),
        }
    }

    /// Bytes of a picture: red, green, blue and alpha.
    fn bytes(self) -> usize {
        4 * self.width as usize * self.height as usize
    }
}

impl Frames {
    /// Starts decoding. With `on_black`, transparent parts are laid on black; else they show the colour that is stored.
    ///
    /// # Errors
    /// If ffmpeg cannot be started.
    pub(super) fn decode(
        video: &VideoInput<'_>,
        size: SmallSize,
        on_black: bool,
        limits: &Limits,
        stop: &Stop,
    ) -> Result<Self> {
        let stream = video.stream;
        let limited = ProcessLimits::decoding(stream.width, stream.height);
        let SmallSize { width, height } = size;
        let ground = if on_black {
            "format=gbrap,premultiply=inplace=1,"
        } else {
            ""
        };
        let shrink = "flags=bicubic+accurate_rnd+full_chroma_int";
        let mut child = Launch::new(
            Program::Ffmpeg,
            &Confinement::reading(video.source).with_limits(limited),
        )?
        .args(["-copyts", "-noautorotate"])
        .args(input::decoder_arguments(stream.index, stream.decoder))
        .args(input::source_arguments(video.source, video.demuxer))
        .args(["-map", &format!("0:{}", stream.index), "-an", "-sn", "-dn"])
        .args([
            "-vf",
            &format!("setpts=PTS+{AHEAD},{ground}scale={width}:{height}:{shrink},format=rgba"),
        ])
        .args([
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            &stream.time_base.to_string(),
        ])
        .args(["-c:v", "rawvideo", "-f", "nut", "pipe:1"])
        .piped_stdout()
        .spawn(stop, Deadlines::longest())?;
        Ok(Self {
            stdout: child.take_stdout(),
            child: Some(child),
            reader: None,
            size,
            time_base: stream.time_base,
            limit: limits.frames,
            seen: 0,
            packet: Vec::new(),
            errors: Vec::new(),
        })
    }

    /// The next frame, or nothing after the last.
    ///
    /// # Errors
    /// `InputDamaged` if it cannot be decoded, `InputTooManyFrames`, `DeadlineExceeded`, `Stopped`.
    pub(super) fn next(&mut self) -> Result<Option<Small>> {
        let packet = match self.read() {
            Ok(packet) => packet,
            // What broke the pipe is in the child's own words, if it has any.
            Err(e) => return self.end().and(Err(e.recoded(ErrorCode::InputDamaged))),
        };
        let Some(pts) = packet else {
            self.end()?;
            return Ok(None);
        };
        self.seen += 1;
        if self.seen > self.limit {
            let message = format!("more frames than the limit of {}", self.limit);
            return Err(Error::new(ErrorCode::InputTooManyFrames, message).with("limit", self.limit));
        }
        if self.packet.len() != self.size.bytes() {
            let message = format!(
                "a frame of {} bytes where {} were asked for",
                self.packet.len(),
                self.size.bytes()
            );
            return Err(Error::internal(message));
        }
        Ok(Some(small(pts, &self.packet)))
    }

    /// The clock of its frames.
    pub(super) fn time_base(&self) -> TimeBase {
        self.time_base
    }

    /// What the decoder complained of, after the last frame.
    pub(super) fn errors(&self) -> &[String] {
        &self.errors
    }

    /// The time of the next packet, whose bytes are then in `packet`.
    fn read(&mut self) -> Result<Option<i64>> {
        if let Some(stdout) = self.stdout.take() {
            match NutReader::open(widened(stdout), self.size.bytes()) {
                Ok(reader) => self.reader = Some(reader),
                // A child that found no frame writes no header; why, its end says.
                Err(_) => return Ok(None),
            }
        }
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        let clock = reader.stream().time_base;
        let packet = reader.next_into(&mut self.packet)?;
        Ok(packet.map(|p| clock.rescale(p.pts, self.time_base) - AHEAD))
    }

    fn end(&mut self) -> Result<()> {
        self.reader = None;
        if let Some(child) = self.child.take() {
            self.errors = child.finish(ErrorCode::InputDamaged, "decoding the video")?.errors;
        }
        Ok(())
    }
}

/// What is kept of packed RGBA.
fn small(pts: i64, rgba: &[u8]) -> Small {
    let mut sums = [0u64; 3];
    let mut luma = Vec::with_capacity(rgba.len() / 4);
    for pixel in rgba.chunks_exact(4) {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
        sums = [sums[0] + u64::from(r), sums[1] + u64::from(g), sums[2] + u64::from(b)];
        luma.push(((77 * r + 150 * g + 29 * b + 128) >> 8) as u8);
    }
    let pixels = luma.len().max(1) as f64;
    Small {
        pts,
        luma,
        mean: sums.map(|s| s as f64 / pixels),
        alpha: rgba.iter().skip(3).step_by(4).copied().collect(),
    }
}
