//! Body layers by the tiles of AMX.
//!
//! A tile of inputs is up to 16 neighbouring pixels of a row, half of their channels; it is multiplied with the weights of a
//! block of outputs. The sums of four rows lie in registers, so that an input that has been read serves up to three of them.

use std::{arch::x86_64::*, mem::transmute};

use super::{
    super::{
        Column, EDGE, Inside, SPAN, Window,
        pixel::{Bf16Pixel, Half},
        prefetch,
    },
    tiles::{ROW_BYTES, ROWS, Tiles},
    weights::{BLOCK, Bf16Weights, STEPS, Taps, step},
};

/// Blocks of outputs whose sums are finished together: half of a pixel, which is a line of memory.
const TOGETHER: usize = 2;

/// Sums as they come out of registers: for each row of pixels, each pixel and each output of a block.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Sums([[[f32; BLOCK]; ROWS]; EDGE]);

/// Sums of some pixels that are still to be rounded and written.
#[derive(Clone, Copy)]
struct Unfinished {
    /// The first column.
    column: usize,
    /// How many there are.
    columns: usize,
    /// Which half of the channels.
    half: usize,
}

/// A layer of 64 to 64 channels, with bias and ReLU.
///
/// Sums are rounded and written while the next ones are made, and what the next call will most likely read and write, the
/// columns to the right, is asked for meanwhile.
///
/// # Safety
/// [`is_available`](super::tiles::is_available), and the window is two columns wider than the output.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn body(
    weights: &Bf16Weights,
    input: Window<'_, Bf16Pixel>,
    inside: Inside,
    output: &mut [Column<Bf16Pixel>],
) {
    let columns = output.len();
    let mut sums = [Sums([[[0.0; BLOCK]; ROWS]; EDGE]); TOGETHER];
    let mut ahead = Ahead::new(input, output);
    let mut unfinished: Option<Unfinished> = None;
    // SAFETY: the caller vouches for the instructions; the registers are used nowhere else.
    let mut tiles = unsafe { Tiles::new() };
    for column in (0..columns).step_by(ROWS) {
        let now = ROWS.min(columns - column);
        tiles.shape(now);
        let part = input.part(column, now + 2);
        for (half, blocks) in weights.blocks.as_chunks::<TOGETHER>().0.iter().enumerate() {
            for (n, steps) in blocks.iter().enumerate() {
                // SAFETY: the part has two columns more than the registers have rows.
                unsafe {
                    sum_up(&tiles, steps, part, |number| {
                        ahead.ask();
                        if let Some(made) = unfinished.filter(|_| n == 0) {
                            finish(&sums, weights, made, number, inside, output);
                        }
                    });
                    store(&tiles, &mut sums[n]);
                }
            }
            unfinished = Some(Unfinished {
                column,
                columns: now,
                half,
            });
        }
    }
    if let Some(made) = unfinished {
        for number in 0..STEPS {
            finish(&sums, weights, made, number, inside, output);
        }
    }
}

/// Makes the sums of four rows of pixels for one block of outputs, in registers 0 to 3. `between` is called in each step,
/// with its number.
///
/// # Safety
/// The input is two columns wider than the registers have rows.
#[inline(always)]
unsafe fn sum_up(tiles: &Tiles, steps: &[Taps; STEPS], input: Window<'_, Bf16Pixel>, mut between: impl FnMut(usize)) {
    const STRIDE: usize = size_of::<Column<Bf16Pixel>>();
    tiles.zero::<0>();
    tiles.zero::<1>();
    tiles.zero::<2>();
    tiles.zero::<3>();
    for (number, taps) in steps.iter().enumerate() {
        let [top, middle, bottom] = taps.each_ref().map(|matrix| matrix.0.as_ptr().cast::<u8>());
        let rows = rows(input, number);
        // Registers: 4 for inputs, 5 to 7 for weights. Weights are read as late as can be: what is read waits in line with
        // the products.
        // SAFETY: a matrix has 16 rows, and the caller vouches for the input.
        unsafe {
            tiles.load::<5>(top, ROW_BYTES);
            tiles.load::<4>(rows[0], STRIDE);
            tiles.multiply::<0, 4, 5>();
            tiles.load::<6>(middle, ROW_BYTES);
            tiles.load::<4>(rows[1], STRIDE);
            tiles.multiply::<1, 4, 5>();
            tiles.multiply::<0, 4, 6>();
            tiles.load::<7>(bottom, ROW_BYTES);
            tiles.load::<4>(rows[2], STRIDE);
            tiles.multiply::<2, 4, 5>();
            tiles.multiply::<1, 4, 6>();
            tiles.multiply::<0, 4, 7>();
            tiles.load::<4>(rows[3], STRIDE);
            tiles.multiply::<3, 4, 5>();
            tiles.multiply::<2, 4, 6>();
            tiles.multiply::<1, 4, 7>();
            tiles.load::<4>(rows[4], STRIDE);
            tiles.multiply::<3, 4, 6>();
            tiles.multiply::<2, 4, 7>();
            tiles.load::<4>(rows[5], STRIDE);
            tiles.multiply::<3, 4, 7>();
        }
        between(number);
    }
}

