//! Putting a result together: joined segments as the video, every other stream of the source by copy.

use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::time::Duration;

use clearfleet_common::job::{Container, Plan, PlannedVideo, SegmentKind};
use clearfleet_common::mp4::Additions;
use clearfleet_common::{ErrorCode, Stop};

use super::cover::Cover;
use super::fragment::Joined;
use super::nut::{NutReader, NutWriter};
use super::process::{Confinement, Launch, Program, Report};
use super::serve::ServedSource;
use super::streams::OtherStreams;
use super::{animation, input};
use crate::{Error, Result};

/// The largest encoded frame that is taken, in bytes.
const LARGEST_PACKET: usize = 2 << 30;

/// Segments in order, opened when they are needed.
pub(crate) type Segments<'a> = Box<dyn Iterator<Item = Result<Box<dyn Read + Send>>> + Send + 'a>;

/// What a remux needs to know.
pub(crate) struct RemuxOrder<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) source: &'a ServedSource,
    pub(crate) others: &'a OtherStreams,
    /// The covers among them that are attached.
    pub(crate) covers: &'a [Cover],
    /// How many files are copied: attachments before the covers.
    pub(crate) files: usize,
    /// The file that the result is written to, absolute: MP4 and Matroska go back to their beginnings at the end.
    pub(crate) scratch: &'a Path,
    pub(crate) stop: &'a Stop,
    pub(crate) deadline: Duration,
}

/// Writes the result.
///
/// # Errors
/// `EncodeFailed` with ffmpeg's own words, `DiskFull` where those say so, `DeadlineExceeded`, `Stopped`.
pub(crate) fn remux(order: &RemuxOrder<'_>, segments: Segments<'_>) -> Result<()> {
    if order.plan.container.is_animation() {
        return animation::encode(order, segments);
    }
    run(order, copy(order)?.writes(order.scratch), segments, |_| Ok(()))
}

/// Runs ffmpeg on the joined segments; `take` gets what it writes to a pipe, where there is one.
///
/// # Errors
/// Those of [`remux`], and those of `take`.
pub(crate) fn run(
    order: &RemuxOrder<'_>,
    launch: Launch,
    segments: Segments<'_>,
    take: impl FnOnce(Option<ChildStdout>) -> Result<()>,
) -> Result<()> {
    let mut child = launch.piped_stdin().spawn(order.stop, order.deadline)?;
    let stdin = child
        .take_stdin()
        .ok_or_else(|| Error::internal("a child without its pipe"))?;
    let stdout = child.take_stdout();
    let (fed, taken) = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(order.plan, segments, stdin));
        let taken = take(stdout);
        let panicked = |_| Err(Error::internal("the thread that joins segments panicked"));
        (feeder.join().unwrap_or_else(panicked), taken)
    });
    let ended = child
        .finish(ErrorCode::EncodeFailed, "putting the result together")
        .and_then(whole)
        .map_err(full_disk);
    match (taken, fed) {
        // Where the result cannot be written, that ends ffmpeg, and not the other way round.
        (Err(e), _) if e.code() != ErrorCode::EncodeFailed => Err(e),
        // ffmpeg may end before the last byte of the video; a failure of its own tells more than the broken pipe.
        (_, Err(e)) if e.code() != ErrorCode::OutputUnwritable => Err(e),
        (taken, _) => ended.and(taken),
    }
}

/// ffmpeg ends as if all were well when it could not write the end of a file (5.1 does), and says so only in words.
fn whole(report: Report) -> Result<()> {
    let cut_off = ["Error writing trailer", "Error closing file"];
    if report
        .errors
        .iter()
        .any(|line| cut_off.iter().any(|said| line.contains(said)))
    {
        let error = Error::new(ErrorCode::EncodeFailed, "the end of the result could not be written");
        return Err(error.with_ffmpeg(report.errors));
    }
    Ok(())
}

/// ffmpeg says in words that a disk is full.
fn full_disk(e: Error) -> Error {
    if e.ffmpeg().iter().any(|line| line.contains("No space left")) {
        e.recoded(ErrorCode::DiskFull)
    } else {
        e
    }
}

/// Writes the joined segments to ffmpeg.
fn feed(plan: &Plan, segments: Segments<'_>, stdin: ChildStdin) -> Result<()> {
    let stdin = super::widened(stdin);
    match plan.encoder.segment {
        SegmentKind::FragmentedMp4 => feed_fragments(Joined::new(segments, Additions::of(&plan.video)), stdin),
        SegmentKind::Nut => feed_packets(segments, stdin),
    }
}

fn broken(e: std::io::Error) -> Error {
    Error::write("the joined video", e)
}

fn feed_fragments(mut joined: Joined<Segments<'_>>, mut stdin: ChildStdin) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = joined.read(&mut buffer);
        let read = read.map_err(|e| Error::internal("segments cannot be joined").because(e))?;
        if read == 0 {
            return Ok(());
        }
        stdin.write_all(&buffer[..read]).map_err(broken)?;
    }
}

