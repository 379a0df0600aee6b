//! ffmpeg's names of sample formats: what a source is decoded to, and what each encoder takes.

use clearfleet_common::job::{Codec, Container};
use vdsr::Layout;

/// Which planes samples lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planes {
    Gray,
    Yuv420,
    Yuv422,
    Yuv444,
    Rgb,
}

/// What a sample format can express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Samples {
    pub(crate) planes: Planes,
    /// Bits a sample: 8, 10, 12 or 16.
    pub(crate) bits: u8,
    pub(crate) alpha: bool,
}

/// A format that frames are decoded to and upscaled in: planar, and with a name in NUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Working {
    /// ffmpeg's name.
    pub(crate) name: &'static str,
    pub(crate) samples: Samples,
}

impl Working {
    /// How the frame's bytes are laid out.
    pub(crate) fn layout(self) -> Layout {
        match (self.samples.planes, self.samples.alpha) {
            (Planes::Gray, false) => Layout::Gray,
            (Planes::Gray, true) => Layout::GrayAlpha,
            (Planes::Yuv420, false) => Layout::Yuv420,
            (Planes::Yuv420, true) => Layout::Yuva420,
            (Planes::Yuv422, false) => Layout::Yuv422,
            (Planes::Yuv422, true) => Layout::Yuva422,
            (Planes::Yuv444, false) => Layout::Yuv444,
            (Planes::Yuv444, true) => Layout::Yuva444,
            (Planes::Rgb, false) => Layout::Gbr,
            (Planes::Rgb, true) => Layout::Gbra,
        }
    }

    /// The format of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        WORKING.iter().find(|w| w.name == name).copied()
    }
}

const fn working(name: &'static str, planes: Planes, bits: u8, alpha: bool) -> Working {
    Working {
        name,
        samples: Samples { planes, bits, alpha },
    }
}

/// Every working format; `yuvj…` are the full-range twins, which ffmpeg would otherwise convert to studio range.
const WORKING: [Working; 29] = [
    working("gray", Planes::Gray, 8, false),
    working("gray10le", Planes::Gray, 10, false),
    working("gray12le", Planes::Gray, 12, false),
    working("gray16le", Planes::Gray, 16, false),
    working("yuv420p", Planes::Yuv420, 8, false),
    working("yuvj420p", Planes::Yuv420, 8, false),
    working("yuv420p10le", Planes::Yuv420, 10, false),
    working("yuv420p12le", Planes::Yuv420, 12, false),
    working("yuv422p", Planes::Yuv422, 8, false),
    working("yuvj422p", Planes::Yuv422, 8, false),
    working("yuv422p10le", Planes::Yuv422, 10, false),
    working("yuv422p12le", Planes::Yuv422, 12, false),
    working("yuv444p", Planes::Yuv444, 8, false),
    working("yuvj444p", Planes::Yuv444, 8, false),
    working("yuv444p10le", Planes::Yuv444, 10, false),
    working("yuv444p12le", Planes::Yuv444, 12, false),
    working("gbrp", Planes::Rgb, 8, false),
    working("gbrp10le", Planes::Rgb, 10, false),
    working("gbrp12le", Planes::Rgb, 12, false),
    working("gbrap", Planes::Rgb, 8, true),
    working("gbrap10le", Planes::Rgb, 10, true),
    working("gbrap12le", Planes::Rgb, 12, true),
    working("ya8", Planes::Gray, 8, true),
    working("yuva420p", Planes::Yuv420, 8, true),
    working("yuva420p10le", Planes::Yuv420, 10, true),
    working("yuva422p", Planes::Yuv422, 8, true),
    working("yuva422p10le", Planes::Yuv422, 10, true),
    working("yuva444p", Planes::Yuv444, 8, true),
    working("yuva444p10le", Planes::Yuv444, 10, true),
];

