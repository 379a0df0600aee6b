//! HDR10's static metadata as encoders take it.

use clearfleet_common::job::{Codec, ContentLight, Hdr10, MasteringDisplay};

/// Parameters of `codec`'s encoder that write it into the video, each `name=value`; none where its video has no place for
/// it.
pub(crate) fn encoder_parameters(codec: Codec, hdr10: &Hdr10) -> Vec<String> {
    let (mastering_name, light_name, written): (_, _, fn(&MasteringDisplay) -> String) = match codec {
        Codec::H264 => ("mastering-display", "cll", in_codes),
        Codec::H265 => ("master-display", "max-cll", in_codes),
        Codec::Av1 => ("mastering-display", "content-light", in_units),
        Codec::Vp9 | Codec::Ffv1 => return Vec::new(),
    };
    let mastering = hdr10.mastering.as_ref();
    let mastering = mastering.map(|display| format!("{mastering_name}={}", written(display)));
    let light = hdr10.light.map(|light| {
        let ContentLight {
            max_content,
            max_average,
        } = light;
        format!("{light_name}={max_content},{max_average}")
    });
    mastering.into_iter().chain(light).collect()
}

/// As x264 and x265 read it.
fn in_codes(display: &MasteringDisplay) -> String {
    let point = |(x, y): (u16, u16)| format!("({x},{y})");
    let [red, green, blue] = display.primaries.map(point);
    let (most, least) = (display.max_luminance, display.min_luminance);
    format!("G{green}B{blue}R{red}WP{}L({most},{least})", point(display.white))
}

/// As SVT-AV1 reads it.
fn in_units(display: &MasteringDisplay) -> String {
    let point = |(x, y): (u16, u16)| format!("({:.5},{:.5})", f64::from(x) / 50_000.0, f64::from(y) / 50_000.0);
    let luminance = |code: u32| f64::from(code) / 10_000.0;
    let [red, green, blue] = display.primaries.map(point);
    let (most, least) = (luminance(display.max_luminance), luminance(display.min_luminance));
    format!("G{green}B{blue}R{red}WP{}L({most:.4},{least:.4})", point(display.white))
}
