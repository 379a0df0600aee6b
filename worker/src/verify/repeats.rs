//! How often an animated picture is played.

use clearfleet_common::Stop;

use super::Check;
use super::video::Side;
use crate::Result;
use crate::media::sniff::{self, Kind};

/// The check `repeats`, where both files are animated pictures.
pub(super) fn check(source: &Side<'_>, result: &Side<'_>, stop: &Stop) -> Result<Option<Check>> {
    let (Some(own), Some(found)) = (plays(source, stop)?, plays(result, stop)?) else {
        return Ok(None);
    };
    let shown = |plays: u32| match plays {
        0 => "for ever".to_owned(),
        1 => "once".to_owned(),
        more => format!("{more} times"),
    };
    let method = "how often the animation is played was read from both files";
    Ok(Some(Check::new(
        "repeats",
        method,
        shown(own),
        shown(found),
        own == found,
    )))
}

fn plays(side: &Side<'_>, stop: &Stop) -> Result<Option<u32>> {
    let Kind::Animation(_) = sniff::look(&**side.served.bytes())? else {
        return Ok(None);
    };
    let film = side.served.film(stop).map_err(side.about())?;
    Ok(Some(film.timing().plays))
}
