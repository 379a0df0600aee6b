//! Flags and commands.

use std::{
    io::{Write, stdout},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args as ClapArgs, Parser, Subcommand};
use vdsr::{
    Dataset, Engine, EngineKind, EngineOptions, FrameUpscaler, Geometry, Method, Precision, Row, Size, Weights,
    build_engine, evaluate, load_picture, picture_from_planes, picture_to_planes, save_picture,
};

use crate::bench::Bench;

/// Super resolution by a very deep network (VDSR, CVPR 2016).
#[derive(Debug, Parser)]
#[command(name = "vdsr", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure bicubic and the network on a folder of pictures.
    Eval(Eval),
    /// Enlarge a still picture.
    Upscale(Upscale),
    /// Measure the speed of an engine.
    Bench(Bench),
}

/// Which engine computes, and with what.
#[derive(Debug, ClapArgs)]
pub(crate) struct EngineArgs {
    /// What enlarges luma.
    #[arg(long, env = "VDSR_ENGINE", value_enum, default_value_t = EngineKind::Cpu)]
    engine: EngineKind,
    /// Arithmetic of the engine cpu.
    #[arg(long, env = "VDSR_PRECISION", value_enum, default_value_t = Precision::F32)]
    precision: Precision,
    /// Weights as safetensors; without it those that are built in.
    #[arg(long, env = "VDSR_WEIGHTS", value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Edge of a tile, or width of a strip of the engine cpu, in pixels of the result; without it the engine's own choice.
    #[arg(long, env = "VDSR_TILE", value_name = "PIXELS")]
    tile: Option<u32>,
    /// How long the engine "wait" sleeps for each plane.
    #[arg(long, env = "VDSR_WAIT_MS", value_name = "MILLISECONDS", default_value_t = 20)]
    wait_ms: u64,
}

#[derive(Debug, ClapArgs)]
struct Eval {
    /// Folder of pictures (.png .webp .bmp .jpg .jpeg .tif).
    #[arg(long, env = "VDSR_DATA", value_name = "DIR")]
    data: PathBuf,
    /// Factors of enlargement, separated by commas.
    #[arg(long, env = "VDSR_SCALE", value_delimiter = ',', default_value = "2,3,4",
          value_parser = clap::value_parser!(u32).range(1..=8))]
    scale: Vec<u32>,
    /// Print one JSON object a line in place of a table.
    #[arg(long, env = "VDSR_JSON")]
    json: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Debug, ClapArgs)]
struct Upscale {
    /// The picture to enlarge.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Where the result goes; its ending names the format.
    #[arg(value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Replace OUT if it exists.
    #[arg(long, env = "VDSR_OVERWRITE")]
    overwrite: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

/// How large the result shall be.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// Factor of enlargement, 1 to 8, whole or not.
    #[arg(long, value_parser = factor)]
    scale: Option<f64>,
    /// Width and height of the result in pixels, such as 1920x1080.
    #[arg(long, value_name = "WxH")]
    size: Option<Size>,
}

/// A factor that is possible.
fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    let any = Size { width: 1, height: 1 };
    Geometry::scaled(any, factor).map(|_| factor).map_err(|e| e.to_string())
}

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        match self.command {
            Command::Eval(eval) => eval.run(),
            Command::Upscale(upscale) => upscale.run(),
            Command::Bench(bench) => bench.run(),
        }
    }
}

impl EngineArgs {
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    fn build(&self) -> Result<Arc<dyn Engine>> {
        self.build_with(&self.weights()?)
    }

    pub(crate) fn weights(&self) -> Result<Weights> {
        match &self.weights {
            Some(path) => Weights::load(path).with_context(|| format!("the weights {}", path.display())),
            None => Ok(Weights::embedded()?),
        }
    }

    pub(crate) fn build_with(&self, weights: &Weights) -> Result<Arc<dyn Engine>> {
        let wait = Duration::from_millis(self.wait_ms);
        Ok(build_engine(
            &EngineOptions {
                kind: self.engine,
                precision: self.precision,
                tile: self.tile,
                wait,
            },
            weights,
        )?)
    }
}

impl Eval {
    fn run(&self) -> Result<()> {
        let engine = self.engine.build()?;
        let dataset = Dataset::open(&self.data)?;
        let mut out = stdout().lock();
        for (index, scale) in self.scale.iter().enumerate() {
            let rows = evaluate(&*engine, &dataset, *scale)?;
            if index == 0 && !self.json {
                let heads = ["dataset", "scale", "method", "PSNR dB", "SSIM", "better"];
                write_cells(&mut out, heads)?;
            }
            for row in rows {
                if self.json {
                    writeln!(out, "{}", serde_json::to_string(&row)?)?;
                } else {
                    write_row(&mut out, &row)?;
                }
            }
            out.flush()?;
        }
        Ok(())
    }
}

/// A line of the table for people; text on the left, numbers on the right.
fn write_cells(out: &mut impl Write, cells: [&str; 6]) -> Result<()> {
    let [dataset, scale, method, psnr, ssim, better] = cells;
    Ok(writeln!(
        out,
        "{dataset:<12} {scale:>5}  {method:<8} {psnr:>9} {ssim:>7} {better:>7}"
    )?)
}

fn write_row(out: &mut impl Write, row: &Row) -> Result<()> {
    let (method, better) = match row.method {
        Method::Bicubic => ("bicubic", String::new()),
        Method::Vdsr => ("vdsr", format!("{}/{}", row.better_than_bicubic, row.images)),
    };
    let (scale, psnr, ssim) = (
        row.scale.to_string(),
        format!("{:.3}", row.psnr),
        format!("{:.4}", row.ssim),
    );
    write_cells(out, [&row.dataset, &scale, method, &psnr, &ssim, &better])
}

impl Upscale {
    fn run(&self) -> Result<()> {
        // Looked at first, so that nobody waits for a result that is then refused.
        if self.output.exists() && !self.overwrite {
            bail!("{} exists; --overwrite replaces it", self.output.display());
        }
        let engine = self.engine.build()?;
        let (format, source) = picture_to_planes(load_picture(&self.input)?)?;
        let geometry = match (self.target.scale, self.target.size) {
            (Some(factor), None) => Geometry::scaled(format.size, factor)?,
            (None, Some(size)) => Geometry::new(format.size, size)?,
            _ => bail!("either --scale or --size is needed"),
        };
        let mut upscaler = FrameUpscaler::open(&*engine, format, geometry.target)?;
        let mut result = vec![0; upscaler.target_format().bytes()];
        upscaler.upscale(&source, &mut result, &())?;
        let picture = picture_from_planes(upscaler.target_format(), result)?;
        Ok(save_picture(&picture, &self.output, self.overwrite)?)
    }
}
