//! ffprobe's JSON. Numbers come as numbers or text, what is unknown is left out, `N/A`, `unknown` or `0/0`: all of these
//! are `None` here, and only what nothing can go on without is an error.

use std::collections::BTreeMap;

use clearfleet_common::ErrorCode;
use clearfleet_common::config::Limits;
use clearfleet_common::job::{Rational, TimeBase, TimeBaseError};
use serde_json::Value;

use super::{Colour, Orientation, Probe, StreamInfo, StreamKind};
use crate::media::formats;
use crate::{Error, Result};

/// "Unknown" in the headers of ISO media, which ffprobe takes for a length: 39 hours at 30,000 ticks a second.
const UNKNOWN_TICKS: i64 = 0xffff_ffff;

/// Reads a whole answer.
pub(in crate::media) fn probe(said: &str, limits: Limits) -> Result<Probe> {
    let unreadable = |what: &str| Error::new(ErrorCode::InputUnsupported, format!("ffprobe's answer {what}"));
    let root: Value = serde_json::from_str(said).map_err(|e| unreadable("is no JSON").because(e))?;
    let format = &root["format"];
    let format_name = text(format, "format_name").ok_or_else(|| unreadable("names no format"))?;
    // The whitelist let no other pass; a name that is not on the list is not handed on.
    let demuxer = formats::demuxer(&format_name).ok_or_else(|| unreadable("names a format that is not read"))?;
    let streams = list(&root, "streams")
        .iter()
        .enumerate()
        .map(|(n, s)| stream(n, s))
        .collect::<Result<_, _>>();
    let endless = list(&root, "streams")
        .iter()
        .any(|s| number(s, "duration_ts") == Some(UNKNOWN_TICKS));
    Ok(Probe {
        demuxer,
        // The file's length is that of its longest stream.
        duration: seconds(format, "duration").filter(|d| *d >= 0.0 && !endless),
        start_time: seconds(format, "start_time"),
        streams: streams.map_err(|e| unreadable("has a stream without time").because(e))?,
        chapters: list(&root, "chapters").len(),
        tags: tags(format),
        format_name,
        limits,
    })
}

fn stream(position: usize, value: &Value) -> Result<StreamInfo, TimeBaseError> {
    let disposition = |name| number::<i64>(&value["disposition"], name) == Some(1);
    let side_data = list(value, "side_data_list");
    Ok(StreamInfo {
        index: number(value, "index").unwrap_or(position),
        kind: kind(text(value, "codec_type").as_deref()),
        codec: text(value, "codec_name").unwrap_or_else(|| "unknown".to_owned()),
        profile: text(value, "profile"),
        time_base: time_base(value)?,
        start_pts: number(value, "start_pts"),
        duration_ticks: number(value, "duration_ts").filter(|t| *t > 0 && *t != UNKNOWN_TICKS),
        nb_frames: number(value, "nb_frames").filter(|n| *n > 0),
        width: number(value, "width").unwrap_or(0),
        height: number(value, "height").unwrap_or(0),
        pix_fmt: text(value, "pix_fmt"),
        decoder: None,
        sample_aspect: rational(value, "sample_aspect_ratio"),
        avg_frame_rate: rational(value, "avg_frame_rate"),
        channels: number(value, "channels").filter(|n| *n > 0),
        sample_rate: number(value, "sample_rate").filter(|n| *n > 0),
        colour: Colour {
            range: text(value, "color_range"),
            space: text(value, "color_space"),
            transfer: text(value, "color_transfer"),
            primaries: text(value, "color_primaries"),
            chroma_location: text(value, "chroma_location").filter(|c| c != "unspecified"),
        },
        field_order: text(value, "field_order"),
        orientation: side_data.iter().find_map(orientation).unwrap_or_default(),
        attached_picture: disposition("attached_pic"),
        default: disposition("default"),
        side_data: side_data.iter().filter_map(|s| text(s, "side_data_type")).collect(),
        tags: tags(value),
    })
}

