//! One whole frame of integer samples: what stills and video share.

mod filters;
mod format;
mod infill;
mod samples;
#[cfg(test)]
mod tests;
mod upscaler;

pub use self::{
    filters::Filters,
    format::{ChromaSiting, FrameFormat, Layout, Range},
    upscaler::FrameUpscaler,
};
