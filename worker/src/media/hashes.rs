//! Digests of the decoded frames of a segment.

use std::io::{Read, copy};
use std::process::{ChildStdin, ChildStdout};
use std::time::Duration;

use clearfleet_common::job::{Plan, SegmentKind};
use clearfleet_common::{ErrorCode, Stop};

use super::input;
use super::process::{Confinement, Launch, ProcessLimits, Program};
use crate::{Error, Result};

/// SHA-256 in hex of the samples of each frame of a plan's segment, in order. How they were encoded does not show.
///
/// # Errors
/// `DecodeFailed` if they cannot be decoded; what reading the segment fails with; `DeadlineExceeded`, `Stopped`.
pub(crate) fn frame_hashes(
    plan: &Plan,
    segment: Box<dyn Read + Send>,
    stop: &Stop,
    deadline: Duration,
) -> Result<Vec<String>> {
    let demuxer = match plan.encoder.segment {
        SegmentKind::FragmentedMp4 => "mov",
        SegmentKind::Nut => "nut",
    };
    let decoder = super::alpha_is_beside(plan).then_some("libvpx-vp9");
    let (width, height) = plan.video.target_size;
    let limits = ProcessLimits::decoding(width, height);
    let mut child = Launch::new(Program::Ffmpeg, &Confinement::offline().with_limits(limits))?
        .args(["-protocol_whitelist", "pipe", "-format_whitelist", demuxer])
        .args(input::decoder_arguments(0, decoder))
        .args([
            "-f",
            demuxer,
            "-i",
            "pipe:0",
            "-map",
            "0:v:0",
            "-fps_mode",
            "passthrough",
        ])
        .args(["-f", "framehash", "-hash", "sha256", "pipe:1"])
        .piped_stdin()
        .piped_stdout()
        .spawn(stop, deadline)?;
    let no_pipe = || Error::internal("a child without its pipe");
    let stdin = child.take_stdin().ok_or_else(no_pipe)?;
    let stdout = child.take_stdout().ok_or_else(no_pipe)?;
    let (fed, hashes) = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(segment, stdin));
        let hashes = parse(stdout);
        let panicked = |_| Err(Error::internal("the thread that reads a segment panicked"));
        (feeder.join().unwrap_or_else(panicked), hashes)
    });
    child.finish(ErrorCode::DecodeFailed, "decoding a segment")?;
    fed?;
    hashes
}

fn feed(mut segment: Box<dyn Read + Send>, stdin: ChildStdin) -> Result<()> {
    match copy(&mut segment, &mut super::widened(stdin)) {
        // A decoder may end before the last byte; if it failed, its own words tell why.
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::internal("a segment cannot be read").because(e))
        }
        _ => Ok(()),
    }
}

/// The last field of each line that is no comment.
fn parse(mut stdout: ChildStdout) -> Result<Vec<String>> {
    let mut text = String::new();
    let unreadable = |e| Error::new(ErrorCode::DecodeFailed, "no digests of frames come").because(e);
    stdout.read_to_string(&mut text).map_err(unreadable)?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines
        .filter_map(|line| line.rsplit(',').next())
        .map(|hash| hash.trim().to_owned())
        .collect())
}
