//! Holding a video against its source.

use std::collections::BTreeMap;
use std::sync::Arc;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Codec, Container, Stretch};

use super::frames::SmallSize;
use super::packets::{Packets, packets};
use super::streams::Copied;
use super::times::{self, Clock, Times};
use super::walk::{Walk, walk};
use super::{Check, VerifyRequest, chapters, hdr, properties, repeats};
use crate::media::input::VideoInput;
use crate::media::pixel::keeps_alpha;
use crate::media::probe::{self, Probe, StreamInfo};
use crate::media::serve::{ServedSource, SourceBytes};
use crate::media::sniff::{self, Kind, Picture};
use crate::{Error, Result};

/// Seconds by which other streams of a stretch may start before its first frame: a long packet of sound.
const LONGEST_LEAD: f64 = 0.1;

/// One of the two files.
pub(super) struct Side<'a> {
    pub(super) served: ServedSource,
    pub(super) probe: &'a Probe,
    pub(super) video: &'a StreamInfo,
    name: &'a str,
}

/// Packets of a file's streams by their index.
type Listed = BTreeMap<usize, Packets>;

/// What is known of both videos once they are decoded. Pairs are of the source and the result, in seconds.
struct Film {
    walked: Walk,
    /// For each result frame the source frame of its time, where their numbers differ.
    pairs: Option<Vec<Option<usize>>>,
    clock: Clock,
    /// Times of the first frames.
    firsts: (f64, f64),
    /// Durations of the last frames, where their packets say them.
    lasts: (Option<f64>, Option<f64>),
    /// Length of what the result should hold.
    length: f64,
}

impl Side<'_> {
    /// Which container it is, as far as it matters for what it can hold. One that Clearfleet does not write counts as
    /// Matroska, which holds nearly everything.
    pub(super) fn container(&self) -> Result<Container> {
        let kind = sniff::look(&**self.served.bytes())?;
        Ok(match (kind, self.probe.demuxer) {
            (Kind::Animation(Picture::Gif), _) => Container::Gif,
            (Kind::Animation(Picture::Png), _) => Container::Apng,
            (Kind::Animation(Picture::WebP), _) => Container::Webp,
            (_, "mov") if self.probe.tags.get("major_brand").is_some_and(|b| b.trim() == "qt") => Container::Mov,
            (_, "mov") => Container::Mp4,
            (_, "matroska") if self.document_is_webm()? => Container::Webm,
            _ => Container::Mkv,
        })
    }

    /// ffprobe has one name for Matroska and WebM; the file's first element says which it is.
    fn document_is_webm(&self) -> Result<bool> {
        let mut head = [0; 64];
        let unreadable = |e| Error::new(ErrorCode::InputUnreadable, "the file cannot be read").because(e);
        let read = self.served.bytes().read_at(0, &mut head).map_err(unreadable)?;
        Ok(head[..read].windows(4).any(|w| w == b"webm"))
    }

    pub(super) fn input(&self) -> VideoInput<'_> {
        VideoInput {
            source: &self.served,
            demuxer: self.probe.demuxer,
            stream: self.video,
        }
    }

    /// Whether its frames have transparent parts.
    pub(super) fn transparent(&self) -> bool {
        let format = self.video.pix_fmt.as_deref().unwrap_or_default();
        ["pal8", "ya", "yuva", "gbrap", "rgba", "bgra", "argb", "abgr"]
            .iter()
            .any(|p| format.starts_with(p))
    }

    /// Whether its video could have transparent parts, which Clearfleet would keep.
    fn holds_alpha(&self, container: Container) -> bool {
        match self.video.codec.as_str() {
            "vp9" => keeps_alpha(Codec::Vp9, container),
            "ffv1" | "gif" | "apng" => true,
            _ => false,
        }
    }

    /// An error that is about this file.
    pub(super) fn about(&self) -> impl Fn(Error) -> Error + '_ {
        move |e| e.with("file", self.name)
    }
}

/// All checks of a video.
pub(super) fn checks(request: &VerifyRequest<'_>) -> Result<Vec<Check>> {
    let (source_served, source_probe) = open(request, &request.source, request.source_name)?;
    let (result_served, result_probe) = open(request, &request.result, request.result_name)?;
    let side = |served, probe, name| -> Result<Side<'_>> {
        let video = Probe::video(probe).map_err(|e| e.with("file", name))?;
        Ok(Side {
            served,
            probe,
            video,
            name,
        })
    };
    let source = side(source_served, &source_probe, request.source_name)?;
    let result = side(result_served, &result_probe, request.result_name)?;
    let listed = (
        packets(&source, request.stop).map_err(source.about())?,
        packets(&result, request.stop).map_err(result.about())?,
    );
    let film = film(request, (&source, &listed.0), (&result, &listed.1))?;
    let mut checks = film.checks(&source);
    let container = result.container()?;
    checks.extend(film.transparency(&source, &result, container));
    checks.extend(repeats::check(&source, &result, request.stop)?);
    checks.extend(properties::checks(source.video, result.video, container));
    checks.extend(hdr::check(&source, &result, request.stop)?);
    let length = (!request.stretch.is_whole()).then_some(film.length);
    let copied = Copied {
        source: &source,
        result: &result,
        source_packets: &listed.0,
        result_packets: &listed.1,
        first: film.firsts,
        stretch: length,
        stop: request.stop,
    };
    checks.extend(copied.checks()?);
    let own = chapters::chapters(&source, request.stop).map_err(source.about())?;
    let found = chapters::chapters(&result, request.stop).map_err(result.about())?;
    checks.extend(chapters::check(
        &own,
        &found,
        film.clock,
        length,
        !container.is_animation(),
    ));
    Ok(checks)
}

