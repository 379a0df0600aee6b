//! What players know codecs by (RFC 6381): whether they show a stream, they tell by that alone.

use clearfleet_common::job::{Codec, Plan, PlannedVideo};

/// A level of each codec, as its name has it.
struct Levels {
    h264: &'static str,
    h265: u32,
    av1: &'static str,
    vp9: u32,
}

/// Levels by pixels and pixels a second up to which they are enough. They are coarse: no player that has one of these
/// refuses a lower one.
const LEVELS: [(f64, f64, Levels); 3] = [
    (2_097_152.0, 62_914_560.0, levels("28", 120, "08", 40)),
    (8_912_896.0, 530_841_600.0, levels("34", 153, "13", 51)),
    (f64::INFINITY, f64::INFINITY, levels("3E", 186, "18", 62)),
];

const fn levels(h264: &'static str, h265: u32, av1: &'static str, vp9: u32) -> Levels {
    Levels { h264, h265, av1, vp9 }
}

/// Samples of colour for those of brightness.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chroma {
    Quarter,
    Half,
    Full,
}

/// The name of a plan's codec; nothing of one that no player shows.
pub(super) fn name(plan: &Plan) -> Option<String> {
    use Chroma::{Full, Half, Quarter};
    let (chroma, bits) = samples(&plan.video.encoded_format);
    let Levels { h264, h265, av1, vp9 } = enough_for(&plan.video);
    Some(match plan.encoder.codec {
        Codec::H264 => {
            let profile = match (chroma, bits) {
                (Quarter, 8) => "64",
                (Quarter, _) => "6E",
                (Half, _) => "7A",
                (Full, _) => "F4",
            };
            format!("avc1.{profile}00{h264}")
        }
        Codec::H265 => {
            let profile = match (chroma, bits) {
                (Quarter, 8) => "1.6",
                (Quarter, 10) => "2.4",
                _ => "4.10",
            };
            format!("hvc1.{profile}.L{h265}.B0")
        }
        Codec::Av1 => {
            let profile = match (chroma, bits) {
                (Quarter, 8 | 10) => 0,
                (Full, 8 | 10) => 1,
                _ => 2,
            };
            format!("av01.{profile}.{av1}M.{bits:02}")
        }
        Codec::Vp9 => {
            let profile = u32::from(chroma != Quarter) + 2 * u32::from(bits > 8);
            format!("vp09.{profile:02}.{vp9}.{bits:02}")
        }
        Codec::Ffv1 => return None,
    })
}

/// What ffmpeg's name of a pixel format says: the chroma, and bits a sample.
fn samples(format: &str) -> (Chroma, u32) {
    let has = |part: &str| format.contains(part);
    let bits = [10, 12].into_iter().find(|bits| has(&format!("{bits}le")));
    let chroma = if has("444") || has("gbr") {
        Chroma::Full
    } else if has("422") {
        Chroma::Half
    } else {
        Chroma::Quarter
    };
    (chroma, bits.unwrap_or(8))
}

fn enough_for(video: &PlannedVideo) -> &'static Levels {
    let (width, height) = video.target_size;
    let pixels = f64::from(width) * f64::from(height);
    let rate = pixels * video.frame_rate.as_f64();
    let enough = LEVELS
        .iter()
        .find(|(most, most_rate, _)| pixels <= *most && rate <= *most_rate);
    enough.map_or(&LEVELS[2].2, |(.., levels)| levels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::film;

    #[test]
    fn a_codec_is_named_with_its_profile_and_a_level_that_is_enough() {
        for (codec, format, size, expected) in [
            (Codec::H264, "yuv420p", (1920, 1080), Some("avc1.640028")),
            (Codec::H264, "yuv420p10le", (3840, 2160), Some("avc1.6E0034")),
            (Codec::H264, "yuv422p10le", (8, 8), Some("avc1.7A0028")),
            (Codec::H264, "yuv444p", (8, 8), Some("avc1.F40028")),
            (Codec::H265, "yuv420p", (1920, 1080), Some("hvc1.1.6.L120.B0")),
            (Codec::H265, "yuv420p10le", (7680, 4320), Some("hvc1.2.4.L186.B0")),
            (Codec::H265, "yuv422p10le", (8, 8), Some("hvc1.4.10.L120.B0")),
            (Codec::Av1, "yuv420p10le", (1920, 1080), Some("av01.0.08M.10")),
            (Codec::Av1, "yuv444p", (8, 8), Some("av01.1.08M.08")),
            (Codec::Av1, "yuv420p12le", (8, 8), Some("av01.2.08M.12")),
            (Codec::Vp9, "yuv420p", (3840, 2160), Some("vp09.00.51.08")),
            (Codec::Vp9, "yuv444p12le", (8, 8), Some("vp09.03.40.12")),
            (Codec::Ffv1, "yuv420p", (8, 8), None),
        ] {
            let mut plan = film();
            plan.encoder.codec = codec;
            plan.video.encoded_format = format.to_owned();
            plan.video.target_size = size;
            assert_eq!(name(&plan).as_deref(), expected, "{codec} {format} {size:?}");
        }
    }
}
