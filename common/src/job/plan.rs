use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    Codec, Container, FORMAT_VERSION, Filters, FrameRange, Hdr10, PlannedSound, Rational, Retouched, TimeBase,
};

/// How one video becomes another: everything a worker must know to do any of its batches, and to join them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT_VERSION`] of the build that wrote it.
    #[serde(deserialize_with = "known_version")]
    pub version: u32,
    /// What the source was when it was planned.
    pub source: SourceIdentity,
    /// The ffmpeg demuxer that reads it; `film` for an animated picture, whose frames the worker composes.
    pub demuxer: String,
    /// The video stream.
    pub video: PlannedVideo,
    /// The encoder of the segments.
    pub encoder: EncoderSpec,
    /// File format of the result.
    pub container: Container,
    /// When the result's clock starts, in ticks of the source's: 0, or the first frame of a stretch.
    pub zero: i64,
    /// Where a stretch ends, in ticks; nothing for the whole video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// Batches in order, at least one; together every frame once.
    #[serde(deserialize_with = "every_frame_once")]
    pub batches: Vec<FrameRange>,
    /// When each batch starts, in ticks of the source's clock, and when the last ends; nothing in plans of older builds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<i64>,
    /// How long a batch is expected to take, in seconds: ten times this is its deadline.
    pub batch_seconds: f64,
    /// Engine, model and encoder: results of equal digests are equal.
    pub pipeline: String,
    /// What the result will not hold as the source did, for a person to read.
    pub notes: Vec<String>,
    /// The sound of its stream; nothing where that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<PlannedSound>,
}

fn known_version<'de, D: Deserializer<'de>>(stored: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(stored)?;
    if version > FORMAT_VERSION {
        let message = format!("plan of version {version}, and this build reads up to {FORMAT_VERSION}");
        return Err(D::Error::custom(message));
    }
    Ok(version)
}

fn every_frame_once<'de, D: Deserializer<'de>>(stored: D) -> Result<Vec<FrameRange>, D::Error> {
    let batches = Vec::<FrameRange>::deserialize(stored)?;
    let mut next = 0;
    for range in &batches {
        if range.start() != next {
            return Err(D::Error::custom(format!("batch {range} where frame {next} is next")));
        }
        next = range.end();
    }
    if batches.is_empty() {
        return Err(D::Error::custom("plan without batches"));
    }
    Ok(batches)
}

/// What tells one source from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// Length in bytes.
    pub bytes: u64,
    /// ETag of an object, or the modification time and inode of a file.
    pub tag: String,
}

/// The stream that is upscaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedVideo {
    /// ffmpeg's index of the stream.
    pub stream: u32,
    /// Its codec, as ffmpeg names it.
    pub codec: String,
    /// ffmpeg's name of its decoder, where it is not the one that ffmpeg takes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
    /// The clock of all times in the ledger.
    pub time_base: TimeBase,
    /// Width and height of the source in pixels.
    pub source_size: (u32, u32),
    /// Width and height of the result in pixels.
    pub target_size: (u32, u32),
    /// ffmpeg's name of the samples that are decoded to and upscaled.
    pub pixel_format: String,
    /// ffmpeg's name of the samples that are encoded.
    pub encoded_format: String,
    /// Whether samples use the full range of codes.
    pub full_range: bool,
    /// ffmpeg's name of where chroma lies, where the source states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chroma_location: Option<String>,
    /// Sample aspect ratio, where the source states one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_aspect: Option<Rational>,
    /// Clockwise turn on display in degrees: 0, 90, 180 or 270.
    pub rotation: u32,
    /// Whether the picture is flipped top to bottom on display, before it is turned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mirrored: bool,
    /// Whether the two fields of each frame are made one picture before it is upscaled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deinterlace: bool,
    /// ffmpeg options that carry the colour tags on.
    pub colour: Vec<String>,
    /// HDR10's static metadata, where the source states it and the result can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hdr10: Option<Hdr10>,
    /// Frames a second on average: what encoders take for rate and level.
    pub frame_rate: Rational,
    /// How long the last frame is shown, in ticks.
    pub last_duration: i64,
    /// Ticks added to every time in a segment, so that none is negative.
    pub shift: i64,
    /// What is done to a frame before it is enlarged.
    #[serde(default, skip_serializing_if = "Filters::is_none")]
    pub filters: Filters,
    /// Frames to which something else is done; a later range goes before those before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retouched: Vec<Retouched>,
}

impl Plan {
    /// Seconds that a batch is shown; nothing where the plan does not say or has no such batch.
    pub fn shown_seconds(&self, batch: usize) -> Option<f64> {
        let ticks = self.times.get(batch + 1)?.checked_sub(*self.times.get(batch)?)?;
        Some(self.video.time_base.seconds(ticks))
    }
}

impl PlannedVideo {
    /// What is done to a frame before it is enlarged.
    pub fn filters_of(&self, frame: u64) -> Filters {
        let last = self.retouched.iter().rfind(|part| part.frames.contains(frame));
        last.map_or(self.filters, |part| part.filters)
    }
}

/// How segments are encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderSpec {
    /// The codec.
    pub codec: Codec,
    /// ffmpeg's output options, thread counts included.
    pub arguments: Vec<String>,
    /// The form of a segment.
    pub segment: SegmentKind,
    /// How many frames the encoder may hold a frame back for reordering.
    pub reorder: u32,
}

/// The form of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentKind {
    /// Fragmented MP4 with absolute times.
    FragmentedMp4,
    /// NUT.
    Nut,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan with this version and these batches.
    fn stored(version: u32, batches: &str) -> String {
        let video = r#"{"stream":0,"codec":"vp9","time_base":{"num":1,"den":1000},"source_size":[8,6],"target_size":[16,12],
            "pixel_format":"gray","encoded_format":"gray","full_range":true,"rotation":0,"colour":[],
            "frame_rate":{"num":25,"den":1},"last_duration":40,"shift":0}"#;
        let encoder = r#"{"codec":"ffv1","arguments":[],"segment":"nut","reorder":0}"#;
        format!(
            r#"{{"version":{version},"source":{{"bytes":1,"tag":""}},"demuxer":"nut","video":{video},"encoder":{encoder},
            "container":"mkv","zero":0,"batches":{batches},"batch_seconds":1.5,"pipeline":"","notes":[]}}"#
        )
    }

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let plan: Plan = serde_json::from_str(&stored(FORMAT_VERSION, "[[0,3],[3,5]]")).unwrap();
        let written = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&written).unwrap(), plan);
    }

    #[test]
    fn a_plan_of_a_newer_build_or_without_each_frame_once_is_refused() {
        for (version, batches, why) in [
            (
                FORMAT_VERSION + 1,
                "[[0,3]]",
                "plan of version 2, and this build reads up to 1",
            ),
            (FORMAT_VERSION, "[]", "plan without batches"),
            (FORMAT_VERSION, "[[1,3]]", "batch [1, 3) where frame 0 is next"),
            (FORMAT_VERSION, "[[0,3],[2,5]]", "batch [2, 5) where frame 3 is next"),
            (FORMAT_VERSION, "[[0,3],[4,5]]", "batch [4, 5) where frame 3 is next"),
        ] {
            let refused = serde_json::from_str::<Plan>(&stored(version, batches)).unwrap_err();
            assert!(refused.to_string().starts_with(why), "{refused}");
        }
    }
}
