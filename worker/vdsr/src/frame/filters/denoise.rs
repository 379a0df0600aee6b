use rayon::prelude::*;

use crate::plane::Plane;

/// Pixels from the middle of a patch to its edge.
const PATCH: usize = 1;

/// Noise above which a wider window is looked at, in codes of 8 bits.
const WIDE_FROM: f32 = 8.0;

/// Patches whose mean square difference is this many times the noise's variance count nothing; two patches that differ by
/// noise alone come to twice the variance. Measured on the luma of Set5, 5 to 8 are equally good: noise of deviation 5 goes
/// from 34.2 to 37.3 dB, noise of 15 from 24.9 to 31.8 dB; 10 and more take texture away.
const CUT_OFF: f32 = 6.0;

/// Non-local means: each pixel becomes the mean of those around it whose own surroundings look like its own (Buades, Coll,
/// Morel, "A non-local algorithm for image denoising", CVPR 2005), weighted by Tukey's biweight of the difference. The
/// planes share weights, which come from all of them. `noise` is the standard deviation of what is to go, in codes of 8
/// bits, each of which is `unit` codes here.
pub(super) fn denoise(planes: Vec<&mut Plane<f32>>, noise: f32, unit: f32) {
    let reach = if noise > WIDE_FROM { 3 } else { 2 };
    let noise = noise * unit;
    let sources: Vec<Padded> = planes.iter().map(|plane| Padded::new(plane, reach + PATCH)).collect();
    let gain = 1.0 / (CUT_OFF * noise * noise * sources.len() as f32 * 9.0);
    let Some(width) = planes.first().map(|plane| plane.size().columns()) else {
        return;
    };
    let mut rows: Vec<Vec<&mut [f32]>> = Vec::new();
    for plane in planes {
        for (y, row) in plane.data_mut().chunks_exact_mut(width).enumerate() {
            if rows.len() == y {
                rows.push(Vec::new());
            }
            rows[y].push(row);
        }
    }
    rows.into_par_iter().enumerate().for_each_init(
        || Sums::new(width, sources.len()),
        |sums, (y, out)| sums.row(&sources, y, reach, gain, out),
    );
}

/// A plane with a margin all round that repeats its edge.
struct Padded {
    data: Vec<f32>,
    stride: usize,
    margin: usize,
}

impl Padded {
    fn new(plane: &Plane<f32>, margin: usize) -> Self {
        let (columns, rows) = (plane.size().columns(), plane.size().rows());
        let stride = columns + 2 * margin;
        let mut data = Vec::with_capacity(stride * (rows + 2 * margin));
        for y in 0..rows + 2 * margin {
            let row = plane.row(y.saturating_sub(margin).min(rows - 1));
            data.extend(std::iter::repeat_n(row[0], margin));
            data.extend_from_slice(row);
            data.extend(std::iter::repeat_n(row[columns - 1], margin));
        }
        Self { data, stride, margin }
    }

    /// `length` samples from column `x` of row `y` on; both count from the plane's own, and may lie in the margin.
    fn from(&self, x: isize, y: isize, length: usize) -> &[f32] {
        let at = |position: isize| position.wrapping_add_unsigned(self.margin) as usize;
        &self.data[at(y) * self.stride + at(x)..][..length]
    }
}

/// What is summed up for one row.
struct Sums {
    /// Square differences, with a column more on either side.
    squares: Vec<f32>,
    weights: Vec<f32>,
    total: Vec<f32>,
    heaviest: Vec<f32>,
    values: Vec<Vec<f32>>,
}

impl Sums {
    fn new(width: usize, planes: usize) -> Self {
        Self {
            squares: vec![0.0; width + 2 * PATCH],
            weights: vec![0.0; width],
            total: vec![0.0; width],
            heaviest: vec![0.0; width],
            values: vec![vec![0.0; width]; planes],
        }
    }

    fn row(&mut self, sources: &[Padded], y: usize, reach: usize, gain: f32, out: Vec<&mut [f32]>) {
        self.total.fill(0.0);
        self.heaviest.fill(0.0);
        self.values.iter_mut().for_each(|values| values.fill(0.0));
        let (y, reach) = (y as isize, reach as isize);
        for dy in -reach..=reach {
            for dx in (-reach..=reach).filter(|dx| (*dx, dy) != (0, 0)) {
                self.weigh(sources, y, (dx, dy), gain);
                for (values, source) in self.values.iter_mut().zip(sources) {
                    let others = source.from(dx, y + dy, values.len());
                    for ((value, other), weight) in values.iter_mut().zip(others).zip(&self.weights) {
                        *value += other * weight;
                    }
                }
            }
        }
        for ((values, source), out) in self.values.iter().zip(sources).zip(out) {
            let own = source.from(0, y, out.len());
            for (x, out) in out.iter_mut().enumerate() {
                // A pixel like no other stays what it is.
                let weight = self.heaviest[x].max(f32::EPSILON);
                *out = (values[x] + own[x] * weight) / (self.total[x] + weight);
            }
        }
    }

    /// Weights of the pixels that lie (dx, dy) from those of row `y`.
    fn weigh(&mut self, sources: &[Padded], y: isize, (dx, dy): (isize, isize), gain: f32) {
        let Self {
            squares,
            weights,
            total,
            heaviest,
            ..
        } = self;
        squares.fill(0.0);
        let margin = PATCH as isize;
        for source in sources {
            for row in y - margin..=y + margin {
                let own = source.from(-margin, row, squares.len());
                let other = source.from(dx - margin, row + dy, squares.len());
                for ((sum, a), b) in squares.iter_mut().zip(own).zip(other) {
                    *sum += (a - b) * (a - b);
                }
            }
        }
        let patches = squares.iter().zip(&squares[1..]).zip(&squares[2..]);
        let sums = weights.iter_mut().zip(total).zip(heaviest);
        for (((weight, total), heaviest), ((a, b), c)) in sums.zip(patches) {
            let likeness = (1.0 - (a + b + c) * gain).max(0.0);
            *weight = likeness * likeness;
            *total += *weight;
            *heaviest = heaviest.max(*weight);
        }
    }
}
