//! Which frames lie in the parts of a video that people ask for, in seconds from its first frame.

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Ledger, Retouch, Retouched, Stretch};

use crate::{Error, Result};

/// The frames that start in the stretch; its moments count from the first frame.
///
/// # Errors
/// `StretchEmpty` if there is none.
pub(super) fn cut(whole: Ledger, stretch: &Stretch) -> Result<Ledger> {
    if stretch.is_whole() {
        return Ok(whole);
    }
    let first = whole.pts()[0];
    let (from, until) = ticks(stretch, first, &whole);
    whole.stretch(from, until).ok_or_else(|| {
        let length = whole.time_base().seconds(whole.end() - first);
        let message = format!("no frame starts in the stretch asked for; the video lasts {length:.3} s");
        Error::new(ErrorCode::StretchEmpty, message).with("seconds", length)
    })
}

/// The ticks of a stretch, whose moments count from the video's `first` tick.
fn ticks(stretch: &Stretch, first: i64, ledger: &Ledger) -> (i64, i64) {
    let tick = |seconds: f64| first.saturating_add((seconds / ledger.time_base().seconds(1)).ceil() as i64);
    (stretch.start.map_or(i64::MIN, tick), stretch.end.map_or(i64::MAX, tick))
}

/// The frames of retouches; of one that has none here, nothing.
pub(super) fn retouched(retouches: &[Retouch], first: i64, ledger: &Ledger) -> Vec<Retouched> {
    let frames = |retouch: &Retouch| {
        let (from, until) = ticks(&retouch.stretch, first, ledger);
        ledger.frames_in(from, until)
    };
    let frames_and_filters = retouches
        .iter()
        .filter_map(|retouch| Some((frames(retouch)?, retouch.filters)));
    frames_and_filters
        .map(|(frames, filters)| Retouched { frames, filters })
        .collect()
}

#[cfg(test)]
mod tests {
    use clearfleet_common::job::TimeBase;

    use super::*;

    #[test]
    fn a_stretch_counts_from_the_first_frame() {
        let base = TimeBase::new(1, 1000).unwrap();
        let whole = Ledger::new(base, vec![500, 540, 580, 620], 660).unwrap();
        let part = cut(
            whole.clone(),
            &Stretch {
                start: Some(0.04),
                end: Some(0.08),
            },
        )
        .unwrap();
        assert_eq!((part.pts(), part.end()), (&[540][..], 580));
        let beyond = cut(
            whole,
            &Stretch {
                start: Some(9.0),
                end: None,
            },
        )
        .unwrap_err();
        assert_eq!(beyond.code(), ErrorCode::StretchEmpty);
        assert!(beyond.to_string().contains("lasts 0.160 s"));
    }
}
