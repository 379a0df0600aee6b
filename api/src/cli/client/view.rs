use clearfleet_common::job::{Failure, JobId, State};
use serde::Deserialize;

/// What the API says of a job, as far as commands look at it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(in crate::cli) struct JobView {
    /// Which.
    pub(in crate::cli) id: JobId,
    /// Where it is.
    pub(in crate::cli) state: State,
    /// How far it is.
    #[serde(default)]
    pub(in crate::cli) progress: ProgressView,
    /// Why it failed.
    #[serde(default)]
    pub(in crate::cli) failure: Option<Failure>,
    /// The finished result.
    #[serde(default)]
    pub(in crate::cli) result: Option<ResultView>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub(in crate::cli) struct ProgressView {
    /// Frames done, or tiles of a picture.
    pub(in crate::cli) done: u64,
    /// Frames or tiles there are; 0 as long as that is not known.
    pub(in crate::cli) total: u64,
    /// How many jobs come first, where that is known.
    #[serde(default)]
    pub(in crate::cli) place_in_line: Option<u64>,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct ResultView {
    /// File name that the server proposes.
    pub(in crate::cli) name: String,
    /// Length.
    pub(in crate::cli) bytes: u64,
    /// SHA-256 in hex.
    #[serde(default)]
    pub(in crate::cli) sha256: Option<String>,
    /// What it does not hold as the source did.
    #[serde(default)]
    pub(in crate::cli) notes: Vec<String>,
}
