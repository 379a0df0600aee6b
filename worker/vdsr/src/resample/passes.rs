//! The two loops that take the time. Four taps, which is every enlargement, have a form of their own that compilers
//! vectorise; the general form serves shrinking and plain copies.

use super::axis::Axis;

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
            *to = w.iter().zip(&padded[*start as usize..]).map(|(w, p)| w * p).sum();
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
        out.fill(0.0);
        for (tap, weight) in weights.iter().enumerate() {
            for (to, from) in out.iter_mut().zip(row(tap)) {
                *to += from * weight;
            }
        }
    }
}
