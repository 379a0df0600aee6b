//! The command `bench`: how fast an engine is, in the terms that other engines are measured in.

use std::{io::Write, io::stdout, time::Instant};

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use serde::Serialize;
use vdsr::{Engine, EngineKind, EngineOptions, Geometry, Plane, Size, Weights, build_engine};

use crate::cli::EngineArgs;

/// The longest side of the plane that is compared with the reference engine, which is slow.
const COMPARED: u32 = 192;

#[derive(Debug, ClapArgs)]
pub(crate) struct Bench {
    /// Size of the plane that the network is run on.
    #[arg(long, env = "VDSR_SIZE", value_name = "WxH", default_value = "512x512")]
    size: Size,
    /// Threads; without it one for each core.
    #[arg(long, env = "VDSR_THREADS", value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Planes that are timed, after one that is not.
    #[arg(long, env = "VDSR_RUNS", value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Print a JSON object in place of a line for people.
    #[arg(long, env = "VDSR_JSON")]
    json: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Measured {
    /// Engine and precision.
    engine: String,
    fingerprint: String,
    size: String,
    threads: usize,
    best_s: f64,
    median_s: f64,
    /// Megapixels of output in a second of the median.
    mpx_per_s: f64,
    /// Effective: the operations of direct convolution, however the engine gets there.
    gflops: f64,
    /// The largest difference to the reference engine, luma from 0 to 1.
    max_abs_diff: f32,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build();
        let measured = pool.context("threads")?.install(|| self.measure())?;
        let mut out = stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(&measured)?)?;
        } else {
            writeln!(
                out,
                "{}: median {:.4} s, best {:.4} s, {:.3} Mpx/s, {:.1} GFLOP/s, at most {:.1e} off the reference",
                measured.fingerprint,
                measured.median_s,
                measured.best_s,
                measured.mpx_per_s,
                measured.gflops,
                measured.max_abs_diff
            )?;
        }
        Ok(())
    }

    fn measure(&self) -> Result<Measured> {
        let weights = self.engine.weights()?;
        let engine = self.engine.build_with(&weights)?;
        let mut seconds = self.time(&*engine)?;
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        let pixels = self.size.pixels() as f64;
        let products: usize = weights.layers().iter().map(|layer| layer.weight.len()).sum();
        Ok(Measured {
            engine: format!("{}-{}", engine.kind(), self.engine.precision()),
            fingerprint: engine.fingerprint(),
            size: self.size.to_string(),
            threads: rayon::current_num_threads(),
            best_s: seconds[0],
            median_s: median,
            mpx_per_s: pixels / median / 1e6,
            gflops: 2.0 * products as f64 * pixels / median / 1e9,
            max_abs_diff: self.difference(&*engine, &weights)?,
        })
    }

    /// Seconds of each run.
    fn time(&self, engine: &dyn Engine) -> Result<Vec<f64>> {
        let source = noise(self.size);
        let mut target = Plane::new(self.size, 0.0);
        let mut session = engine.open(Geometry::new(self.size, self.size)?)?;
        let mut run = || {
            let start = Instant::now();
            session.upscale(&source, &mut target, &())?;
            Ok(start.elapsed().as_secs_f64())
        };
        run()?;
        (0..self.runs).map(|_| run()).collect()
    }

    fn difference(&self, engine: &dyn Engine, weights: &Weights) -> Result<f32> {
        let size = Size::new(self.size.width.min(COMPARED), self.size.height.min(COMPARED))?;
        let reference = EngineOptions {
            kind: EngineKind::Reference,
            ..EngineOptions::default()
        };
        let reference = build_engine(&reference, weights)?;
        let [expected, found] = [&*reference, engine].map(|engine| {
            let mut target = Plane::new(size, 0.0);
            let mut session = engine.open(Geometry::new(size, size)?)?;
            session.upscale(&noise(size), &mut target, &())?;
            anyhow::Ok(target)
        });
        let (expected, found) = (expected?, found?);
        let pairs = expected.data().iter().zip(found.data());
        Ok(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
    }
}

/// A plane of noise from 0 to 1.
fn noise(size: Size) -> Plane<f32> {
    let mut state = 1u32;
    let mut plane = Plane::new(size, 0.0);
    for sample in plane.data_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample = (state >> 8) as f32 / (1 << 24) as f32;
    }
    plane
}
