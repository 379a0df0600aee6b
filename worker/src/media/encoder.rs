//! Encoder arguments: from what a person chose to what ffmpeg gets, thread counts and frame rate stated.

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Codec, Crf, EncodeSettings, EncoderSpec, Hdr10, Rational, SegmentKind};

use super::hdr10;
use crate::{Error, Result};

const X26X_PRESETS: [&str; 10] = [
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
];

/// The highest of libaom's speeds.
const FASTEST_AOM: u8 = 8;

/// Options with which ffmpeg's NUT carries the alpha beside VP9: in its version 4 alone.
const WITH_SIDE_DATA: &str = "-syncpoints none -strict experimental";

/// Threads of an encoder for frames of `pixels`: part of the plan, because the bits depend on it.
fn threads(pixels: u64) -> u32 {
    if pixels > 2_500_000 { 8 } else { 4 }
}

/// What an encoder gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pictures {
    /// Width and height in pixels.
    pub(crate) size: (u32, u32),
    /// Frames a second.
    pub(crate) rate: Rational,
    /// Whether parts of them are transparent.
    pub(crate) alpha: bool,
    /// What displays should know of them.
    pub(crate) hdr10: Option<Hdr10>,
}

/// The encoder that `settings` ask for, for these pictures.
///
/// # Errors
/// `SettingsInvalid` for a quality or a preset that the codec does not have, or a container that does not hold it.
pub(crate) fn encoder_spec(settings: &EncodeSettings, pictures: &Pictures) -> Result<EncoderSpec> {
    let EncodeSettings { codec, container, .. } = *settings;
    if !container.holds(codec) {
        return Err(invalid(format!("{container} does not hold {codec}")));
    }
    let (least, most) = edges(codec);
    let (width, height) = pictures.size;
    if width.min(height) < least || width.max(height) > most {
        let message =
            format!("{codec} holds edges from {least} to {most} pixels here, and the result has {width}x{height}");
        return Err(invalid(message));
    }
    let longest = container.longest_edge();
    if width.max(height) > longest {
        let message = format!("{container} holds {longest} pixels on an edge, and the result has {width}x{height}");
        return Err(invalid(message));
    }
    let (segment, reorder) = match codec {
        Codec::H264 | Codec::H265 => (SegmentKind::FragmentedMp4, 2),
        Codec::Vp9 if pictures.alpha => (SegmentKind::Nut, 0),
        Codec::Av1 | Codec::Vp9 => (SegmentKind::FragmentedMp4, 0),
        Codec::Ffv1 => (SegmentKind::Nut, 0),
    };
    let line = command_line(settings, pictures)?;
    Ok(EncoderSpec {
        codec,
        arguments: line.split_whitespace().map(str::to_owned).collect(),
        segment,
        reorder,
    })
}

/// ffmpeg's output options, parted by spaces.
fn command_line(settings: &EncodeSettings, pictures: &Pictures) -> Result<String> {
    let codec = settings.codec;
    let Pictures { size, rate, alpha, .. } = *pictures;
    let threads = threads(u64::from(size.0) * u64::from(size.1));
    let crf = quality(settings)?;
    let preset = preset(settings)?;
    let hdr10 = pictures.hdr10.map(|hdr10| hdr10::encoder_parameters(codec, &hdr10));
    let hdr10: String = hdr10.iter().flatten().map(|p| format!(":{p}")).collect();
    Ok(match codec {
        // cpu-independent: the bits would otherwise differ between CPUs.
        Codec::H264 => format!(
            "-c:v libx264 -preset {preset} -crf {crf} -threads {threads} -x264-params cpu-independent=1:fps={rate}{hdr10}"
        ),
        Codec::H265 => format!(
            "-c:v libx265 -preset {preset} -crf {crf} -tag:v hvc1 -x265-params \
             pools={threads}:frame-threads=2:open-gop=0:log-level=warning:fps={rate}{hdr10}"
        ),
        // SVT-AV1 1.4 takes no odd edges.
        Codec::Av1 if size.0 % 2 == 1 || size.1 % 2 == 1 => {
            let speed = preset
                .parse::<u8>()
                .map_or(FASTEST_AOM, |preset| preset.min(FASTEST_AOM));
            format!("-c:v libaom-av1 -cpu-used {speed} -crf {crf} -b:v 0 -row-mt 1 -threads {threads}")
        }
        Codec::Av1 => format!(
            "-c:v libsvtav1 -preset {preset} -crf {crf} -svtav1-params lp={threads}:fps-num={}:fps-denom={}{hdr10}",
            rate.num, rate.den
        ),
        Codec::Vp9 => {
            let side_data = if alpha { WITH_SIDE_DATA } else { "" };
            format!(
                "-c:v libvpx-vp9 -deadline good -cpu-used {preset} -crf {crf} -b:v 0 -row-mt 1 -threads {threads} {side_data}"
            )
        }
        Codec::Ffv1 => "-c:v ffv1 -level 3 -g 1 -slices 4 -slicecrc 1 -threads 4".to_owned(),
    })
}

/// The shortest and the longest edge that the encoder takes, in pixels; measured with ffmpeg 5.1 of Debian.
fn edges(codec: Codec) -> (u32, u32) {
    match codec {
        Codec::H264 | Codec::Vp9 => (2, 16_384),
        Codec::H265 => (16, 65_535),
        Codec::Av1 => (64, 16_384),
        Codec::Ffv1 => (2, 65_535),
    }
}

