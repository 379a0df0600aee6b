//! Which source samples make a target sample along one axis, and with what weights.

use std::ops::Range;

/// Taps and weights of every target sample.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    source: usize,
    target: usize,
    /// Source samples that make a target sample; the same for all.
    taps: usize,
    /// Mirrored samples before the first source sample.
    margin: usize,
    /// Mirrored samples after the last.
    margin_after: usize,
    /// First tap of every target sample, counted from the start of the margin.
    starts: Vec<u32>,
    /// `target` × `taps`; the sum of each `taps` is 1.
    weights: Vec<f32>,
}

/// Keys' cubic convolution kernel, a = -0.5.
fn keys(x: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x <= 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

/// The sample that position `at` shows when the plane is mirrored at its edges, each edge sample repeated.
fn mirrored(at: i64, length: usize) -> usize {
    let length = length as i64;
    let at = at.rem_euclid(2 * length);
    (if at < length { at } else { 2 * length - 1 - at }) as usize
}

impl Axis {
    /// `factor` is target pixels a source pixel, `siting` the share of a pixel at which its sample lies.
    pub(super) fn new(source: usize, target: usize, factor: f64, siting: f64) -> Self {
        if source == 0 || target == 0 {
            let (starts, weights) = (Vec::new(), Vec::new());
            return Self {
                source,
                target,
                taps: 1,
                margin: 0,
                margin_after: 0,
                starts,
                weights,
            };
        }
        // Below 1 the kernel is widened, so that what the target cannot show is averaged away.
        let narrow = factor.min(1.0);
        let width = 4.0 / narrow;
        let candidates = width.ceil() as usize + 2;
        let mut firsts = Vec::with_capacity(target);
        let mut exact = Vec::with_capacity(target * candidates);
        for j in 0..target {
            let at = (j as f64 + siting) / factor - siting;
            let first = (at - width / 2.0).floor();
            let row: Vec<f64> = (0..candidates)
                .map(|k| keys(narrow * (at - first - k as f64)))
                .collect();
            let sum: f64 = row.iter().sum();
            firsts.push(first as i64);
            exact.extend(row.iter().map(|weight| weight / sum));
        }
        let used = used_columns(&exact, candidates);
        let lowest = firsts.iter().min().map_or(0, |first| first + used.start as i64);
        let highest = firsts.iter().max().map_or(0, |first| first + used.end as i64);
        let margin = (-lowest).max(0);
        Self {
            source,
            target,
            taps: used.len(),
            margin: margin as usize,
            margin_after: (highest - source as i64).max(0) as usize,
            starts: firsts
                .iter()
                .map(|first| (first + used.start as i64 + margin) as u32)
                .collect(),
            weights: exact
                .chunks_exact(candidates)
                .flat_map(|row| row[used.clone()].iter().map(|weight| *weight as f32))
                .collect(),
        }
    }

    pub(super) fn source(&self) -> usize {
        self.source
    }

    pub(super) fn target(&self) -> usize {
        self.target
    }

    pub(super) fn taps(&self) -> usize {
        self.taps
    }

    pub(super) fn margin(&self) -> usize {
        self.margin
    }

    /// Length of a source row with its margins.
    pub(super) fn padded(&self) -> usize {
        self.margin + self.source + self.margin_after
    }

    pub(super) fn starts(&self) -> &[u32] {
        &self.starts
    }

    pub(super) fn weights(&self) -> &[f32] {
        &self.weights
    }

    pub(super) fn weights_of(&self, target: usize) -> &[f32] {
        &self.weights[target * self.taps..][..self.taps]
    }

    /// The source sample behind one tap of a target sample.
    pub(super) fn source_of(&self, target: usize, tap: usize) -> usize {
        mirrored(
            i64::from(self.starts[target]) + tap as i64 - self.margin as i64,
            self.source,
        )
    }

    /// The smallest range with every source sample that these target samples need.
    pub(super) fn sources_of(&self, targets: Range<usize>) -> Range<usize> {
        let all = || {
            targets
                .clone()
                .flat_map(|j| (0..self.taps).map(move |tap| self.source_of(j, tap)))
        };
        all().min().unwrap_or(0)..all().max().map_or(0, |last| last + 1)
    }

    /// Fills the margins of a row whose source samples are in place.
    pub(super) fn mirror_margins(&self, padded: &mut [f32]) {
        let after = self.margin + self.source..padded.len();
        for at in (0..self.margin).chain(after) {
            padded[at] = padded[self.margin + mirrored(at as i64 - self.margin as i64, self.source)];
        }
    }
}

/// The columns of a table that are not zero throughout; at least one.
fn used_columns(table: &[f64], columns: usize) -> Range<usize> {
    let used = |column: &usize| {
        table
            .iter()
            .skip(*column)
            .step_by(columns)
            .any(|weight| weight.abs() > 1e-12)
    };
    let first = (0..columns).find(used).unwrap_or(0);
    first..(0..columns).rev().find(used).unwrap_or(first) + 1
}