/// Where the six rows of inputs of a step begin.
#[inline(always)]
fn rows(input: Window<'_, Bf16Pixel>, number: usize) -> [*const u8; SPAN] {
    let (dx, half) = step(number);
    let row = |band: &[Column<Bf16Pixel>], y: usize| {
        let pixel = band.as_ptr().cast::<Bf16Pixel>().wrapping_add(dx * EDGE + y);
        pixel.cast::<u8>().wrapping_add(half * ROW_BYTES)
    };
    let middle = |y| row(input.middle, y);
    [
        row(input.above, EDGE - 1),
        middle(0),
        middle(1),
        middle(2),
        middle(3),
        row(input.below, 0),
    ]
}

/// Writes down the sums that [`sum_up`] has made.
#[inline(always)]
fn store(tiles: &Tiles, sums: &mut Sums) {
    let [a, b, c, d] = sums.0.each_mut().map(|row| row.as_mut_ptr().cast::<u8>());
    // SAFETY: there is room for 16 rows of 64 bytes each.
    unsafe {
        tiles.store::<0>(a);
        tiles.store::<1>(b);
        tiles.store::<2>(c);
        tiles.store::<3>(d);
    }
}

/// Bias, ReLU and rounding of a share of the pixels: as many shares as there are steps.
#[target_feature(enable = "avx512f,avx512bf16")]
fn finish(
    sums: &[Sums; TOGETHER],
    weights: &Bf16Weights,
    made: Unfinished,
    share: usize,
    inside: Inside,
    output: &mut [Column<Bf16Pixel>],
) {
    const SHARE: usize = ROWS.div_ceil(STEPS);
    let bias: [__m512; TOGETHER] = std::array::from_fn(|n| load(&weights.bias[TOGETHER * made.half + n]));
    for x in (share * SHARE..(share + 1) * SHARE).take_while(|x| *x < made.columns) {
        let column = &mut output[made.column + x];
        for (y, pixel) in column.iter_mut().enumerate() {
            let [low, high] = std::array::from_fn(|n| {
                let sum = _mm512_add_ps(load(&sums[n].0[y][x]), bias[n]);
                // The instruction gives its second operand where one of them is NaN.
                _mm512_max_ps(_mm512_setzero_ps(), sum)
            });
            let shown = inside.holds(made.column + x, y);
            let rounded = _mm512_maskz_cvtne2ps_pbh(if shown { !0 } else { 0 }, high, low);
            // SAFETY: half of a pixel's channels are the bits of a register.
            *pixel.half_mut(made.half) = unsafe { transmute::<__m512bh, Half>(rounded) };
        }
    }
}

/// The values of a block of outputs.
#[target_feature(enable = "avx512f")]
fn load(values: &[f32; BLOCK]) -> __m512 {
    // SAFETY: there are as many as lanes.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

/// The columns to the right of those at hand, which are asked for one by one.
struct Ahead {
    above: *const Bf16Pixel,
    middle: *const Bf16Pixel,
    below: *const Bf16Pixel,
    output: *const Bf16Pixel,
    left: usize,
}

impl Ahead {
    /// As many columns as the output has.
    fn new(input: Window<'_, Bf16Pixel>, output: &[Column<Bf16Pixel>]) -> Self {
        let behind = |band: &[Column<Bf16Pixel>]| band.as_ptr_range().end.cast::<Bf16Pixel>();
        Self {
            above: behind(input.above).wrapping_add(EDGE - 1),
            middle: behind(input.middle),
            below: behind(input.below),
            output: behind(output),
            left: output.len(),
        }
    }

    /// Asks for the next column, if there is one left.
    #[inline(always)]
    fn ask(&mut self) {
        if self.left == 0 {
            return;
        }
        prefetch::needed_later(self.above, 1);
        prefetch::needed_later(self.middle, EDGE);
        prefetch::needed_later(self.below, 1);
        prefetch::needed_later(self.output, EDGE);
        for pixel in [&mut self.above, &mut self.middle, &mut self.below, &mut self.output] {
            *pixel = pixel.wrapping_add(EDGE);
        }
        self.left -= 1;
    }
}
