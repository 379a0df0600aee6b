//! The two loops that take the time. Four taps, which is every enlargement, have a form of their own that compilers
//! vectorise; the general form serves shrinking and plain copies. Shrinking sums hundreds of samples: in `f64`, or their
//! rounding would show in the sixth digit.

use super::axis::Axis;

/// Columns whose sums are held at a time.
const COLUMNS: usize = 64;

/// Resamples one row that has its margins.
pub(super) fn horizontal(axis: &Axis, padded: &[f32], out: &mut [f32]) {
    let taps = axis.taps();
    let (four_taps, _) = axis.weights().as_chunks::<4>();
    if taps == 4 {
        for ((to, start), w) in out.iter_mut().zip(axis.starts()).zip(four_taps) {
            let p = &padded[*start as usize..][..4];
            *to = (p[0] * w[0] + p[1] * w[1]) + (p[2] * w[2] + p[3] * w[3]);
        }
    } else {
        for ((to, start), w) in out.iter_mut().zip(axis.starts()).zip(axis.weights().chunks_exact(taps)) {
            let products = w.iter().zip(&padded[*start as usize..]);
            *to = products.map(|(w, p)| f64::from(*w) * f64::from(*p)).sum::<f64>() as f32;
        }
    }
}

/// Sums rows, each times its weight.
pub(super) fn vertical<'a>(weights: &[f32], row: impl Fn(usize) -> &'a [f32], out: &mut [f32]) {
    if let [w0, w1, w2, w3] = *weights {
        let rows = row(0).iter().zip(row(1)).zip(row(2)).zip(row(3));
        for (to, (((a, b), c), d)) in out.iter_mut().zip(rows) {
            *to = (a * w0 + b * w1) + (c * w2 + d * w3);
        }
    } else {
        for (n, out) in out.chunks_mut(COLUMNS).enumerate() {
            let mut sums = [0.0; COLUMNS];
            for (tap, weight) in weights.iter().enumerate() {
                for (sum, from) in sums.iter_mut().zip(&row(tap)[n * COLUMNS..]) {
                    *sum += f64::from(*from) * f64::from(*weight);
                }
            }
            out.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum as f32);
        }
    }
}