fn feed_packets(mut segments: Segments<'_>, stdin: ChildStdin) -> Result<()> {
    let open = |segment| NutReader::open(BufReader::with_capacity(1 << 20, segment), LARGEST_PACKET);
    let Some(first) = segments.next() else { return Ok(()) };
    let mut reader = open(first?)?;
    let stream = reader.stream().clone();
    let mut writer = NutWriter::new(stdin, &stream).map_err(broken)?;
    let mut packet = Vec::new();
    loop {
        while let Some(info) = reader.next_into(&mut packet)? {
            let written = writer.write_with_alpha(info.pts, info.key, &packet, reader.alpha());
            written.map_err(broken)?;
        }
        if !reader.is_complete() {
            return Err(Error::new(ErrorCode::EncodeFailed, "a segment is cut off"));
        }
        let Some(next) = segments.next() else { break };
        reader = open(next?)?;
        if *reader.stream() != stream {
            return Err(Error::new(ErrorCode::EncodeFailed, "segments of different streams"));
        }
    }
    writer.finish().map(drop).map_err(broken)
}

/// Seconds of `ticks` of the video's clock, as ffmpeg reads them.
fn seconds(plan: &Plan, ticks: i64) -> String {
    format!("{:.6}", plan.video.time_base.seconds(ticks))
}

fn segment_format(plan: &Plan) -> &'static str {
    match plan.encoder.segment {
        SegmentKind::FragmentedMp4 => "mov",
        SegmentKind::Nut => "nut",
    }
}

fn copy(order: &RemuxOrder<'_>) -> Result<Launch> {
    let plan = order.plan;
    let video = &plan.video;
    let mut launch = Launch::new(Program::Ffmpeg, &Confinement::reading(order.source))?
        .args(["-copyts", "-itsoffset", &seconds(plan, -(video.shift + plan.zero))])
        .args([
            "-protocol_whitelist",
            "pipe",
            "-f",
            segment_format(plan),
            "-i",
            "pipe:0",
        ]);
    if plan.zero != 0 {
        launch = launch.args(["-itsoffset", &seconds(plan, -plan.zero)]);
    }
    if plan.until.is_some() {
        launch = launch.args(["-seek_timestamp", "1", "-ss", &seconds(plan, plan.zero)]);
    }
    launch = launch
        .args(input::source_arguments(order.source, &plan.demuxer))
        .args(["-map", "0:v:0"]);
    for index in &order.others.kept {
        launch = launch.args(["-map", &format!("1:{index}")]);
    }
    for (cover, number) in order.covers.iter().zip(order.files..) {
        launch = launch.args(cover.arguments(number));
    }
    launch = launch
        .args(["-map_metadata", "1", "-map_chapters", "1", "-c", "copy"])
        .args(["-disposition:v:0", "default", "-max_muxing_queue_size", "65536"])
        .args(colour_tags(video));
    // Naming one kind of metadata turns off all that is copied by itself.
    let sources = std::iter::once(video.stream as usize).chain(order.others.kept.iter().copied());
    for (n, index) in sources.enumerate() {
        launch = launch.args([format!("-map_metadata:s:{n}"), format!("1:s:{index}")]);
    }
    // The source's own says nothing of the result.
    let alpha_mode = if super::alpha_is_beside(plan) {
        "alpha_mode=1"
    } else {
        "alpha_mode="
    };
    launch = launch.args(["-metadata:s:v:0", alpha_mode]);
    if video.rotation != 0 && !video.mirrored {
        // ffmpeg 5.1 takes the turn of the picture, and a display matrix undoes it.
        launch = launch.args(["-metadata:s:v:0", &format!("rotate={}", 360 - video.rotation)]);
    }
    if let Some(until) = plan.until {
        // The result's clock, not the source's: ffmpeg counts `-to` of an input from before its offset.
        launch = launch.args(["-t", &seconds(plan, until - plan.zero)]);
        for n in 1..=order.others.kept.len() {
            // The source is read from its last key frame before the stretch.
            launch = launch.args([format!("-copypriorss:{n}"), "0".to_owned()]);
        }
    }
    let den = video.time_base.den();
    let format: &[&str] = match plan.container {
        // FLAC and TrueHD are experiments to ffmpeg 5.1.
        Container::Mp4 => &["-movflags", "+faststart", "-strict", "experimental", "-f", "mp4"],
        Container::Mov => &["-movflags", "+faststart", "-f", "mov"],
        // What is before zero is the priming of a sound; shifting every stream for it would shift the video.
        Container::Mkv => &["-avoid_negative_ts", "disabled", "-f", "matroska"],
        Container::Webm => &["-avoid_negative_ts", "disabled", "-f", "webm"],
        Container::Gif | Container::Apng | Container::Webp => {
            return Err(Error::internal("an animation is not copied"));
        }
    };
    if matches!(plan.container, Container::Mp4 | Container::Mov) {
        // Edit lists count in the movie's timescale: a multiple of the video's holds its start exactly.
        let movie = den.saturating_mul(10_000u32.div_ceil(den));
        launch = launch.args([
            "-video_track_timescale",
            &den.to_string(),
            "-movie_timescale",
            &movie.to_string(),
        ]);
    }
    Ok(launch.args(format).arg(order.scratch))
}

/// The options that are colour tags: what FFV1 and VP9 do not say of themselves, Matroska can.
fn colour_tags(video: &PlannedVideo) -> &[String] {
    match video.colour.as_slice() {
        [option, _filter, tags @ ..] if option == "-vf" => tags,
        tags => tags,
    }
}
