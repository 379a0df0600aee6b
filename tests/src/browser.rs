//! Chromium, driven by the scripts of `tests/browser` in Node.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

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
    let mut child = Command::new(node)
        .arg(folder.join(script))
        .env("CLEARFLEET_CHROMIUM", chromium)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Node can be started");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    // A script that ends before it has read all says why.
    let _ = stdin.write_all(input.to_string().as_bytes());
    drop(stdin);
    let ended = child.wait_with_output().expect("Node can be waited for");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{script} {input}: {said}");
    let found = serde_json::from_slice(&ended.stdout);
    Some(found.unwrap_or_else(|e| panic!("{script} prints no JSON ({e}): {said}")))
}

/// Node and Chromium, or what is missing.
fn installed(folder: &Path) -> Result<(PathBuf, PathBuf), String> {
    let node = on_path(&["node"]).ok_or("there is no Node")?;
    let named = std::env::var_os("CLEARFLEET_CHROMIUM").map(PathBuf::from);
    let chromium = named.or_else(|| on_path(&NAMES)).ok_or("there is no Chromium")?;
    let packages = folder.join("node_modules");
    if packages.is_dir() {
        return Ok((node, chromium));
    }
    Err(format!("{} does not exist", packages.display()))
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let files = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}
