//! Clips and pictures to measure with, made by ffmpeg once each.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::process::{Call, count_frames};

/// Frames a second of every clip.
const RATE: u32 = 30;

/// Frames of what a film repeats.
const REPEATED: u32 = 200;

/// How the frames of a film follow one another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// All as far apart.
    Even,
    /// Each at another distance, as telephones make them.
    Uneven,
}

/// Makes sources in a folder.
pub(super) struct Sources {
    folder: PathBuf,
}

impl Sources {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// A clip with a moving test picture and a tone, in MP4.
    ///
    /// Its slight noise keeps encoders from skipping blocks: a frame then costs x264 about what one of a film costs. With
    /// grain it would cost several times that, and two cores would not encode the 50 frames a second that the engine
    /// `wait` makes.
    pub(super) fn clip(&self, (width, height): (u32, u32), frames: u32) -> Result<PathBuf> {
        let path = self.folder.join(format!("clip-{width}x{height}-{frames}.mp4"));
        if path.exists() {
            return Ok(path);
        }
        let picture = format!("testsrc2=size={width}x{height}:rate={RATE},noise=alls=2:allf=t");
        let seconds = f64::from(frames) / f64::from(RATE);
        Call::ffmpeg()
            .args(["-f", "lavfi", "-i", &picture])
            .args([
                "-f",
                "lavfi",
                "-t",
                &seconds.to_string(),
                "-i",
                "sine=sample_rate=48000",
            ])
            .args(["-frames:v", &frames.to_string()])
            .args([
                "-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-pix_fmt", "yuv420p",
            ])
            .args(["-c:a", "aac", "-b:a", "96k"])
            .arg(&path)
            .run()
            .context("the source")?;
        let found = count_frames(&path)?;
        ensure!(found == frames, "the source has {found} frames in place of {frames}");
        Ok(path)
    }

    /// A film without sound, in MP4: the same seconds over and over. `frames` is a multiple of theirs.
    pub(super) fn film(&self, (width, height): (u32, u32), frames: u32, pace: Pace) -> Result<PathBuf> {
        let path = self.folder.join(format!("film-{width}x{height}-{frames}-{pace:?}.mp4"));
        if path.exists() {
            return Ok(path);
        }
        let picture = format!("testsrc2=size={width}x{height}:rate={RATE},noise=alls=2:allf=t");
        let times = match pace {
            Pace::Even => "N*3000",
            Pace::Uneven => "(N+0.4*random(1))*3000",
        };
        let part = self.folder.join("part.mp4");
        Call::ffmpeg()
            .args(["-f", "lavfi", "-i", &picture, "-frames:v", &REPEATED.to_string()])
            .args(["-vf", &format!("settb=1/90000,setpts='{times}'")])
            .args(["-fps_mode", "passthrough", "-enc_time_base", "1/90000"])
            .args([
                "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p",
            ])
            .args(["-video_track_timescale", "90000"])
            .arg(&part)
            .run()
            .context("the source")?;
        let more = frames / REPEATED - 1;
        Call::ffmpeg()
            .args(["-stream_loop", &more.to_string(), "-i"])
            .arg(&part)
            .args(["-c", "copy"])
            .arg(&path)
            .run()
            .context("the source")?;
        let found = count_frames(&path)?;
        ensure!(found == frames, "the source has {found} frames in place of {frames}");
        Ok(path)
    }

    /// A picture with soft shapes and the noise of a sensor, which no PNG compresses away.
    pub(super) fn still(&self, width: u32, height: u32) -> Result<PathBuf> {
        let path = self.folder.join(format!("still-{width}x{height}.png"));
        if path.exists() {
            return Ok(path);
        }
        let picture = format!("testsrc2=size={width}x{height},gblur=sigma=3,noise=alls=12:allf=t,format=rgb24");
        Call::ffmpeg()
            .args(["-f", "lavfi", "-i", &picture, "-frames:v", "1", "-update", "1"])
            .arg(&path)
            .run()
            .context("the source")?;
        expect_png(&path, (width, height))?;
        Ok(path)
    }
}

/// Fails unless a file is a PNG of this size.
pub(super) fn expect_png(path: &Path, size: (u32, u32)) -> Result<()> {
    let bytes = fs::read(path)?;
    // The signature, then the header's length and name, then width and height.
    let edge = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let found = edge(16).zip(edge(20));
    ensure!(
        bytes.get(12..16) == Some(b"IHDR") && found == Some(size),
        "{} is no PNG of {size:?}: {found:?}",
        path.display()
    );
    Ok(())
}