/// Whether a result keeps transparent parts.
pub(crate) fn keeps_alpha(codec: Codec, container: Container) -> bool {
    match codec {
        Codec::Ffv1 => true,
        // MP4 has no place for it.
        Codec::Vp9 => matches!(container, Container::Webm | Container::Mkv),
        Codec::H264 | Codec::H265 | Codec::Av1 => false,
    }
}

/// The working format that keeps what samples of ffmpeg's format `source` hold, or comes closest, and what is lost. With
/// `alpha` transparent parts are kept; RGB of 8 bits keeps them in any case, so that what they hide does not show.
pub(crate) fn working_format(source: &str, alpha: bool) -> (Working, Option<String>) {
    let found = describe(source);
    let wanted = found.unwrap_or(Samples {
        planes: Planes::Yuv444,
        bits: 12,
        alpha: false,
    });
    let keep_alpha = wanted.alpha && (alpha || (wanted.planes == Planes::Rgb && wanted.bits <= 8));
    if let Some(same) = Working::named(source).filter(|w| w.samples.alpha == keep_alpha) {
        return (same, None);
    }
    let chosen = closest(wanted, keep_alpha);
    let mut lost = Vec::new();
    if found.is_none() || has_rare_chroma(source) {
        lost.push(format!("{source} is read as {}", chosen.name));
    }
    if wanted.bits > chosen.samples.bits {
        lost.push(format!("{} bits become {}", wanted.bits, chosen.samples.bits));
    }
    if wanted.alpha && !chosen.samples.alpha {
        lost.push("transparency is left out".to_owned());
    }
    (chosen, (!lost.is_empty()).then(|| lost.join("; ")))
}

/// Whether chroma is spaced as in no working format: it is resampled to that of luma.
fn has_rare_chroma(source: &str) -> bool {
    ["410", "411", "440"]
        .iter()
        .any(|grid| source.starts_with("yuv") && source.contains(grid))
}

/// The format with the planes of `wanted` and the nearest bits that there are.
fn closest(wanted: Samples, alpha: bool) -> Working {
    let fits = |w: &&Working| w.samples.planes == wanted.planes && w.samples.alpha == alpha;
    let enough = WORKING.iter().filter(fits).find(|w| w.samples.bits >= wanted.bits);
    let most = || WORKING.iter().filter(fits).max_by_key(|w| w.samples.bits);
    let last_resort = working("yuv444p12le", Planes::Yuv444, 12, false);
    enough.or_else(most).copied().unwrap_or(last_resort)
}

