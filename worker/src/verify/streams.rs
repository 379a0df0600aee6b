//! The streams beside the video that is upscaled: are they the source's own packets, at their own times?

use std::collections::BTreeMap;

use clearfleet_common::Stop;

use super::Check;
use super::packets::{Packets, whole};
use super::video::Side;
use crate::media::probe::{StreamInfo, StreamKind};
use crate::media::streams::other_streams;
use crate::{Error, Result};

/// Seconds that a stream may be off against the video: Matroska's times and MP4's edit lists are counted in milliseconds.
const OFF: f64 = 1.0e-3 * 1.0005;
/// Seconds by which Opus comes early each time that ffmpeg 5.1 copies it into Matroska: 312 samples that fill the decoder are
/// taken off when it is read, and not put back when it is written.
const OPUS_FILL: f64 = 312.0 / 48_000.0;
/// A packet lasts no longer than this where a stretch is cut, in seconds: subtitles may last as long as they like.
const LONGEST_PACKET: f64 = 1.0;

/// Kinds of streams that are compared by their packets: name of the check, kind, whether they are cover pictures.
const KINDS: [(&str, StreamKind, bool); 4] = [
    ("audio", StreamKind::Audio, false),
    ("subtitles", StreamKind::Subtitle, false),
    ("videos", StreamKind::Video, false),
    ("cover", StreamKind::Video, true),
];

/// A stream and its packets.
type Listed<'a> = (&'a StreamInfo, &'a Packets);

/// What checking streams needs to know.
pub(super) struct Copied<'a> {
    pub(super) source: &'a Side<'a>,
    pub(super) result: &'a Side<'a>,
    pub(super) source_packets: &'a BTreeMap<usize, Packets>,
    pub(super) result_packets: &'a BTreeMap<usize, Packets>,
    /// Times of the first video frame of each, in seconds.
    pub(super) first: (f64, f64),
    /// Length of the stretch in seconds; nothing for a whole video.
    pub(super) stretch: Option<f64>,
    pub(super) stop: &'a Stop,
}

