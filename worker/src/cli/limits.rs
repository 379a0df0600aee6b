//! What a source may be at most, on the command line.

use clearfleet_common::config::Limits;

/// What a source may be at most; a source or a result beyond it is refused, and the error says so.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Size of the source in bytes.
    #[arg(long, env = "CLEARFLEET_MAX_BYTES", default_value_t = Limits::default().bytes)]
    max_bytes: u64,
    /// Width or height of source or result in pixels.
    #[arg(long, env = "CLEARFLEET_MAX_EDGE", default_value_t = Limits::default().edge)]
    max_edge: u32,
    /// Pixels of a picture or a frame, of source or result.
    #[arg(long, env = "CLEARFLEET_MAX_PIXELS", default_value_t = Limits::default().pixels)]
    max_pixels: u64,
    /// Frames of a video.
    #[arg(long, env = "CLEARFLEET_MAX_FRAMES", default_value_t = Limits::default().frames)]
    max_frames: u64,
    /// Length of a video in seconds.
    #[arg(long, env = "CLEARFLEET_MAX_SECONDS", default_value_t = Limits::default().seconds)]
    max_seconds: u64,
}

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Self {
        Self {
            bytes: args.max_bytes,
            edge: args.max_edge,
            pixels: args.max_pixels,
            frames: args.max_frames,
            seconds: args.max_seconds,
        }
    }
}