/// Decodes both. What shows through transparent parts is whoever plays it to choose, and whoever makes an opaque result of
/// it: there black is tried, then the colour that is stored.
fn film(request: &VerifyRequest<'_>, source: (&Side<'_>, &Listed), result: (&Side<'_>, &Listed)) -> Result<Film> {
    let on_black = film_on(request, source, result, true)?;
    if on_black.walked.pictures.holds() || !source.0.transparent() || result.0.transparent() {
        return Ok(on_black);
    }
    let as_stored = film_on(request, source, result, false)?;
    Ok(if as_stored.walked.pictures.holds() {
        as_stored
    } else {
        on_black
    })
}

/// Decodes both, once more where their numbers of frames differ: then each result frame is held against the source frame
/// of its time, so that one missing frame is one finding.
fn film_on(
    request: &VerifyRequest<'_>,
    source: (&Side<'_>, &Listed),
    result: (&Side<'_>, &Listed),
    on_black: bool,
) -> Result<Film> {
    let mut walked = walk(request, source.0, result.0, None, on_black)?;
    let Some(source_first) = walked.source.first() else {
        return Err(no_frame(request, source.0));
    };
    let firsts = (source_first, walked.result.first().unwrap_or(0.0));
    let earliest = |(side, listed): (&Side<'_>, &Listed)| {
        let others = listed.iter().filter(|(n, _)| **n != side.video.index);
        others.filter_map(|(_, p)| p.earliest()).fold(f64::INFINITY, f64::min)
    };
    let tick = times::tolerance(walked.source.time_base, walked.result.time_base);
    let clock = clock(&request.stretch, firsts, (earliest(source), earliest(result)), tick);
    let equal = walked.source.pts.len() == walked.result.pts.len();
    let pairs = (!equal).then(|| times::by_time(&walked.source, &walked.result, clock));
    if let Some(pairs) = &pairs {
        walked = walk(request, source.0, result.0, Some(pairs), on_black)?;
    }
    let lasts = |(side, listed): (&Side<'_>, &Listed), times: &Times| {
        let last = times.pts.last()?;
        listed.get(&side.video.index)?.lasts(*last)
    };
    let lasts = (lasts(source, &walked.source), lasts(result, &walked.result));
    let last = lasts.0.or(walked.source.interval()).unwrap_or(0.0);
    let length = walked.source.last().unwrap_or(source_first) - source_first + last;
    Ok(Film {
        walked,
        pairs,
        clock,
        firsts,
        lasts,
        length,
    })
}

impl Film {
    /// The check of transparent parts, for videos that may have some. GIF has no half-transparent ones.
    fn transparency(&self, source: &Side<'_>, result: &Side<'_>, container: Container) -> Option<Check> {
        if !source.transparent() && !result.transparent() {
            return None;
        }
        let not_held = !result.transparent() && !result.holds_alpha(container);
        Some(
            self.walked
                .pictures
                .transparency()
                .named_if(not_held || container == Container::Gif),
        )
    }

    fn checks(&self, source: &Side<'_>) -> Vec<Check> {
        let Walk {
            source: own,
            result: found,
            pictures,
            errors,
        } = &self.walked;
        let pairs = self.pairs.as_deref();
        let small = SmallSize::of(source.video.width, source.video.height);
        let mut checks = vec![
            times::frames(own, found, pairs),
            decoding(errors),
            times::times(own, found, self.clock, pairs),
        ];
        checks.extend(pictures.checks(small.width, small.height));
        checks.push(times::duration(own, found, self.clock, self.lasts));
        checks
    }
}

fn open(request: &VerifyRequest<'_>, bytes: &Arc<dyn SourceBytes>, name: &str) -> Result<(ServedSource, Probe)> {
    let served = request.server.register(Arc::clone(bytes));
    let probe = probe::probe(&served, request.limits, request.stop).map_err(|e| e.with("file", name))?;
    Ok((served, probe))
}

fn no_frame(request: &VerifyRequest<'_>, source: &Side<'_>) -> Error {
    let error = if request.stretch.is_whole() {
        Error::new(
            ErrorCode::InputNoFrames,
            "the video stream holds no frame that can be decoded",
        )
    } else {
        Error::new(ErrorCode::StretchEmpty, "no frame starts in the stretch asked for")
    };
    source.about()(error)
}

/// How the result's clock follows from the source's. Sound often starts before 0, where an encoder was filled; a container
/// that holds no negative time then makes everything later by that much, which nobody sees or hears.
fn clock(stretch: &Stretch, firsts: (f64, f64), others: (f64, f64), tick: f64) -> Clock {
    let zero = if stretch.is_whole() { 0.0 } else { firsts.0 };
    let late = firsts.1 - (firsts.0 - zero);
    let before = (zero - others.0.min(firsts.0)).max(0.0);
    let is_shift = if stretch.is_whole() {
        before > 0.0 && (late - before).abs() <= tick
    } else {
        // Which packet a cut begins with is the demuxer's choice: at zero, the result has the first of them.
        late > 0.0 && late <= before.min(LONGEST_LEAD) + tick && others.1.abs() <= tick
    };
    Clock {
        zero,
        shift: if is_shift { late } else { 0.0 },
    }
}

/// The check `decoding`.
fn decoding((source, result): &(Vec<String>, Vec<String>)) -> Check {
    let method = "ffmpeg decoded both videos in full, and what it reported as errors was counted, up to 100";
    let shown = |errors: &[String]| match errors.first() {
        Some(first) => format!("{} errors, the first: {first}", errors.len()),
        None => "no errors".to_owned(),
    };
    // What is broken in the source is mended by encoding it anew.
    Check::new(
        "decoding",
        method,
        "no errors in the result",
        shown(result),
        result.is_empty(),
    )
    .noting(!source.is_empty(), || format!("; the source has {}", shown(source)))
}
