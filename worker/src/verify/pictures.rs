//! Whether each frame of a result shows what its own frame of the source shows, and not another's.
//!
//! Two questions are asked of small pictures. *Is it this picture at all?* A picture with other content errs by about as
//! much as the source's picture varies; what a codec or a network changes is far less. *Is it this frame?* Let `own` be
//! its source frame and `other` one nearby. What separates the two is a line from `own` to `other`, and the result lies
//! at some place along it: near 0 if it is its own frame, near 1 if it is the other. Losses move it little, because they
//! are not on that line: an encoder that repeats half of what moved lies at 0.5.

use std::collections::VecDeque;

use super::Check;
use super::frames::Small;

/// Source frames before and after its own that a result frame is held against.
pub(super) const NEARBY: usize = 12;
/// At this PSNR and above, in dB, a picture may be its source's.
pub(super) const LEAST_PSNR: f64 = 20.0;
/// So it may where its error has at most this part of the source picture's own variance: pixel art has large errors and
/// larger contrasts.
const ALIKE: f64 = 0.15;
/// With this part of the variance it is another picture, whatever its PSNR: dark ones are near to everything dark.
pub(super) const UNLIKE: f64 = 0.75;
/// Errors below this, in levels of 255 (root of the mean square), are a codec's loss in a flat picture.
pub(super) const LOSS: f64 = 8.0;
/// Edge of the cells, in pixels, whose means are compared to see whether it is the same picture: noise and patterns of single
/// pixels do not survive encoding.
pub(super) const CELL: u32 = 4;
/// Frames that differ by less than this, in levels of 255 (root of the mean square), are one picture.
pub(super) const APART: f64 = 2.0;
/// From this difference on a frame that shows an earlier one was not merely passed over by an encoder; measured: up to 9
/// levels, where x264 at CRF 35 left a soft pattern standing for three frames.
pub(super) const PASSED_OVER: f64 = 10.0;
/// Where this part of the frames that can be told apart are late, the film is.
const LATE: f64 = 0.9;
/// Frames that can be told apart, at least, before that is said.
const LATE_FRAMES: u64 = 8;
/// From this place on, on the line from its own frame to another, it is the other's.
const ALONG: f64 = 0.75;
/// To be the other's, it must err against that by at most this part of what it errs against its own, in energy.
const NEARER: f64 = 0.5;
/// Means of a colour may differ by this many levels of 255; measured: 3 on films at CRF 35, 12 on saturated single pixels.
pub(super) const TINT: f64 = 14.0;
/// Alpha may differ by this many levels of 255 (root of the mean square of cells): encoding blurs its edges.
const ALPHA: f64 = 12.0;

/// How a picture compares with the one that it was made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Likeness {
    /// Mean square error, in levels of 255.
    pub(super) error: f64,
    /// Variance of the source's picture.
    pub(super) variance: f64,
}

/// The frames of a source around one, so that memory does not grow with the video.
pub(super) struct Nearby {
    frames: VecDeque<Small>,
    /// Number of the first of them.
    first: usize,
}

/// Where a frame of a result belongs among the frames of its source.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Another frame than its own.
    shows: Option<usize>,
    /// That is an earlier one, and so little changed since that the encoder may have passed it over.
    perhaps_passed_over: bool,
    /// Whether its own frame could be told from one next to it.
    told_apart: bool,
    /// Whether its own frame differs from the one before.
    moving: bool,
}

/// What comparing all pictures has found so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Pictures {
    compared: u64,
    /// Frames that could be told from those next to them.
    told_apart: u64,
    worst: Option<(f64, usize)>,
    unlike: Option<usize>,
    unlike_count: u64,
    /// A frame and the source's frame that it shows.
    misplaced: Option<(usize, usize)>,
    misplaced_count: u64,
    /// Frames that differ from the one before, and those of them that may be late or merely passed over by the encoder.
    moving: u64,
    late: u64,
    first_late: Option<(usize, usize)>,
    tint: (f64, usize),
    /// The largest difference of alpha and its frame.
    alpha: (f64, usize),
}

impl Likeness {
    /// Of two pictures of one size, by the means of their cells.
    pub(super) fn of(own: &[u8], found: &[u8], width: u32) -> Self {
        let (own, found) = (cells(own, width), cells(found, width));
        let n = own.len().max(1) as f64;
        let mean = own.iter().sum::<f64>() / n;
        Self {
            error: own.iter().zip(&found).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / n,
            variance: own.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n,
        }
    }

