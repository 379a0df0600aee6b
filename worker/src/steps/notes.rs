//! What a plan says of a video that its result will not hold, one sentence each.

use clearfleet_common::job::{Codec, Container, EncodeSettings};

use crate::media::probe::{Hdr, Orientation};

/// How the picture is shown, where the container cannot say it.
pub(super) fn turn_note(turn: Orientation, container: Container) -> Option<String> {
    if turn == Orientation::default() || container.holds_rotation() {
        return None;
    }
    let turned = format!("the turn of {} degrees", turn.rotation);
    let what = match (turn.mirrored, turn.rotation) {
        (true, 0) => "the mirroring".to_owned(),
        (true, _) => format!("the mirroring and {turned}"),
        (false, _) => turned,
    };
    Some(format!("{what} on display is left out: {container} does not hold it"))
}

/// What becomes of interlaced video; `order` is ffmpeg's name of the order of its fields.
pub(super) fn fields_note(order: Option<&str>, deinterlace: bool) -> Option<String> {
    let first = match order? {
        "tt" | "tb" => "top",
        "bb" | "bt" => "bottom",
        _ => return None,
    };
    let what = if deinterlace {
        "each frame's two are made one picture"
    } else {
        "each frame's two are upscaled as one picture, and the result does not call itself interlaced"
    };
    Some(format!("the video is interlaced, its {first} fields first: {what}"))
}

/// Where chroma samples lie, where the result cannot say it and players would take another place.
pub(super) fn chroma_note(location: Option<&str>, encoded: &str, encode: &EncodeSettings) -> Option<String> {
    let EncodeSettings { codec, container, .. } = encode;
    let location = location.filter(|_| encoded.contains("420") || encoded.contains("422"))?;
    let held = match (codec, container, location) {
        (_, _, "left") | (Codec::H264 | Codec::H265, _, _) | (Codec::Av1, _, "topleft") => true,
        (_, Container::Mkv | Container::Webm, location) => matches!(location, "center" | "top" | "topleft"),
        (_, container, _) => container.is_animation(),
    };
    (!held)
        .then(|| format!("where chroma samples lie ({location}) is left out: {codec} in {container} does not say it"))
}

/// What is said of the dynamic range and does not reach the result.
pub(super) fn hdr_notes(hdr: &Hdr, codec: Codec) -> Vec<String> {
    let mut notes = Vec::new();
    if !hdr.hdr10.is_empty() && !codec.holds_hdr10() {
        notes.push(format!(
            "HDR10's mastering display and light levels are left out: {codec} does not hold them here"
        ));
    }
    if let Some(dolby_vision) = hdr.dolby_vision {
        let mut note = "Dolby Vision's metadata is left out: only the base layer is upscaled".to_owned();
        if !dolby_vision.compatible {
            note += ", and its colours are not those of any other format";
        }
        notes.push(note);
    }
    if hdr.hdr10_plus {
        notes.push("HDR10+ metadata, which changes from scene to scene, is left out".to_owned());
    }
    notes
}
