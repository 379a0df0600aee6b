//! ffmpeg's names of sample formats: what a source is decoded to, and what each encoder takes.

use clearfleet_common::job::Codec;
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
            (Planes::Yuv422, _) => Layout::Yuv422,
            (Planes::Yuv444, _) => Layout::Yuv444,
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
const WORKING: [Working; 21] = [
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
    working("yuva420p", Planes::Yuv420, 8, true),
];

/// The working format that keeps what samples of ffmpeg's format `source` hold, or comes closest, and what is lost.
pub(crate) fn working_format(source: &str) -> (Working, Option<String>) {
    if let Some(same) = Working::named(source).filter(|w| !(w.samples.alpha && w.samples.planes == Planes::Yuv420)) {
        return (same, None);
    }
    let found = describe(source);
    let wanted = found.unwrap_or(Samples {
        planes: Planes::Yuv444,
        bits: 12,
        alpha: false,
    });
    let bits = match wanted.bits {
        0..=8 => 8,
        9 | 10 => 10,
        _ if wanted.planes == Planes::Gray && wanted.bits > 12 => 16,
        _ => 12,
    };
    let alpha = wanted.alpha && wanted.planes == Planes::Rgb && bits == 8;
    let choice = Samples {
        planes: wanted.planes,
        bits,
        alpha,
    };
    let closest = WORKING.iter().find(|w| w.samples == choice).copied();
    let chosen = closest.unwrap_or(working("yuv444p12le", Planes::Yuv444, 12, false));
    let mut lost = Vec::new();
    if found.is_none() {
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

/// The format in which `codec` takes frames of `working`, and what is lost by it.
pub(crate) fn encoded_format(codec: Codec, working: Working) -> (&'static str, Option<String>) {
    let Samples { planes, bits, alpha } = working.samples;
    if codec == Codec::Ffv1 {
        // FFV1 has planar RGB only above 8 bits; the packed forms hold the same samples.
        return match (planes, bits, alpha) {
            (Planes::Rgb, 8, false) => ("bgr0", None),
            (Planes::Rgb, 8, true) => ("bgra", None),
            _ => (without_range(working.name), None),
        };
    }
    let (most_bits, all_planes) = match codec {
        Codec::H264 => (10, true),
        Codec::Av1 => (10, false),
        Codec::H265 | Codec::Vp9 | Codec::Ffv1 => (12, true),
    };
    let kept_bits = bits.min(most_bits);
    let kept_planes = match planes {
        // Players show RGB video nowhere, and grey hardly; both are expressed as what they do show.
        Planes::Rgb | Planes::Gray => Planes::Yuv420,
        other if all_planes => other,
        _ => Planes::Yuv420,
    };
    let same = Samples {
        planes: kept_planes,
        bits: kept_bits,
        alpha: false,
    };
    let name = WORKING
        .iter()
        .find(|w| w.samples == same && !w.name.starts_with("yuvj"));
    let mut lost = Vec::new();
    if kept_bits < bits {
        lost.push(format!(
            "{bits} bits become {kept_bits}, which is what {codec} holds here"
        ));
    }
    if kept_planes != planes && planes != Planes::Gray {
        lost.push("colour is stored at half resolution (4:2:0)".to_owned());
    }
    if alpha {
        lost.push(format!("transparency is left out, which {codec} does not hold here"));
    }
    (
        name.map_or("yuv420p", |w| w.name),
        (!lost.is_empty()).then(|| lost.join("; ")),
    )
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
    let strict = matches!(codec, Codec::H264 | Codec::H265 | Codec::Av1);
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
        for working in WORKING.iter().filter(|w| w.name != "yuva420p") {
            assert_eq!(working_format(working.name), (*working, None));
        }
    }

    #[test]
    fn other_formats_become_the_closest_and_losses_are_named() {
        let name = |source| working_format(source).0.name;
        assert_eq!((name("bgra"), name("pal8"), name("rgb24")), ("gbrap", "gbrap", "gbrp"));
        assert_eq!(
            (name("nv12"), name("p010le"), name("yuv420p9le")),
            ("yuv420p", "yuv420p10le", "yuv420p10le")
        );
        assert_eq!(working_format("rgb48be").1.as_deref(), Some("16 bits become 12"));
        assert_eq!(
            working_format("yuva420p").1.as_deref(),
            Some("transparency is left out")
        );
        assert_eq!(
            working_format("xyz12le").1.as_deref(),
            Some("xyz12le is read as yuv444p12le")
        );
    }

    #[test]
    fn each_encoder_gets_what_it_takes() {
        let encoded = |codec, name| encoded_format(codec, Working::named(name).unwrap());
        assert_eq!(encoded(Codec::H264, "yuv422p10le"), ("yuv422p10le", None));
        assert_eq!(encoded(Codec::H264, "yuv420p12le").0, "yuv420p10le");
        assert_eq!(encoded(Codec::H264, "yuvj420p"), ("yuv420p", None));
        assert_eq!(encoded(Codec::Av1, "yuv444p").0, "yuv420p");
        assert_eq!(encoded(Codec::Vp9, "yuv444p12le"), ("yuv444p12le", None));
        assert_eq!(encoded(Codec::Ffv1, "gbrap"), ("bgra", None));
        assert!(encoded(Codec::H265, "gbrap").1.unwrap().contains("transparency"));
    }

    #[test]
    fn half_resolution_colour_needs_even_edges_where_the_encoder_says_so() {
        assert_eq!(even_edges(Codec::H264, "yuv420p"), (true, true));
        assert_eq!(even_edges(Codec::H265, "yuv422p10le"), (true, false));
        assert_eq!(even_edges(Codec::H264, "yuv444p"), (false, false));
        assert_eq!(even_edges(Codec::Vp9, "yuv420p"), (false, false));
    }
}
