//! Chromium, driven by the scripts of `tests/browser` in Node.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::script::{answer_of, node, on_path};

/// What Chromium is called.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Runs a script of `tests/browser` with this input; what it finds out. Nothing, and why is printed, where Chromium, Node or
/// the scripts' packages are missing.
///
/// # Panics
/// If the script throws, with what it said.
pub fn in_chromium(script: &str, input: &Value) -> Option<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let (node, chromium) = installed(&folder)
        .inspect_err(|missing| println!("skipped: {missing} (deploy/setup.sh test)"))
        .ok()?;
    let mut call = Command::new(node);
    call.arg(folder.join(script)).env("CLEARFLEET_CHROMIUM", chromium);
    Some(answer_of(&mut call, input))
}

/// Node and Chromium, or what is missing.
fn installed(folder: &Path) -> Result<(PathBuf, PathBuf), String> {
    let node = node(folder)?;
    let named = std::env::var_os("CLEARFLEET_CHROMIUM").map(PathBuf::from);
    let chromium = named.or_else(|| on_path(&NAMES)).ok_or("there is no Chromium")?;
    Ok((node, chromium))
}
