//! What the bench measures, one module a theme, and what that needs: sources, processes under watch, the report.

mod engine;
pub(crate) mod fleet;
pub(crate) mod interrupt;
mod machine;
mod memory;
pub(crate) mod page;
mod pipeline;
mod planning;
mod process;
mod report;
mod service;
mod sources;

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use self::fleet::Ground;
use self::process::Call;
pub(crate) use self::report::Report;
use self::sources::Sources;

/// Something to measure; it reports one figure or several.
pub(crate) struct Benchmark {
    pub(crate) name: &'static str,
    pub(crate) measure: fn(&Bench, &Report) -> Result<()>,
}

/// All there is of one program, in the order it is measured in.
pub(crate) const BENCHMARKS: [Benchmark; 11] = [
    Benchmark {
        name: "pipeline_overhead_wait",
        measure: pipeline::overhead_wait,
    },
    Benchmark {
        name: "bicubic_rate_vs_ffmpeg",
        measure: pipeline::bicubic_rate_vs_ffmpeg,
    },
    Benchmark {
        name: "memory_long_vs_short",
        measure: memory::long_vs_short,
    },
    Benchmark {
        name: "still_8000x6000_peak_memory",
        measure: memory::still_8000x6000,
    },
    Benchmark {
        name: "engine_reference_seconds_per_megapixel",
        measure: engine::reference_seconds_per_megapixel,
    },
    Benchmark {
        name: "planning_share",
        measure: planning::share,
    },
    Benchmark {
        name: "plan_and_ledgers",
        measure: planning::size,
    },
    Benchmark {
        name: "service_upload",
        measure: service::upload,
    },
    Benchmark {
        name: "service_many_jobs",
        measure: service::many_jobs,
    },
    Benchmark {
        name: "service_photo_during_film",
        measure: service::photo_during_film,
    },
    Benchmark {
        name: "scheduler",
        measure: service::scheduler,
    },
];

/// What all measurements share.
pub(crate) struct Bench {
    program: PathBuf,
    quick: bool,
    slow: bool,
    sources: Sources,
    folder: TempDir,
    /// What fleets run on, once the first of them wants it.
    ground: OnceCell<Ground>,
}

impl Bench {
    /// Finds the program (by default the one beside this) and makes a folder for sources and results.
    pub(crate) fn prepare(program: Option<PathBuf>, quick: bool, slow: bool) -> Result<Self> {
        let program = match program {
            Some(program) => program,
            None => std::env::current_exe()?.with_file_name("clearfleet"),
        };
        ensure!(
            program.is_file(),
            "{} does not exist: run `cargo build --release -p clearfleet` first, or name it with --program",
            program.display()
        );
        let folder = TempDir::with_prefix("clearfleet-bench-").context("a folder for sources and results")?;
        Ok(Self {
            program,
            quick,
            slow,
            sources: Sources::new(folder.path()),
            folder,
            ground: OnceCell::new(),
        })
    }

    /// One number for thorough runs, the other for quick ones.
    fn pick(&self, thorough: u32, quick: u32) -> u32 {
        if self.quick { quick } else { thorough }
    }

    /// A path for a result; what an earlier run left there is removed.
    fn result(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("{} of an earlier run", path.display()))?;
        }
        Ok(path)
    }

    /// A call of `clearfleet upscale` that tells events, with `arguments` such as `--engine bicubic`.
    fn upscale(&self, source: &Path, result: &Path, arguments: &str) -> Call {
        Call::new(&self.program)
            .arg("upscale")
            .arg(source)
            .arg(result)
            .args(arguments.split_whitespace())
            .arg("--json")
    }
}
