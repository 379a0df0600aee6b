//! Weights in the order in which the kernels read them.

use super::{
    CHANNELS, Pixel,
    winograd::{SPAN, filter_tile},
};
use crate::weights::Layer;

/// Of the layer 1 → 64.
#[derive(Debug)]
pub(crate) struct FirstWeights {
    /// For each tap of the filter, row after row, what it gives to each output channel.
    pub(super) taps: [Pixel; 9],
    pub(super) bias: Pixel,
}

/// Of a layer 64 → 64.
#[derive(Debug)]
pub(crate) struct BodyWeights {
    /// For each of the 6×6 products of a tile, and for each input channel, the factors of the output channels.
    pub(super) matrices: Vec<[Pixel; CHANNELS]>,
    pub(super) bias: Pixel,
}

/// Of the layer 64 → 1.
#[derive(Debug)]
pub(crate) struct LastWeights {
    /// For each tap of the filter, row after row, the weight of each input channel.
    pub(super) taps: [Pixel; 9],
    pub(super) bias: f32,
}

impl FirstWeights {
    /// Reorders a layer of 1 → 64 channels.
    pub(crate) fn new(layer: &Layer) -> Self {
        Self {
            taps: std::array::from_fn(|tap| pixel(|output| layer.weight[9 * output + tap])),
            bias: pixel(|output| layer.bias[output]),
        }
    }
}

impl BodyWeights {
    /// Transforms the filters of a layer of 64 → 64 channels.
    pub(crate) fn new(layer: &Layer) -> Self {
        let mut matrices = vec![[Pixel::ZERO; CHANNELS]; SPAN * SPAN];
        for (n, filter) in layer.weight.as_chunks::<9>().0.iter().enumerate() {
            let (output, input) = (n / CHANNELS, n % CHANNELS);
            for (matrix, factor) in matrices.iter_mut().zip(filter_tile(filter)) {
                matrix[input].0[output] = factor;
            }
        }
        Self {
            matrices,
            bias: pixel(|output| layer.bias[output]),
        }
    }
}

impl LastWeights {
    /// Reorders a layer of 64 → 1 channels.
    pub(crate) fn new(layer: &Layer) -> Self {
        Self {
            taps: std::array::from_fn(|tap| pixel(|input| layer.weight[9 * input + tap])),
            bias: layer.bias[0],
        }
    }
}

fn pixel(channel: impl FnMut(usize) -> f32) -> Pixel {
    Pixel(std::array::from_fn(channel))
}
