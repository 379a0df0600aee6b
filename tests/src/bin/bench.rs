//! Measures speed and memory of the built program `clearfleet`, from outside. `make bench` runs it, and with `--fleet`, for
//! a server and many workers on one machine, `make bench-fleet`, with `--page`, for what the page waits for, `make bench-page`.
//!
//! Standard output gets the machine, then one JSON object a line for each figure; standard error gets progress. Whether
//! goals are met does not change the exit code: it is 0 if everything could be measured.

#[path = "../bench/mod.rs"]
mod bench;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bench::{BENCHMARKS, Bench, Benchmark, Report, fleet, interrupt, page};
use clap::Parser;
use clap::builder::PossibleValuesParser;

/// Measures speed and memory of the program `clearfleet`.
///
/// Takes about a quarter of an hour on two cores that are otherwise idle; other work beside it spoils the figures, and
/// the field `others_cores` says how much of it there was.
#[derive(Debug, Parser)]
struct Args {
    /// Measure a fleet on a RabbitMQ and a MinIO of its own, in place of the program alone: some minutes.
    #[arg(long, env = "CLEARFLEET_BENCH_FLEET")]
    fleet: bool,
    /// Measure what people wait for in the page, in place of all else.
    #[arg(long, env = "CLEARFLEET_BENCH_PAGE", conflicts_with = "fleet")]
    page: bool,
    /// Measure only this; may be given several times, or with commas.
    #[arg(long, env = "CLEARFLEET_BENCH_ONLY", value_name = "NAME", value_delimiter = ',', value_parser = names())]
    only: Vec<String>,
    /// Shorter clips and fewer runs: to see that it works rather than how fast.
    #[arg(long, env = "CLEARFLEET_BENCH_QUICK")]
    quick: bool,
    /// The network on the picture of 8000x6000 pixels too, which takes half an hour and more.
    #[arg(long, env = "CLEARFLEET_BENCH_SLOW")]
    slow: bool,
    /// The program to measure [default: the one beside this program].
    #[arg(long, env = "CLEARFLEET_BIN", value_name = "FILE")]
    program: Option<PathBuf>,
}

fn names() -> PossibleValuesParser {
    let all = BENCHMARKS.iter().chain(&fleet::BENCHMARKS).chain(&page::BENCHMARKS);
    all.map(|benchmark| benchmark.name).collect::<Vec<_>>().into()
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(missing) if missing.is_empty() => ExitCode::SUCCESS,
        Ok(missing) => {
            eprintln!("bench: could not be measured: {}", missing.join(", "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what was asked for; returns the names of what could not be measured.
fn run(args: &Args) -> anyhow::Result<Vec<&'static str>> {
    interrupt::listen()?;
    let bench = Bench::prepare(args.program.clone(), args.quick, args.slow)?;
    let mut report = Report::default();
    report.machine(&bench)?;
    let mut missing = Vec::new();
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let all: &[Benchmark] = match args {
        Args { fleet: true, .. } => &fleet::BENCHMARKS,
        Args { page: true, .. } => &page::BENCHMARKS,
        _ => &BENCHMARKS,
    };
    for benchmark in all.iter().filter(|benchmark| wanted(benchmark.name)) {
        eprintln!("bench: {}", benchmark.name);
        report.begin();
        let measured = (benchmark.measure)(&bench, &report);
        interrupt::check()?;
        if let Err(error) = measured {
            eprintln!("bench: {}: {error:#}", benchmark.name);
            report.missing(benchmark.name, &error).context("standard output")?;
            missing.push(benchmark.name);
        }
    }
    Ok(missing)
}
