mod damaged;
mod files;
mod results;

use std::io;
use std::process::Command;
use std::sync::Arc;

use clearfleet_common::Stop;
use clearfleet_common::config::Limits;
use clearfleet_common::job::{Container, EncodeSettings, Filters, JobId, Plan, Scale, SourceIdentity, Stretch, Target};
use clearfleet_common::storage::PlanKey;
use vdsr::{Engine, EngineKind, EngineOptions, Weights, build_engine};

use super::canvas::Disposal::{Clear, Keep, Restore};
use super::timing::Delay;
use crate::Result;
use crate::media::codec::Ffmpeg;
use crate::media::probe::{self, Probe};
use crate::media::serve::{SourceBytes, SourceServer};
use crate::steps::{FolderStore, JobContext, PlanRequest, Progress, assemble, plan, upscale};
use files::{Found, Step, apng, found, gif, webp};

/// A source in memory.
struct Memory(Vec<u8>);

impl SourceBytes for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        // Short, as a network is.
        let read = rest.len().min(buffer.len()).min(50);
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

fn bicubic() -> Arc<dyn Engine> {
    let options = EngineOptions {
        kind: EngineKind::Bicubic,
        ..EngineOptions::default()
    };
    build_engine(&options, &Weights::embedded().unwrap()).unwrap()
}

/// A job in a folder of its own, planned.
struct Job {
    folder: tempfile::TempDir,
    context: JobContext,
    probe: Probe,
    plan: Arc<Plan>,
}

impl Job {
    fn planned(source: Vec<u8>, container: Container, scale: f64) -> Result<Self> {
        let folder = tempfile::tempdir().unwrap();
        let server = SourceServer::start()?;
        let source = Arc::new(server.register(Arc::new(Memory(source))));
        let probe = probe::probe(&source, &Limits::default(), &Stop::new())?;
        let context = JobContext {
            meter: Arc::new(()),
            store: Arc::new(FolderStore::open(folder.path().join("state"))?),
            key: PlanKey {
                job: JobId::LOCAL,
                plan: 0,
            },
            server,
            codec: Arc::new(Ffmpeg),
            source,
            limits: Limits::default(),
            stop: Stop::new(),
            worker: "test".to_owned(),
        };
        let request = PlanRequest {
            target: Target::Factor(Scale::new(scale).unwrap()),
            encode: EncodeSettings {
                codec: container.default_codec(),
                crf: None,
                preset: None,
                container,
            },
            stretch: Stretch::default(),
            filters: Filters::default(),
            retouches: Vec::new(),
            deinterlace: false,
            source: SourceIdentity {
                bytes: 1,
                tag: String::new(),
            },
            engine: "bicubic".to_owned(),
            pixels_per_second: 1e6,
            batch_frames: Some(4),
            exact: false,
            earlier: Vec::new(),
        };
        let plan = plan(&context, &probe, &request)?;
        Ok(Self {
            folder,
            context,
            probe,
            plan,
        })
    }

    fn finished(self) -> Result<Vec<u8>> {
        let progress: Arc<dyn Progress> = Arc::new(());
        let mut batches = 0..self.plan.batches.len() as u64;
        upscale(&self.context, &self.plan, &*bicubic(), &mut batches, &progress)?;
        let result = self.folder.path().join("result");
        assemble(&self.context, &self.plan, &self.probe, &result)?;
        Ok(std::fs::read(result).unwrap())
    }
}

fn upscaled(source: Vec<u8>, container: Container, scale: f64) -> Result<Vec<u8>> {
    Job::planned(source, container, scale)?.finished()
}

/// ImageMagick's `convert`, where it is installed.
pub(crate) fn imagemagick() -> Option<&'static str> {
    let known = ["magick", "convert-im6", "convert-im6.q16"];
    let found = known.into_iter().find(|program| {
        let asked = Command::new(program).arg("-version").output();
        asked.is_ok_and(|asked| String::from_utf8_lossy(&asked.stdout).contains("ImageMagick"))
    });
    if found.is_none() {
        println!("skipped: ImageMagick is not installed (apt-get install imagemagick)");
    }
    found
}

const fn cs(hundredths: u16) -> Delay {
    Delay::hundredths(hundredths)
}

/// Each way to dispose of a frame, holes, a frame that changes nothing, and delays that browsers take for mistakes.
const STEPS: [Step; 7] = [
    (0, 0, &["RRRRRRRR", "RRRRRRRR", "RRRRRRRR", "RRRRRRRR"], Keep, cs(10)),
    (2, 0, &["BBB", "BBB"], Clear, cs(1)),
    (0, 0, &["GG", "G.", "GG"], Restore, cs(0)),
    (4, 2, &["WWWW", "WWWW"], Keep, cs(7)),
    (2, 0, &["B.B.", "..BB", ".B.B"], Restore, cs(300)),
    (0, 2, &["........", "KKKKKKKK"], Clear, cs(3)),
    (6, 0, &["R"], Keep, cs(33)),
];

/// What is shown of [`STEPS`], worked out by hand.
const SHOWN: [[&str; 4]; 7] = [
    ["RRRRRRRR", "RRRRRRRR", "RRRRRRRR", "RRRRRRRR"],
    ["RRBBBRRR", "RRBBBRRR", "RRRRRRRR", "RRRRRRRR"],
    ["GG...RRR", "GR...RRR", "GGRRRRRR", "RRRRRRRR"],
    ["RR...RRR", "RR...RRR", "RRRRWWWW", "RRRRWWWW"],
    ["RRB.BRRR", "RR..BBRR", "RRRBWBWW", "RRRRWWWW"],
    ["RR...RRR", "RR...RRR", "RRRRWWWW", "KKKKKKKK"],
    ["RR...RRR", "RR...RRR", "........", "........"],
];

/// Delays of [`STEPS`] in milliseconds: as stated, and as browsers show them.
const STATED: [u32; 7] = [100, 10, 0, 70, 3000, 30, 330];
const WAITED: [u32; 7] = [100, 100, 100, 70, 3000, 30, 330];
