//! One job for one `Idempotency-Key`, however often the request comes.

use axum::http::HeaderMap;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{FORMAT_VERSION, JobId, OwnerId};
use clearfleet_common::storage::{Digest, ObjectKey, Storage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::request::NewJob;
use crate::http::Problem;

/// The longest key in bytes.
const LONGEST: usize = 255;

/// What is stored under a key: which job its requests make.
///
/// It is written before the source is, so that two requests at once, or one that comes again after the server died, make
/// the same job.
#[derive(Debug, Serialize, Deserialize)]
struct Reservation {
    version: u32,
    job: JobId,
    /// SHA-256 of the request without its file, in hex.
    request: String,
    created: Timestamp,
}

/// The job that a request makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    /// One that nobody knows of yet.
    New(JobId),
    /// The one that an earlier request of the same key made or began to make.
    Before(JobId),
}

/// The job that a request makes: a new one, or the one that its key stands for.
///
/// # Errors
/// `idempotency_conflict` if the key was used for another request; `body_invalid` for a key that is none; the store's.
pub(super) async fn reserve(
    storage: &Storage,
    owner: OwnerId,
    headers: &HeaderMap,
    request: &NewJob,
) -> Result<Reserved, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(Reserved::New(JobId::new()));
    };
    let key = key.as_bytes();
    if key.is_empty() || key.len() > LONGEST {
        let detail = format!("an idempotency key has 1 to {LONGEST} bytes");
        return Err(Problem::new(ErrorCode::BodyInvalid, detail).with("limit", LONGEST));
    }
    let object = ObjectKey::Idempotency(owner, digest(key));
    let written = serde_json::to_vec(request).map_err(Problem::internal)?;
    let mine = Reservation {
        version: FORMAT_VERSION,
        job: JobId::new(),
        request: digest(&written).to_string(),
        created: Timestamp::now(),
    };
    // Twice: between the two calls a sweep may delete an old reservation.
    for _ in 0..2 {
        let body = serde_json::to_vec(&mine).map_err(Problem::internal)?;
        if storage.create(object, body.into()).await?.is_some() {
            return Ok(Reserved::New(mine.job));
        }
        if let Some(stored) = storage.get(object).await? {
            let theirs: Reservation = serde_json::from_slice(&stored.body).map_err(Problem::internal)?;
            return theirs.job_for(&mine.request).map(Reserved::Before);
        }
    }
    Err(Problem::new(
        ErrorCode::Unavailable,
        "the idempotency key is being deleted; try again",
    ))
}

impl Reservation {
    fn job_for(self, request: &str) -> Result<JobId, Problem> {
        if self.request == request {
            return Ok(self.job);
        }
        let detail = "the idempotency key was used for another request";
        Err(Problem::new(ErrorCode::IdempotencyConflict, detail).with("job", self.job))
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}
