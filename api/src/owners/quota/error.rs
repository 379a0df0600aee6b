//! What is refused for want of room.

use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use clearfleet_common::ErrorCode;

use crate::http::Problem;

/// When it makes sense to ask again for what depends on work that goes on.
const LATER: Duration = Duration::from_secs(30);

/// A limit that is reached.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// The owner asks too often.
    #[error("more than {limit} requests in a minute")]
    Requests {
        /// Requests in a minute.
        limit: NonZeroU32,
        /// When the next one is taken.
        retry_after: Duration,
    },
    /// The owner has as many jobs as it may.
    #[error("{found} jobs have not ended, and {limit} may be under way")]
    LiveJobs {
        /// Jobs that may not have ended.
        limit: u64,
        /// Those there are, without the refused one.
        found: u64,
    },
    /// The owner has stored as much as it may.
    #[error("with this, {found} bytes of sources and results would be stored, and {limit} may be")]
    StoredBytes {
        /// Bytes.
        limit: u64,
        /// Bytes with the refused ones.
        found: u64,
    },
    /// As [`StoredBytes`](Self::StoredBytes), of all owners together.
    #[error("with this, {found} bytes of all owners would be stored, and the budget is {limit}")]
    Budget {
        /// Bytes.
        limit: u64,
        /// Bytes with the refused ones.
        found: u64,
    },
    /// The file system is full, or will be.
    #[error("{limit} bytes would have to be free where the store is, and {found} are")]
    FreeSpace {
        /// Bytes that are needed: these, those of uploads under way, and what is left free.
        limit: u64,
        /// Bytes that are free.
        found: u64,
    },
    /// It cannot be found out what is free.
    #[error("the free space of the store cannot be found out")]
    Unknown(#[source] io::Error),
}

impl From<QuotaError> for Problem {
    fn from(error: QuotaError) -> Self {
        let said = error.to_string();
        match error {
            QuotaError::Requests { limit, retry_after } => Self::new(ErrorCode::RateLimited, said)
                .with("limit", limit)
                // Headers know whole seconds, and one sooner would be refused again.
                .retry_after(Duration::from_secs(retry_after.as_secs() + 1)),
            QuotaError::LiveJobs { limit, found } => Self::new(ErrorCode::RateLimited, said)
                .with("limit", limit)
                .with("found", found)
                .retry_after(LATER),
            QuotaError::StoredBytes { limit, found } => Self::new(ErrorCode::QuotaExceeded, said)
                .with("limit", limit)
                .with("found", found),
            // How large the store is and how full is nobody's business outside.
            QuotaError::Budget { .. } | QuotaError::FreeSpace { .. } => {
                Self::new(ErrorCode::InsufficientStorage, "the store has no room for it").because(error)
            }
            QuotaError::Unknown(_) => Self::new(ErrorCode::Unavailable, "the store cannot be used now").because(error),
        }
    }
}
