//! Results that are animated pictures: encoded once, as a whole, from lossless segments.

mod gif;
mod png;
mod webp;

use std::fs::File;
use std::io::BufWriter;
use std::process::ChildStdout;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Container, Plan, TimeBase};

use self::gif::GifWriter;
use self::png::PngWriter;
use super::canvas::Area;
use super::timing::{Delay, Timing};
use crate::media::nut::NutReader;
use crate::media::process::{Confinement, Launch, ProcessLimits, Program};
use crate::media::remux::{self, RemuxOrder, Segments};
use crate::media::sniff::{self, Kind, Picture};
use crate::media::widened;
use crate::{Error, Result};

/// The largest raw frame that is taken, in bytes.
const LARGEST_FRAME: usize = 4 << 30;

/// What the result takes over from an animated source.
struct Kept {
    /// How often all is played; 0 is for ever.
    plays: u32,
    /// The delays as the source states them, where the result is of its format and holds all of its frames.
    delays: Option<Vec<Delay>>,
}

/// How long one frame of a result is shown: what its source states, or else what follows from the ledger.
#[derive(Clone, Copy)]
struct Shown {
    stated: Option<Delay>,
    /// When it begins and when it ends, in ticks of the video's clock.
    start: i64,
    end: i64,
    time_base: TimeBase,
}

/// What puts frames into a file.
trait FrameWriter {
    /// A frame in the form in which it is compared with others.
    type Frame;

    /// Reads a frame from the bytes that ffmpeg gives.
    fn read(&self, bytes: Vec<u8>) -> Self::Frame;

    /// Adds a frame, knowing the one after it.
    fn write(&mut self, frame: Self::Frame, next: Option<&Self::Frame>, shown: Shown) -> Result<()>;

    /// Ends the file.
    fn finish(self) -> Result<()>;
}

/// Writes the result.
///
/// # Errors
/// Those of [`remux::remux`].
pub(crate) fn encode(order: &RemuxOrder<'_>, segments: Segments<'_>) -> Result<()> {
    let kept = Kept::of(order)?;
    if order.plan.container == Container::Webp {
        return webp::encode(order, segments, &kept);
    }
    let (width, height) = order.plan.video.target_size;
    let failed = |e| Error::write("the result", e);
    let file = BufWriter::with_capacity(1 << 20, File::create(order.scratch).map_err(failed)?);
    if order.plan.container == Container::Gif {
        let writer = GifWriter::new(file, (width, height), kept.plays)?;
        return frames(order, segments, &gif::SAMPLES, &kept, writer);
    }
    let samples = png::Samples::of(order.plan);
    let writer = PngWriter::new(file, samples, order.plan, kept.plays)?;
    frames(order, segments, &samples.arguments(), &kept, writer)
}

/// Has ffmpeg turn the segments into raw frames and gives each to `writer`.
fn frames(
    order: &RemuxOrder<'_>,
    segments: Segments<'_>,
    samples: &[&str],
    kept: &Kept,
    writer: impl FrameWriter,
) -> Result<()> {
    let launch = launch(order.plan)?.args(samples).args(["-f", "nut", "pipe:1"]);
    remux::run(order, launch.piped_stdout(), segments, |stdout| {
        let no_pipe = || Error::internal("a child without its pipe");
        write_frames(stdout.ok_or_else(no_pipe)?, order.plan, kept, writer)
    })
}

/// ffmpeg reading the segments, every frame at its own time.
fn launch(plan: &Plan) -> Result<Launch> {
    let (width, height) = plan.video.target_size;
    let confinement = Confinement::offline().with_limits(ProcessLimits::encoding(width, height));
    Ok(Launch::new(Program::Ffmpeg, &confinement)?
        .args(["-copyts", "-protocol_whitelist", "pipe", "-f", "nut", "-i", "pipe:0"])
        .args(["-map", "0:v:0", "-fps_mode", "passthrough"])
        .args(["-enc_time_base", &plan.video.time_base.to_string()]))
}

