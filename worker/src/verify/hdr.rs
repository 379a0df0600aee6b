//! HDR10's static metadata.

use clearfleet_common::Stop;
use clearfleet_common::job::Hdr10;

use super::Check;
use super::video::Side;
use crate::Result;
use crate::media::probe;

/// The check `hdr`, for a source that says something.
///
/// # Errors
/// If ffprobe cannot read one of the files, `Stopped`.
pub(super) fn check(source: &Side<'_>, result: &Side<'_>, stop: &Stop) -> Result<Option<Check>> {
    let own = probe::hdr(&source.input(), stop).map_err(source.about())?.hdr10;
    if own.is_empty() {
        return Ok(None);
    }
    let found = probe::hdr(&result.input(), stop).map_err(result.about())?.hdr10;
    let method = "the mastering display's metadata and the light levels that container or first frames state were compared, \
                  to their last digits";
    let not_held = found.is_empty() && result.video.codec == "ffv1";
    let check = Check::new("hdr", method, shown(&own), shown(&found), own == found);
    Ok(Some(check.named_if(not_held)))
}

fn shown(hdr10: &Hdr10) -> String {
    let units = |code: u32| f64::from(code) / 10_000.0;
    let mastering = hdr10.mastering.map(|display| {
        let points = display.primaries.iter().chain([&display.white]);
        let points: Vec<String> = points.map(|(x, y)| format!("{x},{y}")).collect();
        let (least, most) = (units(display.min_luminance), units(display.max_luminance));
        format!("mastered at {least} to {most} cd/m², {} / 50,000", points.join(" "))
    });
    let light = hdr10
        .light
        .map(|light| format!("at most {} cd/m², {} on average", light.max_content, light.max_average));
    let parts: Vec<String> = mastering.into_iter().chain(light).collect();
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join("; ")
    }
}
