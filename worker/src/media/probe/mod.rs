//! What a user's file holds, as ffprobe says it.

mod alpha;
pub(super) mod hdr;
pub(super) mod parse;
#[cfg(test)]
pub(crate) mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use clearfleet_common::config::Limits;
use clearfleet_common::job::{Rational, TimeBase};
use clearfleet_common::{ErrorCode, Stop};

use super::process::{Child, Confinement, Launch, Program, ffmpeg_version};
use super::serve::ServedSource;
use super::sniff::{self, Kind};
use super::{animation, formats, input, within};
use crate::{Error, Result};

pub(crate) use hdr::{Hdr, hdr};

/// How long ffprobe may take: it reads some megabytes at most, perhaps from a slow store.
const DEADLINE: Duration = Duration::from_secs(120);
/// How much ffprobe may say. A file with 1,000 streams and long tags says 2 MB.
const OUTPUT_BYTES: u64 = 16 << 20;

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The demuxer that reads it, one name for `-f`, on the list of [`formats`]; `film` for an animated picture, which is
    /// composed here.
    pub demuxer: &'static str,
    /// The format as ffprobe names it.
    pub format_name: String,
    /// Length in seconds; unknown for some streams and recordings.
    pub duration: Option<f64>,
    /// Time of the first packet in seconds.
    pub start_time: Option<f64>,
    /// The streams by their index.
    pub streams: Vec<StreamInfo>,
    /// Number of chapters.
    pub chapters: usize,
    /// Metadata of the file.
    pub tags: BTreeMap<String, String>,
    limits: Limits,
}

/// A stream of a file. What ffprobe does not say is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamInfo {
    /// Its number in the file, as `-map 0:N` takes it.
    pub index: usize,
    /// What it carries.
    pub kind: StreamKind,
    /// Name of its codec; `unknown` where ffmpeg knows none.
    pub codec: String,
    /// Profile of its codec.
    pub profile: Option<String>,
    /// Length of a tick of its timestamps.
    pub time_base: TimeBase,
    /// Its first timestamp in ticks.
    pub start_pts: Option<i64>,
    /// Its length in ticks.
    pub duration_ticks: Option<i64>,
    /// Number of frames as its container counts them; not always the number that decodes.
    pub nb_frames: Option<u64>,
    /// Width as coded, before rotation; 0 where unknown.
    pub width: u32,
    /// Height as coded, before rotation; 0 where unknown.
    pub height: u32,
    /// ffmpeg's name of its pixel format.
    pub pix_fmt: Option<String>,
    /// ffmpeg's decoder that gives all of that, where it is not the one that ffmpeg takes by itself.
    pub decoder: Option<&'static str>,
    /// Width of a pixel to its height.
    pub sample_aspect: Option<Rational>,
    /// Frames a second on average.
    pub avg_frame_rate: Option<Rational>,
    /// Channels of sound.
    pub channels: Option<u32>,
    /// Samples of sound a second.
    pub sample_rate: Option<u32>,
    /// How its samples mean colours.
    pub colour: Colour,
    /// ffmpeg's name of the order of its fields; `progressive` for frames.
    pub field_order: Option<String>,
    /// How a player turns it.
    pub orientation: Orientation,
    /// A cover picture and not a video.
    pub attached_picture: bool,
    /// The stream that a player takes.
    pub default: bool,
    /// Names of what else the container says of it, such as `Mastering display metadata`.
    pub side_data: Vec<String>,
    /// Metadata of the stream.
    pub tags: BTreeMap<String, String>,
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles, as text or as pictures.
    Subtitle,
    /// Data of another kind, such as time codes.
    Data,
    /// Files that belong to the video, such as fonts.
    Attachment,
    /// What ffmpeg does not know.
    Unknown,
}

/// ffmpeg's names of what a stream says about its colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Colour {
    /// `tv` or `pc`.
    pub range: Option<String>,
    /// Matrix, such as `bt709`.
    pub space: Option<String>,
    /// Transfer curve, such as `smpte2084`.
    pub transfer: Option<String>,
    /// Primaries, such as `bt2020`.
    pub primaries: Option<String>,
    /// Where chroma samples lie, such as `left`.
    pub chroma_location: Option<String>,
}

/// How a player shows a decoded picture: flipped first, then turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    /// Degrees clockwise: 0, 90, 180 or 270; other angles are rounded to these.
    pub rotation: u16,
    /// Flipped top to bottom before it is turned.
    pub mirrored: bool,
}

/// Asks ffprobe what a source holds. Sizes are judged by [`Probe::video`].
///
/// # Errors
/// [`ErrorCode::InputDamaged`] or [`ErrorCode::InputUnsupported`] with ffprobe's last lines if it cannot read the source,
/// by whether its first bytes are known; [`ErrorCode::InputUnreadable`] if the source itself failed;
/// [`ErrorCode::FfmpegMissing`] if there is no ffmpeg or an old one.
pub fn probe(source: &ServedSource, limits: &Limits, stop: &Stop) -> Result<Probe> {
    // What follows a probe needs ffmpeg as new as that.
    ffmpeg_version()?;
    let kind = sniff::look(&**source.bytes())?;
    let film = match animation::is_composed(kind, &**source.bytes())? {
        true => Some(source.film(stop)?),
        false => None,
    };
    let url = match &film {
        Some(film) => {
            within("the picture", film.timing().size, limits)?;
            source.film_url()
        }
        None => source.url().to_owned(),
    };
    let child = Launch::new(Program::Ffprobe, &Confinement::reading(source))?
        .args([
            "-protocol_whitelist",
            "http,tcp",
            "-format_whitelist",
            &formats::whitelist(),
        ])
        .args([
            "-print_format",
            "json",
            "-show_format",
            "-show_streams",
            "-show_chapters",
            "-i",
            &url,
        ])
        .piped_stdout()
        .spawn(stop, DEADLINE)?;
    match described(child) {
        Ok(said) => {
            let mut probe = parse::probe(&said, *limits).map_err(|e| refused(kind, e))?;
            if let Some(film) = film {
                return Ok(probe.of_film(film.timing().codec()));
            }
            for stream in &mut probe.streams {
                alpha::look(source, probe.demuxer, stream, stop)?;
            }
            Ok(probe)
        }
        Err(error) if error.code() == ErrorCode::InputUnsupported => match source.take_failure() {
            Some(failure) => Err(Error::unreadable(failure)),
            None => Err(refused(kind, error)),
        },
        Err(error) => Err(error),
    }
}

