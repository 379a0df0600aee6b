//! WebP, without loss: encoded and joined by ffmpeg, then corrected where ffmpeg leaves no choice.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use super::{Kept, launch};
use crate::media::remux::{self, RemuxOrder, Segments};
use crate::media::serve::FileSource;
use crate::media::sniff::Walk;
use crate::{Error, Result};

/// Where in a frame's chunk its duration lies, in bytes: 24 bits, and its flags behind them.
const DURATION: u64 = 12;
/// The flags by which a frame goes before the next one comes, and replaces what was there, transparency and all. Either
/// would do; some programs know one of them only.
const ALONE: u8 = 0b11;

/// Writes the result.
///
/// # Errors
/// Those of [`remux::remux`].
pub(super) fn encode(order: &RemuxOrder<'_>, segments: Segments<'_>, kept: &Kept) -> Result<()> {
    let launch = launch(order.plan)?
        .args(["-c:v", "libwebp", "-lossless", "1", "-pix_fmt", "bgra"])
        .args(["-loop", &kept.plays.min(u16::MAX.into()).to_string(), "-f", "webp"])
        .arg(order.scratch)
        .writes(order.scratch);
    remux::run(order, launch, segments, |_| Ok(()))?;
    correct(order, kept)
}

/// Makes every frame stand alone, where ffmpeg lets the one before shine through, and corrects durations: all that the
/// source states, and that of the last frame, which ffmpeg guesses.
fn correct(order: &RemuxOrder<'_>, kept: &Kept) -> Result<()> {
    let video = &order.plan.video;
    let last = (video.time_base.seconds(video.last_duration) * 1000.0).round() as u32;
    let frames = order
        .plan
        .batches
        .iter()
        .map(|range| range.len() as usize)
        .sum::<usize>();
    let unwritten = |e| Error::write("the result", e);
    let source = FileSource::open(order.scratch)?;
    let file = OpenOptions::new().write(true).open(order.scratch).map_err(unwritten)?;
    let mut walk = Walk::new(&source);
    walk.skip(12);
    let mut n = 0;
    while let Some(chunk) = walk.riff_chunk()? {
        if chunk.kind == *b"ANMF" {
            let at = chunk.next - chunk.length.next_multiple_of(2) + DURATION;
            let stated = kept.stated(n).map(|delay| delay.num);
            let duration = stated.or((n + 1 == frames).then_some(last));
            settle(&file, at, duration).map_err(unwritten)?;
            n += 1;
        }
        walk.go_to(chunk.next);
    }
    Ok(())
}

fn settle(file: &File, at: u64, duration: Option<u32>) -> std::io::Result<()> {
    if let Some(duration) = duration {
        file.write_all_at(&duration.to_le_bytes()[..3], at)?;
    }
    file.write_all_at(&[ALONE], at + 3)
}
