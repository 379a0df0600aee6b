//! The loops that take the time, written once and compiled for each instruction set.
//!
//! A body layer goes in three steps over a block of tiles that stays in the second-level cache: inputs are transformed
//! into what 36 products take, each of these is a matrix product (tiles × 64) · (64 × 64), and the results are transformed
//! back, with bias and ReLU.

use super::{
    BodyWeights, CHANNELS, Column, FirstWeights, Inside, LastWeights, Luma, Pixel, Scratch, Window,
    pixel::Channels,
    prefetch,
    vector::Vector,
    winograd::{self, EDGE, SPAN},
};

/// Tiles whose sums registers hold side by side.
const GROUP: usize = 6;

/// The first layer: luma to 64 channels, with bias and ReLU.
///
/// # Safety
/// The processor has `V`'s instructions.
#[inline(always)]
pub(super) unsafe fn first<V: Vector, const VECTORS: usize, P: Channels>(
    weights: &FirstWeights,
    luma: Luma<'_>,
    inside: Inside,
    output: &mut [Column<P>],
) {
    for (x, column) in output.iter_mut().enumerate() {
        let rows: [[f32; 3]; SPAN] = std::array::from_fn(|y| std::array::from_fn(|dx| luma.row(y)[x + dx]));
        for group in 0..CHANNELS / (VECTORS * V::LANES) {
            let from = group * VECTORS * V::LANES;
            // SAFETY: the caller vouches for the instructions; channels from `from` on exist in every pixel.
            unsafe {
                let mut sums = [load_channels::<V, VECTORS>(&weights.bias, from); EDGE];
                for (dy, taps) in weights.taps.as_chunks::<3>().0.iter().enumerate() {
                    for (dx, weights) in taps.iter().enumerate() {
                        let weights = load_channels::<V, VECTORS>(weights, from);
                        for y in 0..EDGE {
                            accumulate(&mut sums[y], V::splat(rows[y + dy][dx]), &weights);
                        }
                    }
                }
                for y in 0..EDGE {
                    let shown = inside.holds(x, y);
                    let values = sums[y].map(|sum| if shown { sum.positive() } else { V::splat(0.0) });
                    store_channels(&values, &mut column[y], from);
                }
            }
        }
    }
}

/// A layer of 64 to 64 channels, with bias and ReLU.
///
/// # Safety
/// The processor has `V`'s instructions.
#[inline(always)]
pub(super) unsafe fn body<V: Vector, const VECTORS: usize>(
    weights: &BodyWeights,
    input: Window<'_>,
    inside: Inside,
    output: &mut [Column],
    scratch: &mut Scratch,
) {
    let (outputs, _) = output.as_chunks_mut::<EDGE>();
    let tiles = outputs.len();
    let (transformed, products) = scratch.of(tiles);
    for tile in 0..tiles {
        let window = input.part(tile * EDGE, SPAN);
        for vector in 0..CHANNELS / V::LANES {
            let from = vector * V::LANES;
            // SAFETY: the caller vouches for the instructions; `transformed` has room for all tiles.
            unsafe { transform_input::<V>(window, from, transformed.as_mut_ptr().add(tile), tiles) };
        }
    }
    // The output is asked for meanwhile, or each line would be waited for when it is written.
    let share = (tiles * EDGE * EDGE * CHANNELS).div_ceil(SPAN * SPAN);
    let by_frequency = transformed.chunks_exact(tiles).zip(products.chunks_exact_mut(tiles));
    for (frequency, (matrix, (transformed, products))) in weights.matrices.iter().zip(by_frequency).enumerate() {
        prefetch::soon_written(outputs.as_ptr().cast::<f32>().wrapping_add(frequency * share), share);
        // SAFETY: the caller vouches for the instructions.
        unsafe { multiply::<V, VECTORS>(matrix, transformed, products) };
    }
    for (tile, output) in outputs.iter_mut().enumerate() {
        let inside = inside.skip_columns(tile * EDGE);
        for vector in 0..CHANNELS / V::LANES {
            let from = vector * V::LANES;
            // SAFETY: the caller vouches for the instructions; `products` holds all tiles.
            unsafe {
                let bias = V::load(weights.bias.0.as_ptr().add(from));
                transform_output(products.as_ptr().add(tile), tiles, from, bias, inside, output);
            }
        }
    }
}

/// Transforms one tile's input, channels from `from` on: product p of the tile goes to `to + p × stride`.
#[inline(always)]
unsafe fn transform_input<V: Vector>(input: Window<'_>, from: usize, to: *mut Pixel, stride: usize) {
    // SAFETY: the caller vouches for the instructions, that channels from `from` on exist, and for the room.
    unsafe {
        let mut half = [[V::splat(0.0); SPAN]; SPAN];
        for x in 0..SPAN {
            let column = input.rows(x).map(|pixel| V::load(pixel.0.as_ptr().add(from)));
            for (row, value) in half.iter_mut().zip(winograd::input(column)) {
                row[x] = value;
            }
        }
        for (y, row) in half.iter().enumerate() {
            for (x, value) in winograd::input(*row).into_iter().enumerate() {
                value.store(to.add((y * SPAN + x) * stride).cast::<f32>().add(from));
            }
        }
    }
}

/// Products of all tiles at one frequency: each tile's 64 inputs times a matrix of 64 × 64. The matrix behind it, which is
/// the next frequency's, is asked for.
#[inline(always)]
unsafe fn multiply<V: Vector, const VECTORS: usize>(
    matrix: &[Pixel; CHANNELS],
    inputs: &[Pixel],
    products: &mut [Pixel],
) {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let (inputs, products) = multiply_groups::<V, VECTORS, GROUP>(matrix, inputs, products);
        let (inputs, products) = multiply_groups::<V, VECTORS, 2>(matrix, inputs, products);
        multiply_groups::<V, VECTORS, 1>(matrix, inputs, products);
    }
}

