//! Jobs: everything below `/v1/jobs`, one file a group of routes.

mod command;
mod create;
mod download;
mod events;
mod idempotency;
mod multipart;
mod names;
mod objects;
mod preview;
mod range;
mod read;
mod request;
mod sniff;
mod stream;
mod upload;
mod uploads;
mod verification;

use std::sync::Arc;

use clearfleet_common::job::{JobId, Record};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{AppState, Caller, Problem};
use crate::records::Snapshot;

pub(super) use names::result_name;
pub(super) use sniff::{SOURCES, SourceFormat};
pub(super) use uploads::{CHECKSUMS as UPLOAD_CHECKSUMS, EXTENSIONS as UPLOAD_EXTENSIONS};
#[cfg(feature = "standalone")]
pub(super) use verification::Verifier;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(read::list, create::create))
        .routes(routes!(read::get, command::patch, command::delete))
        .routes(routes!(events::of_job))
        .routes(routes!(events::of_all))
        .routes(routes!(objects::source))
        .routes(routes!(objects::result))
        .routes(routes!(objects::thumbnail))
        .routes(routes!(objects::pair))
        .routes(routes!(stream::stream))
        .routes(routes!(stream::part))
        .routes(routes!(verification::verification))
        .routes(routes!(command::cancel))
        .routes(routes!(command::pause))
        .routes(routes!(command::resume))
        .routes(routes!(command::retry))
        .routes(routes!(command::redo))
        .routes(routes!(preview::preview))
        .merge(uploads::routes())
}

/// The caller's job. One that is to be deleted is there no more.
async fn job_of(state: &AppState, caller: Caller, job: JobId) -> Result<Arc<Snapshot>, Problem> {
    visible(state.records.find(caller.owner, job).await?)
}

fn visible(found: Option<Arc<Snapshot>>) -> Result<Arc<Snapshot>, Problem> {
    let found = found.filter(|snapshot| snapshot.record.apparent_state().is_some());
    found.ok_or_else(Problem::no_such_job)
}

/// The job with what it `has` once it is so far. Where it is not, its record is read: another server may have told the client
/// what this one hears of in a moment.
async fn job_that(
    state: &AppState,
    caller: Caller,
    job: JobId,
    has: impl Fn(&Record) -> bool,
) -> Result<Arc<Snapshot>, Problem> {
    let known = job_of(state, caller, job).await?;
    if has(&known.record) {
        return Ok(known);
    }
    visible(state.records.read_now(caller.owner, job).await?)
}
