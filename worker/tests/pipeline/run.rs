//! What tests of the pipeline share: runs over local files, and what ffmpeg says of files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use clearfleet_common::Stop;
use clearfleet_common::config::Limits;
use clearfleet_common::job::{
    Codec, Container, EncodeSettings, Filters, JobId, Plan, Retouch, Scale, SourceIdentity, Stretch, Target,
};
use clearfleet_common::storage::PlanKey;
use clearfleet_worker::Result;
use clearfleet_worker::media::codec::Ffmpeg;
use clearfleet_worker::media::probe::{self, Probe};
use clearfleet_worker::media::serve::{FileSource, SourceServer};
use clearfleet_worker::steps::{FolderStore, JobContext, PlanRequest, Progress, assemble, plan, upscale};
use vdsr::{Engine, EngineKind, EngineOptions, Weights};

/// Runs ffmpeg, which has to succeed, and gives what it says. Arguments are parted by spaces.
#[track_caller]
pub(crate) fn ffmpeg(arguments: &str) -> String {
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{arguments}: {said}");
    said
}

/// What ffprobe says of a file. Arguments are parted by spaces.
pub(crate) fn ffprobe(arguments: &str, file: &Path) -> serde_json::Value {
    let done = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json"])
        .args(arguments.split_whitespace())
        .arg(file)
        .output()
        .unwrap();
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Frames of a file as ffmpeg decodes them: time in seconds and digest of the pixels.
pub(crate) fn frames(file: &Path, pix_fmt: &str) -> Vec<(f64, String)> {
    frames_by(&[], file, pix_fmt)
}

/// The same with options for the decoder.
pub(crate) fn frames_by(decoder: &[&str], file: &Path, pix_fmt: &str) -> Vec<(f64, String)> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-copyts", "-noautorotate"])
        .args(decoder)
        .arg("-i")
        .arg(file)
        .args([
            "-map",
            "0:V:0",
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "-1",
            "-pix_fmt",
            pix_fmt,
        ])
        .args(["-f", "framemd5", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let base = text
        .lines()
        .find_map(|l| l.strip_prefix("#tb 0: "))
        .unwrap_or_else(|| panic!("{file:?}: {text}"));
    let (num, den) = base.split_once('/').unwrap();
    let tick = num.parse::<f64>().unwrap() / den.parse::<f64>().unwrap();
    let rows = text.lines().filter(|l| !l.starts_with('#'));
    rows.map(|row| {
        let fields: Vec<&str> = row.split(',').map(str::trim).collect();
        (fields[2].parse::<f64>().unwrap() * tick, fields[5].to_owned())
    })
    .collect()
}

/// Times of a stream's packets in seconds.
pub(crate) fn packets(file: &Path, stream: &str) -> Vec<f64> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            "packet=pts_time",
            "-of",
            "csv=p=0",
        ])
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.trim_end_matches(',').parse().unwrap())
        .collect()
}

pub(crate) fn bicubic() -> Arc<dyn Engine> {
    let options = EngineOptions {
        kind: EngineKind::Bicubic,
        ..EngineOptions::default()
    };
    vdsr::build_engine(&options, &Weights::embedded().unwrap()).unwrap()
}

pub(crate) const PLAN: PlanKey = PlanKey {
    job: JobId::LOCAL,
    plan: 0,
};

pub(crate) struct Run {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) codec: Codec,
    pub(crate) container: Container,
    pub(crate) scale: f64,
    pub(crate) batch_frames: u64,
    pub(crate) stretch: Stretch,
    pub(crate) filters: Filters,
    pub(crate) retouches: Vec<Retouch>,
    pub(crate) exact: bool,
    pub(crate) deinterlace: bool,
}

impl Run {
    pub(crate) fn new(codec: Codec, container: Container, batch_frames: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            codec,
            container,
            scale: 1.0,
            batch_frames,
            stretch: Stretch::default(),
            filters: Filters::default(),
            retouches: Vec::new(),
            exact: false,
            deinterlace: false,
        }
    }

    pub(crate) fn result(&self) -> PathBuf {
        self.folder.path().join("result")
    }

    pub(crate) fn upscale(&self, source: &Path) -> Result<PathBuf> {
        let (job, probe, planned) = self.plan(source)?;
        let progress: Arc<dyn Progress> = Arc::new(());
        upscale(&job, &planned, &*bicubic(), &mut batches(&planned), &progress)?;
        assemble(&job, &planned, &probe, &self.result())?;
        Ok(self.result())
    }

    pub(crate) fn plan(&self, source: &Path) -> Result<(JobContext, Probe, Arc<Plan>)> {
        self.plan_after(source, &[])
    }

    /// Plans the number after those of earlier plans.
    pub(crate) fn plan_after(&self, source: &Path, earlier: &[u32]) -> Result<(JobContext, Probe, Arc<Plan>)> {
        let server = SourceServer::start()?;
        let served = Arc::new(server.register(Arc::new(FileSource::open(source)?)));
        let limits = Limits::default();
        let stop = Stop::new();
        let probe = probe::probe(&served, &limits, &stop)?;
        let job = JobContext {
            meter: Arc::new(()),
            store: Arc::new(FolderStore::open(self.folder.path().join("state"))?),
            key: PlanKey {
                plan: earlier.len() as u32,
                ..PLAN
            },
            server,
            codec: Arc::new(Ffmpeg),
            source: served,
            limits,
            stop,
            worker: "test".to_owned(),
        };
        let request = PlanRequest {
            target: Target::Factor(Scale::new(self.scale).unwrap()),
            encode: EncodeSettings {
                codec: self.codec,
                crf: None,
                preset: None,
                container: self.container,
            },
            stretch: self.stretch,
            filters: self.filters,
            retouches: self.retouches.clone(),
            deinterlace: self.deinterlace,
            source: SourceIdentity {
                bytes: 1,
                tag: String::new(),
            },
            engine: "bicubic".to_owned(),
            pixels_per_second: 1e6,
            batch_frames: Some(self.batch_frames),
            exact: self.exact,
            earlier: earlier.to_vec(),
        };
        let planned = plan(&job, &probe, &request)?;
        Ok((job, probe, planned))
    }
}

pub(crate) fn batches(plan: &Plan) -> std::ops::Range<u64> {
    0..plan.batches.len() as u64
}

/// The shared clips, or nothing where they are not beside the repository.
pub(crate) fn clips() -> Option<PathBuf> {
    let shared = std::env::var_os("CLEARFLEET_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"));
    let clips = shared.join("clips/good");
    if clips.is_dir() {
        return Some(clips);
    }
    println!("skipped: {} is not there", clips.display());
    None
}
