//! What became of a film, in one row: frames, times, sound, streams, colours and shape of source and result, as ffmpeg and
//! ffprobe tell them.

mod file;

use std::fmt;
use std::path::Path;

use file::File;

/// Columns of a printed row, in characters.
const WIDTHS: [usize; 9] = [50, 11, 12, 10, 9, 24, 16, 12, 0];

/// A row: a source, its result, and how both compare.
#[derive(Debug)]
pub struct Row {
    name: String,
    /// Decoded frames of source and result.
    frames: (usize, usize),
    /// The largest difference of a frame's times, and the coarser tick, in seconds.
    pts: (f64, f64),
    /// How far sound lies from where it was against the first frame, in seconds; nothing where there is none.
    sound: Option<f64>,
    /// Streams of the source, of the result, and those that the notes name.
    streams: (usize, usize, usize),
    /// Tags and metadata of colour that differ, and are not named.
    colour: Vec<String>,
    /// What of size, shape of a pixel and turn differs, and is not named.
    shape: Vec<String>,
    /// Difference of what the videos last, from the first frame to the end of the last, in seconds.
    duration: f64,
    /// What a frame lasts on average, in seconds.
    frame: f64,
    /// Sounds, subtitles and other streams that did not come through as they were.
    other: Vec<String>,
}

impl Row {
    /// Compares a result of twice the size with its source; `notes` are what the program said is not kept.
    ///
    /// # Panics
    /// If ffmpeg cannot read one of them.
    pub fn of(source: &Path, result: &Path, notes: &[String]) -> Self {
        let (own, found) = (File::read(source), File::read(result));
        let (video, enlarged) = (own.video(), found.first_video());
        let (before, after) = (own.decoded(video), found.decoded(enlarged));
        let pairs = 0..before.pts.len().min(after.pts.len());
        let tick = before.tick.max(after.tick);
        let pts = pairs
            .map(|n| (before.seconds(n) - after.seconds(n)).abs())
            .fold(0.0, f64::max);
        let named = own.named(notes);
        let (first_before, first_after) = (before.seconds(0), after.seconds(0));
        let mut colour = file::colour(video, enlarged, notes);
        let alpha_is_named = notes.iter().any(|note| note.contains("transparency"));
        if own.is_transparent(video) && !found.is_transparent(enlarged) && !alpha_is_named {
            colour.push("transparency".to_owned());
        }
        let sound = own
            .sound(first_before, &named)
            .into_iter()
            .zip(found.sound(first_after, &[]));
        let frame = (before.seconds(before.pts.len() - 1) - first_before) / (before.pts.len().max(2) - 1) as f64;
        Self {
            name: source.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            frames: (before.pts.len(), after.pts.len()),
            pts: (pts, tick),
            sound: sound.map(|(a, b)| a.difference(&b)).reduce(f64::max),
            streams: (own.streams(), found.streams(), named.len()),
            colour,
            shape: file::shape(video, enlarged, notes),
            duration: (before.lasts() - after.lasts()).abs(),
            frame,
            other: own.lost(&found, &named),
        }
    }

    /// Frames of the source.
    pub fn frame_count(&self) -> usize {
        self.frames.0
    }

    /// Why it does not hold; nothing where it does.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                failures.push(what.to_owned());
            }
        };
        expect(self.frames.0 > 0 && self.frames.0 == self.frames.1, "frames");
        expect(self.pts.0 <= self.pts.1 * 1.0005, "times");
        expect(self.sound.is_none_or(|off| off <= 1.0005e-3), "sound");
        expect(self.streams.0 == self.streams.1 + self.streams.2, "streams");
        expect(self.duration <= self.frame + 1e-3, "duration");
        failures.extend([&self.colour, &self.shape, &self.other].into_iter().flatten().cloned());
        failures
    }

    /// The heading of a table of rows.
    pub fn heading() -> String {
        let columns = [
            "clip", "frames", "largest", "sound", "streams", "colour", "shape", "duration", "verdict",
        ];
        let units = ["", "in/out", "PTS error", "off by", "in/out", "", "", "off by", ""];
        format!(
            "{}\n{}",
            line(&columns.map(str::to_owned)),
            line(&units.map(str::to_owned))
        )
    }

    /// The row of a file that was refused, with its reason.
    pub fn refused(name: &str, reason: &str) -> String {
        let dash = || "-".to_owned();
        let verdict = format!("refused: {reason}");
        line(&[
            name.to_owned(),
            dash(),
            dash(),
            dash(),
            dash(),
            dash(),
            dash(),
            dash(),
            verdict,
        ])
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |seconds: f64| format!("{:.3} ms", 1e3 * seconds);
        let or_equal = |differs: &[String]| {
            if differs.is_empty() {
                "equal".to_owned()
            } else {
                differs.join(", ")
            }
        };
        let left_out = if self.streams.2 > 0 {
            format!(" +{}", self.streams.2)
        } else {
            String::new()
        };
        let failures = self.failures();
        f.write_str(&line(&[
            self.name.clone(),
            format!("{}/{}", self.frames.0, self.frames.1),
            millis(self.pts.0),
            self.sound.map_or("-".to_owned(), millis),
            format!("{}/{}{left_out}", self.streams.0, self.streams.1),
            or_equal(&self.colour),
            or_equal(&self.shape),
            millis(self.duration),
            if failures.is_empty() {
                "holds".to_owned()
            } else {
                format!("DIFFERS: {}", failures.join(", "))
            },
        ]))
    }
}

fn line(columns: &[String; 9]) -> String {
    let padded = columns.iter().zip(WIDTHS).map(|(text, width)| format!("{text:width$}"));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// The ending of a result for a source: its own container, or Matroska where that cannot be written; and options that save
/// time, but keep frames out of order, as players get them.
///
/// # Panics
/// If the source has no ending.
pub fn own_container(source: &Path) -> (&str, &'static [&'static str]) {
    let extension = source.extension().and_then(|e| e.to_str());
    match extension.expect("every clip has an ending") {
        "gif" => ("gif", &[]),
        "webm" => ("webm", &["--preset", "8"]),
        extension @ ("mp4" | "mov" | "mkv") => (extension, &["--preset", "veryfast"]),
        _ => ("mkv", &["--preset", "veryfast"]),
    }
}
