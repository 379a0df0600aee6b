//! What a person or a script is told of files on their way: a progress bar, or events as JSON, one a line.

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clearfleet_common::job::{JobId, State};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::ClientError;

/// Progress events are at least this far apart.
const EVENT_DISTANCE: Duration = Duration::from_secs(1);

/// Tells how it goes, on one channel.
pub(in crate::cli) struct Reporter {
    voice: Voice,
    /// Whether one file is on its way at a time, so that there is a bar.
    bar: Option<Mutex<Bar>>,
    counts: Mutex<Counts>,
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

struct Bar {
    bar: ProgressBar,
    stage: Option<Stage>,
    told: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    finished: usize,
    failed: usize,
}

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Stage {
    /// It is sent, in bytes.
    Upload,
    /// Its job is in this state, in frames or tiles.
    Job(State),
}

impl Reporter {
    /// A reporter; `one_by_one` says whether files are on their way one after the other.
    pub(in crate::cli) fn new(json: bool, quiet: bool, one_by_one: bool) -> Self {
        let voice = match (json, quiet) {
            (true, _) => Voice::Json,
            (false, true) => Voice::Errors,
            (false, false) => Voice::Person,
        };
        let bar = Bar {
            bar: ProgressBar::hidden(),
            stage: None,
            told: None,
        };
        Self {
            voice,
            bar: one_by_one.then(|| Mutex::new(bar)),
            counts: Mutex::default(),
        }
    }

    /// So much is done of a stage.
    pub(in crate::cli) fn progress(&self, input: &Path, stage: Stage, done: u64, total: u64, place: Option<u64>) {
        let Some(bar) = &self.bar else { return };
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        let new = bar.stage != Some(stage);
        match self.voice {
            Voice::Person => bar.show(stage, done, total, place),
            Voice::Json if new || bar.told.is_none_or(|told| told.elapsed() >= EVENT_DISTANCE) => {
                bar.told = Some(Instant::now());
                let (state, unit) = match stage {
                    Stage::Upload => (State::Uploading, "bytes"),
                    Stage::Job(state) => (state, "frames"),
                };
                print_event(&json!({
                    "event": "progress",
                    "input": input.display().to_string(),
                    "state": state,
                    "unit": unit,
                    "done": done,
                    "total": total,
                    "place_in_line": place,
                }));
            }
            Voice::Json | Voice::Errors => {}
        }
        bar.stage = Some(stage);
    }

    /// A file is at the server.
    pub(in crate::cli) fn submitted(&self, input: &Path, job: JobId) {
        self.clear();
        let input = input.display();
        match self.voice {
            Voice::Json => print_event(&json!({
                "event": "submitted",
                "input": input.to_string(),
                "job": job,
            })),
            Voice::Person => eprintln!("{input}: job {job}"),
            Voice::Errors => {}
        }
    }

    /// A result is in place, or, without one, all that was asked is done.
    pub(in crate::cli) fn finished(&self, input: &Path, job: JobId, output: Option<(&Path, u64)>, notes: &[String]) {
        self.clear();
        self.count(|counts| counts.finished += 1);
        let Some((output, bytes)) = output else { return };
        match self.voice {
            Voice::Json => print_event(&json!({
                "event": "finished",
                "input": input.display().to_string(),
                "job": job,
                "output": output.display().to_string(),
                "bytes": bytes,
                "notes": notes,
            })),
            Voice::Person => {
                eprintln!("{} → {} ({})", input.display(), output.display(), HumanBytes(bytes));
                notes.iter().for_each(|note| eprintln!("  note: {note}"));
            }
            Voice::Errors => {}
        }
    }

    /// A file failed, or the command did before its first.
    pub(in crate::cli) fn failed(&self, input: Option<&Path>, job: Option<JobId>, error: &ClientError) {
        self.clear();
        self.count(|counts| counts.failed += 1);
        let input = input.map(|input| input.display().to_string());
        let failure = error.failure();
        if self.voice == Voice::Json {
            print_event(&json!({
                "event": "failed",
                "input": input,
                "job": job,
                "code": failure.code,
                "message": failure.message,
                "causes": failure.causes,
                "details": failure.details,
                "ffmpeg": failure.ffmpeg,
            }));
            return;
        }
        let place = input.map(|input| format!("{input}: ")).unwrap_or_default();
        eprint!("{place}{}", described(error, job));
    }

    /// Something that passes, or that somebody should know, happened.
    pub(in crate::cli) fn said(&self, input: Option<&Path>, what: &str) {
        let input = input.map(|input| input.display().to_string());
        match self.voice {
            Voice::Json => print_event(&json!({ "event": "said", "input": input, "message": what })),
            Voice::Person | Voice::Errors => {
                let place = input.map(|input| format!("{input}: ")).unwrap_or_default();
                eprintln!("{place}{what}");
            }
        }
    }

    /// All files are through.
    pub(in crate::cli) fn summary(&self) {
        let Counts { finished, failed } = *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match self.voice {
            Voice::Json => print_event(&json!({ "event": "summary", "finished": finished, "failed": failed })),
            Voice::Person => eprintln!("{finished} done, {failed} failed"),
            Voice::Errors => {}
        }
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
            bar.bar.finish_and_clear();
            (bar.bar, bar.stage) = (ProgressBar::hidden(), None);
        }
    }
}

impl Bar {
    fn show(&mut self, stage: Stage, done: u64, total: u64, place: Option<u64>) {
        let known = |stage: Option<Stage>| matches!(stage, Some(Stage::Job(_)));
        if self.stage.is_none() || known(self.stage) != known(Some(stage)) {
            self.bar.finish_and_clear();
            let template = match stage {
                Stage::Upload => "  {wide_bar} {bytes}/{total_bytes} sent, {bytes_per_sec}",
                Stage::Job(_) => "  {wide_bar} {pos}/{len} {msg}",
            };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            self.bar = ProgressBar::new(total).with_style(style);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
        if let Stage::Job(state) = stage {
            let line = place
                .filter(|place| *place > 0)
                .map(|place| format!(", {place} come first"));
            self.bar.set_message(format!("{state}{}", line.unwrap_or_default()));
        }
    }
}

/// An error as a person reads it, each cause on a line of its own.
pub(in crate::cli) fn described(error: &ClientError, job: Option<JobId>) -> String {
    let failure = error.failure();
    let first = format!("{} [{}]\n", failure.message, failure.code);
    let causes = failure.causes.iter().map(|cause| format!("  because: {cause}\n"));
    let details = failure
        .details
        .iter()
        .map(|(name, value)| format!("  {name}: {value}\n"));
    let ffmpeg = failure.ffmpeg.iter().map(|line| format!("  ffmpeg: {line}\n"));
    let job = job.map(|job| format!("  job: {job}\n"));
    let lines = causes.chain(details).chain(ffmpeg).chain(job);
    std::iter::once(first).chain(lines).collect()
}

fn print_event(event: &Value) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading any more; the work goes on.
    let _ = writeln!(out, "{event}").and_then(|()| out.flush());
}
