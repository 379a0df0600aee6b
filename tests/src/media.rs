//! Small media to feed the program, made by ffmpeg, and ffmpeg as a second opinion on what comes out.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Public media beside the clone, or nothing where it is not: `CLEARFLEET_SHARED`, else `../shared`.
pub fn shared(inner: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("CLEARFLEET_SHARED").map_or_else(beside, PathBuf::from);
    let path = folder.join(inner);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not here", path.display());
    None
}

/// Runs ffmpeg and returns its standard output.
///
/// # Panics
/// If it fails, with what it said.
pub fn ffmpeg<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    let program = std::env::var_os("CLEARFLEET_FFMPEG").unwrap_or_else(|| "ffmpeg".into());
    let mut command = Command::new(program);
    command
        .args(["-hide_banner", "-nostdin", "-v", "error", "-y"])
        .args(args);
    output(&mut command)
}

/// What ffprobe says of a file, as JSON.
///
/// # Panics
/// If it says nothing.
pub fn probe(file: &Path, what: &[&str]) -> Value {
    let program = std::env::var_os("CLEARFLEET_FFPROBE").unwrap_or_else(|| "ffprobe".into());
    let mut command = Command::new(program);
    command
        .args(["-v", "error", "-of", "json"])
        .args(what)
        .arg("-i")
        .arg(file);
    serde_json::from_str(&output(&mut command)).expect("ffprobe prints JSON")
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes a moving test picture of 64×48 at 25 frames a second, each frame unlike the others. What the name's extension
/// stands for decides the container, `encoding` the rest.
///
/// # Panics
/// If ffmpeg fails.
pub fn film(path: &Path, frames: u64, encoding: &[&str]) {
    film_of(path, "64x48", frames, encoding);
}

/// The same in another size.
///
/// # Panics
/// If ffmpeg fails.
pub fn film_of(path: &Path, size: &str, frames: u64, encoding: &[&str]) {
    let picture = format!("testsrc2=size={size}:rate=25");
    let frames = frames.to_string();
    let args = [
        "-f",
        "lavfi",
        "-i",
        &picture,
        "-frames:v",
        &frames,
        "-pix_fmt",
        "yuv420p",
    ];
    let args = args.iter().chain(encoding).map(OsStr::new);
    ffmpeg(args.chain([path.as_os_str()]));
}

/// Makes a photo of 24×16 pixels.
///
/// # Panics
/// If ffmpeg fails.
pub fn photo(path: &Path) {
    let args = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=24x16",
        "-frames:v",
        "1",
        "-update",
        "1",
    ];
    ffmpeg(args.iter().map(OsStr::new).chain([path.as_os_str()]));
}

/// The frames of a video stream as ffmpeg decodes them, neither dropped nor repeated.
#[derive(Clone, Debug)]
pub struct Frames {
    /// Length of a tick in seconds.
    pub tick: f64,
    /// Time of each frame in ticks.
    pub pts: Vec<i64>,
    /// How long the last frame is shown, in ticks.
    pub last: i64,
    /// A checksum of each frame's samples.
    pub sums: Vec<String>,
}

impl Frames {
    /// How long the video lasts in seconds, from its first frame to the end of its last.
    pub fn lasts(&self) -> f64 {
        let span = self
            .pts
            .first()
            .zip(self.pts.last())
            .map_or(0, |(first, last)| last + self.last - first);
        span as f64 * self.tick
    }

    /// Time of a frame in seconds.
    pub fn seconds(&self, frame: usize) -> f64 {
        self.pts[frame] as f64 * self.tick
    }
}

/// Decodes stream `index` of a file.
///
/// # Panics
/// If ffmpeg fails.
pub fn decoded(file: &Path, index: usize) -> Frames {
    let map = format!("0:{index}");
    let read = ["-copyts", "-noautorotate", "-i"].map(OsStr::new);
    let write = [
        "-map",
        &map,
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "-1",
        "-f",
        "framecrc",
        "-",
    ];
    let listed = ffmpeg(read.into_iter().chain([file.as_os_str()]).chain(write.map(OsStr::new)));
    let mut frames = Frames {
        tick: 0.0,
        pts: Vec::new(),
        last: 0,
        sums: Vec::new(),
    };
    for line in listed.lines() {
        if let Some(base) = line.strip_prefix("#tb 0: ") {
            let (num, den) = base.split_once('/').expect("a time base is a fraction");
            let number = |text: &str| text.trim().parse::<f64>().expect("a time base is of numbers");
            frames.tick = number(num) / number(den);
        } else if !line.starts_with('#') {
            // stream, dts, pts, duration, size, checksum
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            frames.pts.push(fields[2].parse().expect("a frame has a time"));
            frames.last = fields[3].parse().expect("a frame has a duration");
            frames.sums.push(fields[5].to_owned());
        }
    }
    frames
}
