//! tus clients that are not ours: the scripts of `tests/tus`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::script::{answer_of, node, on_path};

/// A client of the tus protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TusClient {
    /// `tus-js-client`, in Node.
    Node,
    /// `tuspy`, in Python.
    Python,
}

impl TusClient {
    /// Uploads as `upload.mjs` describes; what it finds out. Nothing, and why is printed, where the client is missing.
    ///
    /// # Panics
    /// If the upload fails, with what the client said.
    pub fn upload(self, input: &Value) -> Option<Value> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tus");
        let (program, script) = match self {
            Self::Node => (node(&folder), "upload.mjs"),
            Self::Python => (python(), "upload.py"),
        };
        let program = program.inspect_err(|missing| println!("skipped: {missing} (deploy/setup.sh test)"));
        let mut call = Command::new(program.ok()?);
        Some(answer_of(call.arg(folder.join(script)), input))
    }
}

/// Python with the client, or what is missing.
fn python() -> Result<PathBuf, String> {
    let python = on_path(&["python3"]).ok_or("there is no Python")?;
    let found = Command::new(&python).args(["-c", "import tusclient"]).output();
    if found.is_ok_and(|ended| ended.status.success()) {
        return Ok(python);
    }
    Err(format!("{} has no tuspy", python.display()))
}
