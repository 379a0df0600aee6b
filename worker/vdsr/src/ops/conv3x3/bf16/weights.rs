//! Weights in the order in which all kernels for bfloat16 read them.

use half::bf16;

use crate::{ops::conv3x3::CHANNELS, weights::Layer};

/// Output channels that are summed up side by side.
pub(super) const BLOCK: usize = 16;

/// Blocks of output channels.
pub(super) const BLOCKS: usize = CHANNELS / BLOCK;

/// Pairs of input channels in a matrix.
pub(super) const PAIRS: usize = 16;

/// Halves of a pixel's channels, which a matrix takes one of.
const HALVES: usize = CHANNELS / (2 * PAIRS);

/// The weights of a pair of inputs for a block of outputs.
pub(super) type Row = [[bf16; 2]; BLOCK];

/// What half of the input channels contributes to a block of outputs at one tap of the filter.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Matrix(pub(super) [Row; PAIRS]);

/// The matrices of the three taps above each other.
pub(super) type Taps = [Matrix; 3];

/// Steps in which a sum is made, as in [`step`].
pub(super) const STEPS: usize = 3 * HALVES;

/// Of a layer 64 → 64.
#[derive(Debug)]
pub(crate) struct Bf16Weights {
    /// For each block of outputs, the matrices of each step.
    pub(super) blocks: Vec<[Taps; STEPS]>,
    /// For each block of outputs.
    pub(super) bias: [[f32; BLOCK]; BLOCKS],
}

/// Column of the filter, and half of the input channels, of a step.
#[inline(always)]
pub(super) fn step(number: usize) -> (usize, usize) {
    (number / HALVES, number % HALVES)
}

impl Bf16Weights {
    /// Rounds and reorders a layer of 64 → 64 channels.
    pub(super) fn new(layer: &Layer) -> Self {
        let weight = |output: usize, input: usize, tap: usize| {
            bf16::from_f32(layer.weight[9 * (CHANNELS * output + input) + tap])
        };
        let matrix = |block: usize, number: usize, dy: usize| {
            let (dx, half) = step(number);
            Matrix(array(|pair| {
                let input = 2 * (PAIRS * half + pair);
                array(|output| array(|of| weight(BLOCK * block + output, input + of, 3 * dy + dx)))
            }))
        };
        Self {
            blocks: (0..BLOCKS)
                .map(|block| array(|number| array(|dy| matrix(block, number, dy))))
                .collect(),
            bias: array(|block| array(|output| layer.bias[BLOCK * block + output])),
        }
    }
}

fn array<T, const N: usize>(element: impl FnMut(usize) -> T) -> [T; N] {
    std::array::from_fn(element)
}