fn write_frames(stdout: ChildStdout, plan: &Plan, kept: &Kept, mut writer: impl FrameWriter) -> Result<()> {
    let broken = |e: Error| e.recoded(ErrorCode::EncodeFailed);
    let mut reader = NutReader::open(widened(stdout), LARGEST_FRAME).map_err(broken)?;
    let time_base = reader.stream().time_base;
    let last = plan.video.time_base.rescale(plan.video.last_duration, time_base);
    let mut take = || {
        let mut bytes = Vec::new();
        let info = reader.next_into(&mut bytes).map_err(broken)?;
        Ok::<_, Error>(info.map(|info| (info.pts, bytes)))
    };
    let mut current = take()?.map(|(start, bytes)| (start, writer.read(bytes)));
    for n in 0.. {
        let Some((start, frame)) = current else { break };
        let next = take()?.map(|(start, bytes)| (start, writer.read(bytes)));
        let shown = Shown {
            stated: kept.stated(n),
            start,
            end: next.as_ref().map_or(start + last, |(pts, _)| *pts),
            time_base,
        };
        writer.write(frame, next.as_ref().map(|(_, frame)| frame), shown)?;
        current = next;
    }
    writer.finish()
}

impl Kept {
    fn of(order: &RemuxOrder<'_>) -> Result<Self> {
        let Kind::Animation(_) = sniff::look(&**order.source.bytes())? else {
            return Ok(Self { plays: 0, delays: None });
        };
        let film = order.source.film(order.stop)?;
        let Timing {
            picture, delays, plays, ..
        } = film.timing();
        let same_format = matches!(
            (picture, order.plan.container),
            (Picture::Gif, Container::Gif) | (Picture::Png, Container::Apng) | (Picture::WebP, Container::Webp)
        );
        let frames: u64 = order.plan.batches.iter().map(|range| range.len()).sum();
        let all = order.plan.until.is_none() && frames == delays.len() as u64;
        Ok(Self {
            plays: *plays,
            delays: (same_format && all).then(|| delays.clone()),
        })
    }

    /// What the source states of frame `n`.
    fn stated(&self, n: usize) -> Option<Delay> {
        self.delays.as_ref()?.get(n).copied()
    }
}

impl Shown {
    /// In units of which there are so many in a second. Both ends are rounded, so that errors do not add up.
    fn units(&self, a_second: u32) -> u32 {
        let at = |ticks: i64| (self.time_base.seconds(ticks) * f64::from(a_second)).round() as i64;
        u32::try_from(at(self.end) - at(self.start)).unwrap_or(0)
    }
}

/// Where two pictures of `width` pixels a row differ, each pixel of them `N` bytes; of equal ones, the first pixel.
fn changed<const N: usize>(before: &[[u8; N]], after: &[[u8; N]], width: u32) -> Area {
    let differing = before.iter().zip(after).enumerate().filter(|(_, (a, b))| a != b);
    let width = width as usize;
    let bounds = differing.fold(None, |bounds, (at, _)| {
        let (x, y) = (at % width, at / width);
        let (left, right, top, _) = bounds.unwrap_or((x, x, y, y));
        Some((x.min(left), x.max(right), top, y))
    });
    let (left, right, top, bottom) = bounds.unwrap_or((0, 0, 0, 0));
    Area {
        x: left as u32,
        y: top as u32,
        width: (right - left + 1) as u32,
        height: (bottom - top + 1) as u32,
    }
}

/// The part of a picture of `width` pixels a row that lies in `area`, row by row.
fn rows<T>(picture: &[T], width: u32, area: Area) -> impl Iterator<Item = &[T]> {
    let columns = area.x as usize..(area.x + area.width) as usize;
    let rows = picture.chunks_exact(width as usize);
    rows.skip(area.y as usize)
        .take(area.height as usize)
        .map(move |row| &row[columns.clone()])
}