    /// Whether both show the same.
    pub(super) fn holds(&self) -> bool {
        let alike = psnr(self.error) >= LEAST_PSNR || self.error <= ALIKE * self.variance;
        alike && (self.error <= LOSS * LOSS || self.error <= UNLIKE * self.variance)
    }
}

/// Of a mean square error, in dB; 99 for equal pictures.
pub(super) fn psnr(error: f64) -> f64 {
    (10.0 * (255.0 * 255.0 / error.max(1e-9)).log10()).min(99.0)
}

/// Means of the cells of a picture; those at the right and the lower edge may be smaller.
fn cells(picture: &[u8], width: u32) -> Vec<f64> {
    let width = width.max(1) as usize;
    let columns = width.div_ceil(CELL as usize);
    let mut means = Vec::new();
    for rows in picture.chunks(width * CELL as usize) {
        let mut sums = vec![(0u32, 0u32); columns];
        for row in rows.chunks(width) {
            for (x, value) in row.iter().enumerate() {
                let cell = &mut sums[x / CELL as usize];
                *cell = (cell.0 + u32::from(*value), cell.1 + 1);
            }
        }
        means.extend(sums.iter().map(|(sum, n)| f64::from(*sum) / f64::from((*n).max(1))));
    }
    means
}

/// Mean of the squares of the differences.
pub(super) fn mean_square(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u64::from(u32::from(a.abs_diff(*b)).pow(2)))
        .sum();
    sum as f64 / a.len().max(1) as f64
}

impl Nearby {
    pub(super) fn new() -> Self {
        Self {
            frames: VecDeque::new(),
            first: 0,
        }
    }

    /// Adds the next frame.
    pub(super) fn push(&mut self, frame: Small) {
        self.frames.push_back(frame);
    }

    /// Number of the frame that comes next.
    pub(super) fn next(&self) -> usize {
        self.first + self.frames.len()
    }

    /// Forgets frames that are not near `own` nor after it.
    pub(super) fn forget_before(&mut self, own: usize) {
        while self.first + NEARBY < own && !self.frames.is_empty() {
            self.frames.pop_front();
            self.first += 1;
        }
    }

    fn get(&self, n: usize) -> Option<&Small> {
        self.frames.get(n.checked_sub(self.first)?)
    }

    /// Where `found` belongs rather than at `own`.
    fn place(&self, own_number: usize, own: &Small, found: &Small, error: f64) -> Place {
        let mut place = Place::default();
        let mut least = f64::INFINITY;
        for n in own_number.saturating_sub(NEARBY)..(own_number + NEARBY + 1).min(self.next()) {
            let Some(other) = self.get(n).filter(|_| n != own_number) else {
                continue;
            };
            let apart = mean_square(&own.luma, &other.luma);
            if apart < APART * APART {
                continue;
            }
            place.told_apart |= n.abs_diff(own_number) == 1 && apart >= error;
            place.moving |= n + 1 == own_number;
            let against = mean_square(&other.luma, &found.luma);
            let along = (1.0 - (against - error) / apart) / 2.0;
            if along > ALONG && against <= NEARER * error && against < least {
                least = against;
                place.shows = Some(n);
                place.perhaps_passed_over = n < own_number && apart < PASSED_OVER * PASSED_OVER;
            }
        }
        place
    }
}

impl Pictures {
    /// Compares the result's frame `number` with source frame `own_number`, which is in `nearby`.
    pub(super) fn compare(&mut self, nearby: &Nearby, own_number: usize, number: usize, found: &Small, width: u32) {
        let Some(own) = nearby.get(own_number) else { return };
        let error = mean_square(&own.luma, &found.luma);
        let likeness = Likeness::of(&own.luma, &found.luma, width);
        self.compared += 1;
        let alpha = Likeness::of(&own.alpha, &found.alpha, width).error.sqrt();
        if alpha > self.alpha.0 {
            self.alpha = (alpha, number);
        }
        let psnr = psnr(error);
        if self.worst.is_none_or(|(worst, _)| psnr < worst) {
            self.worst = Some((psnr, number));
        }
        let place = nearby.place(own_number, own, found, error);
        self.told_apart += u64::from(place.told_apart);
        self.moving += u64::from(place.moving);
        if let (Some(other), true) = (place.shows, place.perhaps_passed_over) {
            self.late += 1;
            self.first_late.get_or_insert((number, other));
        } else if let Some(other) = place.shows {
            self.misplaced_count += 1;
            self.misplaced.get_or_insert((number, other));
        } else if !likeness.holds() {
            self.unlike_count += 1;
            self.unlike.get_or_insert(number);
        } else {
            // The colour of another picture is no finding of its own.
            let tint = own
                .mean
                .iter()
                .zip(found.mean)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            if tint > self.tint.0 {
                self.tint = (tint, number);
            }
        }
    }

