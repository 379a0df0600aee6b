//! Body layers without instructions that need to be looked for: slow, and what the others are compared with.

use half::bf16;

use super::{
    super::{
        Column, EDGE, Inside, Window,
        pixel::{Bf16Pixel, round, widen},
    },
    weights::{BLOCK, Bf16Weights, Matrix, PAIRS, step},
};

/// A layer of 64 to 64 channels, with bias and ReLU.
pub(super) fn body(
    weights: &Bf16Weights,
    input: Window<'_, Bf16Pixel>,
    inside: Inside,
    output: &mut [Column<Bf16Pixel>],
) {
    for (block, (steps, bias)) in weights.blocks.iter().zip(&weights.bias).enumerate() {
        let steps = steps.each_ref().map(|taps| taps.each_ref().map(factors));
        for (x, column) in output.iter_mut().enumerate() {
            let mut sums = [[0.0; BLOCK]; EDGE];
            for (number, taps) in steps.iter().enumerate() {
                let (dx, half) = step(number);
                let rows = input.rows(x + dx).map(|pixel| pixel.half(half).as_flattened());
                for (factors, rows) in taps.iter().zip(rows.windows(EDGE)) {
                    for (sums, row) in sums.iter_mut().zip(rows) {
                        multiply(factors, row, sums);
                    }
                }
            }
            for (y, (pixel, sums)) in column.iter_mut().zip(&sums).enumerate() {
                let outputs = pixel.0[block * BLOCK..].iter_mut().zip(sums.iter().zip(bias));
                for (to, (sum, bias)) in outputs {
                    *to = if inside.holds(x, y) {
                        positive(sum + bias)
                    } else {
                        bf16::ZERO
                    };
                }
            }
        }
    }
}

/// For each input of a matrix the weights of a block of outputs.
type Factors = [[f32; BLOCK]; 2 * PAIRS];

/// A matrix without pairs.
fn factors(matrix: &Matrix) -> Factors {
    std::array::from_fn(|input| matrix.0[input / 2].map(|weights| widen(weights[input % 2])))
}

/// Adds what half of a pixel's channels contribute to a block of outputs.
#[inline(always)]
fn multiply(factors: &Factors, inputs: &[bf16], sums: &mut [f32; BLOCK]) {
    for (factors, input) in factors.iter().zip(inputs) {
        let input = widen(*input);
        for (sum, factor) in sums.iter_mut().zip(factors) {
            *sum += input * factor;
        }
    }
}

/// What is above 0, and 0 for the rest; NaN stays NaN.
fn positive(value: f32) -> bf16 {
    round(if value < 0.0 { 0.0 } else { value })
}