fn kind(codec_type: Option<&str>) -> StreamKind {
    match codec_type {
        Some("video") => StreamKind::Video,
        Some("audio") => StreamKind::Audio,
        Some("subtitle") => StreamKind::Subtitle,
        Some("data") => StreamKind::Data,
        Some("attachment") => StreamKind::Attachment,
        _ => StreamKind::Unknown,
    }
}

/// A tick; of a stream that names none, libavformat's own default.
fn time_base(value: &Value) -> Result<TimeBase, TimeBaseError> {
    match rational(value, "time_base") {
        Some(named) => named.try_into(),
        None => TimeBase::new(1, 90_000),
    }
}

/// The display matrix: `x' = ax + cy`, `y' = bx + dy`, with y downwards.
fn orientation(side_data: &Value) -> Option<Orientation> {
    let rows = text(side_data, "displaymatrix")?;
    let rows: Vec<Vec<f64>> = rows
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(_, row)| row.split_whitespace().filter_map(|n| n.parse().ok()).collect())
        .collect();
    let at = |row: usize, column: usize| rows.get(row).and_then(|r| r.get(column)).copied();
    let (a, b, c, d) = (at(0, 0)?, at(0, 1)?, at(1, 0)?, at(1, 1)?);
    // Where the picture's x axis points; a flip top to bottom leaves that alone.
    let quarters = (b.atan2(a).to_degrees() / 90.0).round().rem_euclid(4.0);
    Some(Orientation {
        rotation: 90 * quarters as u16,
        mirrored: a * d - b * c < 0.0,
    })
}

pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// A text that says something.
pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    let found = match &value[name] {
        Value::String(s) => s.clone(),
        Value::Number(n) => n.to_string(),
        _ => return None,
    };
    (!matches!(found.trim(), "" | "N/A" | "unknown")).then_some(found)
}

pub(super) fn number<T: std::str::FromStr>(value: &Value, name: &str) -> Option<T> {
    text(value, name)?.trim().parse().ok()
}

fn seconds(value: &Value, name: &str) -> Option<f64> {
    number(value, name).filter(|s: &f64| s.is_finite())
}

/// `30000/1001` or `64:45`, with neither side 0.
fn rational(value: &Value, name: &str) -> Option<Rational> {
    let found = text(value, name)?;
    let (num, den) = found.split_once(['/', ':'])?;
    Rational::new(num.trim().parse().ok()?, den.trim().parse().ok()?)
}

fn tags(value: &Value) -> BTreeMap<String, String> {
    let Some(tags) = value["tags"].as_object() else {
        return BTreeMap::new();
    };
    tags.iter()
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_tolerance() {
        let found = probe(
            r#"{"format":{"format_name":"matroska,webm","duration":"N/A","start_time":-0.5},"streams":[
                {"index":"1","codec_type":"video","width":"20","height":10,"time_base":"0/0","avg_frame_rate":"0/0",
                 "sample_aspect_ratio":"0:1","color_range":"unknown","chroma_location":"unspecified","nb_frames":"N/A",
                 "side_data_list":[{"side_data_type":"Display Matrix","displaymatrix":
                    "\n00000000:       -65536           0           0\n00000001:            0       65536           0\n"}]},
                {}]}"#,
            Limits::default(),
        )
        .unwrap();
        assert_eq!(
            (found.duration, found.start_time, found.chapters),
            (None, Some(-0.5), 0)
        );
        let video = found.video().unwrap();
        assert_eq!((video.index, video.width, video.height), (1, 20, 10));
        assert_eq!(
            (video.time_base, video.avg_frame_rate),
            (TimeBase::new(1, 90_000).unwrap(), None)
        );
        assert_eq!(
            (video.sample_aspect, video.nb_frames, &video.colour),
            (None, None, &Colour::default())
        );
        // Left and right exchanged.
        assert_eq!(
            video.orientation,
            Orientation {
                rotation: 180,
                mirrored: true
            }
        );
        assert_eq!(
            (found.streams[1].kind, found.streams[1].index),
            (StreamKind::Unknown, 1)
        );
        for broken in ["", "{", "[]", r#"{"format":{}}"#, r#"{"format":{"format_name":"hls"}}"#] {
            let error = probe(broken, Limits::default()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InputUnsupported, "{broken}");
        }
    }
}
