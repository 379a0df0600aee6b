//! `clearfleet verify`: a source and its result against each other.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clearfleet_common::ErrorCode;
use clearfleet_common::config::Limits;
use clearfleet_common::job::Stretch;
use clearfleet_worker::Result;
use clearfleet_worker::media::serve::SourceServer;
use clearfleet_worker::verify::{Report, Verdict, VerifyRequest, verify};

use super::exit::exit_code;
use super::interrupt::Interrupt;
use super::local;
use super::report::Reporter;
use super::values::moment;
use clearfleet_worker::cli::LimitArgs;

/// Decode a source and its result, and check them against each other.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// What was upscaled.
    source: PathBuf,
    /// What came of it.
    result: PathBuf,
    /// Where in the source the result begins, if it is of a stretch.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start: Option<f64>,
    /// Where in the source the result ends.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    end: Option<f64>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Runs the command.
pub(super) fn run(args: &VerifyArgs) -> ExitCode {
    let code = match compare(args) {
        Ok(report) => {
            print(args, &report);
            if report.holds() {
                0
            } else {
                exit_code(ErrorCode::VerifyMismatch)
            }
        }
        Err(e) => {
            Reporter::new(args.json, false).failed(None, &e);
            exit_code(e.code())
        }
    };
    ExitCode::from(code)
}

fn compare(args: &VerifyArgs) -> Result<Report> {
    let limits = Limits::from(args.limits);
    let interrupt = Interrupt::listen()?;
    let (source_name, result_name) = (args.source.display().to_string(), args.result.display().to_string());
    verify(&VerifyRequest {
        source: local::open(&args.source, &limits)?,
        result: local::open(&args.result, &limits)?,
        source_name: &source_name,
        result_name: &result_name,
        server: &SourceServer::start()?,
        limits: &limits,
        stop: interrupt.stop(),
        stretch: Stretch {
            start: args.start,
            end: args.end,
        },
    })
}

fn print(args: &VerifyArgs, report: &Report) {
    if args.json {
        let verdict = if report.holds() { "holds" } else { "differs" };
        println!("{}", serde_json::json!({ "verdict": verdict, "checks": report.checks }));
        return;
    }
    for check in &report.checks {
        let verdict = match check.verdict {
            Verdict::Holds => "holds",
            Verdict::Differs => "DIFFERS",
            Verdict::Named => "named",
        };
        println!("{verdict:8} {:10} {} → {}", check.name, check.expected, check.found);
        println!("         how: {}", check.method);
    }
    let verdict = if report.holds() { "matches" } else { "does not match" };
    println!("{} {verdict} {}", args.result.display(), args.source.display());
}
