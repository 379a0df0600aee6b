//! The command line: what it takes, and how it ends.

mod exit;
#[cfg(feature = "standalone")]
mod interrupt;
#[cfg(feature = "standalone")]
mod local;
#[cfg(feature = "standalone")]
mod report;
#[cfg(feature = "standalone")]
mod upscale;
#[cfg(feature = "standalone")]
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

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
}

/// Reads the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    few_arenas();
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("CLEARFLEET_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match cli.command {
        #[cfg(feature = "standalone")]
        Command::Upscale(args) => upscale::run(&args),
        #[cfg(feature = "standalone")]
        Command::Verify(args) => verify::run(&args),
    }
}

/// Keeps glibc from giving every thread a heap of its own: batches come and go with their threads, and what those heaps
/// keep would grow with the length of a video.
fn few_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: called before any other thread is started; it only sets a number that later allocations look at.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
