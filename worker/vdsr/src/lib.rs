//! VDSR: super resolution by one deep network that adds a residual to the bicubically enlarged picture.
//!
//! Planes in, planes out: this crate knows no files of video, no queue and no storage.
//! Jiwon Kim, Jung Kwon Lee, Kyoung Mu Lee, "Accurate Image Super-Resolution Using Very Deep Convolutional
//! Networks", CVPR 2016.

mod colour;
mod engine;
mod error;
mod evaluate;
mod frame;
mod geometry;
mod metrics;
mod network;
mod ops;
mod picture;
mod plane;
mod resample;
mod tiles;
mod weights;

pub use colour::{STUDIO_BLACK, STUDIO_SPAN, full_to_studio, studio_luma, studio_to_full};
pub use engine::{Engine, EngineKind, EngineOptions, Precision, Session, Watch, build_engine};
pub use error::{Error, Result};
pub use evaluate::{Dataset, Method, Row, evaluate};
pub use frame::{ChromaSiting, Filters, FrameFormat, FrameUpscaler, Layout, Range};
pub use geometry::{Geometry, MAX_FACTOR, Size};
pub use metrics::{psnr, ssim};
pub use network::Network;
pub use picture::{load_picture, picture_from_planes, picture_to_planes, save_picture};
pub use plane::Plane;
pub use resample::{Resampler, Sample, Siting};
pub use tiles::{Rect, Tile, Tiles};
pub use weights::{Layer, MAX_WEIGHTS_BYTES, Weights};
