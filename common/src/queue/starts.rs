//! Which tasks were begun and not ended, kept in a file: where a crash takes the queue along, nothing else can say which
//! task a process died of.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::Journal;

/// Entries that are appended, beyond those that count, before the file is written anew.
const SPARE: usize = 256;

/// The log of starts cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the log of started tasks, {path}, cannot be {action}")]
pub struct StartLogError {
    /// The file.
    pub path: PathBuf,
    /// What was tried: `opened` or `written`.
    pub action: &'static str,
    source: io::Error,
}

/// Counts how often each task was begun and not ended, across crashes of the process.
///
/// Every change is on disk before the call returns, which blocks for as long as the disk takes. One process at a time may
/// have a log open.
#[derive(Debug)]
pub struct StartLog {
    path: PathBuf,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    journal: Journal<Entry>,
    /// Unended starts, without tasks that have none.
    unended: BTreeMap<String, u32>,
}

/// How many unended starts a task has from here on. The last entry of a task counts, so one that is written twice changes
/// nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    task: String,
    unended: u32,
}

impl StartLog {
    /// Opens the log, or makes an empty one, and drops from the file what does not count any more.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StartLogError> {
        let path = path.into();
        let opened = Journal::open(&path).and_then(|(journal, entries)| {
            let mut unended = BTreeMap::new();
            for Entry { task, unended: count } in entries {
                set(&mut unended, task, count);
            }
            let mut log = Log { journal, unended };
            log.compact()?;
            Ok(log)
        });
        match opened {
            Ok(log) => {
                let log = Mutex::new(log);
                Ok(Self { path, log })
            }
            Err(source) => {
                let action = "opened";
                Err(StartLogError { path, action, source })
            }
        }
    }

    /// Notes that a task begins. Returns how many of its earlier starts were not ended.
    ///
    /// # Errors
    /// If that cannot be written; then the start may count or not.
    pub fn begin(&self, task: &str) -> Result<u32, StartLogError> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = log.unended.get(task).copied().unwrap_or(0);
        self.note(&mut log, task, earlier.saturating_add(1))?;
        Ok(earlier)
    }

    /// How many starts of a task were not ended.
    pub fn unended(&self, task: &str) -> u32 {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.unended.get(task).copied().unwrap_or(0)
    }

    /// Notes that a task ended, well or badly: the process lives. All its starts are forgotten.
    ///
    /// # Errors
    /// If that cannot be written; after a crash its starts may then count as unended.
    pub fn end(&self, task: &str) -> Result<(), StartLogError> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if !log.unended.contains_key(task) {
            return Ok(());
        }
        self.note(&mut log, task, 0)
    }

    fn note(&self, log: &mut Log, task: &str, unended: u32) -> Result<(), StartLogError> {
        log.note(task.to_owned(), unended).map_err(|source| StartLogError {
            path: self.path.clone(),
            action: "written",
            source,
        })
    }
}

impl Log {
    fn note(&mut self, task: String, unended: u32) -> io::Result<()> {
        set(&mut self.unended, task.clone(), unended);
        self.journal.append(&Entry { task, unended })?;
        if self.journal.lines() > self.unended.len() + SPARE {
            self.compact()?;
        }
        Ok(())
    }

    fn compact(&mut self) -> io::Result<()> {
        let entries = self.unended.iter().map(|(task, unended)| Entry {
            task: task.clone(),
            unended: *unended,
        });
        let entries: Vec<Entry> = entries.collect();
        self.journal.replace(&entries)
    }
}

fn set(counts: &mut BTreeMap<String, u32>, task: String, unended: u32) {
    if unended == 0 {
        counts.remove(&task);
    } else {
        counts.insert(task, unended);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("starts");
        (folder, path)
    }

    fn unended(path: &Path) -> BTreeMap<String, u32> {
        StartLog::open(path).unwrap().log.into_inner().unwrap().unended
    }

    #[test]
    fn starts_count_until_the_task_ends() {
        let (_folder, path) = folder();
        for earlier in 0..4 {
            let log = StartLog::open(&path).unwrap();
            assert_eq!(log.begin("job/3").unwrap(), earlier);
            assert_eq!(log.begin("other").unwrap(), 0);
            log.end("other").unwrap();
        }
        let log = StartLog::open(&path).unwrap();
        log.end("job/3").unwrap();
        let length = fs::metadata(&path).unwrap().len();
        log.end("job/3").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().len(),
            length,
            "an end of nothing is nothing to write"
        );
        drop(log);
        assert_eq!(StartLog::open(&path).unwrap().begin("job/3").unwrap(), 0);
    }

    #[test]
    fn an_error_names_the_file() {
        let (folder, _) = folder();
        let error = StartLog::open(folder.path().join("none/starts")).unwrap_err();
        assert_eq!(error.action, "opened");
        assert!(error.to_string().contains("none/starts"), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("No such file"), "{cause}");
    }

    #[test]
    fn the_file_does_not_grow_with_the_number_of_tasks() {
        let (_folder, path) = folder();
        let log = StartLog::open(&path).unwrap();
        log.begin("stays").unwrap();
        let lines = || fs::read_to_string(&path).unwrap().lines().count();
        let mut longest = 0;
        for n in 0..SPARE {
            log.begin(&n.to_string()).unwrap();
            log.end(&n.to_string()).unwrap();
            longest = longest.max(lines());
        }
        assert!((SPARE / 2..SPARE + 10).contains(&longest), "{longest} lines");
        assert_eq!(unended(&path), BTreeMap::from([("stays".to_owned(), 1)]));
        assert_eq!(lines(), 2, "an empty one and one that counts");
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Begin(usize),
        End(usize),
        /// The process dies and another one opens the log.
        Die,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            5 => (0..3usize).prop_map(Op::Begin),
            3 => (0..3usize).prop_map(Op::End),
            2 => Just(Op::Die),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn counts_are_those_of_a_map_in_memory(ops in prop::collection::vec(op(), 0..30)) {
            let (_folder, path) = folder();
            let mut model = BTreeMap::new();
            let mut log = StartLog::open(&path).unwrap();
            for op in ops {
                match op {
                    Op::Begin(task) => {
                        let count = model.entry(task.to_string()).or_insert(0);
                        prop_assert_eq!(log.begin(&task.to_string()).unwrap(), *count);
                        *count += 1;
                    }
                    Op::End(task) => {
                        model.remove(&task.to_string());
                        log.end(&task.to_string()).unwrap();
                    }
                    Op::Die => log = StartLog::open(&path).unwrap(),
                }
            }
            prop_assert_eq!(unended(&path), model);
        }
    }
}