/// What ffprobe writes, in bounds.
fn described(mut child: Child) -> Result<String> {
    let mut said = Vec::new();
    if let Some(stdout) = child.take_stdout() {
        let read = stdout.take(OUTPUT_BYTES).read_to_end(&mut said);
        read.map_err(|e| Error::internal("ffprobe's answer cannot be read").because(e))?;
    }
    if said.len() as u64 == OUTPUT_BYTES {
        let message = format!(
            "the description of its streams is longer than {} MiB",
            OUTPUT_BYTES >> 20
        );
        return Err(Error::new(ErrorCode::InputUnsupported, message).with("limit", OUTPUT_BYTES));
    }
    child.finish(ErrorCode::InputUnsupported, "reading what the file holds")?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// ffprobe's failure in a person's words.
fn refused(kind: Kind, error: Error) -> Error {
    let said = error.ffmpeg().to_vec();
    let (code, message) = match kind {
        Kind::Media(_) | Kind::Audio(_) | Kind::Still(_) | Kind::Animation(_) => (
            ErrorCode::InputDamaged,
            format!("the file starts like {kind} and cannot be read: it is damaged or cut off"),
        ),
        _ => (
            ErrorCode::InputUnsupported,
            "the file is no picture and no video that Clearfleet reads".to_owned(),
        ),
    };
    Error::new(code, message)
        .with("found", kind)
        .with_ffmpeg(said)
        .because(error)
}

impl Probe {
    /// What is said of a film, for the animated picture of which it is made.
    fn of_film(mut self, codec: &str) -> Self {
        self.demuxer = input::FILM;
        for stream in &mut self.streams {
            codec.clone_into(&mut stream.codec);
        }
        self
    }

    /// The stream to upscale: no cover picture; the default one first, then the largest, then the first.
    ///
    /// # Errors
    /// If there is none, its size is not known, or it is over the limits.
    pub fn video(&self) -> Result<&StreamInfo> {
        let videos = self
            .streams
            .iter()
            .filter(|s| s.kind == StreamKind::Video && !s.attached_picture);
        let Some(video) = videos.max_by_key(|s| (s.default, s.area(), Reverse(s.index))) else {
            return Err(self.no_video());
        };
        self.check_size(video)?;
        self.check_length(video)?;
        Ok(video)
    }

    fn no_video(&self) -> Error {
        let count = |name: &str, n: usize| match n {
            0 => None,
            1 => Some(format!("1 {name}")),
            n => Some(format!("{n} {name}s")),
        };
        let kinds = [
            (StreamKind::Video, "attached picture"),
            (StreamKind::Audio, "audio stream"),
            (StreamKind::Subtitle, "subtitle stream"),
            (StreamKind::Data, "data stream"),
            (StreamKind::Attachment, "attached file"),
            (StreamKind::Unknown, "unknown stream"),
        ];
        let found: Vec<String> = kinds
            .into_iter()
            .filter_map(|(kind, name)| count(name, self.streams.iter().filter(|s| s.kind == kind).count()))
            .collect();
        let found = if found.is_empty() {
            "no stream at all".to_owned()
        } else {
            found.join(", ")
        };
        Error::new(
            ErrorCode::InputNoVideo,
            format!("the file has no video: it holds {found}"),
        )
        .with("found", found)
    }

    fn check_size(&self, video: &StreamInfo) -> Result<()> {
        let (width, height, limits) = (video.width, video.height, &self.limits);
        let size = format!("{width}x{height}");
        if width == 0 || height == 0 {
            let message = format!(
                "the video ({}) does not say how large it is: {size} pixels",
                video.codec
            );
            return Err(Error::new(ErrorCode::InputDimensions, message).with("found", size));
        }
        within("the video", (width, height), limits)
    }

    fn check_length(&self, video: &StreamInfo) -> Result<()> {
        let own = video.duration_ticks.map(|t| video.time_base.seconds(t));
        let seconds = self.duration.unwrap_or(0.0).max(own.unwrap_or(0.0));
        if seconds > self.limits.seconds as f64 {
            let limit = self.limits.seconds;
            let message = format!("the video is {seconds} s long; {limit} s are allowed");
            return Err(Error::new(ErrorCode::InputTooLong, message)
                .with("limit", limit)
                .with("found", seconds));
        }
        let frames = video.nb_frames.unwrap_or(0);
        if frames > self.limits.frames {
            let limit = self.limits.frames;
            let message = format!("the video has {frames} frames; {limit} are allowed");
            return Err(Error::new(ErrorCode::InputTooManyFrames, message)
                .with("limit", limit)
                .with("found", frames));
        }
        Ok(())
    }
}

impl StreamInfo {
    /// Pixels of a frame.
    pub fn area(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}
