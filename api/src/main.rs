//! The program `clearfleet`.

use std::process::ExitCode;

fn main() -> ExitCode {
    clearfleet::cli::main()
}
