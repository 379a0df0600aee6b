//! When frames are shown.

use clearfleet_common::job::TimeBase;

use super::Check;

/// What floating point adds to a difference of times, as a part of the tolerance.
const ROUNDING: f64 = 1.0005;

/// Times of one video's frames.
#[derive(Clone, Debug)]
pub(super) struct Times {
    pub(super) time_base: TimeBase,
    /// In ticks, in the order in which they are shown.
    pub(super) pts: Vec<i64>,
}

/// How the clock of a result follows from that of its source, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Clock {
    /// The moment of the source that is the result's zero.
    pub(super) zero: f64,
    /// By how much everything in the result is later, because its container holds no times before 0.
    pub(super) shift: f64,
}

impl Times {
    pub(super) fn first(&self) -> Option<f64> {
        self.pts.first().map(|p| self.time_base.seconds(*p))
    }

    pub(super) fn last(&self) -> Option<f64> {
        self.pts.last().map(|p| self.time_base.seconds(*p))
    }

    /// Seconds from one frame to the next on average.
    pub(super) fn interval(&self) -> Option<f64> {
        let steps = self.pts.len().checked_sub(1).filter(|n| *n > 0)?;
        Some((self.last()? - self.first()?) / steps as f64)
    }

    fn at(&self, n: usize) -> f64 {
        self.time_base.seconds(self.pts[n])
    }
}

impl Clock {
    /// The moment of the result at which the source's moment `source` should come.
    pub(super) fn expected(&self, source: f64) -> f64 {
        source - self.zero + self.shift
    }
}

/// One tick of the coarser clock, in seconds.
pub(super) fn tolerance(a: TimeBase, b: TimeBase) -> f64 {
    a.seconds(1).max(b.seconds(1)) * ROUNDING
}

/// For each frame of the result, in order, the source frame that is shown at its time, if there is one.
pub(super) fn by_time(source: &Times, result: &Times, clock: Clock) -> Vec<Option<usize>> {
    let tolerance = tolerance(source.time_base, result.time_base);
    let mut next = 0;
    let pair = |n: usize| {
        let time = result.at(n);
        while next < source.pts.len() && clock.expected(source.at(next)) < time - tolerance {
            next += 1;
        }
        let found = (next < source.pts.len() && clock.expected(source.at(next)) <= time + tolerance).then_some(next);
        next += usize::from(found.is_some());
        found
    };
    (0..result.pts.len()).map(pair).collect()
}

/// The check `frames`.
pub(super) fn frames(source: &Times, result: &Times, pairs: Option<&[Option<usize>]>) -> Check {
    let method = "both videos were decoded from beginning to end and their frames counted";
    let (expected, mut found) = (source.pts.len().to_string(), result.pts.len().to_string());
    if let Some(pairs) = pairs {
        let mut taken = vec![false; source.pts.len()];
        pairs.iter().flatten().for_each(|n| taken[*n] = true);
        if let Some(n) = taken.iter().position(|t| !t) {
            found += &format!("; nothing is shown in place of frame {n} ({:.3} s)", source.at(n));
        }
        if let Some(n) = pairs.iter().position(Option::is_none) {
            found += &format!("; frame {n} ({:.3} s) is at a time of no source frame", result.at(n));
        }
    }
    Check::new("frames", method, expected, found, source.pts.len() == result.pts.len())
}

/// The check `times`. With as many frames on both sides, each is held against the one with its number; otherwise against
/// the one that is shown at its time, and as many as are too few or too many may have none.
pub(super) fn times(source: &Times, result: &Times, clock: Clock, pairs: Option<&[Option<usize>]>) -> Check {
    let tolerance = tolerance(source.time_base, result.time_base);
    let mut method = format!(
        "the time of every decoded frame was compared, to one tick of the coarser clock ({:.3} ms)",
        1e3 * tolerance / ROUNDING
    );
    if clock.shift != 0.0 {
        method += &format!(
            "; the result is {:.3} ms late as a whole, sound included, because its container holds no time before 0",
            1e3 * clock.shift
        );
    }
    let identity = |n: usize| (n < source.pts.len()).then_some(n);
    let mut worst = (0.0f64, 0);
    let mut without = 0;
    for n in 0..result.pts.len() {
        match pairs.map_or_else(|| identity(n), |p| p[n]) {
            Some(own) => {
                let error = (result.at(n) - clock.expected(source.at(own))).abs();
                // Floating point makes equal errors differ in their last digits.
                if error > worst.0 + 1e-9 {
                    worst = (error, n);
                }
            }
            None => without += 1,
        }
    }
    let excused = source.pts.len().abs_diff(result.pts.len());
    let holds = worst.0 <= tolerance && without <= excused && !result.pts.is_empty();
    let mut found = format!("at most {:.3} ms off, at frame {}", 1e3 * worst.0, worst.1);
    if without > 0 {
        found += &format!("; {without} at times of no source frame");
    }
    Check::new(
        "times",
        method,
        format!("at most {:.3} ms off", 1e3 * tolerance / ROUNDING),
        found,
        holds,
    )
}

/// The check `duration`: when the last frame ends. `lasts` are the last frames' own durations in seconds, where stated.
pub(super) fn duration(source: &Times, result: &Times, clock: Clock, lasts: (Option<f64>, Option<f64>)) -> Check {
    let interval = source.interval().or(lasts.0).unwrap_or(0.04);
    let tolerance = interval * 1.001 + tolerance(source.time_base, result.time_base);
    let method = format!(
        "the end of the last frame was compared, with its duration as the packet says or else the average, to one frame \
         ({:.1} ms)",
        1e3 * tolerance
    );
    let end = |times: &Times, lasts: Option<f64>| Some(times.last()? + lasts.or(times.interval()).unwrap_or(interval));
    let expected = end(source, lasts.0).map(|e| clock.expected(e));
    let found = end(result, lasts.1);
    let shown = |t: Option<f64>| t.map_or("no frame".to_owned(), |t| format!("{t:.3} s"));
    let holds = matches!((expected, found), (Some(a), Some(b)) if (a - b).abs() <= tolerance);
    Check::new("duration", method, shown(expected), shown(found), holds)
}
