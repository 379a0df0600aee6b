use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use clearfleet_common::job::{Codec, Container, Scale, Stretch, Target, TargetError};
use vdsr::EngineKind;

use crate::cli::local::LimitArgs;

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

    /// What enlarges: the network, or bicubic for comparison.
    #[arg(long, env = "CLEARFLEET_ENGINE", value_enum, default_value_t = EngineKind::Reference)]
    pub(super) engine: EngineKind,
    /// Weights of the network in place of those in the program.
    #[arg(long, env = "CLEARFLEET_WEIGHTS", value_name = "FILE")]
    pub(super) weights: Option<PathBuf>,
    /// Edge of the network's tiles in pixels; smaller tiles need less memory.
    #[arg(long, env = "CLEARFLEET_TILE", value_name = "PIXELS")]
    pub(super) tile: Option<u32>,
    /// What the engine `wait` takes for each frame, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "20", value_parser = milliseconds, hide = true)]
    pub(super) wait: Duration,

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
    #[arg(long, value_name = "mp4|mov|mkv|webm|gif|apng")]
    pub(super) container: Option<Container>,
    /// Quality of a JPEG, 1 to 100 [default: 95].
    #[arg(long, value_name = "QUALITY", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) quality: Option<u8>,

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
    pub(super) limits: LimitArgs,
}

impl UpscaleArgs {
    /// How large results shall be.
    pub(super) fn target(&self) -> Result<Target, TargetError> {
        match (self.size, self.scale) {
            (Some(size), _) => Ok(size),
            (None, Some(scale)) => Ok(Target::Factor(scale)),
            (None, None) => Scale::new(2.0).map(Target::Factor),
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

fn exact_size(text: &str) -> Result<Target, String> {
    match text.parse() {
        Ok(target @ Target::Exact(..)) => Ok(target),
        Ok(Target::Factor(_)) => Err("a size is WIDTHxHEIGHT; a factor goes with --scale".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}

/// Seconds, or `[HH:]MM:SS`, with a fraction.
pub(in crate::cli) fn moment(text: &str) -> Result<f64, String> {
    let refused = || format!("{text:?} is no time such as 90, 90.5, 1:30 or 0:01:30.5");
    let mut seconds = 0.0;
    let parts: Vec<&str> = text.split(':').collect();
    for (n, part) in parts.iter().enumerate() {
        let value: f64 = part.parse().map_err(|_| refused())?;
        let whole = n + 1 == parts.len() || value.fract() == 0.0;
        if !value.is_finite() || value < 0.0 || (n > 0 && value >= 60.0) || !whole || parts.len() > 3 {
            return Err(refused());
        }
        seconds = seconds * 60.0 + value;
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seconds_or_clock_times() {
        assert_eq!(moment("90.5"), Ok(90.5));
        assert_eq!(moment("1:30"), Ok(90.0));
        assert_eq!(moment("1:00:01.25"), Ok(3601.25));
        for refused in ["", "-1", "1:60", "1.5:00", "0:0:0:1", "inf", "soon"] {
            assert!(moment(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_size_is_no_factor() {
        assert_eq!(exact_size("640x360"), Ok(Target::Exact(640, 360)));
        assert!(exact_size("2").unwrap_err().contains("--scale"));
    }
}
