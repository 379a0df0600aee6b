//! Minimal filtering (S. Winograd; A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016):
//! 4×4 outputs of a 3×3 filter by 36 products in place of 144.
//!
//! It interpolates at 0, ±1, ±2 and infinity. On one axis, outputs are `output(filter(w) · input(d))`, the product taken
//! element by element; on two axes each transform is applied to columns, then to rows.

use super::vector::Vector;

/// Outputs of a tile on one axis.
pub(crate) const EDGE: usize = 4;

/// Inputs that a tile reads on one axis, which is also how many products it takes.
pub(crate) const SPAN: usize = EDGE + 2;

/// What six neighbouring inputs contribute to each product.
#[inline(always)]
pub(super) fn input<V: Vector>(d: [V; SPAN]) -> [V; SPAN] {
    let (even, odd) = (d[2].scaled_plus(-4.0, d[4]), d[1].scaled_plus(-4.0, d[3]));
    let (even_two, odd_two) = (d[4].minus(d[2]), d[3].minus(d[1]));
    [
        d[0].scaled_plus(4.0, d[2].scaled_plus(-5.0, d[4])),
        even.plus(odd),
        even.minus(odd),
        odd_two.scaled_plus(2.0, even_two),
        odd_two.scaled_plus(-2.0, even_two),
        d[1].scaled_plus(4.0, d[3].scaled_plus(-5.0, d[5])),
    ]
}

/// Four outputs from six products.
#[inline(always)]
pub(super) fn output<V: Vector>(m: [V; SPAN]) -> [V; EDGE] {
    let (sum, difference) = (m[1].plus(m[2]), m[1].minus(m[2]));
    let (sum_two, difference_two) = (m[3].plus(m[4]), m[3].minus(m[4]));
    [
        m[0].plus(sum).plus(sum_two),
        difference_two.scaled_plus(2.0, difference),
        sum_two.scaled_plus(4.0, sum),
        difference_two.scaled_plus(8.0, difference.plus(m[5])),
    ]
}

/// The six factors that three weights become.
fn filter(w: [f64; 3]) -> [f64; SPAN] {
    // A row of the transform is [1, p, p²] over the product of p's distances to the other points.
    let at = |point: f64, distances: f64| (w[0] + w[1] * point + w[2] * point * point) / distances;
    [
        at(0.0, 4.0),
        at(1.0, -6.0),
        at(-1.0, -6.0),
        at(2.0, 24.0),
        at(-2.0, 24.0),
        w[2],
    ]
}

/// The 6×6 factors of a 3×3 filter, row-major. In `f64`: it is done once.
pub(super) fn filter_tile(weights: &[f32; 9]) -> [f32; SPAN * SPAN] {
    let weight = |row: usize, column: usize| f64::from(weights[3 * row + column]);
    let columns: [[f64; SPAN]; 3] =
        std::array::from_fn(|column| filter(std::array::from_fn(|row| weight(row, column))));
    let mut tile = [0.0; SPAN * SPAN];
    for (row, factors) in tile.chunks_exact_mut(SPAN).enumerate() {
        let transformed = filter(std::array::from_fn(|column| columns[column][row]));
        factors
            .iter_mut()
            .zip(transformed)
            .for_each(|(to, from)| *to = from as f32);
    }
    tile
}