/// [`multiply`] for whole groups of tiles; gives back the tiles that are left.
#[inline(always)]
unsafe fn multiply_groups<'a, V: Vector, const VECTORS: usize, const TILES: usize>(
    matrix: &[Pixel; CHANNELS],
    inputs: &'a [Pixel],
    products: &'a mut [Pixel],
) -> (&'a [Pixel], &'a mut [Pixel]) {
    let (inputs, inputs_left) = inputs.as_chunks::<TILES>();
    let (products, products_left) = products.as_chunks_mut::<TILES>();
    for (inputs, products) in inputs.iter().zip(products) {
        // SAFETY: the caller vouches for the instructions.
        unsafe { multiply_group::<V, VECTORS, TILES>(matrix, inputs, products) };
    }
    (inputs_left, products_left)
}

/// [`multiply`] for as many tiles as registers can hold the sums of.
#[inline(always)]
unsafe fn multiply_group<V: Vector, const VECTORS: usize, const TILES: usize>(
    matrix: &[Pixel; CHANNELS],
    inputs: &[Pixel; TILES],
    products: &mut [Pixel; TILES],
) {
    for group in 0..CHANNELS / (VECTORS * V::LANES) {
        let from = group * VECTORS * V::LANES;
        // SAFETY: the caller vouches for the instructions; channels from `from` on exist in every pixel.
        unsafe {
            let mut sums = [[V::splat(0.0); VECTORS]; TILES];
            for (channel, weights) in matrix.iter().enumerate() {
                let next = weights.0.as_ptr().wrapping_add(CHANNELS * CHANNELS + from);
                prefetch::soon_read(next, VECTORS * V::LANES);
                let weights = load_channels::<V, VECTORS>(weights, from);
                for tile in 0..TILES {
                    accumulate(&mut sums[tile], V::splat(inputs[tile].0[channel]), &weights);
                }
            }
            for tile in 0..TILES {
                store_channels(&sums[tile], &mut products[tile], from);
            }
        }
    }
}

/// Transforms one tile's products, channels from `from` on, to its outputs.
#[inline(always)]
unsafe fn transform_output<V: Vector>(
    products: *const Pixel,
    stride: usize,
    from: usize,
    bias: V,
    inside: Inside,
    output: &mut [Column; EDGE],
) {
    // SAFETY: the caller vouches for the instructions, that channels from `from` on exist, and for the products.
    unsafe {
        let mut half = [[V::splat(0.0); SPAN]; EDGE];
        for x in 0..SPAN {
            let load = |y: usize| V::load(products.add((y * SPAN + x) * stride).cast::<f32>().add(from));
            let m = [load(0), load(1), load(2), load(3), load(4), load(5)];
            for (row, value) in half.iter_mut().zip(winograd::output(m)) {
                row[x] = value;
            }
        }
        for (y, row) in half.iter().enumerate() {
            for (x, value) in winograd::output(*row).into_iter().enumerate() {
                let value = if inside.holds(x, y) {
                    value.plus(bias).positive()
                } else {
                    V::splat(0.0)
                };
                value.store(output[x][y].0.as_mut_ptr().add(from));
            }
        }
    }
}

/// The last layer: 64 channels to the residual of luma.
///
/// # Safety
/// As for [`body`].
#[inline(always)]
pub(super) unsafe fn last<V: Vector, P: Channels>(
    weights: &LastWeights,
    input: Window<'_, P>,
    output: &mut [[f32; EDGE]],
) {
    for (x, column) in output.iter_mut().enumerate() {
        // SAFETY: the caller vouches for instructions and columns.
        unsafe {
            let mut sums = [V::splat(0.0); EDGE];
            for vector in 0..CHANNELS / V::LANES {
                let from = vector * V::LANES;
                for dx in 0..3 {
                    let rows = input.rows(x + dx);
                    let d: [V; SPAN] = rows.map(|pixel| pixel.load(from));
                    for dy in 0..3 {
                        let weight = V::load(weights.taps[3 * dy + dx].0.as_ptr().add(from));
                        for (y, sum) in sums.iter_mut().enumerate() {
                            *sum = d[y + dy].times_plus(weight, *sum);
                        }
                    }
                }
            }
            for (to, sum) in column.iter_mut().zip(sums) {
                *to = sum.sum() + weights.bias;
            }
        }
    }
}

/// Some vectors of a pixel's channels.
#[inline(always)]
unsafe fn load_channels<V: Vector, const VECTORS: usize>(pixel: &Pixel, from: usize) -> [V; VECTORS] {
    // SAFETY: the caller asks for channels that exist, by instructions that exist.
    unsafe {
        let mut vectors = [V::splat(0.0); VECTORS];
        for (n, vector) in vectors.iter_mut().enumerate() {
            *vector = V::load(pixel.0.as_ptr().add(from + n * V::LANES));
        }
        vectors
    }
}

/// The reverse of [`load_channels`].
#[inline(always)]
unsafe fn store_channels<V: Vector, const VECTORS: usize>(
    vectors: &[V; VECTORS],
    pixel: &mut impl Channels,
    from: usize,
) {
    for (n, vector) in vectors.iter().enumerate() {
        // SAFETY: the caller names channels that exist.
        unsafe { pixel.store(from + n * V::LANES, *vector) };
    }
}

/// Adds `value × weights`.
#[inline(always)]
fn accumulate<V: Vector, const VECTORS: usize>(sums: &mut [V; VECTORS], value: V, weights: &[V; VECTORS]) {
    for n in 0..VECTORS {
        sums[n] = value.times_plus(weights[n], sums[n]);
    }
}
