use std::path::PathBuf;

use clap::{Args, ValueHint};
use clearfleet_common::job::{Codec, Container, Denoise, Filters, Scale, Sharpen, Stretch, Target, TargetError};

use crate::cli::values::{exact_size, moment};
use clearfleet_worker::cli::{EngineArgs, LimitArgs};

/// Upscale pictures and videos.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clearfleet upscale photo.jpg photo-2x.png --scale 2\n  \
    clearfleet upscale film.mkv film-1080p.mkv --size 1920x1080 --codec h265 --crf 22\n  \
    clearfleet upscale holiday/ extra.png larger/ --scale 3")]
pub(in crate::cli) struct UpscaleArgs {
    /// Pictures, videos and folders, then the output: a file for one input, a folder (made if need be) for several or
    /// for one that ends with a slash.
    #[arg(required = true, num_args = 2.., value_names = ["IN", "OUT"], value_hint = ValueHint::AnyPath)]
    pub(super) paths: Vec<PathBuf>,

    /// How many times larger, 1 to 8, whole or not [default: 2].
    #[arg(long, value_name = "FACTOR", conflicts_with = "size")]
    pub(super) scale: Option<Scale>,
    /// Exact size of the result, from 1 to 8 times the source.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = exact_size)]
    pub(super) size: Option<Target>,

    /// Codec of a video [default: h264, or what the container holds].
    #[arg(long, env = "CLEARFLEET_CODEC", value_name = "h264|h265|av1|vp9|ffv1")]
    pub(super) codec: Option<Codec>,
    /// Constant quality of a video, lower is better: 0 to 51 for h264 and h265, 0 to 63 for av1 and vp9.
    #[arg(long, value_name = "CRF")]
    pub(super) crf: Option<u8>,
    /// Preset of the encoder: ultrafast to placebo for h264 and h265, 0 to 13 for av1, 0 to 8 for vp9.
    #[arg(long, value_name = "PRESET")]
    pub(super) preset: Option<String>,
    /// File format of videos that go into a folder [default: the source's, or mkv].
    #[arg(long, value_name = "mp4|mov|mkv|webm|gif|apng|webp")]
    pub(super) container: Option<Container>,
    /// Quality of a JPEG, 1 to 100 [default: 95].
    #[arg(long, value_name = "QUALITY", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) quality: Option<u8>,
    /// Take noise away before enlarging: what cameras add in good light, or in the dark [default: off].
    #[arg(long, value_name = "off|light|strong")]
    pub(super) denoise: Option<Denoise>,
    /// Raise fine detail before enlarging, from 0 to 1 [default: 0].
    #[arg(long, value_name = "AMOUNT")]
    pub(super) sharpen: Option<Sharpen>,
    /// Make the frames of an interlaced video progressive, one for each.
    #[arg(long)]
    pub(super) deinterlace: bool,

    /// Where in a video to begin: seconds or [HH:]MM:SS, with a fraction if need be.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) start: Option<f64>,
    /// Where in a video to end.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) end: Option<f64>,

    /// Take an interrupted video up again at its finished batches.
    #[arg(long)]
    pub(super) resume: bool,
    /// Replace an existing output, and the state of an interrupted run.
    #[arg(long)]
    pub(super) overwrite: bool,
    /// Frames of a batch in place of about half a minute's work.
    #[arg(long, env = "CLEARFLEET_BATCH_FRAMES", value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(super) batch_frames: Option<u64>,

    /// Print events as JSON, one a line, on standard output.
    #[arg(long)]
    pub(super) json: bool,
    /// Print errors only.
    #[arg(long, short, conflicts_with = "json")]
    pub(super) quiet: bool,

    #[command(flatten)]
    pub(super) engine: EngineArgs,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
}

impl UpscaleArgs {
    /// How large results shall be.
    pub(super) fn target(&self) -> Result<Target, TargetError> {
        match (self.size, self.scale) {
            (Some(size), _) => Ok(size),
            (None, Some(scale)) => Ok(Target::Factor(scale)),
            (None, None) => Ok(Target::Factor(Scale::TWO)),
        }
    }

    /// What is done before enlarging.
    pub(super) fn filters(&self) -> Filters {
        Filters {
            denoise: self.denoise.unwrap_or_default(),
            sharpen: self.sharpen.unwrap_or_default(),
        }
    }

    /// Which part of a video.
    pub(super) fn stretch(&self) -> Stretch {
        Stretch {
            start: self.start,
            end: self.end,
        }
    }
}
