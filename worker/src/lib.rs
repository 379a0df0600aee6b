//! Clearfleet's worker: takes a job's source apart into batches of frames, upscales them, puts the result together.
//!
//! [`steps`] are the pipeline, one file a step; [`media`] is everything that touches ffmpeg or a picture file.

pub mod cli;
mod error;
pub mod media;
pub mod service;
pub mod steps;
pub mod verify;

pub use error::{Error, Result};
