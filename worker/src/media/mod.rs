//! Media in and out: probing, decoding, encoding and joining through a confined ffmpeg; still pictures.

pub(crate) mod animation;
pub mod codec;
pub(crate) mod cover;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod encoder;
pub mod formats;
mod fragment;
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod hashes;
mod hdr10;
pub(crate) mod input;
pub(crate) mod ledger;
mod limits;
pub(crate) mod nut;
pub(crate) mod pixel;
pub mod probe;
pub(crate) mod process;
pub(crate) mod remux;
pub mod serve;
pub mod sniff;
pub(crate) mod sound;
pub mod still;
pub(crate) mod streams;

pub(crate) use limits::within;

use std::os::fd::AsFd;

use clearfleet_common::job::{Codec, Plan, PlannedVideo};
use vdsr::{ChromaSiting, FrameFormat, Range, Size};

use crate::{Error, Result};

/// Bytes that the kernel holds for a pipe that carries frames: its default of 64 KiB costs a wake-up for each.
const PIPE_BYTES: usize = 1 << 20;

/// The same pipe with room for more.
pub(crate) fn widened<P: AsFd>(pipe: P) -> P {
    // Where the kernel refuses, for instance at a user's limit, the pipe is only slower.
    let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_BYTES);
    pipe
}

/// Whether the packets of a plan's result carry the alpha of their pictures beside these.
pub(crate) fn alpha_is_beside(plan: &Plan) -> bool {
    plan.encoder.codec == Codec::Vp9 && plan.video.encoded_format.starts_with("yuva")
}

/// How the decoded frames of a planned video are laid out.
pub(crate) fn frame_format(video: &PlannedVideo) -> Result<FrameFormat> {
    let unknown = || Error::internal(format!("frames in {} cannot be upscaled", video.pixel_format));
    let working = pixel::Working::named(&video.pixel_format).ok_or_else(unknown)?;
    let (width, height) = video.source_size;
    Ok(FrameFormat {
        size: Size { width, height },
        layout: working.layout(),
        bits: working.samples.bits,
        range: if video.full_range { Range::Full } else { Range::Limited },
        siting: match video.chroma_location.as_deref() {
            Some("center") => ChromaSiting::Centre,
            Some("topleft") => ChromaSiting::TopLeft,
            _ => ChromaSiting::Left,
        },
    })
}