/// What one of ffmpeg's formats holds, by its name.
fn describe(name: &str) -> Option<Samples> {
    let name = name.trim_end_matches("le").trim_end_matches("be");
    let is = |planes, bits, alpha| Some(Samples { planes, bits, alpha });
    match name {
        "pal8" => return is(Planes::Rgb, 8, true),
        "nv12" | "nv21" | "yuv411p" | "yuv410p" | "yuv440p" | "yuvj440p" | "yuvj411p" => {
            let planes = if name.starts_with("nv") {
                Planes::Yuv420
            } else {
                Planes::Yuv444
            };
            return is(planes, 8, false);
        }
        "yuyv422" | "uyvy422" | "yvyu422" | "nv16" => return is(Planes::Yuv422, 8, false),
        "p010" => return is(Planes::Yuv420, 10, false),
        "p016" => return is(Planes::Yuv420, 16, false),
        "p210" | "nv20" => return is(Planes::Yuv422, 10, false),
        "monow" | "monob" => return is(Planes::Gray, 8, false),
        "ya8" => return is(Planes::Gray, 8, true),
        "ya16" => return is(Planes::Gray, 16, true),
        "rgb48" | "bgr48" => return is(Planes::Rgb, 16, false),
        "rgba64" | "bgra64" => return is(Planes::Rgb, 16, true),
        "rgba" | "bgra" | "argb" | "abgr" => return is(Planes::Rgb, 8, true),
        _ => {}
    }
    let packed_rgb = ["rgb", "bgr", "0rgb", "0bgr"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    if packed_rgb {
        return is(Planes::Rgb, 8, false);
    }
    let families = [
        ("gray", Planes::Gray, false),
        ("gbrap", Planes::Rgb, true),
        ("gbrp", Planes::Rgb, false),
        ("yuva420p", Planes::Yuv420, true),
        ("yuva422p", Planes::Yuv422, true),
        ("yuva444p", Planes::Yuv444, true),
        ("yuv420p", Planes::Yuv420, false),
        ("yuv422p", Planes::Yuv422, false),
        ("yuv440p", Planes::Yuv444, false),
        ("yuv444p", Planes::Yuv444, false),
    ];
    let (rest, planes, alpha) = families
        .iter()
        .find_map(|(prefix, planes, alpha)| Some((name.strip_prefix(prefix)?, *planes, *alpha)))?;
    let bits = if rest.is_empty() { 8 } else { rest.parse().ok()? };
    is(planes, bits, alpha)
}

/// The format in which `codec` takes frames of `working` for `container`, and what is lost by it.
pub(crate) fn encoded_format(codec: Codec, container: Container, working: Working) -> (&'static str, Option<String>) {
    let Samples { planes, bits, alpha } = working.samples;
    if codec == Codec::Ffv1 {
        // FFV1 has planar RGB only above 8 bits; the packed forms hold the same samples.
        return match (planes, bits, alpha) {
            (Planes::Rgb, 8, false) => ("bgr0", None),
            (Planes::Rgb, 8, true) => ("bgra", None),
            _ => (without_range(working.name), None),
        };
    }
    let alpha_kept = alpha && keeps_alpha(codec, container);
    let (most_bits, all_planes) = match codec {
        Codec::H264 => (10, true),
        Codec::Av1 => (10, false),
        // libvpx has alpha beside one format alone.
        Codec::Vp9 if alpha_kept => (8, false),
        Codec::H265 | Codec::Vp9 | Codec::Ffv1 => (12, true),
    };
    let kept = Samples {
        planes: match planes {
            // Players show RGB video nowhere, and grey hardly; both are expressed as what they do show.
            Planes::Rgb | Planes::Gray => Planes::Yuv420,
            other if all_planes => other,
            _ => Planes::Yuv420,
        },
        bits: bits.min(most_bits),
        alpha: alpha_kept,
    };
    let name = WORKING
        .iter()
        .find(|w| w.samples == kept && !w.name.starts_with("yuvj"));
    (name.map_or("yuv420p", |w| w.name), lost(codec, working.samples, kept))
}

/// What `codec` does not hold of samples that it gets as `kept`.
fn lost(codec: Codec, samples: Samples, kept: Samples) -> Option<String> {
    let Samples { planes, bits, alpha } = samples;
    let mut lost = Vec::new();
    if kept.bits < bits {
        let with = if kept.alpha { "with transparency " } else { "" };
        lost.push(format!(
            "{bits} bits become {}, which is what {codec} holds {with}here",
            kept.bits
        ));
    }
    if kept.planes != planes && planes != Planes::Gray {
        lost.push("colour is stored at half resolution (4:2:0)".to_owned());
    }
    if alpha && !kept.alpha {
        lost.push(format!("transparency is left out, which {codec} does not hold here"));
    }
    (!lost.is_empty()).then(|| lost.join("; "))
}

/// The name that says nothing of the range: the samples are the same, and the range is a tag of the stream.
pub(crate) fn without_range(name: &'static str) -> &'static str {
    match name {
        "yuvj420p" => "yuv420p",
        "yuvj422p" => "yuv422p",
        "yuvj444p" => "yuv444p",
        other => other,
    }
}

/// Whether frames in ffmpeg's format `encoded` need even widths and heights, under `codec`.
pub(crate) fn even_edges(codec: Codec, encoded: &str) -> (bool, bool) {
    let strict = matches!(codec, Codec::H264 | Codec::H265);
    let subsampled = |name: &str| encoded.contains(name);
    (
        strict && (subsampled("420") || subsampled("422")),
        strict && subsampled("420"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_frames_can_be_upscaled_in_are_kept() {
        for working in WORKING {
            assert_eq!(working_format(working.name, true), (working, None));
        }
    }

    #[test]
    fn other_formats_become_the_closest_and_losses_are_named() {
        let name = |source| working_format(source, false).0.name;
        assert_eq!((name("bgra"), name("pal8"), name("rgb24")), ("gbrap", "gbrap", "gbrp"));
        assert_eq!(
            (name("nv12"), name("p010le"), name("yuv420p9le")),
            ("yuv420p", "yuv420p10le", "yuv420p10le")
        );
        let lost = |source, alpha| working_format(source, alpha).1.unwrap_or_default();
        assert_eq!(lost("rgb48be", true), "16 bits become 12");
        assert_eq!(lost("yuva420p", false), "transparency is left out");
        assert_eq!(lost("xyz12le", true), "xyz12le is read as yuv444p12le");
        assert_eq!(lost("yuvj411p", false), "yuvj411p is read as yuv444p");
    }

    #[test]
    fn transparent_parts_are_kept_where_the_result_keeps_them() {
        let kept = |source| working_format(source, true);
        assert_eq!(kept("yuva444p12le").0.name, "yuva444p10le");
        assert_eq!(kept("yuva444p12le").1.as_deref(), Some("12 bits become 10"));
        assert_eq!((kept("rgba64be").0.name, kept("ya16be").0.name), ("gbrap12le", "ya8"));
        let dropped = |source| working_format(source, false).0.name;
        assert_eq!(
            (dropped("yuva444p12le"), dropped("rgba64be"), dropped("ya8")),
            ("yuv444p12le", "gbrp12le", "gray")
        );
        assert_eq!(dropped("rgba"), "gbrap");
    }

    #[test]
    fn each_encoder_gets_what_it_takes() {
        let encoded = |codec, name| encoded_format(codec, Container::Mkv, Working::named(name).unwrap());
        assert_eq!(encoded(Codec::H264, "yuv422p10le"), ("yuv422p10le", None));
        assert_eq!(encoded(Codec::H264, "yuv420p12le").0, "yuv420p10le");
        assert_eq!(encoded(Codec::H264, "yuvj420p"), ("yuv420p", None));
        assert_eq!(encoded(Codec::Av1, "yuv444p").0, "yuv420p");
        assert_eq!(encoded(Codec::Vp9, "yuv444p12le"), ("yuv444p12le", None));
        assert_eq!(encoded(Codec::Ffv1, "gbrap"), ("bgra", None));
        assert!(encoded(Codec::H265, "gbrap").1.unwrap().contains("transparency"));
        assert_eq!(encoded(Codec::Vp9, "yuva420p"), ("yuva420p", None));
        assert_eq!(
            encoded(Codec::Vp9, "yuva422p10le").1.unwrap(),
            "10 bits become 8, which is what vp9 holds with transparency here; colour is stored at half resolution (4:2:0)"
        );
        let in_mp4 = encoded_format(Codec::Vp9, Container::Mp4, Working::named("gbrap").unwrap());
        assert!(in_mp4.0 == "yuv420p" && in_mp4.1.unwrap().contains("transparency"));
    }

    #[test]
    fn half_resolution_colour_needs_even_edges_where_the_encoder_says_so() {
        assert_eq!(even_edges(Codec::H264, "yuv420p"), (true, true));
        assert_eq!(even_edges(Codec::H265, "yuv422p10le"), (true, false));
        assert_eq!(even_edges(Codec::H264, "yuv444p"), (false, false));
        assert_eq!(even_edges(Codec::Vp9, "yuv420p"), (false, false));
        assert_eq!(even_edges(Codec::Av1, "yuv420p"), (false, false));
    }
}
