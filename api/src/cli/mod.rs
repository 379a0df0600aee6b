//! The command line: what it takes, and how it ends.

mod admin;
#[cfg(feature = "standalone")]
mod backup;
mod client;
mod exit;
#[cfg(feature = "standalone")]
mod interrupt;
mod keys;
#[cfg(feature = "standalone")]
mod local;
#[cfg(feature = "standalone")]
mod report;
#[cfg(feature = "standalone")]
mod restore;
#[cfg(feature = "standalone")]
mod serve;
mod submit;
#[cfg(feature = "standalone")]
mod upscale;
mod values;
#[cfg(feature = "standalone")]
mod verify;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clearfleet_common::telemetry::log_to_stderr;

/// Self-hosted super resolution for photos and videos.
#[derive(Debug, Parser)]
#[command(name = "clearfleet", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Upscale pictures and videos on this machine.
    #[cfg(feature = "standalone")]
    Upscale(Box<upscale::UpscaleArgs>),
    /// Decode a source and its result, and check frames, times and streams against each other.
    #[cfg(feature = "standalone")]
    Verify(verify::VerifyArgs),
    /// Serve the HTTP API, with storage, queue, scheduler and workers in this one process.
    #[cfg(feature = "standalone")]
    Serve(Box<serve::ServeArgs>),
    /// Send pictures and videos to a server.
    Submit(Box<submit::SubmitArgs>),
    /// Submit what settles in a folder, each file once, and put results beside it in another.
    Watch(Box<watch::WatchArgs>),
    /// Make, list and revoke the keys of a server.
    Keys(keys::KeysArgs),
    /// Copy everything that a server keeps in its data folder, while it runs.
    #[cfg(feature = "standalone")]
    Backup(backup::BackupArgs),
    /// Make a data folder of a backup.
    #[cfg(feature = "standalone")]
    Restore(restore::RestoreArgs),
}

impl Command {
    /// What is logged where `CLEARFLEET_LOG` does not say: of a server what it does, of all else what goes wrong.
    fn log_level(&self) -> &'static str {
        match self {
            #[cfg(feature = "standalone")]
            Self::Serve(_) => "info",
            _ => "warn",
        }
    }
}

/// Reads the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    #[cfg(feature = "standalone")]
    clearfleet_worker::cli::process::few_arenas();
    let cli = Cli::parse();
    log_to_stderr(cli.command.log_level());
    match cli.command {
        #[cfg(feature = "standalone")]
        Command::Upscale(args) => upscale::run(&args),
        #[cfg(feature = "standalone")]
        Command::Verify(args) => verify::run(&args),
        #[cfg(feature = "standalone")]
        Command::Serve(args) => serve::run(&args),
        Command::Submit(args) => submit::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Keys(args) => keys::run(&args),
        #[cfg(feature = "standalone")]
        Command::Backup(args) => backup::run(&args),
        #[cfg(feature = "standalone")]
        Command::Restore(args) => restore::run(&args),
    }
}
