//! A strip on its way through all layers at once, band by band.
//!
//! A band is four rows. A layer makes its band r from bands r - 1, r and r + 1 of the layer before, two steps after that one
//! made its own band r: by then it is at work on r + 2. So a layer keeps four bands however high the plane is, the layers of
//! a step are independent of each other, and threads wait for each other once a step.

use std::{cell::RefCell, ops::Range};

use arrayvec::ArrayVec;
use rayon::prelude::*;

use super::layers::Layers;
use crate::{
    ops::conv3x3::{Column, EDGE, Inside, Kernels, Luma, Scratch, Window},
    plane::Plane,
    weights::MAX_DEPTH,
};

/// Columns that one task makes: enough that the weights, which it passes once, are used often; few enough that what the tiles
/// become stays in the second-level cache.
const TASK_COLUMNS: usize = 12 * EDGE;

/// Bands that a layer keeps: one that is being made, and three that the next layer reads.
const KEPT: usize = 4;

/// Steps between a band and the same band of the next layer.
const LAG: usize = 2;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Buffers for a strip, and the strip that is in them.
pub(super) struct Bands<K: Kernels> {
    /// Columns and rows of pixels that there are.
    inside: Inside,
    /// The network's input with a margin of zeros, and the samples of its rows.
    luma: Vec<f32>,
    stride: usize,
    /// Of each layer but the last.
    rings: Vec<Ring<K::Pixel>>,
    /// A band outside the plane.
    nothing: Vec<Column<K::Pixel>>,
    /// The last layer's band.
    residual: Vec<[f32; EDGE]>,
}

impl<K: Kernels> Bands<K> {
    /// For strips of at most `columns` columns.
    pub(super) fn new(depth: usize, columns: usize, rows: usize) -> Self {
        let whole = columns.next_multiple_of(EDGE);
        let nothing = vec![[K::ZERO; EDGE]; whole + 2];
        Self {
            inside: Inside { columns, rows },
            luma: vec![0.0; (whole + 2) * (rows.next_multiple_of(EDGE) + 2)],
            stride: whole + 2,
            rings: (1..depth).map(|_| Ring::new(&nothing)).collect(),
            nothing,
            residual: vec![[0.0; EDGE]; whole],
        }
    }

    /// How many steps a strip takes.
    pub(super) fn steps(&self) -> usize {
        self.count() + LAG * self.rings.len()
    }

    /// Takes a strip's columns of the network's input.
    pub(super) fn load(&mut self, plane: &Plane<f32>, columns: &Range<usize>) {
        self.inside.columns = columns.len();
        self.luma.fill(0.0);
        for (y, row) in self
            .luma
            .chunks_exact_mut(self.stride)
            .skip(1)
            .take(self.inside.rows)
            .enumerate()
        {
            row[1..][..columns.len()].copy_from_slice(&plane.row(y)[columns.clone()]);
        }
    }

    /// Makes one band of each layer that has one in this step. Where the last has: its first row, and what is to be added
    /// to the input, column by column.
    pub(super) fn step(&mut self, layers: &Layers<K>, step: usize) -> Option<(usize, &[[f32; EDGE]])> {
        let (count, inside, layers_kept) = (self.count(), self.inside, self.rings.len());
        let last = step.checked_sub(LAG * layers_kept);
        let nothing = &self.nothing[..];
        let mut tasks = ArrayVec::<Task<'_, K>, MAX_DEPTH>::new();
        let mut lent = None;
        for (layer, ring) in self.rings.iter_mut().enumerate() {
            let Some(band) = step.checked_sub(LAG * layer) else {
                break;
            };
            let (output, kept) = ring.lend(band);
            if band < count {
                let work = match lent {
                    None => Work::First(
                        Luma {
                            samples: &self.luma[band * EDGE * self.stride..],
                            stride: self.stride,
                        },
                        output,
                    ),
                    Some(kept) => Work::Body(&layers.body[layer - 1], window(kept, band, count, nothing), output),
                };
                tasks.push(Task {
                    inside: inside.skip_rows(band * EDGE),
                    work,
                });
            }
            lent = Some(kept);
        }
        if let Some((band, kept)) = last.zip(lent) {
            let work = Work::Last(window(kept, band, count, nothing), &mut self.residual);
            tasks.push(Task {
                inside: inside.skip_rows(band * EDGE),
                work,
            });
        }
        tasks.par_iter_mut().for_each(|task| task.run(layers));
        drop(tasks);
        last.map(|band| (band * EDGE, &self.residual[..]))
    }

    fn count(&self) -> usize {
        self.inside.rows.div_ceil(EDGE)
    }
}

/// What band `band` of `count` is computed from, out of the three that the layer before has kept.
fn window<'a, P>(
    kept: [&'a [Column<P>]; KEPT - 1],
    band: usize,
    count: usize,
    nothing: &'a [Column<P>],
) -> Window<'a, P> {
    let [above, middle, below] = kept;
    Window {
        above: if band == 0 { nothing } else { above },
        middle,
        below: if band + 1 == count { nothing } else { below },
    }
}

/// The bands that a layer keeps, each with a column of zeros at either end.
struct Ring<P>([Vec<Column<P>>; KEPT]);

impl<P: Copy> Ring<P> {
    fn new(nothing: &[Column<P>]) -> Self {
        Self(std::array::from_fn(|_| nothing.to_vec()))
    }

    /// Band `band` to be written, without its margins, and the three bands `band - 3`, `band - 2`, `band - 1`.
    fn lend(&mut self, band: usize) -> (&mut [Column<P>], [&[Column<P>]; KEPT - 1]) {
        let (before, rest) = self.0.split_at_mut(band % KEPT);
        let (now, after) = rest.split_first_mut().expect("a position within the ring");
        let columns = now.len();
        let mut others = after.iter().chain(before.iter());
        let kept = std::array::from_fn(|_| others.next().map_or(&[][..], Vec::as_slice));
        (&mut now[1..columns - 1], kept)
    }
}

/// What a layer does in a step.
struct Task<'a, K: Kernels> {
    inside: Inside,
    work: Work<'a, K>,
}

/// A layer's input and output.
enum Work<'a, K: Kernels> {
    First(Luma<'a>, &'a mut [Column<K::Pixel>]),
    Body(&'a K::Body, Window<'a, K::Pixel>, &'a mut [Column<K::Pixel>]),
    Last(Window<'a, K::Pixel>, &'a mut [[f32; EDGE]]),
}

impl<K: Kernels> Task<'_, K> {
    /// Computes the band, its parts in parallel.
    fn run(&mut self, layers: &Layers<K>) {
        let (kernels, inside) = (layers.kernels, self.inside);
        match &mut self.work {
            Work::First(luma, output) => in_parts(output, |start, part| {
                kernels.first(
                    &layers.first,
                    luma.skip_columns(start),
                    inside.skip_columns(start),
                    part,
                );
            }),
            Work::Body(weights, window, output) => in_parts(output, |start, part| {
                let window = window.part(start, part.len() + 2);
                SCRATCH.with_borrow_mut(|scratch| {
                    kernels.body(weights, window, inside.skip_columns(start), part, scratch);
                });
            }),
            Work::Last(window, output) => in_parts(output, |start, part| {
                kernels.last(&layers.last, window.part(start, part.len() + 2), part);
            }),
        }
    }
}

/// Calls `work` with parts of a band and where they start.
fn in_parts<T: Send>(band: &mut [T], work: impl Fn(usize, &mut [T]) + Sync) {
    let parts = band.par_chunks_mut(TASK_COLUMNS).enumerate();
    parts.for_each(|(n, part)| work(n * TASK_COLUMNS, part));
}
