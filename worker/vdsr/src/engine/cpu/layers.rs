//! The network's weights as the kernels take them.

use crate::{
    error::{Error, Result},
    ops::conv3x3::{BodyWeights, CHANNELS, FirstWeights, Kernels, LastWeights, Path},
    weights::Weights,
};

/// All layers, and the kernels that compute them.
pub(super) struct Layers {
    pub(super) kernels: Kernels,
    pub(super) first: FirstWeights,
    pub(super) body: Vec<BodyWeights>,
    pub(super) last: LastWeights,
}

impl Layers {
    /// Refuses networks of another width than 64, and of a single layer.
    pub(super) fn new(weights: &Weights, kernels: Kernels) -> Result<Self> {
        match weights.layers() {
            [first, body @ .., last] if weights.width() == CHANNELS => Ok(Self {
                kernels,
                first: FirstWeights::new(first),
                body: body.iter().map(BodyWeights::new).collect(),
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

    /// What the kernels were compiled for.
    pub(super) fn path(&self) -> Path {
        self.kernels.path()
    }
}
