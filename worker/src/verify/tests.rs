use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use clearfleet_common::ErrorCode;
use tempfile::TempDir;

use super::*;
use crate::media::serve::FileSource;

mod clips;
mod film;
mod kept;
mod stills;

static SERVER: LazyLock<Arc<SourceServer>> = LazyLock::new(|| SourceServer::start().unwrap());

/// A folder of a test's own and what it makes there.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs ffmpeg in the folder. Arguments are parted by spaces; a pair of backquotes keeps spaces.
    fn ffmpeg(&self, arguments: &str) {
        let parts = arguments.split('`').enumerate();
        let parts = parts.flat_map(|(n, part)| -> Vec<&str> {
            if n % 2 == 1 {
                vec![part]
            } else {
                part.split_whitespace().collect()
            }
        });
        let done = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y"])
            .args(parts)
            .current_dir(self.0.path())
            .output();
        let done = done.unwrap();
        assert!(
            done.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    fn verify(&self, source: &str, result: &str) -> Report {
        self.verify_stretch(source, result, Stretch::default()).unwrap()
    }

    fn verify_stretch(&self, source: &str, result: &str, stretch: Stretch) -> Result<Report> {
        verify_files(&self.path(source), &self.path(result), stretch)
    }
}

fn verify_files(source: &Path, result: &Path, stretch: Stretch) -> Result<Report> {
    verify(&VerifyRequest {
        source: Arc::new(FileSource::open(source)?),
        result: Arc::new(FileSource::open(result)?),
        source_name: "the source",
        result_name: "the result",
        server: &SERVER,
        limits: &Limits::default(),
        stop: &Stop::new(),
        stretch,
    })
}

fn of_verdict(report: &Report, verdict: Verdict) -> Vec<&'static str> {
    report
        .checks
        .iter()
        .filter(|c| c.verdict == verdict)
        .map(|c| c.name)
        .collect()
}

/// Names of the checks that differ, with the report on failure.
#[track_caller]
fn differs(report: &Report, names: &[&str]) {
    let wrong: Vec<&Check> = report.checks.iter().filter(|c| c.verdict == Verdict::Differs).collect();
    assert_eq!(of_verdict(report, Verdict::Differs), names, "{wrong:#?}");
    assert_eq!(report.holds(), names.is_empty());
}

fn check<'a>(report: &'a Report, name: &str) -> &'a Check {
    report
        .checks
        .iter()
        .find(|c| c.name == name)
        .unwrap_or_else(|| panic!("no check {name}: {report:#?}"))
}
