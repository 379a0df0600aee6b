//! Small states that survive any crash: a file of JSON lines that is appended to, and now and then written anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file of entries, oldest first; each is on disk before [`append`](Self::append) returns.
///
/// Calls block for as long as the disk takes. One process at a time may have a journal open.
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    file: File,
    lines: usize,
    entries: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens a journal, or makes an empty one, and returns what is in it. An entry that a crash cut off was never
    /// confirmed and is left out.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<(Self, Vec<T>)> {
        let path = path.into();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        let entries: Vec<T> = read(&bytes, &path);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        if bytes.is_empty() {
            // A file is there for good only with its name.
            sync_folder(&path)?;
        }
        let journal = Self {
            lines: entries.len(),
            path,
            file,
            entries: PhantomData,
        };
        Ok((journal, entries))
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// If it cannot be written; then it may be there or not.
    pub fn append(&mut self, entry: &T) -> io::Result<()> {
        self.file.write_all(&line(entry)?)?;
        self.file.sync_data()?;
        self.lines += 1;
        Ok(())
    }

    /// Replaces all entries, in one step.
    ///
    /// # Errors
    /// If they cannot be written; then the journal is as it was.
    pub fn replace<'a>(&mut self, entries: impl IntoIterator<Item = &'a T>) -> io::Result<()>
    where
        T: 'a,
    {
        // One name, so that what a crash leaves is replaced by the next attempt.
        let fresh = self.path.with_added_extension("new");
        let (mut bytes, mut lines) = (Vec::new(), 0);
        for entry in entries {
            bytes.extend(line(entry)?);
            lines += 1;
        }
        let mut options = OpenOptions::new();
        let mut file = options.create(true).write(true).truncate(true).open(&fresh)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        sync_folder(&self.path)?;
        (self.file, self.lines) = (file, lines);
        Ok(())
    }

    /// Number of entries in the file, those included that later ones make void.
    pub fn lines(&self) -> usize {
        self.lines
    }
}

/// A line begins with its line feed: so it stands apart from one before it that was cut off, by a full disk for instance.
fn line(entry: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![b'\n'];
    serde_json::to_writer(&mut bytes, entry)?;
    Ok(bytes)
}

/// An entry without its end is no JSON, as long as entries are objects, so it is never misread.
fn read<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Vec<T> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|text| !text.is_empty());
    let entry = |text: &[u8]| {
        let read = serde_json::from_slice(text);
        read.inspect_err(|error| {
            let (path, bytes) = (path.display(), text.len());
            tracing::warn!(%path, bytes, %error, "a line was cut off or is of another kind, ignored");
        })
        .ok()
    };
    lines.filter_map(entry).collect()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use tempfile::TempDir;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Entry {
        text: String,
        number: u32,
    }

    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        (folder, path)
    }

    fn entries(path: &Path) -> Vec<Entry> {
        Journal::open(path).unwrap().1
    }

    fn entry(number: u32) -> Entry {
        let text = "line\nfeed \" and \\ ü".to_owned();
        Entry { text, number }
    }

    #[test]
    fn what_a_crash_left_of_writing_anew_is_no_hindrance() {
        let (_folder, path) = folder();
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&entry(1)).unwrap();
        fs::write(
            path.with_added_extension("new"),
            "\n{\"text\":\"stale\",\"number\":9}".repeat(9),
        )
        .unwrap();
        assert_eq!(entries(&path), [entry(1)]);
        journal.replace(&[entry(2)]).unwrap();
        journal.append(&entry(3)).unwrap();
        assert_eq!(journal.lines(), 2);
        assert_eq!(entries(&path), [entry(2), entry(3)]);
        assert!(!path.with_added_extension("new").exists());
    }

    #[test]
    fn an_unreadable_file_is_an_error() {
        let (folder, _) = folder();
        assert!(Journal::<Entry>::open(folder.path()).is_err());
        assert!(Journal::<Entry>::open(folder.path().join("none/journal")).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_crash_at_any_byte_loses_no_entry_but_the_one_it_cuts(
            written in prop::collection::vec(("\\PC{0,6}", any::<u32>()), 0..8),
        ) {
            let (_folder, path) = folder();
            let (mut journal, none) = Journal::open(&path).unwrap();
            prop_assert_eq!(none, []);
            let written: Vec<Entry> = written.into_iter().map(|(text, number)| Entry { text, number }).collect();
            let mut ends = vec![0];
            for entry in &written {
                journal.append(entry).unwrap();
                ends.push(fs::metadata(&path).unwrap().len() as usize);
            }
            let whole = fs::read(&path).unwrap();
            for kept in 0..=whole.len() {
                let count = ends.iter().filter(|end| **end <= kept).count() - 1;
                prop_assert_eq!(&read::<Entry>(&whole[..kept], &path), &written[..count], "{} bytes", kept);
            }
            prop_assert_eq!(entries(&path), written);
        }

        #[test]
        fn an_entry_that_could_not_be_written_whole_spoils_no_other(cut in 0usize..60) {
            let (_folder, path) = folder();
            let (mut journal, _) = Journal::open(&path).unwrap();
            journal.append(&entry(1)).unwrap();
            let torn = line(&entry(2)).unwrap();
            journal.file.write_all(&torn[..cut.min(torn.len() - 1)]).unwrap();
            journal.append(&entry(3)).unwrap();
            prop_assert_eq!(entries(&path), [entry(1), entry(3)]);
        }
    }
}
