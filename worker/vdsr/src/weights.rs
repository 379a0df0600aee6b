//! The network's weights: a safetensors file, checked whole before anything is computed with it.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The longest weights file that is read: 24 times the published network's.
pub const MAX_WEIGHTS_BYTES: u64 = 64 << 20;

/// Caps for depth and width, far above any network of this architecture.
pub(crate) const MAX_DEPTH: usize = 64;
const MAX_WIDTH: usize = 512;

static EMBEDDED: &[u8] = include_bytes!("../models/vdsr-bootstrap.safetensors");

/// One 3×3 convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// \[outputs, inputs, 3, 3\], row-major; cross-correlation, as every framework has it.
    pub weight: Vec<f32>,
    /// \[outputs\].
    pub bias: Vec<f32>,
}

/// A checked set of weights; clones share it.
#[derive(Debug, Clone)]
pub struct Weights(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    digest: String,
    width: usize,
    scales: Vec<u32>,
    layers: Vec<Layer>,
}

impl Weights {
    /// The weights that ship with this crate; `models/README.md` is their card.
    ///
    /// # Errors
    /// None that a tested build can meet; those of [`from_bytes`](Self::from_bytes).
    pub fn embedded() -> Result<Self> {
        Self::from_bytes(EMBEDDED)
    }

