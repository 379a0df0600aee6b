//! Takes every clip of a folder through the built program and prints a row for each: `make media-matrix`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clearfleet_tests::{Call, Row, World, own_container};

/// Upscales clips, and compares frames, times, sound, streams, colours and shape of each with its source, by ffmpeg and
/// ffprobe. Ends with 1 if a row does not hold.
#[derive(Debug, Parser)]
struct Args {
    /// A folder with the inner folders `good`, whose clips must go through, and `bad`, whose clips must be refused.
    folder: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut hold = true;
    println!("{}", Row::heading());
    for clip in clips(&args.folder.join("good")) {
        let world = World::new();
        let (container, preset) = own_container(&clip);
        let result = world.path(format!("result.{container}"));
        let made = Call::upscale().args(["--scale", "2", "--json"]).args(preset);
        let ended = made.arg(&clip).arg(&result).run();
        if ended.code() == Some(0) {
            let row = Row::of(&clip, &result, &ended.notes());
            hold &= row.failures().is_empty();
            println!("{row}");
        } else {
            hold = false;
            println!("{}", Row::refused(&name(&clip), &reason(&ended.event("failed"))));
        }
    }
    for clip in clips(&args.folder.join("bad")) {
        let world = World::new();
        let ended = Call::upscale()
            .arg("--json")
            .arg(&clip)
            .arg(world.path("result.mkv"))
            .run();
        hold &= ended.code() == Some(3);
        let said = if ended.code() == Some(0) {
            "nothing: it went through".to_owned()
        } else {
            reason(&ended.event("failed"))
        };
        println!("{}", Row::refused(&name(&clip), &said));
    }
    if hold { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn reason(failed: &serde_json::Value) -> String {
    format!(
        "{}, {}",
        failed["code"].as_str().unwrap_or("?"),
        failed["message"].as_str().unwrap_or("?")
    )
}

fn name(clip: &Path) -> String {
    clip.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn clips(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut clips: Vec<PathBuf> = entries.map(|entry| entry.expect("a clip").path()).collect();
    clips.sort();
    clips
}
