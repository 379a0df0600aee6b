//! A folder of a test's own, and what is in it before and after.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder of a test's own, removed at its end.
#[derive(Debug)]
pub struct World(TempDir);

impl World {
    /// An empty one.
    ///
    /// # Panics
    /// If there can be none.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("clearfleet-test-").tempdir();
        Self(folder.expect("a temporary folder"))
    }

    /// One that everybody may read.
    ///
    /// # Panics
    /// If there can be none.
    pub fn open_to_all() -> Self {
        let world = Self::new();
        let readable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(world.folder(), readable).expect("the folder is the test's own");
        world
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder().join(name)
    }

    /// Writes a file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file of the test's own");
        path
    }

    /// Makes an inner folder.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn inner(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).expect("a folder of the test's own");
        path
    }

    /// Everything in it and its inner folders, hidden files too, sorted; folders end with a slash.
    ///
    /// # Panics
    /// If it cannot be listed.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        list(self.folder(), Path::new(""), &mut names);
        names.sort();
        names
    }

    /// A text without what differs from run to run: this folder, ports, addresses, exit codes of ffmpeg, random names.
    pub fn normalised(&self, text: &str) -> String {
        let text = text.replace(&self.folder().display().to_string(), "<folder>");
        let marks = [
            ("127.0.0.1:", "<port>"),
            ("@ 0x", "<address>"),
            ("exit code ", "<n>"),
            ("/.tmp", "<random>"),
            ("/.clearfleet-", "<random>"),
        ];
        marks
            .into_iter()
            .fold(text, |text, (mark, shown)| masked(&text, mark, shown))
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn list(folder: &Path, inner: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder that can be listed") {
        let entry = entry.expect("a folder that can be listed");
        let name = inner.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.push(format!("{}/", name.display()));
            list(&entry.path(), &name, names);
        } else {
            names.push(name.display().to_string());
        }
    }
}

/// Replaces the number or the random letters after each `mark`.
fn masked(text: &str, mark: &str, shown: &str) -> String {
    let mut parts = text.split(mark);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        let number = if rest.len() < part.len() { shown } else { "" };
        masked.extend([mark, number, rest]);
    }
    masked
}
