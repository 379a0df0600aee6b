use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Logs to standard error what `CLEARFLEET_LOG` says, or else what `usual` does. Called once in a process.
pub fn log_to_stderr(usual: &str) {
    let filter = EnvFilter::try_from_env("CLEARFLEET_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
