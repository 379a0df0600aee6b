//! Holding a video against its source.

use std::sync::Arc;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Container, Stretch};

use super::frames::{Frames, Small, SmallSize};
use super::pictures::{NEARBY, Nearby, Pictures};
use super::streams::{Copied, packets};
use super::times::{self, Clock, Times};
use super::{Check, VerifyRequest, chapters, properties};
use crate::media::input::VideoInput;
use crate::media::probe::{self, Probe, StreamInfo};
use crate::media::serve::{ServedSource, SourceBytes};
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

/// What walking through both videos gives.
struct Walk {
    source: Times,
    result: Times,
    pictures: Pictures,
    /// What decoding each complained of.
    errors: (Vec<String>, Vec<String>),
}

impl Side<'_> {
    /// Which container it is, as far as it matters for what it can hold. One that Clearfleet does not write counts as
    /// Matroska, which holds nearly everything.
    pub(super) fn container(&self) -> Result<Container> {
        Ok(match self.probe.demuxer {
            "gif" => Container::Gif,
            "apng" => Container::Apng,
            "mov" if self.probe.tags.get("major_brand").is_some_and(|b| b.trim() == "qt") => Container::Mov,
            "mov" => Container::Mp4,
            "matroska" if self.document_is_webm()? => Container::Webm,
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

    fn input(&self) -> VideoInput<'_> {
        VideoInput {
            source: &self.served,
            demuxer: self.probe.demuxer,
            stream: self.video,
        }
    }

    /// Whether its frames have transparent parts.
    fn transparent(&self) -> bool {
        let format = self.video.pix_fmt.as_deref().unwrap_or_default();
        ["pal8", "ya", "yuva", "gbrap", "rgba", "bgra", "argb", "abgr"]
            .iter()
            .any(|p| format.starts_with(p))
    }

    /// An error that is about this file.
    fn about(&self) -> impl Fn(Error) -> Error + '_ {
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
    let container = result.container()?;
    let stop = request.stop;

    let source_packets = packets(&source, stop).map_err(source.about())?;
    let result_packets = packets(&result, stop).map_err(result.about())?;
    let mut walk = walk(request, &source, &result, None)?;
    let (Some(source_first), result_first) = (walk.source.first(), walk.result.first()) else {
        return Err(no_frame(request, &source));
    };
    let earliest = |side: &Side<'_>, listed: &std::collections::BTreeMap<usize, super::streams::Packets>| {
        let others = listed.iter().filter(|(n, _)| **n != side.video.index);
        others.filter_map(|(_, p)| p.earliest()).fold(f64::INFINITY, f64::min)
    };
    let tick = times::tolerance(walk.source.time_base, walk.result.time_base);
    let firsts = (source_first, result_first.unwrap_or(0.0));
    let others = (earliest(&source, &source_packets), earliest(&result, &result_packets));
    let clock = clock(&request.stretch, firsts, others, tick);
    // Where a frame is missing or too many, those that are there are still held against their own.
    let pairs =
        (walk.source.pts.len() != walk.result.pts.len()).then(|| times::by_time(&walk.source, &walk.result, clock));
    if let Some(pairs) = &pairs {
        walk = self::walk(request, &source, &result, Some(pairs))?;
    }

    let small = SmallSize::of(source.video.width, source.video.height);
    let last = |times: &Times| times.pts.last().copied().unwrap_or(0);
    let lasts = (
        source_packets
            .get(&source.video.index)
            .and_then(|p| p.lasts(last(&walk.source))),
        result_packets
            .get(&result.video.index)
            .and_then(|p| p.lasts(last(&walk.result))),
    );
    let mut checks = vec![
        times::frames(&walk.source, &walk.result, pairs.as_deref()),
        decoding(&walk.errors),
        times::times(&walk.source, &walk.result, clock, pairs.as_deref()),
    ];
    checks.extend(walk.pictures.checks(small.width, small.height));
    checks.push(times::duration(&walk.source, &walk.result, clock, lasts));
    checks.extend(properties::checks(source.video, result.video, container));
    let length = (!request.stretch.is_whole())
        .then(|| walk.source.last().unwrap_or(0.0) - source_first + lasts.0.or(walk.source.interval()).unwrap_or(0.0));
    let copied = Copied {
        source: &source,
        result: &result,
        source_packets: &source_packets,
        result_packets: &result_packets,
        first: firsts,
        stretch: length,
        stop,
    };
    checks.extend(copied.checks()?);
    let own = chapters::chapters(&source, stop).map_err(source.about())?;
    let found = chapters::chapters(&result, stop).map_err(result.about())?;
    checks.extend(chapters::check(&own, &found, clock, length, !container.is_animation()));
    Ok(checks)
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

/// Source frames that the result should hold.
struct Wanted {
    frames: Frames,
    stretch: Stretch,
    first: Option<i64>,
    ended: bool,
}

impl Wanted {
    /// The next frame that starts in the stretch; its moments count from the first frame.
    fn next(&mut self) -> Result<Option<Small>> {
        let tick = self.frames.time_base().seconds(1);
        while !self.ended {
            let Some(frame) = self.frames.next()? else { break };
            let first = *self.first.get_or_insert(frame.pts);
            let ticks = |seconds: f64| first.saturating_add((seconds / tick).ceil() as i64);
            if self.stretch.end.is_some_and(|end| frame.pts >= ticks(end)) {
                break;
            }
            if self.stretch.start.is_none_or(|start| frame.pts >= ticks(start)) {
                return Ok(Some(frame));
            }
        }
        self.ended = true;
        Ok(None)
    }
}

/// Decodes both side by side and holds each result frame against its own source frame: the one with its number, or the
/// one that `pairs` names.
fn walk(
    request: &VerifyRequest<'_>,
    source: &Side<'_>,
    result: &Side<'_>,
    pairs: Option<&[Option<usize>]>,
) -> Result<Walk> {
    let size = SmallSize::of(source.video.width, source.video.height);
    let transparent = source.transparent() && result.transparent();
    let decode = |side: &Side<'_>| Frames::decode(&side.input(), size, transparent, request.limits, request.stop);
    let frames = decode(source).map_err(source.about())?;
    let mut wanted = Wanted {
        frames,
        stretch: request.stretch,
        first: None,
        ended: false,
    };
    let mut found = decode(result).map_err(result.about())?;
    let mut source_times = Times {
        time_base: source.video.time_base,
        pts: Vec::new(),
    };
    let mut result_times = Times {
        time_base: result.video.time_base,
        pts: Vec::new(),
    };
    let mut nearby = Nearby::new();
    let mut pictures = Pictures::default();
    let mut until = |own: usize, nearby: &mut Nearby, times: &mut Times| -> Result<()> {
        while nearby.next() <= own.saturating_add(NEARBY) {
            let Some(frame) = wanted.next().map_err(source.about())? else {
                break;
            };
            times.pts.push(frame.pts);
            nearby.push(frame);
        }
        Ok(())
    };
    let mut number = 0;
    while let Some(frame) = found.next().map_err(result.about())? {
        result_times.pts.push(frame.pts);
        let own = pairs.map_or(Some(number), |p| p.get(number).copied().flatten());
        if let Some(own) = own {
            until(own, &mut nearby, &mut source_times)?;
            nearby.forget_before(own);
            pictures.compare(&nearby, own, number, &frame, size.width);
        }
        number += 1;
    }
    // The rest of the source has nothing to be compared with, and is counted.
    loop {
        let next = nearby.next();
        nearby.forget_before(next);
        until(next, &mut nearby, &mut source_times)?;
        if nearby.next() == next {
            break;
        }
    }
    let errors = (wanted.frames.errors().to_vec(), found.errors().to_vec());
    Ok(Walk {
        source: source_times,
        result: result_times,
        pictures,
        errors,
    })
}
