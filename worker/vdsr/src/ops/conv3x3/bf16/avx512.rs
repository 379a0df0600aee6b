//! Body layers by AVX-512's products of bfloat16.

use std::{arch::x86_64::*, mem::transmute};

use half::bf16;

use super::{
    super::{Column, EDGE, Inside, SPAN, Window, pixel::Bf16Pixel},
    weights::{BLOCK, Bf16Weights, Row, STEPS, Taps, step},
};

/// Sums of a block of outputs for 4×4 pixels, column by column.
type Sums = [[__m512; EDGE]; EDGE];

/// A layer of 64 to 64 channels, with bias and ReLU.
///
/// # Safety
/// The processor has AVX-512F and its BF16; the window is two columns wider than the output.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn body(
    weights: &Bf16Weights,
    input: Window<'_, Bf16Pixel>,
    inside: Inside,
    output: &mut [Column<Bf16Pixel>],
) {
    let (tiles, _) = output.as_chunks_mut::<EDGE>();
    for (block, (steps, bias)) in weights.blocks.iter().zip(&weights.bias).enumerate() {
        // SAFETY: a bias has a lane for each output of a block.
        let bias = unsafe { _mm512_loadu_ps(bias.as_ptr()) };
        for (tile, columns) in tiles.iter_mut().enumerate() {
            let from = tile * EDGE;
            let sums = sum_up(steps, input.part(from, SPAN));
            let inside = inside.skip_columns(from);
            for (x, (column, sums)) in columns.iter_mut().zip(sums).enumerate() {
                for (y, (pixel, sum)) in column.iter_mut().zip(sums).enumerate() {
                    let value = if inside.holds(x, y) {
                        finish(sum, bias)
                    } else {
                        _mm512_setzero_ps()
                    };
                    // SAFETY: the bits of a register are those of a block's outputs.
                    let rounded = unsafe { transmute::<__m256bh, [bf16; BLOCK]>(_mm512_cvtneps_pbh(value)) };
                    pixel.0.as_chunks_mut().0[block] = rounded;
                }
            }
        }
    }
}

/// The sums of one block of outputs for the 4×4 pixels of a tile.
#[target_feature(enable = "avx512f,avx512bf16")]
fn sum_up(steps: &[Taps; STEPS], input: Window<'_, Bf16Pixel>) -> Sums {
    let mut sums = [[_mm512_setzero_ps(); EDGE]; EDGE];
    for (number, taps) in steps.iter().enumerate() {
        let (dx, half) = step(number);
        let pixels: [_; EDGE] = std::array::from_fn(|x| input.rows(x + dx).map(|pixel| pixel.half(half)));
        for (dy, matrix) in taps.iter().enumerate() {
            for (pair, row) in matrix.0.iter().enumerate() {
                // SAFETY: the bits of a row are those of a register.
                let weights = unsafe { transmute::<Row, __m512bh>(*row) };
                for (sums, pixels) in sums.iter_mut().zip(&pixels) {
                    for (sum, pixel) in sums.iter_mut().zip(&pixels[dy..]) {
                        *sum = _mm512_dpbf16_ps(*sum, broadcast(pixel[pair]), weights);
                    }
                }
            }
        }
    }
    sums
}

/// A pair of inputs in every lane.
#[target_feature(enable = "avx512f,avx512bf16")]
fn broadcast(pair: [bf16; 2]) -> __m512bh {
    // SAFETY: the bits of a pair are those of an integer, and any bits are numbers.
    unsafe { transmute(_mm512_set1_epi32(transmute::<[bf16; 2], i32>(pair))) }
}

/// Bias and ReLU; NaN stays NaN.
#[target_feature(enable = "avx512f")]
fn finish(sum: __m512, bias: __m512) -> __m512 {
    // The instruction gives its second operand where one of them is NaN.
    _mm512_max_ps(_mm512_setzero_ps(), _mm512_add_ps(sum, bias))
}
