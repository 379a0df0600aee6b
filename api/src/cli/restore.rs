//! `clearfleet restore`: makes a data folder of a backup.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};
use clearfleet_common::ErrorCode;
use clearfleet_worker::{Error, Result};
use serde_json::json;

use super::exit::exit_code;
use super::report::Reporter;
use super::serve::data_dir;
use crate::backup::{UnpackError, restore};

/// Make a data folder of a backup.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  clearfleet restore clearfleet.tar --data-dir /srv/clearfleet\n\n\
    Jobs that were not done when the backup was made go on when a server is started on the folder."
)]
pub(super) struct RestoreArgs {
    /// The backup.
    #[arg(value_name = "FILE.tar", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// The folder to make; it must be empty or missing [default: clearfleet in the user's data folder].
    #[arg(long, env = "CLEARFLEET_DATA_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    data_dir: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &RestoreArgs) -> ExitCode {
    match bring_back(args) {
        Ok(folder) if args.json => {
            let folder = folder.display().to_string();
            println!("{}", json!({ "event": "finished", "output": folder }));
            ExitCode::SUCCESS
        }
        Ok(folder) => {
            eprintln!("restored into {}", folder.display());
            ExitCode::SUCCESS
        }
        Err(e) => {
            Reporter::new(args.json, false).failed(Some(&args.file), &e);
            ExitCode::from(exit_code(e.code()))
        }
    }
}

fn bring_back(args: &RestoreArgs) -> Result<PathBuf> {
    let folder = data_dir(args.data_dir.as_deref())?;
    let file = File::open(&args.file).map_err(|e| {
        let code = match e.kind() {
            io::ErrorKind::NotFound => ErrorCode::InputNotFound,
            _ => ErrorCode::InputUnreadable,
        };
        Error::new(code, "the backup cannot be read").because(e)
    })?;
    restore(BufReader::with_capacity(1 << 20, file), &folder).map_err(refused)?;
    Ok(folder)
}

fn refused(error: UnpackError) -> Error {
    let code = match &error {
        UnpackError::Occupied(_) => ErrorCode::OutputExists,
        UnpackError::Foreign { .. } | UnpackError::Newer { .. } => ErrorCode::InputUnsupported,
        UnpackError::Incomplete(_) | UnpackError::Store(_) => ErrorCode::InputDamaged,
        UnpackError::Read(_) => ErrorCode::InputUnreadable,
        UnpackError::Write { cause, .. } if cause.kind() == io::ErrorKind::StorageFull => ErrorCode::DiskFull,
        UnpackError::Write { .. } => ErrorCode::OutputUnwritable,
    };
    Error::new(code, "the backup is not brought back").because(error)
}
