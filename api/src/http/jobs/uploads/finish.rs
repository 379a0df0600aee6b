//! The end of an upload of which all has come.

use clearfleet_common::job::State;
use clearfleet_common::storage::ResumableUpload;
use jiff::Timestamp;

use super::metadata::Metadata;
use super::place::over;
use crate::http::jobs::command::change;
use crate::http::{AppState, Caller, Problem};

/// Puts the source in place that an upload has brought, and lets its job go on. Whoever dies on the way leaves it to the
/// next who asks; of several at once each does it, to the same end.
///
/// # Errors
/// `gone` where the upload ended otherwise; the store's.
pub(super) async fn finish(state: &AppState, caller: Caller, upload: &ResumableUpload) -> Result<(), Problem> {
    let next = Metadata::read(&upload.metadata)?.new.first_state();
    let version = state.storage.complete_upload(upload).await?;
    let version = version.ok_or_else(|| Problem::internal("an upload of which all has come lacks something"))?;
    change(state, caller, upload.job, |record| {
        if record.source.has_come() {
            return Ok(());
        }
        if record.state != State::Uploading {
            return Err(over());
        }
        version.as_str().clone_into(&mut record.source.etag);
        (record.state, record.changed) = (next, Timestamp::now());
        Ok(())
    })
    .await?;
    let (owner, job) = (upload.owner, upload.job);
    tracing::info!(%owner, %job, bytes = upload.bytes, "the source of job {job} has come");
    if let Err(e) = state.storage.delete_upload(job).await {
        let error: &dyn std::error::Error = &e;
        tracing::warn!(%owner, %job, error, "what is left of the upload of job {job} stays until a sweep finds it");
    }
    Ok(())
}
