//! The program `clearfleet-worker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    clearfleet_worker::cli::main()
}
