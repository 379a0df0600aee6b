//! `clearfleet backup`: copies everything that a server keeps in its data folder, while it runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueHint};
use clearfleet_common::ErrorCode;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use super::admin::AdminArgs;
use super::client::{self, Client, ClientError, Reporter, Result};
use super::exit::exit_code;

/// Copy everything that a server keeps in its data folder, while it runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clearfleet backup clearfleet.tar\n  \
    clearfleet backup /mnt/backup.tar --server https://clearfleet.example --overwrite\n\n\
    The file holds keys and secrets; only you can read it. `clearfleet restore` makes a data folder of it.")]
pub(super) struct BackupArgs {
    /// The file to write, whole or not at all.
    #[arg(value_name = "FILE.tar", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    overwrite: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs the command.
pub(super) fn run(args: &BackupArgs) -> ExitCode {
    let work = async {
        let client = args.admin.client()?;
        tokio::select! {
            copied = copy(args, &client) => copied,
            stop = client::stop_asked() => {
                stop?;
                Err(ClientError::new(ErrorCode::Stopped, "stopped; no backup is written"))
            }
        }
    };
    match client::block_on(work).flatten() {
        Ok(bytes) if args.json => {
            let file = args.file.display().to_string();
            println!("{}", json!({ "event": "finished", "output": file, "bytes": bytes }));
            ExitCode::SUCCESS
        }
        Ok(bytes) => {
            eprintln!("{} in {}", HumanBytes(bytes), args.file.display());
            ExitCode::SUCCESS
        }
        Err(e) => {
            Reporter::new(args.json, false, false).failed(Some(&args.file), None, &e);
            ExitCode::from(exit_code(e.code()))
        }
    }
}

/// Writes the backup beside its place, then gives it its name; says how many bytes it has.
async fn copy(args: &BackupArgs, client: &Client) -> Result<u64> {
    let file = &args.file;
    let exists = || {
        ClientError::new(
            ErrorCode::OutputExists,
            format!("{} exists; --overwrite replaces it", file.display()),
        )
    };
    if !args.overwrite && file.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let cannot = |e: &std::io::Error| ClientError::write(file.display(), e);
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // Only its user reads it, which suits what is in it.
    let temporary = tempfile::Builder::new()
        .prefix(".clearfleet-")
        .tempfile_in(folder)
        .map_err(|e| cannot(&e))?;
    let bar = if args.json {
        ProgressBar::hidden()
    } else {
        ProgressBar::no_length()
    };
    if let Ok(style) = ProgressStyle::with_template("  {bytes} ({bytes_per_sec})") {
        bar.set_style(style);
    }
    let copied = client
        .backup(temporary.as_file(), |bytes| bar.set_position(bytes))
        .await;
    bar.finish_and_clear();
    let bytes = copied?;
    temporary.as_file().sync_all().map_err(|e| cannot(&e))?;
    let kept = match args.overwrite {
        true => temporary.persist(file),
        false => temporary.persist_noclobber(file),
    };
    kept.map_err(|e| match e.error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(),
        _ => cannot(&e.error),
    })?;
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|e| cannot(&e))?;
    Ok(bytes)
}
