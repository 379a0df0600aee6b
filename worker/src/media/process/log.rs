//! What a child says on stderr, sorted by its level.
//!
//! ffmpeg-sidecar's parser is not asked: it takes lines about streams apart at bytes that may lie within a letter, and panics
//! then (2.7.0); what a stranger's file is called may be in such a line.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

use ffmpeg_sidecar::event::LogLevel;

/// How many of the last lines go into an error.
pub(in crate::media) const LAST_LINES: usize = 10;
/// How many lines a report keeps.
pub(in crate::media) const REPORTED_LINES: usize = 100;
/// Where a line without an end is broken, in bytes: a stranger's file may decide what is said.
pub(in crate::media) const LINE_BYTES: usize = 4096;

/// How ffmpeg, C++, x264 and x265, and SVT-AV1 say that there is no memory.
const OUT_OF_MEMORY: [&str; 4] = [
    "Cannot allocate memory",
    "bad_alloc",
    "malloc of size",
    "allocate memory failed",
];

/// What was said, bounded.
#[derive(Debug, Default)]
pub(in crate::media) struct Log {
    /// The last lines that say more than how things go, oldest first.
    pub(in crate::media) last: VecDeque<String>,
    /// The first warnings.
    pub(in crate::media) warnings: Vec<String>,
    /// The first errors.
    pub(in crate::media) errors: Vec<String>,
    /// Whether the child ran out of memory.
    pub(in crate::media) out_of_memory: bool,
}

/// Reads to the end. `url` is the source's address, which is nobody's business.
pub(in crate::media) fn read(stderr: impl Read, url: Option<&str>) -> Log {
    let mut log = Log::default();
    let mut lines = BufReader::new(Bounded { inner: stderr, line: 0 });
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let said = String::from_utf8_lossy(&line);
        log.add(&level(&said), &said, url);
        line.clear();
    }
    log
}

fn level(line: &str) -> LogLevel {
    let levels = [
        ("[info]", LogLevel::Info),
        ("[warning]", LogLevel::Warning),
        ("[error]", LogLevel::Error),
        ("[fatal]", LogLevel::Fatal),
    ];
    let found = levels.into_iter().find(|(mark, _)| line.contains(mark));
    found.map_or(LogLevel::Unknown, |(_, level)| level)
}

impl Log {
    fn add(&mut self, level: &LogLevel, line: &str, url: Option<&str>) {
        let Some(line) = clean(line, url).filter(|_| *level != LogLevel::Info) else {
            return;
        };
        self.out_of_memory |= OUT_OF_MEMORY.iter().any(|said| line.contains(said));
        match level {
            LogLevel::Error | LogLevel::Fatal if self.errors.len() < REPORTED_LINES => self.errors.push(line.clone()),
            LogLevel::Warning if self.warnings.len() < REPORTED_LINES => self.warnings.push(line.clone()),
            _ => {}
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

/// A line as a person should read it: without addresses in memory and the source's URL; nothing if it says nothing.
fn clean(line: &str, url: Option<&str>) -> Option<String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with("Last message repeated") {
        return None;
    }
    let mut text = match url {
        Some(url) => line.replace(url, "the source"),
        None => line.to_owned(),
    };
    while let Some(at) = text.find(" @ 0x") {
        let digits = text[at + 5..].bytes().take_while(u8::is_ascii_hexdigit).count();
        text.replace_range(at..at + 5 + digits, "");
    }
    Some(text)
}

/// A reader whose lines have an end, which is the same for all, and whose failure is an end.
struct Bounded<R> {
    inner: R,
    line: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match self.inner.read(buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
            Err(_) => 0,
        };
        for byte in &mut buffer[..n] {
            self.line += 1;
            if matches!(*byte, b'\n' | b'\r') || self.line == LINE_BYTES {
                *byte = b'\n';
                self.line = 0;
            }
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_and_cleaned() {
        let said = "[mov,mp4 @ 0x55d0c8b1a040] [error] moov atom not found\n\
                    [h264 @ 0x1] [warning] odd\n    Last message repeated 3 times\n\
                    [error] http://127.0.0.1:9/t: Invalid data\r\n\
                    x265 [info]: frame I: 1\nSvt[info]: SVT [config]: preset\n\
                    Stream #0:0: Video: h264, none, 0x0\n";
        let log = read(said.as_bytes(), Some("http://127.0.0.1:9/t"));
        assert_eq!(
            log.errors,
            [
                "[mov,mp4] [error] moov atom not found",
                "[error] the source: Invalid data"
            ]
        );
        assert_eq!(log.warnings, ["[h264] [warning] odd"]);
        assert_eq!(log.last.len(), 4);
        assert!(!log.out_of_memory);
    }

    #[test]
    fn a_line_about_a_stream_may_hold_any_letters() {
        let log = read(
            "[warning] é\n  Stream #0:0: Video: h264, yuv420é, 320x180\r".as_bytes(),
            None,
        );
        assert_eq!(log.last, ["[warning] é", "Stream #0:0: Video: h264, yuv420é, 320x180"]);
    }

    #[test]
    fn a_line_without_an_end_is_broken_and_only_the_last_lines_are_kept() {
        let log = read("x".repeat(LINE_BYTES * 20).as_bytes(), None);
        assert_eq!(log.last.len(), LAST_LINES);
        assert!(log.last.iter().all(|l| l.len() < LINE_BYTES));
        let many: String = (0..500).map(|n| format!("[warning] {n}\n")).collect();
        let log = read(many.as_bytes(), None);
        assert_eq!(log.warnings.len(), REPORTED_LINES);
        assert_eq!(log.last.back().map(String::as_str), Some("[warning] 499"));
    }
}
