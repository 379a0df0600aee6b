//! The network's three shapes of 3×3 convolution on the processor, with what follows each of them: 1 → 64 and 64 → 64
//! channels with bias and ReLU, 64 → 1 with bias.
//!
//! Channels of a pixel lie together from the first layer to the last. Layers are made band by band: four rows, which is the
//! height of a tile of the fast algorithm, column after column, so that a stretch of columns lies together as well.
//!
//! There are two precisions, each with kernels of its own behind [`Kernels`]: 32-bit floats by minimal filtering, and
//! bfloat16 by direct convolution with 32-bit sums.

mod bf16;
mod kernels;
mod path;
mod pixel;
mod prefetch;
mod single;
#[cfg(test)]
mod tests;
mod vector;
mod weights;
mod winograd;

use crate::weights::Layer;

pub(crate) use self::{
    bf16::Bf16Kernels,
    path::Path,
    pixel::Pixel,
    single::F32Kernels,
    weights::{BodyWeights, FirstWeights, LastWeights},
    winograd::{EDGE, SPAN},
};

/// Channels between the layers.
pub(crate) const CHANNELS: usize = 64;

/// The pixels of a band in one column, from the top.
pub(crate) type Column<P = Pixel> = [P; EDGE];

/// The layers in one precision, compiled for a path that this processor has.
pub(crate) trait Kernels: Copy + Send + Sync + 'static {
    /// What they are called in fingerprints.
    const PRECISION: &'static str;
    /// How they convolve.
    const ALGORITHM: &'static str;
    /// What they are compiled for, slowest first.
    const PATHS: &'static [Path];

    /// A pixel between the layers.
    type Pixel: Copy + Send + Sync + 'static;
    /// A layer of 64 → 64 channels.
    type Body: Send + Sync + 'static;

    /// Zero in every channel: what layers see outside the plane.
    const ZERO: Self::Pixel;

    /// For `path`, or for what every processor has where this one lacks it.
    fn new(path: Path) -> Self;

    /// The path.
    fn path(self) -> Path;

    /// Reorders a layer of 64 → 64 channels.
    fn prepare(layer: &Layer) -> Self::Body;

    /// Luma to 64 channels, with bias and ReLU: as many columns as `output` has.
    fn first(self, weights: &FirstWeights, luma: Luma<'_>, inside: Inside, output: &mut [Column<Self::Pixel>]);

    /// 64 to 64 channels, with bias and ReLU. `output` is some tiles wide, and the window two columns wider.
    fn body(
        self,
        weights: &Self::Body,
        window: Window<'_, Self::Pixel>,
        inside: Inside,
        output: &mut [Column<Self::Pixel>],
        scratch: &mut Scratch,
    );

    /// 64 channels to the residual of luma. The window is two columns wider than `output`.
    fn last(self, weights: &LastWeights, window: Window<'_, Self::Pixel>, output: &mut [[f32; EDGE]]);
}

/// Neighbouring columns of three bands, one below the other: those of the output's band, and one more on either side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a, P = Pixel> {
    /// The band above; its lowest row is read.
    pub(crate) above: &'a [Column<P>],
    /// The output's band.
    pub(crate) middle: &'a [Column<P>],
    /// The band below; its first row is read.
    pub(crate) below: &'a [Column<P>],
}

impl<'a, P> Window<'a, P> {
    /// `columns` columns of each band, from `start` on.
    pub(crate) fn part(self, start: usize, columns: usize) -> Self {
        let part = |band: &'a [Column<P>]| &band[start..start + columns];
        Self {
            above: part(self.above),
            middle: part(self.middle),
            below: part(self.below),
        }
    }

    /// Whether it has the columns that an output of `columns` reads.
    fn fits(self, columns: usize) -> bool {
        [self.above, self.middle, self.below]
            .iter()
            .all(|band| band.len() == columns + 2)
    }

    /// The six rows that a column of outputs reads, in column `x`.
    #[inline(always)]
    fn rows(self, x: usize) -> [&'a P; SPAN] {
        let [a, b, c, d] = &self.middle[x];
        [&self.above[x][EDGE - 1], a, b, c, d, &self.below[x][0]]
    }
}

/// Rows of luma with a margin of one sample: row and column 0 lie above and to the left of the output's first pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Luma<'a> {
    /// The samples, row after row.
    pub(crate) samples: &'a [f32],
    /// Samples from row to row.
    pub(crate) stride: usize,
}

impl<'a> Luma<'a> {
    /// The same rows without their first columns.
    pub(crate) fn skip_columns(self, columns: usize) -> Self {
        Self {
            samples: &self.samples[columns..],
            ..self
        }
    }

    /// Row `y`.
    #[inline(always)]
    fn row(self, y: usize) -> &'a [f32] {
        &self.samples[y * self.stride..]
    }
}

/// How much of a band lies in the plane; pixels beyond are zero, as every layer must see them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inside {
    /// Columns from the left.
    pub(crate) columns: usize,
    /// Rows from the top.
    pub(crate) rows: usize,
}

impl Inside {
    /// The same without the first columns.
    pub(crate) fn skip_columns(self, columns: usize) -> Self {
        Self {
            columns: self.columns.saturating_sub(columns),
            ..self
        }
    }

    /// The same without the first rows.
    pub(crate) fn skip_rows(self, rows: usize) -> Self {
        Self {
            rows: self.rows.saturating_sub(rows),
            ..self
        }
    }

    #[inline(always)]
    fn holds(self, x: usize, y: usize) -> bool {
        x < self.columns && y < self.rows
    }
}

/// What a thread computes a body layer's tiles in: kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    transformed: Vec<Pixel>,
    products: Vec<Pixel>,
}

impl Scratch {
    /// Transformed inputs and products of some tiles; what they hold has no meaning.
    fn of(&mut self, tiles: usize) -> (&mut [Pixel], &mut [Pixel]) {
        let length = tiles * SPAN * SPAN;
        if self.transformed.len() < length {
            self.transformed.resize(length, Pixel::ZERO);
            self.products.resize(length, Pixel::ZERO);
        }
        (&mut self.transformed[..length], &mut self.products[..length])
    }
}
