//! What of a plan follows from the stream and the request alone.

use clearfleet_common::ErrorCode;
use clearfleet_common::config::Limits;
use clearfleet_common::job::{Codec, EncodeSettings, EncoderSpec, PlannedVideo, Rational, Target};

use super::PlanRequest;
use super::notes::{chroma_note, fields_note, hdr_notes, turn_note};
use crate::media::encoder::{Pictures, encoder_spec};
use crate::media::pixel::{Planes, Working, encoded_format, even_edges, keeps_alpha, working_format};
use crate::media::probe::{Hdr, StreamInfo};
use crate::media::within;
use crate::{Error, Result};

/// What does not depend on the frames.
pub(crate) struct Draft {
    /// Its times are filled in when they are known.
    pub(crate) video: PlannedVideo,
    pub(crate) encoder: EncoderSpec,
    pub(crate) notes: Vec<String>,
}

/// All of a planned video that does not depend on its frames.
pub(crate) fn draft(stream: &StreamInfo, hdr: &Hdr, request: &PlanRequest, limits: &Limits) -> Result<Draft> {
    let mut notes = Vec::new();
    let codec = request.encode.codec;
    let (working, encoded) = formats(stream, request, &mut notes)?;
    let target = target_size(stream, request, encoded, &mut notes)?;
    notes.extend(turn_note(stream.orientation, request.encode.container));
    notes.extend(fields_note(stream.field_order.as_deref(), request.deinterlace));
    notes.extend(chroma_note(
        stream.colour.chroma_location.as_deref(),
        encoded,
        &request.encode,
    ));
    notes.extend(hdr_notes(hdr, codec));
    within("the result", target, limits)?;
    let hdr10 = Some(hdr.hdr10).filter(|hdr10| !hdr10.is_empty() && codec.holds_hdr10());
    let rate = stream.avg_frame_rate.unwrap_or(Rational { num: 25, den: 1 });
    let pictures = Pictures {
        size: target,
        rate,
        alpha: encoded.starts_with("yuva"),
        hdr10,
    };
    let encoder = encoder_spec(&request.encode, &pictures)?;
    let from_rgb = working.samples.planes == Planes::Rgb && codec != Codec::Ffv1;
    let video = PlannedVideo {
        stream: stream.index as u32,
        codec: stream.codec.clone(),
        decoder: stream.decoder.filter(|_| working.samples.alpha).map(str::to_owned),
        time_base: stream.time_base,
        source_size: (stream.width, stream.height),
        target_size: target,
        pixel_format: working.name.to_owned(),
        encoded_format: encoded.to_owned(),
        full_range: working.samples.planes == Planes::Rgb
            || working.name.starts_with("yuvj")
            || stream.colour.range.as_deref() == Some("pc"),
        chroma_location: stream.colour.chroma_location.clone(),
        sample_aspect: stream.sample_aspect,
        rotation: u32::from(stream.orientation.rotation),
        mirrored: stream.orientation.mirrored,
        deinterlace: request.deinterlace,
        colour: colour_arguments(stream, from_rgb),
        hdr10,
        frame_rate: rate,
        last_duration: 0,
        shift: 0,
        filters: request.filters,
        retouched: Vec::new(),
    };
    Ok(Draft { video, encoder, notes })
}

/// What frames are decoded to, and ffmpeg's name of what they are encoded as; notes what is lost by either.
fn formats(stream: &StreamInfo, request: &PlanRequest, notes: &mut Vec<String>) -> Result<(Working, &'static str)> {
    let Some(pix_fmt) = stream.pix_fmt.as_deref() else {
        let message = format!("not one frame of the {} video can be decoded", stream.codec);
        return Err(Error::new(ErrorCode::InputDamaged, message));
    };
    let EncodeSettings { codec, container, .. } = request.encode;
    let (working, lost) = working_format(pix_fmt, keeps_alpha(codec, container));
    notes.extend(lost.map(|lost| format!("decoding: {lost}")));
    let (encoded, lost) = encoded_format(codec, container, working);
    if !container.is_animation() {
        notes.extend(lost.map(|lost| format!("encoding: {lost}")));
    }
    Ok((working, encoded))
}

/// Width and height of the result for frames that are encoded as `encoded`; notes what is added to what was asked for.
fn target_size(
    stream: &StreamInfo,
    request: &PlanRequest,
    encoded: &str,
    notes: &mut Vec<String>,
) -> Result<(u32, u32)> {
    let invalid = |e| Error::new(ErrorCode::TargetInvalid, "the size asked for is not offered").because(e);
    let keeps_turn = request.encode.container.holds_rotation();
    let wanted = match request.target {
        // An exact size is that of the picture as it is shown.
        Target::Exact(width, height) if keeps_turn && stream.orientation.rotation % 180 == 90 => {
            Target::Exact(height, width)
        }
        target => target,
    };
    let asked = wanted.size_for(stream.width, stream.height).map_err(invalid)?;
    let codec = request.encode.codec;
    let (even_width, even_height) = even_edges(codec, encoded);
    let even = |edge: u32, need: bool| if need { edge.next_multiple_of(2) } else { edge };
    let target = (even(asked.0, even_width), even(asked.1, even_height));
    if target != asked {
        let (w, h) = (target.0 - asked.0, target.1 - asked.1);
        notes.push(format!(
            "{w} columns and {h} rows are added: {codec} holds even sizes only"
        ));
    }
    Ok(target)
}

/// ffmpeg options that carry the source's colour tags to the result.
fn colour_arguments(stream: &StreamInfo, from_rgb: bool) -> Vec<String> {
    if from_rgb {
        let convert = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int";
        let tags = "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv";
        return ["-vf", convert]
            .into_iter()
            .chain(tags.split(' '))
            .map(str::to_owned)
            .collect();
    }
    let colour = &stream.colour;
    let range = colour.range.as_deref().or(stream
        .pix_fmt
        .as_deref()
        .is_some_and(|f| f.starts_with("yuvj"))
        .then_some("pc"));
    let tags = [
        ("-color_range", range),
        ("-colorspace", colour.space.as_deref()),
        ("-color_trc", colour.transfer.as_deref()),
        ("-color_primaries", colour.primaries.as_deref()),
        ("-chroma_sample_location", colour.chroma_location.as_deref()),
    ];
    let known = tags.into_iter().filter_map(|(option, value)| Some((option, value?)));
    let known = known.filter(|(_, value)| !matches!(*value, "unknown" | "unspecified" | "reserved" | "gbr"));
    known
        .flat_map(|(option, value)| [option.to_owned(), value.to_owned()])
        .collect()
}
