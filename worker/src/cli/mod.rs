//! The command line of workers: `clearfleet-worker run`, and what other commands that make engines share with it.

mod engine;
#[cfg(debug_assertions)]
mod fault;
mod limits;
mod monitor;
pub mod process;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clearfleet_common::telemetry::log_to_stderr;

pub use engine::{Device, Devices, EngineArgs};
pub use limits::LimitArgs;

/// A worker of a Clearfleet fleet.
#[derive(Debug, Parser)]
#[command(name = "clearfleet-worker", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take work from a broker until SIGTERM.
    Run(Box<run::RunArgs>),
}

/// Reads the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    process::few_arenas();
    let cli = Cli::parse();
    log_to_stderr("info");
    match cli.command {
        Command::Run(args) => run::run(&args),
    }
}