impl Copied<'_> {
    /// A check for each stream of the source, and for each of the result that the source does not have.
    pub(super) fn checks(&self) -> Result<Vec<Check>> {
        let container = self.result.container()?;
        let others = other_streams(self.source.probe, self.source.video.index, container);
        let mut checks = Vec::new();
        for (name, kind, cover) in KINDS {
            let of_kind = |side: &Side<'_>| -> Vec<StreamInfo> {
                let streams = side
                    .probe
                    .streams
                    .iter()
                    .filter(|s| s.kind == kind && s.attached_picture == cover);
                streams.filter(|s| s.index != side.video.index).cloned().collect()
            };
            let (kept, left_out): (Vec<_>, Vec<_>) =
                of_kind(self.source).into_iter().partition(|s| others.hold(s.index));
            checks.extend(left_out.iter().map(|s| named(name, s, container.is_animation())));
            checks.extend(self.pairs(name, &kept, &of_kind(self.result))?);
        }
        checks.extend(self.attachments(&others.kept));
        Ok(checks)
    }

    fn pairs(&self, name: &'static str, kept: &[StreamInfo], found: &[StreamInfo]) -> Result<Vec<Check>> {
        let mut free: Vec<&StreamInfo> = found.iter().collect();
        let mut checks = Vec::new();
        for (n, own) in kept.iter().enumerate() {
            // With streams missing, those that are there are known by their packets.
            let position = if kept.len() <= found.len() {
                (!free.is_empty()).then_some(0)
            } else {
                let left = kept.len() - n;
                free.iter()
                    .position(|f| self.same_packets(own, f))
                    .or((left <= free.len()).then_some(0))
            };
            match position {
                Some(at) => checks.push(self.pair(name, own, free.remove(at))?),
                None => {
                    let method =
                        "streams of the source that the result's container holds were looked for in the result";
                    checks.push(Check::new(name, method, described(own), "missing", false));
                }
            }
        }
        let method = "streams of the result were looked for in the source";
        checks.extend(
            free.into_iter()
                .map(|f| Check::new(name, method, "no such stream", described(f), false)),
        );
        Ok(checks)
    }

    fn same_packets(&self, own: &StreamInfo, found: &StreamInfo) -> bool {
        match (
            self.source_packets.get(&own.index),
            self.result_packets.get(&found.index),
        ) {
            (Some(a), Some(b)) => a.equal(b),
            _ => false,
        }
    }

    fn pair(&self, name: &'static str, own: &StreamInfo, found: &StreamInfo) -> Result<Check> {
        let (Some(a), Some(b)) = (
            self.source_packets.get(&own.index),
            self.result_packets.get(&found.index),
        ) else {
            return Err(Error::internal("a stream was not listed"));
        };
        if let Some(length) = self.stretch {
            return Ok(self.stretched(name, (own, a), (found, b), length));
        }
        let equal = self.same_packets(own, found)
            || (a.bytes == b.bytes && whole(self.source, own, self.stop)? == whole(self.result, found, self.stop)?);
        let cover = own.attached_picture;
        let opus_fill = own.codec == "opus" && self.result.probe.demuxer == "matroska";
        let tolerance = tolerance(a, b) + if opus_fill { OPUS_FILL } else { 0.0 };
        let off = if cover { None } else { self.off(a, b) };
        let same_language = language(own) == language(found);
        let method = format!(
            "packets were compared without decoding: MD5 digests of their payload, in order{}{}",
            if cover {
                String::new()
            } else {
                format!(
                    ", their times against the first video frame, to {:.3} ms",
                    1e3 * tolerance
                )
            },
            if same_language { "" } else { ", and the language" },
        );
        let state = |stream: &StreamInfo, packets: &Packets, first: f64| {
            let mut text = format!(
                "{}, {} packets, {} bytes",
                described(stream),
                packets.times.len(),
                packets.bytes
            );
            if let (Some(at), false) = (packets.times.first().map(|_| packets.seconds(0) - first), cover) {
                text += &format!(", the first {:.3} ms from the first video frame", 1e3 * at);
            }
            text
        };
        let mut text = state(found, b, self.first.1);
        if !equal {
            text += ": other payload";
        }
        if let Some(off) = off.filter(|off| *off > tolerance) {
            text += &format!(": up to {:.3} ms off", 1e3 * off);
        }
        let holds = equal && same_language && off.is_none_or(|off| off <= tolerance);
        Ok(Check::new(name, method, state(own, a, self.first.0), text, holds))
    }

    /// The largest difference of times against the video, over all packets where they are cut alike, else of the first.
    fn off(&self, a: &Packets, b: &Packets) -> Option<f64> {
        let n = if a.times.len() == b.times.len() {
            a.times.len()
        } else {
            a.times.len().min(b.times.len()).min(1)
        };
        let off = |n: usize| ((b.seconds(n) - self.first.1) - (a.seconds(n) - self.first.0)).abs();
        (0..n).map(off).max_by(f64::total_cmp)
    }

    /// Of a stretch only times are looked at: where it is cut, a packet belongs in part. What comes before the result's zero
    /// is hidden by an edit list and not played.
    fn stretched(&self, name: &'static str, (own, a): Listed<'_>, (found, b): Listed<'_>, length: f64) -> Check {
        let method = "for a stretch, payload is not compared: the times of its first and last packet, against the first video \
                      frame, may differ from the source's by a packet";
        let longest = |p: &Packets| {
            p.time_base
                .seconds(p.times.iter().map(|(_, d)| *d).max().unwrap_or(0))
                .min(LONGEST_PACKET)
        };
        let slack = OFF + longest(a).max(longest(b));
        let range = |times: &mut dyn Iterator<Item = f64>| {
            times.fold(None, |range: Option<(f64, f64)>, t| {
                Some(range.map_or((t, t), |(first, last)| (first.min(t), last.max(t))))
            })
        };
        let inside = |t: &f64| (0.0..length).contains(t);
        let expected = range(&mut (0..a.times.len()).map(|n| a.seconds(n) - self.first.0).filter(inside));
        let played = (0..b.times.len()).map(|n| b.seconds(n)).filter(|t| *t >= 0.0);
        let range = range(&mut played.map(|t| t - self.first.1));
        let holds = own.codec == found.codec
            && match (expected, range) {
                (Some(a), Some(b)) => (a.0 - b.0).abs() <= slack && (a.1 - b.1).abs() <= slack,
                (None, Some(b)) => b.0 >= -slack && b.1 <= length + slack,
                (Some(a), None) => a.1 - a.0 <= slack,
                (None, None) => true,
            };
        let shown = |stream: &StreamInfo, range: Option<(f64, f64)>| match range {
            Some((a, b)) => format!("{}, from {a:.3} s to {b:.3} s", described(stream)),
            None => format!("{}, no packet", described(stream)),
        };
        Check::new(name, method, shown(own, expected), shown(found, range), holds)
    }

    fn attachments(&self, kept: &[usize]) -> Vec<Check> {
        let of = |side: &Side<'_>, kept: &dyn Fn(&StreamInfo) -> bool| -> Vec<String> {
            let files = side
                .probe
                .streams
                .iter()
                .filter(|s| s.kind == StreamKind::Attachment && kept(s));
            files
                .map(|s| s.tags.get("filename").cloned().unwrap_or_else(|| s.codec.clone()))
                .collect()
        };
        let expected = of(self.source, &|s| kept.contains(&s.index));
        let left_out = self.source.probe.streams.iter();
        let left_out = left_out.filter(|s| s.kind == StreamKind::Attachment && !kept.contains(&s.index));
        let mut checks: Vec<Check> = left_out.map(|s| named("attachments", s, false)).collect();
        let found = of(self.result, &|_| true);
        if !(expected.is_empty() && found.is_empty()) {
            let method = "the names of attached files were compared, in order; their bytes were not";
            checks.push(Check::new(
                "attachments",
                method,
                expected.join(", "),
                found.join(", "),
                expected == found,
            ));
        }
        checks
    }
}

/// What two clocks may put between equal times, in seconds: one rounds what the other had rounded.
fn tolerance(a: &Packets, b: &Packets) -> f64 {
    let (a, b) = (a.time_base.seconds(1), b.time_base.seconds(1));
    OFF.max(a.max(b)) + a.min(b).min(OFF)
}

/// A stream that the result's container does not hold.
fn named(name: &'static str, stream: &StreamInfo, animation: bool) -> Check {
    let what = if animation {
        "an animated picture holds no other streams"
    } else {
        "the result's container does not hold it"
    };
    let method = "streams of the source were held against what the result's container holds";
    Check::new(name, method, described(stream), format!("left out: {what}"), false).named_if(true)
}

fn language(stream: &StreamInfo) -> Option<&str> {
    stream.tags.get("language").map(String::as_str).filter(|l| *l != "und")
}

fn described(stream: &StreamInfo) -> String {
    let language = language(stream).map(|l| format!(", {l}")).unwrap_or_default();
    format!("stream {} ({}{language})", stream.index, stream.codec)
}
