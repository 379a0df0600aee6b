use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FORMAT_VERSION, JobId, OwnerId, Record, State};

/// How a job ended, as those who asked to be told are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HookEvent {
    /// The result is there.
    Done,
    /// It could not be done.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

/// Somebody is to be told that a job ended: what [`QueueName::Hooks`](crate::queue::QueueName::Hooks) carries.
///
/// Whoever wrote the end into the record publishes it, once for each end. It is a hint: ends that nobody was told of are
/// also found by the records. The same end is told once, however often this arrives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// [`FORMAT_VERSION`] of the build that wrote it.
    pub version: u32,
    /// Which job.
    pub job: JobId,
    /// Whose.
    pub owner: OwnerId,
    /// Whom to tell.
    pub url: String,
    /// How it ended.
    pub event: HookEvent,
    /// When it ended.
    pub at: Timestamp,
}

impl HookEvent {
    /// The event that a job's arrival in this state is.
    pub fn of(state: State) -> Option<Self> {
        match state {
            State::Done => Some(Self::Done),
            State::Failed => Some(Self::Failed),
            State::Cancelled => Some(Self::Cancelled),
            State::Uploading
            | State::Queued
            | State::Planning
            | State::Running
            | State::Paused
            | State::Assembling
            | State::Expired => None,
        }
    }
}

impl Hook {
    /// What is to be told of a job as it is; nothing where it has not ended, or nobody asked.
    pub fn of(record: &Record) -> Option<Self> {
        Some(Self {
            version: FORMAT_VERSION,
            job: record.id,
            owner: record.owner,
            url: record.request.webhook.clone()?,
            event: HookEvent::of(record.state)?,
            at: record.ended.unwrap_or(record.changed),
        })
    }
}
