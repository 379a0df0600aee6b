use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    ClassName, Codec, Container, EncodeSettings, Filters, JobId, ParseSettingError, Retouch, Scale, Stretch, Target,
};

/// What somebody asked for. Settings may change until the job is planned, the priority at any time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The source's file name, for people; never a path, never used as a key.
    pub name: String,
    /// What the source looks like from its name and first bytes; a worker that opens it knows better.
    pub kind: SourceKind,
    /// What the result shall be like.
    pub settings: Settings,
    /// Which part of a video.
    #[serde(default, skip_serializing_if = "Stretch::is_whole")]
    pub stretch: Stretch,
    /// Parts of a video that were asked for again with other filters than the settings'; a later one goes before those
    /// before it. Its moments count as the stretch's do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retouches: Vec<Retouch>,
    /// The pool of workers that does it.
    #[serde(default)]
    pub class: ClassName,
    /// Who comes first among one owner's jobs.
    #[serde(default)]
    pub priority: Priority,
    /// Where to say that it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// Where the result goes beside its place among the job's objects: a place that the operator allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<ObjectAddress>,
    /// That a few frames are wanted to look at, from [`stretch`](Self::stretch)'s start on; nothing for a job of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
}

/// A few frames of a video, to look at before all of it is upscaled: one step on the interactive lane. A preview has a
/// record of its own, so that it waits, fails and is deleted as every job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The job that is previewed.
    pub of: JobId,
    /// Frames, at least 1: one becomes a picture, more a video.
    pub frames: u32,
}

impl Preview {
    /// Frames of a preview at most.
    pub const FRAMES: u32 = 250;
}

/// An object outside Clearfleet's own bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectAddress {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
}

impl fmt::Display for ObjectAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// What a source is.
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
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SourceKind {
    /// A still picture: one step does it.
    Picture,
    /// A video or an animated picture: planned and cut into batches.
    Video,
}

/// Among the jobs of one owner, what is more urgent comes first; between owners it changes nothing.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Priority {
    /// When nothing else waits.
    Low,
    /// In order.
    #[default]
    Normal,
    /// Before the others.
    High,
}

/// What the result shall be like; what is left out follows from the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Its size.
    #[serde(default = "twice")]
    pub target: Target,
    /// Its file format; the source's where it can be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<OutputFormat>,
    /// How a video is encoded; the format's usual codec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<Codec>,
    /// Constant quality of a video; see [`EncodeSettings::crf`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crf: Option<u8>,
    /// The encoder's preset; see [`EncodeSettings::preset`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Quality of a JPEG, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<u8>,
    /// What is done before it is enlarged.
    #[serde(default, skip_serializing_if = "Filters::is_none")]
    pub filters: Filters,
    /// Whether an interlaced video's frames are made progressive, one for each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deinterlace: bool,
}

fn twice() -> Target {
    Settings::default().target
}

impl Default for Settings {
    /// Twice as wide and high; all else follows from the source.
    fn default() -> Self {
        Self {
            target: Target::Factor(Scale::TWO),
            format: None,
            codec: None,
            crf: None,
            preset: None,
            quality: None,
            filters: Filters::default(),
            deinterlace: false,
        }
    }
}

impl Settings {
    /// How a video of these settings is encoded into `container`.
    pub fn encode(&self, container: Container) -> EncodeSettings {
        EncodeSettings {
            codec: self.codec.unwrap_or(container.default_codec()),
            crf: self.crf,
            preset: self.preset.clone(),
            container,
        }
    }
}

/// The file formats that results are written in.
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
pub enum OutputFormat {
    /// PNG.
    Png,
    /// JPEG.
    Jpg,
    /// WebP, lossless, still or moving as the source is.
    Webp,
    /// TIFF.
    Tiff,
    /// BMP.
    Bmp,
    /// GIF, still or moving as the source is.
    Gif,
    /// Animated PNG.
    Apng,
    /// MP4.
    Mp4,
    /// QuickTime.
    Mov,
    /// Matroska.
    Mkv,
    /// WebM.
    Webm,
}

impl OutputFormat {
    /// The format that a file extension names, letter case ignored.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" | "jpe" | "jfif" => Some(Self::Jpg),
            "tif" | "tiff" => Some(Self::Tiff),
            "bmp" | "dib" => Some(Self::Bmp),
            other => Container::from_extension(other).map(|container| match container {
                Container::Mp4 => Self::Mp4,
                Container::Mov => Self::Mov,
                Container::Mkv => Self::Mkv,
                Container::Webm => Self::Webm,
                Container::Gif => Self::Gif,
                Container::Apng => Self::Apng,
                Container::Webp => Self::Webp,
            }),
        }
    }

    /// The file extension of a result.
    pub fn extension(self) -> &'static str {
        self.into()
    }

    /// Media type of a result.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Tiff => "image/tiff",
            Self::Bmp => "image/bmp",
            Self::Gif => "image/gif",
            Self::Apng => "image/apng",
            Self::Mp4 => "video/mp4",
            Self::Mov => "video/quicktime",
            Self::Mkv => "video/matroska",
            Self::Webm => "video/webm",
        }
    }

    /// The container of a video or an animated picture in this format.
    pub fn container(self) -> Option<Container> {
        match self {
            Self::Mp4 => Some(Container::Mp4),
            Self::Mov => Some(Container::Mov),
            Self::Mkv => Some(Container::Mkv),
            Self::Webm => Some(Container::Webm),
            Self::Gif => Some(Container::Gif),
            Self::Apng => Some(Container::Apng),
            Self::Webp => Some(Container::Webp),
            Self::Png | Self::Jpg | Self::Tiff | Self::Bmp => None,
        }
    }
}

impl std::str::FromStr for OutputFormat {
    type Err = ParseSettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_extension(text).ok_or_else(|| ParseSettingError {
            found: text.to_owned(),
            offered: "png, jpg, webp, tiff, bmp, gif, apng, mp4, mov, mkv, webm",
        })
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn formats_are_read_from_their_own_extension() {
        for format in OutputFormat::VARIANTS {
            assert_eq!(format.extension().parse(), Ok(*format));
            let container = format.container().map(|c| c.to_string());
            assert!(container.is_none_or(|c| c == format.extension()));
        }
        assert_eq!("JPEG".parse(), Ok(OutputFormat::Jpg));
        assert!("xcf".parse::<OutputFormat>().is_err());
    }

    #[test]
    fn what_is_left_out_is_the_default() {
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
        let encode = Settings::default().encode(Container::Webm);
        assert_eq!(encode.codec, Codec::Vp9);
    }
}
