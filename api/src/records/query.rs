use std::sync::Arc;

use clearfleet_common::job::{Priority, Record, SourceKind, State};

use super::{Cursor, Snapshot};

/// Which jobs of an owner are asked for. An empty list of values asks for any.
#[derive(Clone, Debug)]
pub struct Query {
    text: String,
    /// States, as far as a person is concerned.
    pub states: Vec<State>,
    /// What the source is.
    pub kinds: Vec<SourceKind>,
    /// Priorities.
    pub priorities: Vec<Priority>,
    /// Whether previews are asked for too.
    pub previews: bool,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// Jobs of a page at most.
    pub limit: usize,
}

/// Some of an owner's jobs.
#[derive(Clone, Debug)]
pub struct Page {
    /// Newest first.
    pub jobs: Vec<Arc<Snapshot>>,
    /// Where the next page begins; nothing where this is the last.
    pub next: Option<Cursor>,
}

impl Query {
    /// The newest `limit` jobs whose name contains `text`, letter case ignored; an empty text is in every name.
    pub fn new(text: &str, limit: usize) -> Self {
        Self {
            text: folded(text),
            states: Vec::new(),
            kinds: Vec::new(),
            priorities: Vec::new(),
            previews: false,
            after: None,
            limit,
        }
    }

    /// Whether a folded name is asked for.
    pub(super) fn names(&self, name: &str) -> bool {
        name.contains(&self.text)
    }

    /// Whether a job is asked for, its name aside. One that is to be deleted never is.
    pub(super) fn takes(&self, record: &Record) -> bool {
        let Some(state) = record.apparent_state() else {
            return false;
        };
        let one_of_states = self.states.is_empty() || self.states.contains(&state);
        let one_of_kinds = self.kinds.is_empty() || self.kinds.contains(&record.request.kind);
        let one_of_priorities = self.priorities.is_empty() || self.priorities.contains(&record.request.priority);
        let asked_for = self.previews || record.request.preview.is_none();
        asked_for && one_of_states && one_of_kinds && one_of_priorities
    }
}

/// A text in which letter case makes no difference.
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase()
}
