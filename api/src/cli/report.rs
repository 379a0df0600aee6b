//! What a person or a script is told: a progress bar, or events as JSON, one a line.

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clearfleet_common::job::{Marker, Plan};
use clearfleet_worker::Error;
use clearfleet_worker::steps::Progress;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

/// Progress events are at least this far apart.
const EVENT_DISTANCE: Duration = Duration::from_secs(1);

/// A result that is in place.
pub(super) struct Finished {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// What the result does not hold as the source did.
    pub(super) notes: Vec<String>,
}

/// Tells how the work goes, on one channel.
pub(super) struct Reporter {
    voice: Voice,
    current: Mutex<Current>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Voice {
    /// To a person, on standard error.
    Person,
    /// To a script, on standard output.
    Json,
    /// Errors only, to a person.
    Errors,
}

/// The input that is worked on, and the counts of those before.
struct Current {
    bar: ProgressBar,
    input: String,
    /// Frames of the video; nothing for a still picture, which counts tiles.
    frames: Option<u64>,
    /// Frames or tiles done, those of an earlier run included.
    done: u64,
    /// Of these, what this run did.
    done_now: u64,
    since: Instant,
    told: Option<Instant>,
    finished: usize,
    failed: usize,
    skipped: usize,
}

impl Reporter {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        let voice = match (json, quiet) {
            (true, _) => Voice::Json,
            (false, true) => Voice::Errors,
            (false, false) => Voice::Person,
        };
        let current = Current {
            bar: ProgressBar::hidden(),
            input: String::new(),
            frames: None,
            done: 0,
            done_now: 0,
            since: Instant::now(),
            told: None,
            finished: 0,
            failed: 0,
            skipped: 0,
        };
        Self {
            voice,
            current: Mutex::new(current),
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Work on an input begins; a video comes with its plan.
    pub(super) fn started(&self, input: &Path, output: &Path, length: &str, plan: Option<&Plan>) {
        let mut current = self.current();
        current.bar.finish_and_clear();
        let frames = plan.map(|plan| plan.batches.iter().map(|b| b.len()).sum());
        (current.input, current.frames) = (input.display().to_string(), frames);
        (current.done, current.done_now, current.since, current.told) = (0, 0, Instant::now(), None);
        match self.voice {
            Voice::Json => {
                let mut event = json!({
                    "event": "started",
                    "input": current.input,
                    "output": output.display().to_string(),
                    "kind": if plan.is_some() { "video" } else { "picture" },
                });
                if let (Value::Object(event), Some(plan)) = (&mut event, plan) {
                    event.extend(described(plan, frames));
                }
                print_event(&event);
            }
            Voice::Person => {
                eprintln!("{} ({length}) → {}", current.input, output.display());
                if let Some(plan) = plan {
                    let ((w, h), (tw, th)) = (plan.video.source_size, plan.video.target_size);
                    let frames = frames.unwrap_or(0);
                    eprintln!("  {w}x{h} → {tw}x{th}, {frames} frames, {} batches", plan.batches.len());
                    plan.notes.iter().for_each(|note| eprintln!("  note: {note}"));
                }
                current.bar = bar(frames);
            }
            Voice::Errors => {}
        }
    }

    /// All frames are done; the result is put together.
    pub(super) fn assembling(&self) {
        let current = self.current();
        match self.voice {
            Voice::Json => print_event(&json!({ "event": "assembling", "input": current.input })),
            Voice::Person => current.bar.set_message("putting the result together"),
            Voice::Errors => {}
        }
    }

    /// A result is in place.
    pub(super) fn finished(&self, input: &Path, finished: &Finished, took: Duration) {
        let mut current = self.current();
        current.bar.finish_and_clear();
        current.finished += 1;
        let video = current.frames.is_some();
        match self.voice {
            Voice::Json => print_event(&json!({
                "event": "finished",
                "input": input.display().to_string(),
                "frames": finished.frames,
                "bytes": finished.bytes,
                "seconds": rounded(took.as_secs_f64()),
                "notes": finished.notes,
            })),
            Voice::Person => {
                let seconds = took.as_secs_f64();
                let rate = if video {
                    format!(", {:.1} frames/s", finished.frames as f64 / seconds)
                } else {
                    String::new()
                };
                eprintln!("  done: {} in {seconds:.1} s{rate}", HumanBytes(finished.bytes));
                if !video {
                    finished.notes.iter().for_each(|note| eprintln!("  note: {note}"));
                }
            }
            Voice::Errors => {}
        }
    }

    /// A folder's file is neither picture nor video.
    pub(super) fn skipped(&self, input: &Path) {
        self.current().skipped += 1;
        let input = input.display();
        match self.voice {
            Voice::Json => print_event(&json!({ "event": "skipped", "input": input.to_string() })),
            Voice::Person => eprintln!("{input}: neither a picture nor a video, skipped"),
            Voice::Errors => {}
        }
    }

    /// An input failed, or the command did before its first.
    pub(super) fn failed(&self, input: Option<&Path>, error: &Error) {
        let mut current = self.current();
        current.bar.finish_and_clear();
        current.failed += 1;
        let input = input.map(|input| input.display().to_string());
        let causes = causes(error);
        if self.voice == Voice::Json {
            print_event(&json!({
                "event": "failed",
                "input": input,
                "code": error.code(),
                "message": error.message(),
                "causes": causes,
                "details": error.details(),
                "ffmpeg": error.ffmpeg(),
            }));
            return;
        }
        let place = input.map(|input| format!("{input}: ")).unwrap_or_default();
        eprintln!("{place}{} [{}]", error.message(), error.code());
        causes.iter().for_each(|cause| eprintln!("  because: {cause}"));
        let details = error.details().iter().filter(|(name, _)| **name != "resume");
        details.for_each(|(name, value)| eprintln!("  {name}: {value}"));
        error.ffmpeg().iter().for_each(|line| eprintln!("  ffmpeg: {line}"));
        if let Some(state) = error.details().get("resume") {
            eprintln!("  finished batches are kept in {state}; --resume goes on from there");
        }
    }

    /// All inputs are through.
    pub(super) fn summary(&self) {
        let Current {
            finished,
            failed,
            skipped,
            ..
        } = *self.current();
        match self.voice {
            Voice::Json => {
                let counts = json!({ "event": "summary", "finished": finished, "failed": failed, "skipped": skipped });
                print_event(&counts);
            }
            Voice::Person => eprintln!("{finished} done, {failed} failed, {skipped} skipped"),
            Voice::Errors => {}
        }
    }

    fn advanced(&self, current: &mut Current) {
        match self.voice {
            Voice::Person => current.bar.set_position(current.done),
            Voice::Json if current.told.is_none_or(|told| told.elapsed() >= EVENT_DISTANCE) => {
                current.told = Some(Instant::now());
                print_event(&current.event());
            }
            _ => {}
        }
    }
}

impl Current {
    fn event(&self) -> Value {
        let rate = self.done_now as f64 / self.since.elapsed().as_secs_f64().max(1e-9);
        let left = self
            .frames
            .map(|frames| frames.saturating_sub(self.done) as f64 / rate.max(1e-9));
        json!({
            "event": "progress",
            "input": self.input,
            "frames_done": self.done,
            "frames": self.frames,
            "frames_per_second": rounded(rate),
            "seconds_left": left.map(rounded),
        })
    }
}

impl Progress for Reporter {
    fn tile_done(&self, done: usize, total: usize) {
        let mut current = self.current();
        if current.frames.is_some() {
            return;
        }
        if self.voice == Voice::Person {
            current.bar.set_length(total as u64);
            current.bar.set_position(done as u64);
        } else if self.voice == Voice::Json && current.told.is_none_or(|told| told.elapsed() >= EVENT_DISTANCE) {
            current.told = Some(Instant::now());
            let event = json!({ "event": "progress", "input": current.input, "tiles_done": done, "tiles": total });
            print_event(&event);
        }
    }

