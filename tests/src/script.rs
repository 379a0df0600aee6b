//! Programs in other languages, which read JSON and print JSON.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs a call with this input; what it prints.
///
/// # Panics
/// If it fails, with what it said, or prints no JSON.
pub(crate) fn answer_of(call: &mut Command, input: &Value) -> Value {
    call.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = call.spawn().expect("the program can be started");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    // One that ends before it has read all says why.
    let _ = stdin.write_all(input.to_string().as_bytes());
    drop(stdin);
    let ended = child.wait_with_output().expect("the program can be waited for");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{call:?} {input}: {said}");
    let found = serde_json::from_slice(&ended.stdout);
    found.unwrap_or_else(|e| panic!("{call:?} prints no JSON ({e}): {said}"))
}

/// The first of these programs that is on `PATH`.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let files = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// Node, where a folder of this crate has its packages; else what is missing.
pub(crate) fn node(folder: &Path) -> Result<PathBuf, String> {
    let node = on_path(&["node"]).ok_or("there is no Node")?;
    let packages = folder.join("node_modules");
    if packages.is_dir() {
        return Ok(node);
    }
    Err(format!("{} does not exist", packages.display()))
}