    /// Whether every frame shows its own picture.
    pub(super) fn holds(&self) -> bool {
        self.compared > 0 && self.misplaced().0.is_none() && self.unlike.is_none()
    }

    /// The first frame that shows another, and how many do.
    fn misplaced(&self) -> (Option<(usize, usize)>, u64) {
        // Where frames are early, too, or nearly all are late, it was not the encoder.
        let early_or_late = self.late + self.misplaced_count;
        let all = self.moving >= LATE_FRAMES && early_or_late as f64 >= LATE * self.moving as f64;
        if all || self.misplaced.is_some() {
            (self.misplaced.into_iter().chain(self.first_late).min(), early_or_late)
        } else {
            (None, 0)
        }
    }

    /// The checks `pictures` and `tint`.
    pub(super) fn checks(&self, width: u32, height: u32) -> Vec<Check> {
        vec![self.pictures(width, height), self.tinted(width, height)]
    }

    /// The check `transparency`, of videos of which one has transparent parts.
    pub(super) fn transparency(&self) -> Check {
        let method = format!(
            "the alpha of every frame, shrunk as its picture was, was compared with its source frame's, for means of \
             {CELL}x{CELL} pixels; they may differ by {ALPHA} levels of 255 (root of the mean square)"
        );
        let (alpha, frame) = self.alpha;
        let expected = format!("at most {ALPHA} levels");
        let found = format!("at most {alpha:.1} levels, in frame {frame}");
        Check::new("transparency", method, expected, found, alpha <= ALPHA)
    }

    fn pictures(&self, width: u32, height: u32) -> Check {
        let method = format!(
            "every decoded frame of both was shrunk to {width}x{height} (bicubic, luma; transparent parts on black or as \
             stored) and held against its own source frame (for means of {CELL}x{CELL} pixels a PSNR of {LEAST_PSNR} dB, or \
             less where contrasts are larger, and errors above {LOSS} levels only under {:.0}% of the variance) and against \
             {NEARBY} source frames before and after it; this finds other pictures and frames that are swapped or moved, \
             wherever frames differ by more than {APART} levels and by more than the encoding lost, and frames that are \
             repeated, wherever they differ by more than the {PASSED_OVER} levels that encoders pass over, or nearly all \
             frames are late; it sees no detail finer than a small pixel",
            100.0 * UNLIKE
        );
        let Some((worst, worst_frame)) = self.worst else {
            return Check::new(
                "pictures",
                method,
                "each its own source frame",
                "no frame to compare",
                false,
            );
        };
        let (misplaced, count) = self.misplaced();
        let mut found = format!(
            "{} frames compared, {} told apart from those next to them; the worst is frame {worst_frame} at {worst:.1} dB",
            self.compared, self.told_apart
        );
        if let Some((frame, other)) = misplaced {
            found += &format!("; {count} show another frame, the first is frame {frame}: it shows {other}");
        }
        if let Some(frame) = self.unlike {
            found += &format!(
                "; {} show another picture, the first is frame {frame}",
                self.unlike_count
            );
        }
        Check::new("pictures", method, "each its own source frame", found, self.holds())
    }

    fn tinted(&self, width: u32, height: u32) -> Check {
        let method = format!(
            "the means of red, green and blue over every frame, shrunk to {width}x{height} and converted as its colour tags say, \
             were compared, for frames that show their own picture; they may differ by {TINT} levels of 255"
        );
        let (tint, frame) = self.tint;
        let expected = format!("at most {TINT} levels");
        Check::new(
            "tint",
            method,
            expected,
            format!("at most {tint:.1} levels, in frame {frame}"),
            tint <= TINT,
        )
    }
}
