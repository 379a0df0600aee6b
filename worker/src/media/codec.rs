//! Decoding and encoding as the steps see them.

use std::time::Duration;

use super::decode::Decoding;
use super::encode::Encoding;
use crate::Result;
use crate::steps::ObjectWriter;

pub use super::decode::DecodeOrder;
pub use super::encode::EncodeOrder;

/// Turns ranges of a source into frames, and frames into segments: for every program that upscales, [`Ffmpeg`]. What
/// measures the fleet around it brings another.
pub trait Codec: Send + Sync {
    /// Starts decoding a range of frames.
    ///
    /// # Errors
    /// `Internal` if it cannot be started.
    fn decode(&self, order: DecodeOrder) -> Result<Box<dyn Decode>>;

    /// Starts encoding a batch; what comes of it goes to `segment`.
    ///
    /// # Errors
    /// `FfmpegMissing`, `EncodeFailed`, `Internal`.
    fn encode(&self, order: EncodeOrder, segment: Box<dyn ObjectWriter>) -> Result<Box<dyn Encode>>;
}

/// A range of frames being decoded.
pub trait Decode: Send {
    /// The next frame in order, or nothing after the last.
    ///
    /// # Errors
    /// `FramesMismatch` if no way to cut gives the frames of the ledger; `DecodeFailed`, `DeadlineExceeded`, `Stopped`.
    fn next(&mut self) -> Result<Option<Vec<u8>>>;

    /// How long it has decoded since this was asked last, the time not counted that frames waited to be taken.
    fn take_busy(&self) -> Duration;

    /// Whether the last frame is decoded, taken or not.
    fn is_decoded(&self) -> bool;
}

/// A batch being encoded.
pub trait Encode {
    /// Gives it the batch's next frame; waits while the encoder is busy.
    ///
    /// # Errors
    /// `EncodeFailed` with the encoder's own words if it ended early; `Stopped`, `DeadlineExceeded`.
    fn frame(self: Box<Self>, bytes: &[u8]) -> Result<Box<dyn Encode>>;

    /// Waits until all frames are encoded; returns the segment, which is whole once it is finished.
    ///
    /// # Errors
    /// `EncodeFailed` if the encoder fails or gives another number of frames than it got.
    fn finish(self: Box<Self>) -> Result<Box<dyn ObjectWriter>>;
}

/// The confined ffmpeg.
#[derive(Clone, Copy, Debug)]
pub struct Ffmpeg;

impl Codec for Ffmpeg {
    fn decode(&self, order: DecodeOrder) -> Result<Box<dyn Decode>> {
        Ok(Box::new(Decoding::start(order)?))
    }

    fn encode(&self, order: EncodeOrder, segment: Box<dyn ObjectWriter>) -> Result<Box<dyn Encode>> {
        Ok(Box::new(Encoding::start(order, segment)?))
    }
}
