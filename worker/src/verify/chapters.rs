//! Chapters: where they start and what they are called.

use clearfleet_common::config::Deadlines;
use clearfleet_common::{ErrorCode, Stop};
use serde_json::Value;
use std::io::Read;

use super::Check;
use super::times::Clock;
use super::video::Side;
use crate::media::input;
use crate::media::process::{Confinement, Launch, Program};
use crate::{Error, Result};

/// What ffprobe may say of chapters, in bytes.
const OUTPUT_BYTES: u64 = 16 << 20;
/// Seconds that a chapter may be off: containers count chapters in milliseconds.
const OFF: f64 = 1.0e-3 * 1.0005;

/// A chapter; times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chapter {
    start: f64,
    end: f64,
    title: String,
}

/// The chapters of a file.
///
/// # Errors
/// `InputDamaged` if ffprobe cannot list them, `Stopped`.
pub(super) fn chapters(side: &Side<'_>, stop: &Stop) -> Result<Vec<Chapter>> {
    if side.probe.chapters == 0 {
        return Ok(Vec::new());
    }
    let mut child = Launch::new(Program::Ffprobe, &Confinement::reading(&side.served))?
        .args(["-print_format", "json", "-show_chapters"])
        .args(input::source_arguments(&side.served, side.probe.demuxer))
        .piped_stdout()
        .spawn(stop, Deadlines::longest())?;
    let mut said = Vec::new();
    let broke = |e| Error::new(ErrorCode::InputDamaged, "ffprobe's answer broke off").because(e);
    if let Some(stdout) = child.take_stdout() {
        stdout.take(OUTPUT_BYTES).read_to_end(&mut said).map_err(broke)?;
    }
    child.finish(ErrorCode::InputDamaged, "reading the chapters")?;
    let no_json = |e| Error::new(ErrorCode::InputDamaged, "ffprobe's answer is no JSON").because(e);
    let root: Value = serde_json::from_slice(&said).map_err(no_json)?;
    let seconds = |value: &Value| value.as_str().and_then(|s| s.parse::<f64>().ok());
    let chapter = |c: &Value| {
        let title = c["tags"]["title"].as_str().unwrap_or_default().to_owned();
        Some(Chapter {
            start: seconds(&c["start_time"])?,
            end: seconds(&c["end_time"])?,
            title,
        })
    };
    Ok(root["chapters"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(chapter)
        .collect())
}

/// The check `chapters`. `length` is that of the stretch, if the result is one.
pub(super) fn check(
    source: &[Chapter],
    result: &[Chapter],
    clock: Clock,
    length: Option<f64>,
    held: bool,
) -> Option<Check> {
    let inside = |c: &&Chapter| length.is_none_or(|l| c.end - clock.zero > 0.0 && c.start - clock.zero < l);
    let expected: Vec<(f64, &str)> = source
        .iter()
        .filter(inside)
        .map(|c| {
            (
                if length.is_some() {
                    (c.start - clock.zero).max(0.0)
                } else {
                    c.start
                },
                c.title.as_str(),
            )
        })
        .collect();
    if expected.is_empty() && result.is_empty() {
        return None;
    }
    let found: Vec<(f64, &str)> = result.iter().map(|c| (c.start, c.title.as_str())).collect();
    // A muxer that makes everything later does not always say so to its chapters.
    let at = |a: f64, b: f64| (a - b).abs() <= OFF || (a + clock.shift - b).abs() <= OFF;
    let alike = |(a, b): (&(f64, &str), &(f64, &str))| at(a.0, b.0) && a.1 == b.1;
    let holds = expected.len() == found.len() && expected.iter().zip(&found).all(alike);
    let shown = |list: &[(f64, &str)]| {
        let each: Vec<String> = list.iter().map(|(t, title)| format!("{t:.3} s {title:?}")).collect();
        if each.is_empty() {
            "none".to_owned()
        } else {
            format!("{}: {}", each.len(), each.join(", "))
        }
    };
    let method = "the starts of all chapters were compared, to 1 ms, and their titles; their ends were not, because MP4 ends one \
                  where the next starts";
    Some(Check::new("chapters", method, shown(&expected), shown(&found), holds).named_if(!held && found.is_empty()))
}