    fn frame_done(&self) {
        let mut current = self.current();
        current.done += 1;
        current.done_now += 1;
        self.advanced(&mut current);
    }

    fn batch_found(&self, _batch: u64, marker: &Marker) {
        let mut current = self.current();
        current.done += marker.frames;
        self.advanced(&mut current);
    }

    fn batch_done(&self, batch: u64, marker: &Marker) {
        if self.voice == Voice::Json {
            let input = self.current().input.clone();
            print_event(&json!({
                "event": "batch_done",
                "input": input,
                "batch": batch,
                "frames": marker.frames,
                "bytes": marker.bytes,
                "timings": marker.timings,
            }));
        }
    }
}

fn described(plan: &Plan, frames: Option<u64>) -> Map<String, Value> {
    let size = |(width, height): (u32, u32)| format!("{width}x{height}");
    let fields = json!({
        "frames": frames,
        "batches": plan.batches.len(),
        "source_size": size(plan.video.source_size),
        "target_size": size(plan.video.target_size),
        "codec": plan.encoder.codec,
        "container": plan.container,
        "notes": plan.notes,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn bar(frames: Option<u64>) -> ProgressBar {
    let template = match frames {
        Some(_) => "  {wide_bar} {pos}/{len} frames, {per_sec}, {eta} left {msg}",
        None => "  {wide_bar} {pos}/{len} tiles, {eta} left",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let style = style.with_key(
        "eta",
        |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            // A failed write to the bar's own buffer is of no consequence.
            let _ = write!(out, "{}", HumanDuration(state.eta()));
        },
    );
    ProgressBar::new(frames.unwrap_or(0)).with_style(style)
}

fn causes(error: &Error) -> Vec<String> {
    let first = std::error::Error::source(error);
    std::iter::successors(first, |e| e.source())
        .map(ToString::to_string)
        .collect()
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn print_event(event: &Value) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading any more; the work goes on.
    let _ = writeln!(out, "{event}").and_then(|()| out.flush());
}
