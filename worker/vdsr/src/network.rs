//! The network as a plain candle graph: the reference that every engine is checked against, and what trains.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Module, VarBuilder};

use crate::{
    error::Result,
    weights::{Weights, channels, layer_name},
};

/// `depth` layers of 3×3 convolution with `width` channels, ReLU between them; output = input + residual.
#[derive(Debug, Clone)]
pub struct Network {
    layers: Vec<Conv2d>,
}

impl Network {
    /// Takes `conv00` … from a builder: tensors in a file, or variables that train.
    ///
    /// # Errors
    /// [`Error::Network`](crate::Error::Network) when a tensor is missing or of another shape.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "builders are passed by value throughout candle"
    )]
    pub fn new(depth: usize, width: usize, tensors: VarBuilder<'_>) -> Result<Self> {
        let config = Conv2dConfig {
            padding: 1,
            ..Conv2dConfig::default()
        };
        let layer = |index| {
            let (inputs, outputs) = channels(index, depth, width);
            candle_nn::conv2d(inputs, outputs, 3, config, tensors.pp(layer_name(index)))
        };
        Ok(Self {
            layers: (0..depth).map(layer).collect::<candle_core::Result<_>>()?,
        })
    }

    /// The network with weights that do not change, in 32-bit float.
    ///
    /// # Errors
    /// [`Error::Network`](crate::Error::Network) when the device refuses them.
    pub fn from_weights(weights: &Weights, device: &Device) -> Result<Self> {
        let mut tensors = HashMap::new();
        for (index, layer) in weights.layers().iter().enumerate() {
            let name = layer_name(index);
            let shape = (layer.outputs, layer.inputs, 3, 3);
            tensors.insert(
                format!("{name}.weight"),
                Tensor::from_slice(&layer.weight, shape, device)?,
            );
            tensors.insert(
                format!("{name}.bias"),
                Tensor::from_slice(&layer.bias, layer.outputs, device)?,
            );
        }
        Self::new(
            weights.depth(),
            weights.width(),
            VarBuilder::from_tensors(tensors, DType::F32, device),
        )
    }

    /// Pixels that an output reaches to each side: one a layer.
    pub fn radius(&self) -> usize {
        self.layers.len()
    }

    /// What is to be added to `input`, \[batch, 1, height, width\] of luma in the network's domain. Outside the
    /// picture every layer sees zeros.
    ///
    /// # Errors
    /// [`Error::Network`](crate::Error::Network) on another shape, or when the device fails.
    pub fn residual(&self, input: &Tensor) -> Result<Tensor> {
        let mut hidden = input.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            hidden = layer.forward(&hidden)?;
            if index + 1 < self.layers.len() {
                hidden = hidden.relu()?;
            }
        }
        Ok(hidden)
    }

    /// `input` + [`residual`](Self::residual), of the same shape.
    ///
    /// # Errors
    /// As `residual`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok((input + self.residual(input)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::testing::Recipe;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn output(weights: &Weights, width: usize, height: usize, input: &[f32]) -> Vec<f32> {
        let network = Network::from_weights(weights, &Device::Cpu).unwrap();
        let input = Tensor::from_slice(input, (1, 1, height, width), &Device::Cpu).unwrap();
        network
            .forward(&input)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()
    }

    #[test]
    fn one_layer_by_hand() {
        let mut recipe = Recipe::random(1, 1, 0);
        // Cross-correlation: the last weight meets the pixel below and to the right. Outside are zeros.
        recipe.tensors[0].3 = bytes(&[0.0, 0.0, 0.0, 0.0, 2.0, 3.0, 0.0, 5.0, 7.0]);
        recipe.tensors[1].3 = bytes(&[0.5]);
        let found = output(&recipe.weights(), 3, 2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        // Input + 2 × pixel + 3 × right + 5 × below + 7 × below right + 0.5.
        let expected = [
            1.0 + 2.0 + 6.0 + 20.0 + 35.0 + 0.5,
            2.0 + 4.0 + 9.0 + 25.0 + 42.0 + 0.5,
            3.0 + 6.0 + 0.0 + 30.0 + 0.0 + 0.5,
            4.0 + 8.0 + 15.0 + 0.5,
            5.0 + 10.0 + 18.0 + 0.5,
            6.0 + 12.0 + 0.5,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn negative_values_stop_between_layers_and_pass_after_the_last() {
        let mut recipe = Recipe::random(2, 1, 0);
        let centre = |value| bytes(&[0.0, 0.0, 0.0, 0.0, value, 0.0, 0.0, 0.0, 0.0]);
        (recipe.tensors[0].3, recipe.tensors[1].3) = (centre(1.0), bytes(&[0.0]));
        (recipe.tensors[2].3, recipe.tensors[3].3) = (centre(-3.0), bytes(&[0.0]));
        // Residual -3 × max(input, 0).
        assert_eq!(output(&recipe.weights(), 2, 1, &[2.0, -2.0]), [-4.0, -2.0]);
    }
}
