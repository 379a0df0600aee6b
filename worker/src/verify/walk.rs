//! Decoding both videos side by side.

use clearfleet_common::job::Stretch;

use super::VerifyRequest;
use super::frames::{Frames, Small, SmallSize};
use super::pictures::{NEARBY, Nearby, Pictures};
use super::times::Times;
use super::video::Side;
use crate::Result;

/// What walking through both videos gives.
pub(super) struct Walk {
    pub(super) source: Times,
    pub(super) result: Times,
    pub(super) pictures: Pictures,
    /// What decoding each complained of.
    pub(super) errors: (Vec<String>, Vec<String>),
}

/// Source frames that the result should hold.
struct Wanted {
    frames: Frames,
    stretch: Stretch,
    first: Option<i64>,
    ended: bool,
}

impl Wanted {
    /// The next frame that starts in the stretch; its moments count from the first frame.
    fn next(&mut self) -> Result<Option<Small>> {
        let tick = self.frames.time_base().seconds(1);
        while !self.ended {
            let Some(frame) = self.frames.next()? else { break };
            let first = *self.first.get_or_insert(frame.pts);
            let ticks = |seconds: f64| first.saturating_add((seconds / tick).ceil() as i64);
            if self.stretch.end.is_some_and(|end| frame.pts >= ticks(end)) {
                break;
            }
            if self.stretch.start.is_none_or(|start| frame.pts >= ticks(start)) {
                return Ok(Some(frame));
            }
        }
        self.ended = true;
        Ok(None)
    }
}

/// Decodes both side by side and holds each result frame against its own source frame: the one with its number, or the
/// one that `pairs` names. Where a side has transparent parts, `on_black` lays them on black.
pub(super) fn walk(
    request: &VerifyRequest<'_>,
    source: &Side<'_>,
    result: &Side<'_>,
    pairs: Option<&[Option<usize>]>,
    on_black: bool,
) -> Result<Walk> {
    let size = SmallSize::of(source.video.width, source.video.height);
    let decode = |side: &Side<'_>| {
        let on_black = on_black && side.transparent();
        Frames::decode(&side.input(), size, on_black, request.limits, request.stop)
    };
    let frames = decode(source).map_err(source.about())?;
    let mut wanted = Wanted {
        frames,
        stretch: request.stretch,
        first: None,
        ended: false,
    };
    let mut found = decode(result).map_err(result.about())?;
    let mut source_times = Times {
        time_base: source.video.time_base,
        pts: Vec::new(),
    };
    let mut result_times = Times {
        time_base: result.video.time_base,
        pts: Vec::new(),
    };
    let mut nearby = Nearby::new();
    let mut pictures = Pictures::default();
    let mut until = |own: usize, nearby: &mut Nearby, times: &mut Times| -> Result<()> {
        while nearby.next() <= own.saturating_add(NEARBY) {
            let Some(frame) = wanted.next().map_err(source.about())? else {
                break;
            };
            times.pts.push(frame.pts);
            nearby.push(frame);
        }
        Ok(())
    };
    let mut number = 0;
    while let Some(frame) = found.next().map_err(result.about())? {
        result_times.pts.push(frame.pts);
        let own = pairs.map_or(Some(number), |p| p.get(number).copied().flatten());
        if let Some(own) = own {
            until(own, &mut nearby, &mut source_times)?;
            nearby.forget_before(own);
            pictures.compare(&nearby, own, number, &frame, size.width);
        }
        number += 1;
    }
    // The rest of the source has nothing to be compared with, and is counted.
    loop {
        let next = nearby.next();
        nearby.forget_before(next);
        until(next, &mut nearby, &mut source_times)?;
        if nearby.next() == next {
            break;
        }
    }
    let errors = (wanted.frames.errors().to_vec(), found.errors().to_vec());
    Ok(Walk {
        source: source_times,
        result: result_times,
        pictures,
        errors,
    })
}
