//! Server-sent events as they come.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

/// An event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id; empty where it has none.
    pub id: String,
    /// What kind it is.
    pub name: String,
    /// What it says.
    pub data: Value,
}

/// A stream of events; it ends where the server ends it.
pub struct Events(BufReader<Box<dyn Read + Send>>);

impl Events {
    pub(super) fn new(body: impl Read + Send + 'static) -> Self {
        Self(BufReader::new(Box::new(body)))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Iterator for Events {
    type Item = Event;

    /// # Panics
    /// If a line is not of an event, or nothing comes for too long. A stream whose server is killed ends.
    fn next(&mut self) -> Option<Event> {
        let (mut id, mut name, mut data) = (String::new(), String::new(), String::new());
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(e) if e.to_string().contains("timeout") => panic!("nothing came: {e}"),
                Err(_) => return None,
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() && !data.is_empty() {
                let data = serde_json::from_str(&data).unwrap_or_else(|e| panic!("{e}: {data}"));
                return Some(Event { id, name, data });
            }
            match line.split_once(": ") {
                Some(("id", value)) => value.clone_into(&mut id),
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("data", value)) => data += value,
                // A comment keeps the connection open.
                _ => assert!(line.is_empty() || line.starts_with(':'), "{line:?}"),
            }
        }
    }
}
