//! What of a plan follows from the stream and the request alone.

use clearfleet_common::ErrorCode;
use clearfleet_common::config::Limits;
use clearfleet_common::job::{Codec, EncoderSpec, PlannedVideo, Rational, Target};

use super::PlanRequest;
use crate::media::encoder::encoder_spec;
use crate::media::pixel::{Planes, encoded_format, even_edges, working_format};
use crate::media::probe::StreamInfo;
use crate::media::within;
use crate::{Error, Result};

/// What does not depend on the frames.
pub(super) struct Draft {
    /// Its times are filled in when they are known.
    pub(super) video: PlannedVideo,
    pub(super) encoder: EncoderSpec,
    pub(super) notes: Vec<String>,
}

/// All of a planned video that does not depend on its frames.
pub(super) fn draft(stream: &StreamInfo, request: &PlanRequest, limits: &Limits) -> Result<Draft> {
    let mut notes = Vec::new();
    let codec = request.encode.codec;
    let source = (stream.width, stream.height);
    let Some(pix_fmt) = stream.pix_fmt.as_deref() else {
        let message = format!("not one frame of the {} video can be decoded", stream.codec);
        return Err(Error::new(ErrorCode::InputDamaged, message));
    };
    let (working, lost) = working_format(pix_fmt);
    notes.extend(lost.map(|lost| format!("decoding: {lost}")));
    let (encoded, lost) = encoded_format(codec, working);
    if !request.encode.container.is_animation() {
        notes.extend(lost.map(|lost| format!("encoding: {lost}")));
    }
    let invalid = |e| Error::new(ErrorCode::TargetInvalid, "the size asked for is not offered").because(e);
    let turn = stream.orientation;
    let keeps_turn = request.encode.container.holds_rotation();
    let wanted = match request.target {
        // An exact size is that of the picture as it is shown.
        Target::Exact(width, height) if keeps_turn && turn.rotation % 180 == 90 => Target::Exact(height, width),
        target => target,
    };
    let asked = wanted.size_for(source.0, source.1).map_err(invalid)?;
    let (even_width, even_height) = even_edges(codec, encoded);
    let even = |edge: u32, need: bool| if need { edge.next_multiple_of(2) } else { edge };
    let target = (even(asked.0, even_width), even(asked.1, even_height));
    if target != asked {
        let (w, h) = (target.0 - asked.0, target.1 - asked.1);
        notes.push(format!(
            "{w} columns and {h} rows are added: {codec} holds even sizes only"
        ));
    }
    if (turn.rotation != 0 || turn.mirrored) && !keeps_turn {
        let container = request.encode.container;
        notes.push(format!(
            "the turn of {} degrees on display is left out: {container} does not hold it",
            turn.rotation
        ));
    } else if turn.mirrored {
        notes.push("the mirroring on display is left out".to_owned());
    }
    within("the result", target, limits)?;
    let rate = stream.avg_frame_rate.unwrap_or(Rational { num: 25, den: 1 });
    let encoder = encoder_spec(&request.encode, target, rate)?;
    let from_rgb = working.samples.planes == Planes::Rgb && codec != Codec::Ffv1;
    let video = PlannedVideo {
        stream: stream.index as u32,
        codec: stream.codec.clone(),
        time_base: stream.time_base,
        source_size: source,
        target_size: target,
        pixel_format: working.name.to_owned(),
        encoded_format: encoded.to_owned(),
        full_range: working.samples.planes == Planes::Rgb
            || working.name.starts_with("yuvj")
            || stream.colour.range.as_deref() == Some("pc"),
        chroma_location: stream.colour.chroma_location.clone(),
        sample_aspect: stream.sample_aspect,
        rotation: u32::from(stream.orientation.rotation),
        colour: colour_arguments(stream, from_rgb),
        frame_rate: rate,
        last_duration: 0,
        shift: 0,
        filters: request.filters,
        retouched: Vec::new(),
    };
    Ok(Draft { video, encoder, notes })
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
