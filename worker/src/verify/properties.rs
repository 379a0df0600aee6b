//! What a video says of how it is shown: size, rotation, shape of a pixel, colours.

use clearfleet_common::job::{Container, Rational};

use super::Check;
use crate::media::pixel::{Planes, working_format};
use crate::media::probe::{Orientation, StreamInfo};

/// What rounding a sample aspect ratio to whole numbers may change it by, as a part of it.
const ASPECT: f64 = 1.0e-3;

/// Size, rotation, aspect and colour tags.
pub(super) fn checks(source: &StreamInfo, result: &StreamInfo, container: Container) -> Vec<Check> {
    let mut checks = vec![
        size((source.width, source.height), (result.width, result.height)),
        rotation(source.orientation, result.orientation, container),
        aspect(source, result),
    ];
    checks.extend(colour(source, result, container));
    checks
}

/// The check `size`: each edge is enlarged by one factor, to the nearest pixel, and one more where encoders need even
/// edges.
pub(super) fn size(source: (u32, u32), result: (u32, u32)) -> Check {
    let method = "coded sizes were compared: the result is at least as large; that one factor explains both its edges, each \
                  rounded to a pixel and up to an even one, is named where it does not, as an exact size may ask for it";
    let factors = |own: u32, found: u32| {
        let (own, found) = (f64::from(own.max(1)), f64::from(found));
        ((found - 1.5) / own, (found + 0.5) / own)
    };
    let (wide, high) = (factors(source.0, result.0), factors(source.1, result.1));
    let larger = result.0 >= source.0 && result.1 >= source.1;
    let holds = larger && wide.0.max(high.0) <= wide.1.min(high.1);
    let times = |own: u32, found: u32| f64::from(found) / f64::from(own.max(1));
    let (across, down) = (times(source.0, result.0), times(source.1, result.1));
    let expected = format!("{}x{}, times one factor of at least 1", source.0, source.1);
    Check::new(
        "size",
        method,
        expected,
        format!("{}x{}, times {across:.3} in width", result.0, result.1),
        holds,
    )
    .noting(!holds, || format!(" and {down:.3} in height"))
    .named_if(larger)
}

fn rotation(source: Orientation, result: Orientation, container: Container) -> Check {
    let method = "the display matrices of both video streams were compared, as degrees and mirroring";
    let shown = |o: Orientation| {
        format!(
            "{} degrees clockwise{}",
            o.rotation,
            if o.mirrored { ", mirrored" } else { "" }
        )
    };
    let holds = source == result;
    Check::new("rotation", method, shown(source), shown(result), holds).named_if(!container.holds_rotation())
}

fn aspect(source: &StreamInfo, result: &StreamInfo) -> Check {
    let method = "the shape of a pixel (sample aspect ratio) was compared, an unstated one taken for 1:1, to 0.1% or one pixel \
                  of the result's width";
    let square = Rational { num: 1, den: 1 };
    let (own, found) = (
        source.sample_aspect.unwrap_or(square),
        result.sample_aspect.unwrap_or(square),
    );
    let tolerance = ASPECT.max(1.0 / f64::from(result.width.max(1)));
    let holds = (found.as_f64() / own.as_f64() - 1.0).abs() <= tolerance;
    let shown = |r: Rational| format!("{}:{}", r.num, r.den);
    Check::new("aspect", method, shown(own), shown(found), holds)
}

/// A check `colour` for each tag that the source states.
fn colour(source: &StreamInfo, result: &StreamInfo, container: Container) -> Vec<Check> {
    let rgb = |s: &StreamInfo| {
        working_format(s.pix_fmt.as_deref().unwrap_or("unknown"), true)
            .0
            .samples
            .planes
            == Planes::Rgb
    };
    let converted = container.is_animation() || rgb(source) != rgb(result);
    let range = |s: &StreamInfo| {
        let full = s.pix_fmt.as_deref().is_some_and(|f| f.starts_with("yuvj"));
        s.colour.range.clone().or(full.then(|| "pc".to_owned()))
    };
    let (own, found) = (&source.colour, &result.colour);
    let tags = [
        ("range", range(source), range(result)),
        ("matrix", own.space.clone(), found.space.clone()),
        ("transfer", own.transfer.clone(), found.transfer.clone()),
        ("primaries", own.primaries.clone(), found.primaries.clone()),
        (
            "chroma location",
            own.chroma_location.clone(),
            found.chroma_location.clone(),
        ),
    ];
    let stated = |tag: &Option<String>| {
        tag.as_deref()
            .is_some_and(|t| !matches!(t, "unspecified" | "reserved" | "gbr"))
    };
    // An encoder that is told of studio range, which is the default, may say nothing.
    let alike = |name: &str, own: &Option<String>, found: &Option<String>| {
        own == found || (name == "range" && own.as_deref() == Some("tv") && found.is_none())
    };
    let check = |(name, own, found): (&str, Option<String>, Option<String>)| {
        let shown = |tag: &Option<String>| format!("{name} {}", tag.as_deref().unwrap_or("unstated"));
        let mut method = format!("the {name} that the source states for its video was compared with the result's");
        // Not every codec has a field for it.
        let no_field = name == "chroma location" && !stated(&found);
        if converted {
            method += "; one is RGB or a palette and the other is not, so that colours were converted";
        }
        Check::new("colour", method, shown(&own), shown(&found), alike(name, &own, &found))
            .named_if(converted || no_field)
    };
    tags.into_iter().filter(|(_, own, _)| stated(own)).map(check).collect()
}
