//! Writing a result to a place of the operator's, beside its place among the job's objects.

use std::io::Write;
use std::sync::Arc;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{ObjectAddress, Record};

use super::core::Core;
use super::holdings::Held;
use super::media::{StoredResult, copy};
use super::store::ObjectStore;
use crate::steps::{JobContext, Store};
use crate::{Error, Result};

/// Copies a stored result to where the request wants it, if it wants it anywhere; says where.
///
/// # Errors
/// `OutputUnwritable`, `DiskFull` if it cannot be written there; `VerifyMismatch` if what was written is not the result;
/// `Stopped`.
pub(super) fn deliver(
    core: &Core,
    held: &Held,
    job: &JobContext,
    record: &Record,
    stored: &StoredResult,
    content_type: &str,
) -> Result<Option<ObjectAddress>> {
    let Some(to) = &record.request.destination else {
        return Ok(None);
    };
    held.part("deliver", || write(core, job, to, stored, content_type))?;
    Ok(Some(to.clone()))
}

fn write(core: &Core, job: &JobContext, to: &ObjectAddress, stored: &StoredResult, content_type: &str) -> Result<()> {
    let refused = |e: Error| {
        let code = e.code();
        let message = format!("the result cannot be written to {to}");
        match code {
            ErrorCode::Stopped => e,
            _ => Error::new(code, message).because(e),
        }
    };
    let there = ObjectStore::new(
        core.storage.in_bucket(&to.bucket),
        core.runtime.clone(),
        Arc::clone(&core.metrics),
    );
    let mut from = core.store.read(&stored.key.to_string())?;
    let mut object = there.write_at(&to.key, content_type).map_err(refused)?;
    let put = |piece: &[u8]| object.write_all(piece).map_err(|e| Error::write("the result", e));
    copy(&mut *from, &job.stop, put).map_err(refused)?;
    let written = object.finish().map_err(refused)?;
    if written == (stored.bytes, stored.sha256.clone()) {
        return Ok(());
    }
    let error = Error::new(ErrorCode::VerifyMismatch, "what was written is not the result");
    Err(refused(
        error
            .with("expected_sha256", &stored.sha256)
            .with("found_sha256", written.1),
    ))
}
