//! Bicubic resampling: the network's input, every chroma and alpha plane, and the baseline it is measured against.
//!
//! Keys' kernel with a = -0.5 (R. Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981),
//! widened when shrinking, as MATLAB's imresize does. Sums are 32-bit float in a fixed order without fused
//! multiply-add, so the bits are the same on every machine and for every number of threads.

mod axis;
mod passes;
#[cfg(test)]
mod tests;

use std::{cell::RefCell, ops::Range};

use rayon::prelude::*;

use self::axis::Axis;
use crate::{
    error::{Error, Result},
    geometry::{Geometry, Size},
};

/// Target rows that one task makes: enough that few source rows are passed twice, few enough for the second-level cache.
const STRIP_ROWS: usize = 64;

/// Where a sample lies within its pixel, as a share of its width and height: 0.5 is the middle.
///
/// Sample j of the target lies at `(j + c) / s - c` of the source, for the factor s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Siting {
    /// Share of the width, from the left.
    pub horizontal: f64,
    /// Share of the height, from the top.
    pub vertical: f64,
}

impl Siting {
    /// The middle on both axes: luma, RGB, and chroma of JPEG.
    pub const CENTRED: Self = Self {
        horizontal: 0.5,
        vertical: 0.5,
    };
    /// Chroma in line with every second luma column and between luma rows: 4:2:0 of MPEG-2, H.264, HEVC, VP9.
    pub const LEFT: Self = Self {
        horizontal: 0.25,
        vertical: 0.5,
    };
    /// Chroma on every second luma sample of both axes: 4:2:0 of BT.2020.
    pub const TOP_LEFT: Self = Self {
        horizontal: 0.25,
        vertical: 0.25,
    };
}

/// A type of sample that can be resampled.
pub trait Sample: Copy + Send + Sync {
    /// The sample as a number.
    fn to_f32(self) -> f32;
    /// The nearest sample from 0 to `max`; floats pass unchanged.
    fn from_f32(value: f32, max: Self) -> Self;
}

/// Adding it leaves the integer part of a value from 0 to 65535 in the low bits, rounded to nearest (ties to even):
/// unlike `round() as u8` this is vectorised on every x86-64.
const ROUNDER: f32 = (1u32 << 23) as f32;

macro_rules! integer_sample {
    ($t:ty) => {
        impl Sample for $t {
            #[inline]
            fn to_f32(self) -> f32 {
                f32::from(self)
            }

            #[inline]
            fn from_f32(value: f32, max: Self) -> Self {
                (value.max(0.0).min(f32::from(max)) + ROUNDER).to_bits() as $t
            }
        }
    };
}
integer_sample!(u8);
integer_sample!(u16);

impl Sample for f32 {
    #[inline]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline]
    fn from_f32(value: f32, _max: Self) -> Self {
        value
    }
}

/// Row buffers that are kept from strip to strip.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// One source row with its mirrored margins.
    padded: Vec<f32>,
    /// Source rows of a strip, resampled horizontally.
    rows: Vec<f32>,
    /// One finished row.
    finished: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Resamples planes of one size to another, larger or smaller on either axis.
#[derive(Debug, Clone)]
pub struct Resampler {
    horizontal: Axis,
    vertical: Axis,
}

impl Resampler {
    /// For planes whose samples lie in the middle of their pixels. A size with a side of zero holds nothing and
    /// makes nothing.
    pub fn new(source: Size, target: Size) -> Self {
        Self::with_siting(source, target, Siting::CENTRED)
    }

    /// For planes whose samples lie elsewhere.
    pub fn with_siting(source: Size, target: Size, siting: Siting) -> Self {
        Self::for_part_of(Geometry { source, target }, source, target, siting)
    }

