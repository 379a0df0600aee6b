use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the result's video is encoded.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Codec {
    /// H.264 by x264: plays everywhere.
    H264,
    /// HEVC by x265.
    H265,
    /// AV1 by SVT-AV1, or by libaom where an edge is odd.
    Av1,
    /// VP9 by libvpx.
    Vp9,
    /// FFV1, lossless: what archives use, and what frames are compared with.
    Ffv1,
}

/// The file format of a result.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Container {
    /// MP4.
    Mp4,
    /// QuickTime.
    Mov,
    /// Matroska: holds nearly every stream there is.
    Mkv,
    /// WebM: VP9 or AV1 with Opus or Vorbis.
    Webm,
    /// Animated GIF: 256 colours, no sound.
    Gif,
    /// Animated PNG: lossless, no sound.
    Apng,
    /// Animated WebP: lossless, no sound.
    Webp,
}

/// A setting that names nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not one of {offered}")]
pub struct ParseSettingError {
    /// What was given.
    pub found: String,
    /// What there is.
    pub offered: &'static str,
}

/// The constant qualities that a codec takes: from 0, the best, to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crf {
    /// What a result gets when none was asked for.
    pub usual: u8,
    /// The worst.
    pub worst: u8,
}

impl Codec {
    /// The constant qualities that it takes; nothing where it is lossless.
    pub fn crf(self) -> Option<Crf> {
        let (usual, worst) = match self {
            Self::H264 => (18, 51),
            Self::H265 => (20, 51),
            Self::Av1 => (25, 63),
            Self::Vp9 => (24, 63),
            Self::Ffv1 => return None,
        };
        Some(Crf { usual, worst })
    }

    /// Whether HDR10's static metadata reaches a result: in the video, or in the container beside it.
    pub fn holds_hdr10(self) -> bool {
        self != Self::Ffv1
    }
}

impl Container {
    /// The container that a file extension names, letter case ignored.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "mp4" | "m4v" => Some(Self::Mp4),
            "mov" => Some(Self::Mov),
            "mkv" => Some(Self::Mkv),
            "webm" => Some(Self::Webm),
            "gif" => Some(Self::Gif),
            "apng" => Some(Self::Apng),
            "webp" => Some(Self::Webp),
            _ => None,
        }
    }

    /// Whether it is an animated picture: encoded once as a whole, from lossless segments.
    pub fn is_animation(self) -> bool {
        matches!(self, Self::Gif | Self::Apng | Self::Webp)
    }

    /// The most pixels that an edge may have.
    pub fn longest_edge(self) -> u32 {
        match self {
            Self::Gif => 65_535,
            Self::Webp => 16_383,
            Self::Mp4 | Self::Mov | Self::Mkv | Self::Webm | Self::Apng => i32::MAX as u32,
        }
    }

    /// How long a frame has to last for viewers to show it for as long as it states, in seconds: animated pictures have
    /// frames that viewers take for mistakes, and show for longer.
    pub fn shortest_frame(self) -> f64 {
        match self {
            Self::Gif => 0.02,
            Self::Apng | Self::Webp => 0.0101,
            Self::Mp4 | Self::Mov | Self::Mkv | Self::Webm => 0.0,
        }
    }

    /// Whether it can say that the picture is turned on display, as ffmpeg 5.1 writes it.
    pub fn holds_rotation(self) -> bool {
        matches!(self, Self::Mp4 | Self::Mov)
    }

    /// Whether it can hold video of this codec.
    pub fn holds(self, codec: Codec) -> bool {
        match self {
            Self::Mkv => true,
            Self::Mp4 => codec != Codec::Ffv1,
            Self::Mov => matches!(codec, Codec::H264 | Codec::H265),
            Self::Webm => matches!(codec, Codec::Vp9 | Codec::Av1),
            // The codec of an animation is its container's own; segments before it are lossless.
            Self::Gif | Self::Apng | Self::Webp => codec == Codec::Ffv1,
        }
    }

    /// The codec that a result gets when none was asked for.
    pub fn default_codec(self) -> Codec {
        match self {
            Self::Mp4 | Self::Mov | Self::Mkv => Codec::H264,
            Self::Webm => Codec::Vp9,
            Self::Gif | Self::Apng | Self::Webp => Codec::Ffv1,
        }
    }
}

impl FromStr for Codec {
    type Err = ParseSettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "h264" | "avc" | "x264" => Ok(Self::H264),
            "h265" | "hevc" | "x265" => Ok(Self::H265),
            "av1" => Ok(Self::Av1),
            "vp9" => Ok(Self::Vp9),
            "ffv1" => Ok(Self::Ffv1),
            _ => Err(ParseSettingError {
                found: text.to_owned(),
                offered: "h264, h265, av1, vp9, ffv1",
            }),
        }
    }
}

impl FromStr for Container {
    type Err = ParseSettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_extension(text).ok_or_else(|| ParseSettingError {
            found: text.to_owned(),
            offered: "mp4, mov, mkv, webm, gif, apng, webp",
        })
    }
}

/// What a person chose of the encoding; what was left out gets the codec's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodeSettings {
    /// Codec of the video.
    pub codec: Codec,
    /// Constant quality, lower is better: 0 to 51 for h264 and h265, 0 to 63 for av1 and vp9, none for ffv1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crf: Option<u8>,
    /// The encoder's own preset: a name for h264 and h265, a number from 0 to 13 for av1, 0 to 8 (`cpu-used`) for vp9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// File format of the result.
    pub container: Container,
}

/// A stretch of a video in seconds on the source's own clock, from its start: `[start, end)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// First moment; the beginning when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
    /// The moment at which it ends; the end when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<f64>,
}

impl Stretch {
    /// Whether it is the whole video.
    pub fn is_whole(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn names_are_read_back() {
        for codec in Codec::VARIANTS {
            assert_eq!(codec.to_string().parse(), Ok(*codec));
        }
        for container in Container::VARIANTS {
            assert_eq!(container.to_string().parse(), Ok(*container));
            assert!(container.holds(container.default_codec()));
        }
        assert!("divx".parse::<Codec>().is_err());
    }
}
