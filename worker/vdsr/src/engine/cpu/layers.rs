//! The network's weights as the kernels take them.

use crate::{
    error::{Error, Result},
    ops::conv3x3::{CHANNELS, FirstWeights, Kernels, LastWeights},
    weights::Weights,
};

/// All layers, and the kernels that compute them.
pub(super) struct Layers<K: Kernels> {
    pub(super) kernels: K,
    pub(super) first: FirstWeights,
    pub(super) body: Vec<K::Body>,
    pub(super) last: LastWeights,
}

impl<K: Kernels> Layers<K> {
    /// Refuses networks of another width than 64, and of a single layer.
    pub(super) fn new(weights: &Weights, kernels: K) -> Result<Self> {
        match weights.layers() {
            [first, body @ .., last] if weights.width() == CHANNELS => Ok(Self {
                kernels,
                first: FirstWeights::new(first),
                body: body.iter().map(K::prepare).collect(),
                last: LastWeights::new(last),
            }),
            layers => Err(Error::NetworkShape {
                channels: CHANNELS,
                found_channels: weights.width(),
                found_layers: layers.len(),
            }),
        }
    }

    /// Layers, which is also how many pixels an output reaches to each side.
    pub(super) fn depth(&self) -> usize {
        self.body.len() + 2
    }
}