    /// For a plane that belongs to a larger one, as chroma does to luma: the factors are those of `whole`, so that
    /// the two stay in register where odd sides were rounded up.
    pub(crate) fn for_part_of(whole: Geometry, source: Size, target: Size, siting: Siting) -> Self {
        let factor = |from: u32, to: u32| f64::from(to) / f64::from(from.max(1));
        let (fx, fy) = (
            factor(whole.source.width, whole.target.width),
            factor(whole.source.height, whole.target.height),
        );
        Self {
            horizontal: Axis::new(source.columns(), target.columns(), fx, siting.horizontal),
            vertical: Axis::new(source.rows(), target.rows(), fy, siting.vertical),
        }
    }

    /// Resamples a plane. Integers are rounded to the nearest and clamped to 0 ..= `max`; for floats `max` has no
    /// meaning.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] when `src` or `dst` is not width × height samples long.
    pub fn run<T: Sample>(&self, src: &[T], dst: &mut [T], max: T) -> Result<()> {
        let columns = self.horizontal.source();
        let expect = |what, expected, found| {
            if expected == found {
                Ok(())
            } else {
                Err(Error::LengthMismatch { what, expected, found })
            }
        };
        expect("source plane", columns * self.vertical.source(), src.len())?;
        expect(
            "target plane",
            self.horizontal.target() * self.vertical.target(),
            dst.len(),
        )?;
        let load = |y: usize, row: &mut [f32]| {
            for (to, from) in row.iter_mut().zip(&src[y * columns..]) {
                *to = from.to_f32();
            }
        };
        let store = |_: usize, row: &[f32], out: &mut [T]| {
            for (to, from) in out.iter_mut().zip(row) {
                *to = T::from_f32(*from, max);
            }
        };
        self.run_rows(dst, self.horizontal.target(), load, store);
        Ok(())
    }

    /// Samples in a target row.
    pub(crate) fn target_columns(&self) -> usize {
        self.horizontal.target()
    }

    /// Resamples rows that `load` supplies (source row number, samples to fill) and `store` takes (target row number,
    /// samples, and that row's `row_length` elements of `dst`). Strips run in parallel.
    pub(crate) fn run_rows<D: Send>(
        &self,
        dst: &mut [D],
        row_length: usize,
        load: impl Fn(usize, &mut [f32]) + Sync,
        store: impl Fn(usize, &[f32], &mut [D]) + Sync,
    ) {
        if row_length == 0 || self.horizontal.source() == 0 || self.vertical.source() == 0 {
            return;
        }
        dst.par_chunks_mut(STRIP_ROWS * row_length)
            .enumerate()
            .for_each(|(strip, out)| {
                let first = strip * STRIP_ROWS;
                let rows = first..first + out.len() / row_length;
                SCRATCH.with_borrow_mut(|scratch| {
                    self.strip(rows, scratch, &load, |y, row| {
                        store(y, row, &mut out[(y - first) * row_length..][..row_length]);
                    });
                });
            });
    }

    /// Makes some target rows, in order.
    pub(crate) fn strip(
        &self,
        rows: Range<usize>,
        scratch: &mut Scratch,
        load: impl Fn(usize, &mut [f32]),
        mut store: impl FnMut(usize, &[f32]),
    ) {
        let (width, wide) = (self.horizontal.source(), self.horizontal.target());
        let needed = self.vertical.sources_of(rows.clone());
        let Scratch {
            padded,
            rows: passed,
            finished,
        } = scratch;
        grow(padded, self.horizontal.padded());
        grow(passed, needed.len() * wide);
        grow(finished, wide);
        let (padded, finished) = (&mut padded[..self.horizontal.padded()], &mut finished[..wide]);
        for (y, out) in needed.clone().zip(passed.chunks_exact_mut(wide)) {
            let before = self.horizontal.margin();
            load(y, &mut padded[before..before + width]);
            self.horizontal.mirror_margins(padded);
            passes::horizontal(&self.horizontal, padded, out);
        }
        for y in rows {
            let row = |tap: usize| &passed[(self.vertical.source_of(y, tap) - needed.start) * wide..][..wide];
            passes::vertical(self.vertical.weights_of(y), row, finished);
            store(y, finished);
        }
    }
}

/// Makes a buffer at least this long; what it holds has no meaning.
fn grow(buffer: &mut Vec<f32>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
}
