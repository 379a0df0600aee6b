use std::fmt;
use std::str::FromStr;

use clearfleet_common::job::JobId;
use jiff::Timestamp;

/// A place in an owner's jobs, newest first: the page goes on after it. It stays good when its job is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// When the last job of the page before was made.
    pub(super) created: Timestamp,
    /// Which it was.
    pub(super) job: JobId,
}

/// A text that no page ended with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no cursor that a page ended with")]
pub struct CursorError(String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.created.as_nanosecond(), self.job)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (nanoseconds, job) = text.split_once('.')?;
            let created = Timestamp::from_nanosecond(i128::from_str_radix(nanoseconds, 16).ok()?).ok()?;
            Some(Self {
                created,
                job: job.parse().ok()?,
            })
        };
        // One place has one text, so that nobody comes to depend on others.
        read()
            .filter(|cursor| cursor.to_string() == text)
            .ok_or_else(|| CursorError(text.chars().take(80).collect()))
    }
}