fn quality(settings: &EncodeSettings) -> Result<u8> {
    let codec = settings.codec;
    let Some(Crf { usual, worst }) = codec.crf() else {
        let refused = settings
            .crf
            .map(|_| invalid(format!("{codec} is lossless and takes no crf")));
        return refused.map_or(Ok(0), Err);
    };
    match settings.crf.unwrap_or(usual) {
        crf if crf <= worst => Ok(crf),
        crf => Err(invalid(format!(
            "a crf of {crf} is not between 0 and {worst}, which is what {codec} has"
        ))),
    }
}

fn preset(settings: &EncodeSettings) -> Result<String> {
    let (default, offered): (&str, &[&str]) = match settings.codec {
        Codec::H264 | Codec::H265 => ("medium", &X26X_PRESETS),
        Codec::Av1 => (
            "8",
            &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13"],
        ),
        Codec::Vp9 => ("4", &["0", "1", "2", "3", "4", "5", "6", "7", "8"]),
        Codec::Ffv1 => ("", &[]),
    };
    match settings.preset.as_deref() {
        None => Ok(default.to_owned()),
        Some(preset) if offered.contains(&preset) => Ok(preset.to_owned()),
        Some(preset) if offered.is_empty() => Err(invalid(format!("{} has no preset {preset:?}", settings.codec))),
        Some(preset) => Err(invalid(format!(
            "{} has no preset {preset:?}; there are {}",
            settings.codec,
            offered.join(", ")
        ))),
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorCode::SettingsInvalid, message)
}

#[cfg(test)]
mod tests {
    use clearfleet_common::job::Container;

    use super::*;

    fn settings(codec: Codec, container: Container) -> EncodeSettings {
        EncodeSettings {
            codec,
            crf: None,
            preset: None,
            container,
        }
    }

    fn pictures(width: u32, height: u32) -> Pictures {
        Pictures {
            size: (width, height),
            rate: Rational { num: 25, den: 1 },
            alpha: false,
            hdr10: None,
        }
    }

    fn spec(settings: &EncodeSettings) -> Result<EncoderSpec> {
        encoder_spec(settings, &pictures(1280, 720))
    }

    #[test]
    fn choices_reach_the_encoder() {
        let chosen = EncodeSettings {
            crf: Some(30),
            preset: Some("fast".to_owned()),
            ..settings(Codec::H264, Container::Mkv)
        };
        let expected = "-c:v libx264 -preset fast -crf 30 -threads 4 -x264-params cpu-independent=1:fps=25/1";
        assert_eq!(spec(&chosen).unwrap().arguments.join(" "), expected);
    }

    #[test]
    fn odd_sizes_of_av1_go_to_libaom() {
        let preset = |preset: &str, size: (u32, u32)| {
            let chosen = EncodeSettings {
                preset: Some(preset.to_owned()),
                ..settings(Codec::Av1, Container::Webm)
            };
            encoder_spec(&chosen, &pictures(size.0, size.1))
                .unwrap()
                .arguments
                .join(" ")
        };
        let odd = "-c:v libaom-av1 -cpu-used 8 -crf 25 -b:v 0 -row-mt 1 -threads 4";
        assert_eq!(preset("13", (161, 120)), odd);
        assert_eq!(preset("13", (160, 121)), odd);
        assert!(preset("3", (161, 120)).contains("-cpu-used 3"));
        assert!(preset("3", (160, 120)).starts_with("-c:v libsvtav1 -preset 3"));
    }

    #[test]
    fn what_a_codec_does_not_have_is_refused() {
        let refused = |settings: &EncodeSettings| {
            let error = spec(settings).unwrap_err();
            assert_eq!(error.code(), ErrorCode::SettingsInvalid);
            error.to_string()
        };
        assert_eq!(
            refused(&settings(Codec::H264, Container::Webm)),
            "webm does not hold h264"
        );
        let crf = EncodeSettings {
            crf: Some(52),
            ..settings(Codec::H265, Container::Mp4)
        };
        assert_eq!(
            refused(&crf),
            "a crf of 52 is not between 0 and 51, which is what h265 has"
        );
        let preset = EncodeSettings {
            preset: Some("slow".to_owned()),
            ..settings(Codec::Vp9, Container::Webm)
        };
        assert!(refused(&preset).starts_with("vp9 has no preset \"slow\""));
        let lossless = EncodeSettings {
            crf: Some(1),
            ..settings(Codec::Ffv1, Container::Mkv)
        };
        assert_eq!(refused(&lossless), "ffv1 is lossless and takes no crf");
    }

    #[test]
    fn edges_that_an_encoder_does_not_take_are_refused() {
        let at = |codec, width, height| {
            let settings = settings(codec, Container::Mkv);
            encoder_spec(&settings, &pictures(width, height)).is_ok()
        };
        assert!(at(Codec::Av1, 64, 64) && !at(Codec::Av1, 64, 62));
        assert!(at(Codec::H264, 16_384, 2) && !at(Codec::H264, 16_386, 2));
        assert!(at(Codec::H265, 16_386, 16) && !at(Codec::H265, 64, 14));
    }
}
