//! What a video of high dynamic range says beside its colour tags: in its container, or with its first frames.

use clearfleet_common::job::{ContentLight, Hdr10, MasteringDisplay};
use clearfleet_common::{ErrorCode, Stop};
use serde_json::Value;

use super::parse::{list, number, text};
use super::{DEADLINE, described};
use crate::media::input::{VideoInput, source_arguments};
use crate::media::process::{Confinement, Launch, Program};
use crate::{Error, Result};

/// Packets that are decoded to see what comes with frames: the first may be a field, or refer to what is cut off.
const LOOKED_AT: &str = "%+#4";

/// Transfer curves of high dynamic range.
const CURVES: [&str; 2] = ["smpte2084", "arib-std-b67"];

/// What is said of a video's dynamic range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hdr {
    /// HDR10's static metadata.
    pub(crate) hdr10: Hdr10,
    /// Dolby Vision.
    pub(crate) dolby_vision: Option<DolbyVision>,
    /// Whether HDR10+ says more with each scene.
    pub(crate) hdr10_plus: bool,
}

/// What is known of a video's Dolby Vision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DolbyVision {
    /// Whether its base layer shows right on displays that do not know it, as far as its container says.
    pub(crate) compatible: bool,
}

/// Looks for it, where the tags of the stream give reason to.
///
/// # Errors
/// `InputUnsupported` if ffprobe cannot read the source, `DeadlineExceeded`, `Stopped`.
pub(crate) fn hdr(video: &VideoInput<'_>, stop: &Stop) -> Result<Hdr> {
    let stream = video.stream;
    let curved = stream.colour.transfer.as_deref().is_some_and(|t| CURVES.contains(&t));
    if !curved && !stream.side_data.iter().any(|name| is_hdr(name)) {
        return Ok(Hdr::default());
    }
    let child = Launch::new(Program::Ffprobe, &Confinement::reading(video.source))?
        .args(["-print_format", "json", "-select_streams", &stream.index.to_string()])
        .args([
            "-show_entries",
            "stream_side_data:frame_side_data",
            "-read_intervals",
            LOOKED_AT,
        ])
        .args(source_arguments(video.source, video.demuxer))
        .piped_stdout()
        .spawn(stop, DEADLINE)?;
    let no_json = |e| Error::new(ErrorCode::InputUnsupported, "ffprobe's answer is no JSON").because(e);
    let root: Value = serde_json::from_str(&described(child)?).map_err(no_json)?;
    Ok(said(&root))
}

fn is_hdr(side_data: &str) -> bool {
    ["Mastering display", "Content light", "DOVI", "Dolby Vision", "HDR"]
        .iter()
        .any(|start| side_data.starts_with(start))
}

/// What the stream says, then the frames, of which the first that says something counts.
pub(in crate::media) fn said(root: &Value) -> Hdr {
    let mut hdr = Hdr::default();
    let of = |name| list(root, name).iter().flat_map(|part| list(part, "side_data_list"));
    for side_data in of("streams").chain(of("frames")) {
        let kind = text(side_data, "side_data_type").unwrap_or_default();
        match kind.as_str() {
            "Mastering display metadata" => hdr.hdr10.mastering = hdr.hdr10.mastering.or_else(|| mastering(side_data)),
            "Content light level metadata" => hdr.hdr10.light = hdr.hdr10.light.or_else(|| light(side_data)),
            "DOVI configuration record" => {
                let compatible = number::<u8>(side_data, "dv_bl_signal_compatibility_id") != Some(0);
                hdr.dolby_vision = Some(DolbyVision { compatible });
            }
            kind if kind.starts_with("Dolby Vision") => {
                hdr.dolby_vision.get_or_insert(DolbyVision { compatible: true });
            }
            kind if kind.contains("HDR10+") => hdr.hdr10_plus = true,
            _ => {}
        }
    }
    hdr
}

fn mastering(side_data: &Value) -> Option<MasteringDisplay> {
    let chromaticity = |name: &str| {
        let code = |axis| Some((50_000.0 * fraction(side_data, &format!("{name}_{axis}"))?).round() as u16);
        Some((code("x")?, code("y")?))
    };
    let luminance = |name| Some((10_000.0 * fraction(side_data, name)?).round() as u32);
    Some(MasteringDisplay {
        primaries: [chromaticity("red")?, chromaticity("green")?, chromaticity("blue")?],
        white: chromaticity("white_point")?,
        max_luminance: luminance("max_luminance")?,
        min_luminance: luminance("min_luminance")?,
    })
}

fn light(side_data: &Value) -> Option<ContentLight> {
    Some(ContentLight {
        max_content: number(side_data, "max_content")?,
        max_average: number(side_data, "max_average")?,
    })
}

/// `34000/50000`
fn fraction(value: &Value, name: &str) -> Option<f64> {
    let found = text(value, name)?;
    let (num, den) = found.split_once('/')?;
    let fraction = num.trim().parse::<f64>().ok()? / den.trim().parse::<f64>().ok()?;
    fraction.is_finite().then_some(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_goes_before_the_frames() {
        let root = serde_json::json!({
            "streams": [{"side_data_list": [
                {"side_data_type": "DOVI configuration record", "dv_profile": 5, "dv_bl_signal_compatibility_id": 0},
                {"side_data_type": "Content light level metadata", "max_content": 900, "max_average": 300},
            ]}],
            "frames": [{}, {"side_data_list": [
                {"side_data_type": "Dolby Vision RPU Data"},
                {"side_data_type": "HDR Dynamic Metadata SMPTE2094-40 (HDR10+)"},
                {"side_data_type": "Content light level metadata", "max_content": 1, "max_average": 1},
                {"side_data_type": "Mastering display metadata", "red_x": "17/25", "red_y": "16000/50000",
                 "green_x": "0/50000", "green_y": "34500/50000", "blue_x": "7500/50000", "blue_y": "3000/50000",
                 "white_point_x": "15635/50000", "white_point_y": "16450/50000",
                 "min_luminance": "1/200", "max_luminance": "10000000/10000"},
            ]}],
        });
        let expected = Hdr {
            hdr10: Hdr10 {
                mastering: Some(MasteringDisplay {
                    primaries: [(34_000, 16_000), (0, 34_500), (7_500, 3_000)],
                    white: (15_635, 16_450),
                    max_luminance: 10_000_000,
                    min_luminance: 50,
                }),
                light: Some(ContentLight {
                    max_content: 900,
                    max_average: 300,
                }),
            },
            dolby_vision: Some(DolbyVision { compatible: false }),
            hdr10_plus: true,
        };
        assert_eq!(said(&root), expected);
    }

    #[test]
    fn half_a_description_is_none() {
        let root = serde_json::json!({"frames": [{"side_data_list": [
            {"side_data_type": "Mastering display metadata", "min_luminance": "50/10000", "max_luminance": "1/0"},
        ]}]});
        assert_eq!(said(&root), Hdr::default());
    }
}
