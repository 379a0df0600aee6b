//! Holds a result against its source: decodes both and compares frames, times and streams.
//!
//! It shares no verdict with the pipeline that made the result: nothing of a plan or a ledger is read, only the two
//! files. Every [`Check`] says how it was made, and with that what it cannot see.

mod chapters;
mod frames;
mod hdr;
mod packets;
mod pictures;
mod properties;
mod repeats;
mod still;
mod streams;
mod times;
mod video;
mod walk;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use clearfleet_common::Stop;
use clearfleet_common::config::Limits;
use clearfleet_common::job::Stretch;
use serde::Serialize;

use crate::media::serve::{SourceBytes, SourceServer};
use crate::media::sniff::{self, Kind};
use crate::{Error, Result};

/// What is held against what.
pub struct VerifyRequest<'a> {
    /// The source.
    pub source: Arc<dyn SourceBytes>,
    /// The result.
    pub result: Arc<dyn SourceBytes>,
    /// The source in messages.
    pub source_name: &'a str,
    /// The result in messages.
    pub result_name: &'a str,
    /// What ffmpeg reads both from.
    pub server: &'a Arc<SourceServer>,
    /// What both may be at most.
    pub limits: &'a Limits,
    /// Ends it early.
    pub stop: &'a Stop,
    /// The part of the source that the result holds; the result's clock then starts at 0.
    pub stretch: Stretch,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Every check that was made, in a fixed order; a name may come more than once, one check a stream.
    pub checks: Vec<Check>,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was compared, such as `frames`: stable, for scripts.
    pub name: &'static str,
    /// What was compared and how, in one sentence.
    pub method: String,
    /// What the source has.
    pub expected: String,
    /// What the result has.
    pub found: String,
    /// Whether they go together.
    pub verdict: Verdict,
}

/// How a comparison ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The result has what the source has.
    Holds,
    /// It does not.
    Differs,
    /// Left out or changed because the result's format does not hold it: no failure.
    Named,
}

impl Report {
    /// Whether nothing differs.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|c| c.verdict != Verdict::Differs)
    }
}

impl Check {
    fn new(
        name: &'static str,
        method: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        holds: bool,
    ) -> Self {
        let verdict = if holds { Verdict::Holds } else { Verdict::Differs };
        Self {
            name,
            method: method.into(),
            expected: expected.into(),
            found: found.into(),
            verdict,
        }
    }

    /// The same with more said of what was found.
    fn noting(mut self, applies: bool, what: impl FnOnce() -> String) -> Self {
        if applies {
            self.found += &what();
        }
        self
    }

    /// The same, where what differs is not the result's fault.
    fn named_if(mut self, excused: bool) -> Self {
        if excused && self.verdict == Verdict::Differs {
            self.verdict = Verdict::Named;
        }
        self
    }
}

/// Compares a result with its source. Differences are in the report.
///
/// # Errors
/// If one of the two cannot be read or decoded at all, or is over the limits; `StretchEmpty` if the source has no frame in
/// the stretch; `DeadlineExceeded`, `Stopped`. The detail `file` names which of the two it is about.
pub fn verify(request: &VerifyRequest<'_>) -> Result<Report> {
    let of_source = |e: Error| e.with("file", request.source_name);
    let of_result = |e: Error| e.with("file", request.result_name);
    let kinds = (
        sniff::sniff(&*request.source, None).map_err(of_source)?,
        sniff::sniff(&*request.result, None).map_err(of_result)?,
    );
    match kinds {
        (Kind::Still(source), Kind::Still(result)) => still::checks(request, source, result),
        (Kind::Still(_), _) | (_, Kind::Still(_)) => {
            let method = "what the first bytes of both say they are was compared: a picture or a video";
            Ok(vec![Check::new(
                "kind",
                method,
                kinds.0.to_string(),
                kinds.1.to_string(),
                false,
            )])
        }
        _ => video::checks(request),
    }
    .map(|checks| Report { checks })
}
