//! The crate's one error type.

use std::path::PathBuf;

use crate::{
    engine::{EngineKind, Precision},
    geometry::Size,
};

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, with the values that did not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A width or height of zero.
    #[error("a picture of {size} has no pixels")]
    EmptySize {
        /// The size with a zero in it.
        size: Size,
    },
    /// A factor outside 1 to 8, or not a number.
    #[error("a scale is a number from 1 to 8, not {found:?}")]
    BadScale {
        /// As written by the caller.
        found: String,
    },
    /// Text that is not a size.
    #[error("a size is two numbers such as 1920x1080, not {found:?}")]
    BadSize {
        /// As written by the caller.
        found: String,
    },
    /// One axis would shrink, or grow more than eightfold.
    #[error("from {from} to {to} is not an enlargement of 1 to 8 times on both axes")]
    FactorOutOfRange {
        /// The size at hand.
        from: Size,
        /// The size asked for.
        to: Size,
    },
    /// More pixels than a plane can number.
    #[error("{size} is more pixels than this machine can address")]
    TooLarge {
        /// The size asked for.
        size: Size,
    },
    /// A plane or picture of another size than the one agreed on.
    #[error("the {what} is {found}, expected {expected}")]
    SizeMismatch {
        /// Which plane.
        what: &'static str,
        /// The size agreed on.
        expected: Size,
        /// The size that came.
        found: Size,
    },
    /// A buffer whose length does not fit its size or format.
    #[error("the {what} holds {found} elements, expected {expected}")]
    LengthMismatch {
        /// Which buffer.
        what: &'static str,
        /// Elements that the size asks for.
        expected: usize,
        /// Elements that came.
        found: usize,
    },
    /// A sample depth outside 8 to 16 bits.
    #[error("samples have 8 to 16 bits, not {found}")]
    BadBits {
        /// The depth that came.
        found: u8,
    },
    /// A tile edge that no grid can be made of.
    #[error("a tile is at least {least} pixels wide, not {found}")]
    BadTile {
        /// The smallest edge accepted.
        least: u32,
        /// The edge that came.
        found: u32,
    },
    /// A name that no engine has.
    #[error("the engines are reference, cpu, bicubic and wait, not {found:?}")]
    UnknownEngine {
        /// As written by the caller.
        found: String,
    },
    /// A network that the engine `cpu` was not written for.
    #[error(
        "the engine cpu is for networks of {channels} channels and 2 layers or more, not of {found_channels} channels and \
         {found_layers} layers: take the engine reference"
    )]
    NetworkShape {
        /// Channels that it is written for.
        channels: usize,
        /// Channels of the weights.
        found_channels: usize,
        /// Layers of the weights.
        found_layers: usize,
    },
    /// A precision that an engine does not have.
    #[error("the engine {engine} computes in f32 alone, not in {found}: take the engine cpu")]
    Precision {
        /// The engine that was asked for.
        engine: EngineKind,
        /// The precision that was asked for.
        found: Precision,
    },
    /// Instructions that were asked for by name, and that this processor lacks or the precision has no use for.
    #[error("VDSR_CPU_PATH is {found:?}; this processor has {} for {precision}", available.join(", "))]
    CpuPath {
        /// What was asked for.
        found: String,
        /// Name of the precision.
        precision: &'static str,
        /// What could have been.
        available: Vec<String>,
    },
    /// A file or folder that could not be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A weights file beyond the cap.
    #[error("weights of {found} bytes, more than the {limit} that are accepted")]
    WeightsTooLarge {
        /// The cap in bytes.
        limit: u64,
        /// The file's length in bytes.
        found: u64,
    },
    /// Not a safetensors file.
    #[error("the weights are not a safetensors file")]
    WeightsFormat {
        /// The parser's reason.
        source: safetensors::SafeTensorError,
    },
    /// A metadata entry that is absent or says something else.
    #[error("the weights' metadata says {key} = {found:?}, expected {expected}")]
    WeightsMetadata {
        /// The entry's name.
        key: &'static str,
        /// What is accepted.
        expected: String,
        /// What the file says; empty when it says nothing.
        found: String,
    },
    /// A tensor that the architecture needs and the file lacks.
    #[error("the weights lack the tensor {name}")]
    TensorMissing {
        /// The tensor's name.
        name: String,
    },
    /// A tensor that the architecture has no place for.
    #[error("the weights hold the tensor {name}, which this architecture does not have")]
    TensorUnexpected {
        /// The tensor's name.
        name: String,
    },
    /// A tensor of another element type than 32-bit float.
    #[error("the tensor {name} holds {found}, expected F32")]
    TensorType {
        /// The tensor's name.
        name: String,
        /// The element type found.
        found: String,
    },
    /// A tensor of another shape than depth and width ask for.
    #[error("the tensor {name} has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// The tensor's name.
        name: String,
        /// The shape that depth and width ask for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A weight that is infinite or not a number.
    #[error("the tensor {name} holds a value that is infinite or not a number")]
    TensorNotFinite {
        /// The tensor's name.
        name: String,
    },
    /// The tensor library failed.
    #[error("the network could not be computed")]
    Network(#[from] candle_core::Error),
    /// The network's output is infinite or not a number.
    #[error("the network's output is infinite or not a number")]
    NotFinite,
    /// An engine that panicked; whoever guards it says so, engines never do.
    #[error("the engine panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// The caller's [`Watch`](crate::Watch) said to stop.
    #[error("stopped")]
    Stopped,
    /// A picture file that could not be decoded or encoded.
    #[error("{}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// The codec's reason.
        source: image::ImageError,
    },
    /// What went wrong with one picture of several.
    #[error("{}", path.display())]
    InPicture {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: Box<Error>,
    },
    /// A frame format that no picture file holds.
    #[error("a still picture is grey or RGB with 8 or 16 bits, not {found}")]
    NotAPicture {
        /// Layout and bits of the frame.
        found: String,
    },
    /// A folder without pictures.
    #[error("{} holds no picture (.png .webp .bmp .jpg .jpeg .tif)", path.display())]
    EmptyDataset {
        /// The folder.
        path: PathBuf,
    },
    /// A picture too small to be measured.
    #[error("{what} needs at least {least} pixels, found {found}")]
    TooSmall {
        /// What is measured.
        what: &'static str,
        /// The smallest size accepted.
        least: Size,
        /// The size that came.
        found: Size,
    },
}