    /// Reads a file of at most [`MAX_WEIGHTS_BYTES`].
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::WeightsTooLarge`], and those of [`from_bytes`](Self::from_bytes).
    pub fn load(path: &Path) -> Result<Self> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        expect_length(length)?;
        // The cap holds again while reading: a pipe states no length, and a file may grow.
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(MAX_WEIGHTS_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        Self::from_bytes(&bytes)
    }

    /// Reads safetensors: `conv00.weight`, `conv00.bias` … in 32-bit float, and the metadata `architecture` (vdsr),
    /// `depth`, `width` and `scales`.
    ///
    /// # Errors
    /// [`Error::WeightsTooLarge`], [`Error::WeightsFormat`], [`Error::WeightsMetadata`], and for tensors
    /// [`Error::TensorMissing`], [`Error::TensorUnexpected`], [`Error::TensorType`], [`Error::TensorShape`],
    /// [`Error::TensorNotFinite`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        expect_length(bytes.len() as u64)?;
        let format = |source| Error::WeightsFormat { source };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(format)?;
        let entry = |key| {
            header
                .metadata()
                .as_ref()
                .and_then(|all| all.get(key))
                .map_or("", String::as_str)
        };
        if entry("architecture") != "vdsr" {
            return Err(wrong_entry("architecture", "vdsr", entry("architecture")));
        }
        let depth = number("depth", entry("depth"), MAX_DEPTH)?;
        let width = number("width", entry("width"), MAX_WIDTH)?;
        let scales = scales(entry("scales"))?;
        let layers = (0..depth)
            .map(|index| layer(&tensors, index, depth, width))
            .collect::<Result<Vec<_>>>()?;
        let known = |name: &str| {
            (0..depth).map(layer_name).any(|layer| {
                name.strip_prefix(&layer)
                    .is_some_and(|part| part == ".weight" || part == ".bias")
            })
        };
        if let Some(name) = tensors.names().into_iter().find(|name| !known(name)) {
            return Err(Error::TensorUnexpected { name: name.to_owned() });
        }
        Ok(Self(Arc::new(Inner {
            digest: hex(&Sha256::digest(bytes)),
            width,
            scales,
            layers,
        })))
    }

    /// SHA-256 of the whole file, in lower-case hex.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Layers, which is also how many pixels an output reaches to each side.
    pub fn depth(&self) -> usize {
        self.0.layers.len()
    }

    /// Channels between the layers.
    pub fn width(&self) -> usize {
        self.0.width
    }

    /// The factors that the weights were trained for.
    pub fn scales(&self) -> &[u32] {
        &self.0.scales
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.0.layers
    }
}

/// What layer `index` is called in a file: `conv00` and so on.
pub(crate) fn layer_name(index: usize) -> String {
    format!("conv{index:02}")
}

/// Input and output channels of layer `index`: luma goes in and a residual of luma comes out.
pub(crate) fn channels(index: usize, depth: usize, width: usize) -> (usize, usize) {
    (
        if index == 0 { 1 } else { width },
        if index + 1 == depth { 1 } else { width },
    )
}

fn expect_length(found: u64) -> Result<()> {
    if found > MAX_WEIGHTS_BYTES {
        Err(Error::WeightsTooLarge {
            limit: MAX_WEIGHTS_BYTES,
            found,
        })
    } else {
        Ok(())
    }
}

fn wrong_entry(key: &'static str, expected: impl Into<String>, found: &str) -> Error {
    Error::WeightsMetadata {
        key,
        expected: expected.into(),
        found: found.to_owned(),
    }
}

fn number(key: &'static str, text: &str, most: usize) -> Result<usize> {
    match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(wrong_entry(key, format!("a number from 1 to {most}"), text)),
    }
}

fn scales(text: &str) -> Result<Vec<u32>> {
    let scale = |part: &str| part.trim().parse().ok().filter(|scale| (1..=8).contains(scale));
    let scales: Option<Vec<u32>> = text.split(',').map(scale).collect();
    scales.ok_or_else(|| wrong_entry("scales", "numbers from 1 to 8, such as 2,3,4", text))
}

fn layer(tensors: &SafeTensors<'_>, index: usize, depth: usize, width: usize) -> Result<Layer> {
    let (inputs, outputs) = channels(index, depth, width);
    let name = layer_name(index);
    Ok(Layer {
        inputs,
        outputs,
        weight: values(tensors, format!("{name}.weight"), &[outputs, inputs, 3, 3])?,
        bias: values(tensors, format!("{name}.bias"), &[outputs])?,
    })
}

/// A tensor's values, once type, shape and every value have been looked at.
fn values(tensors: &SafeTensors<'_>, name: String, shape: &[usize]) -> Result<Vec<f32>> {
    let Ok(tensor) = tensors.tensor(&name) else {
        return Err(Error::TensorMissing { name });
    };
    if tensor.dtype() != Dtype::F32 {
        return Err(Error::TensorType {
            name,
            found: format!("{:?}", tensor.dtype()),
        });
    }
    if tensor.shape() != shape {
        return Err(Error::TensorShape {
            name,
            expected: shape.to_vec(),
            found: tensor.shape().to_vec(),
        });
    }
    let (words, _) = tensor.data().as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(Error::TensorNotFinite { name })
    }
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::HashMap;

    use safetensors::tensor::TensorView;

    use super::*;

    /// A weights file that a test can spoil.
    #[derive(Clone)]
    pub(crate) struct Recipe {
        pub(crate) metadata: HashMap<String, String>,
        pub(crate) tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
    }

    impl Recipe {
        /// A network of random weights, small enough that values stay near 1.
        pub(crate) fn random(depth: usize, width: usize, mut seed: u32) -> Self {
            let mut next = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            let mut tensors = Vec::new();
            for index in 0..depth {
                let (inputs, outputs) = channels(index, depth, width);
                let bound = (6.0 / (9 * inputs) as f32).sqrt();
                let weight: Vec<u8> = (0..outputs * inputs * 9)
                    .flat_map(|_| (next() * bound).to_le_bytes())
                    .collect();
                let bias: Vec<u8> = (0..outputs).flat_map(|_| (next() * 0.05).to_le_bytes()).collect();
                tensors.push((
                    format!("conv{index:02}.weight"),
                    Dtype::F32,
                    vec![outputs, inputs, 3, 3],
                    weight,
                ));
                tensors.push((format!("conv{index:02}.bias"), Dtype::F32, vec![outputs], bias));
            }
            let entry = |key: &str, value: String| (key.to_owned(), value);
            let metadata = HashMap::from([
                entry("architecture", "vdsr".to_owned()),
                entry("depth", depth.to_string()),
                entry("width", width.to_string()),
                entry("scales", "2,3".to_owned()),
            ]);
            Self { metadata, tensors }
        }

        pub(crate) fn bytes(&self) -> Vec<u8> {
            let views = self.tensors.iter().map(|(name, dtype, shape, data)| {
                (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
            });
            safetensors::serialize(views, Some(self.metadata.clone())).unwrap()
        }

        pub(crate) fn weights(&self) -> Weights {
            Weights::from_bytes(&self.bytes()).unwrap()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::Recipe, *};

    /// What is said of a small valid file after `spoil`.
    fn refusal(spoil: impl FnOnce(&mut Recipe)) -> Error {
        let mut recipe = Recipe::random(3, 4, 1);
        spoil(&mut recipe);
        Weights::from_bytes(&recipe.bytes()).unwrap_err()
    }

    #[test]
    fn the_embedded_weights_are_those_on_the_card() {
        let weights = Weights::embedded().unwrap();
        assert_eq!(
            (weights.depth(), weights.width(), weights.scales()),
            (20, 64, [2, 3, 4].as_slice())
        );
        let card = include_str!("../models/README.md");
        assert!(
            card.contains(&format!("`{}`", weights.digest())),
            "the card does not name {}",
            weights.digest()
        );
        assert_eq!(weights.layers()[1].weight.len(), 64 * 64 * 9);
    }

    #[test]
    fn a_valid_file_is_read_as_written() {
        let recipe = Recipe::random(3, 4, 1);
        let weights = recipe.weights();
        assert_eq!(
            (weights.depth(), weights.width(), weights.scales()),
            (3, 4, [2, 3].as_slice())
        );
        let shapes: Vec<_> = weights
            .layers()
            .iter()
            .map(|layer| (layer.inputs, layer.outputs))
            .collect();
        assert_eq!(shapes, [(1, 4), (4, 4), (4, 1)]);
        let bytes: Vec<u8> = weights.layers()[1]
            .weight
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert_eq!(bytes, recipe.tensors[2].3);
    }

    #[test]
    fn a_file_is_read_and_a_missing_or_huge_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        assert!(matches!(Weights::load(&path), Err(Error::Io { path: found, .. }) if found == path));
        let bytes = Recipe::random(4, 8, 9).bytes();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(
            Weights::load(&path).unwrap().digest(),
            Weights::from_bytes(&bytes).unwrap().digest()
        );
        // Sparse: it takes no room.
        File::create(&path).unwrap().set_len(MAX_WEIGHTS_BYTES + 1).unwrap();
        let found = Weights::load(&path);
        let (most, more) = (MAX_WEIGHTS_BYTES, MAX_WEIGHTS_BYTES + 1);
        assert!(matches!(found, Err(Error::WeightsTooLarge { limit, found }) if limit == most && found == more));
    }

    #[test]
    fn what_is_no_safetensors_file_is_refused() {
        for bytes in [
            &b""[..],
            b"nonsense",
            &[0xff; 64],
            &Recipe::random(2, 3, 9).bytes()[..300],
        ] {
            assert!(matches!(Weights::from_bytes(bytes), Err(Error::WeightsFormat { .. })));
        }
    }

    #[test]
    fn wrong_metadata_is_refused() {
        for (key, value) in [
            ("architecture", "edsr"),
            ("depth", "0"),
            ("depth", "65"),
            ("depth", "three"),
            ("width", "513"),
            ("width", "-1"),
            ("scales", ""),
            ("scales", "2,9"),
            ("scales", "2;3"),
        ] {
            let error = refusal(|recipe| {
                recipe.metadata.insert(key.to_owned(), value.to_owned());
            });
            let said = matches!(&error, Error::WeightsMetadata { key: k, found, .. } if *k == key && found == value);
            assert!(said, "{key} = {value}: {error}");
        }
        let error = refusal(|recipe| drop(recipe.metadata.remove("depth")));
        assert!(matches!(error, Error::WeightsMetadata { key: "depth", found, .. } if found.is_empty()));
    }

    #[test]
    fn wrong_tensors_are_refused() {
        let error = refusal(|recipe| drop(recipe.tensors.remove(3)));
        assert!(matches!(error, Error::TensorMissing { name } if name == "conv01.bias"));

        let error = refusal(|recipe| recipe.metadata.insert("depth".into(), "2".into()).map(drop).unwrap());
        assert!(matches!(error, Error::TensorShape { name, expected, found }
            if name == "conv01.weight" && expected == [1, 4, 3, 3] && found == [4, 4, 3, 3]));

        let error = refusal(|recipe| {
            let bias = recipe.tensors[1].clone();
            recipe.tensors.push(("conv03.bias".to_owned(), bias.1, bias.2, bias.3));
        });
        assert!(matches!(error, Error::TensorUnexpected { name } if name == "conv03.bias"));

        let error = refusal(|recipe| recipe.tensors[0].1 = Dtype::I32);
        assert!(matches!(error, Error::TensorType { name, found } if name == "conv00.weight" && found == "I32"));

        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = refusal(|recipe| recipe.tensors[5].3.copy_from_slice(&bad.to_le_bytes()));
            assert!(matches!(error, Error::TensorNotFinite { name } if name == "conv02.bias"));
        }
    }
}
