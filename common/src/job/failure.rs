use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::WorkerId;
use crate::ErrorCode;

/// Why a step or a job failed, with all that a person needs to understand it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: ErrorCode,
    /// A sentence for a person.
    pub message: String,
    /// The causes beneath, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// The values it is about, such as `expected`, `found`, `limit`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    /// ffmpeg's last lines, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ffmpeg: Vec<String>,
    /// The batch that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    /// Who tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u32,
}

impl Failure {
    /// A failure with its code and what a person should read.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            causes: Vec::new(),
            details: BTreeMap::new(),
            ffmpeg: Vec::new(),
            batch: None,
            worker: None,
            attempts: 0,
        }
    }
}
