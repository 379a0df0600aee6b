//! What a person can ask of a job. It is written into the record, judged there, and answered; the scheduler does it.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extracted;
use axum::http::StatusCode;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Command, JobId, Priority, Record, Retouch, SourceKind, State, Stretch};
use clearfleet_common::storage::{ObjectKey, Version};
use clearfleet_common::telemetry::trace;
use serde::Deserialize;
use utoipa::ToSchema;

use super::job_of;
use super::request::{SettingsInput, stretch};
use crate::http::body::{JobPath, Json as JsonBody};
use crate::http::error::ProblemBody;
use crate::http::view::{JobView, PriorityName};
use crate::http::{AppState, Caller, Problem, traced};

/// How often a command is tried while others change the record.
const ROUNDS: u32 = 50;

type Answer = Result<(StatusCode, Json<JobView>), Problem>;

/// Changes the caller's job as `change` says, and tells everybody.
///
/// # Errors
/// `not_found`; what `change` refuses; the store's.
pub(super) async fn change(
    state: &AppState,
    caller: Caller,
    job: JobId,
    mut change: impl FnMut(&mut Record) -> Result<(), Problem>,
) -> Result<(Record, Version), Problem> {
    let owner = caller.owner;
    traced::concerns(job);
    for round in 0..ROUNDS {
        let found = state.storage.record(owner, job).await?;
        let (mut record, version) = found
            .filter(|(record, _)| record.apparent_state().is_some())
            .ok_or_else(Problem::no_such_job)?;
        change(&mut record)?;
        // A scheduler looks at what is active only. Before the record says what is wanted, lest this process dies in
        // between and nobody ever looks.
        let ended = record.state.is_ended();
        if ended {
            mark_active(state, &record).await?;
        }
        if let Some(version) = state.storage.replace_record(&record, &version).await? {
            // And after: a scheduler that had just seen the job end may have been deleting the mark.
            if ended {
                mark_active(state, &record).await?;
            }
            state.records.note(record.clone(), version.clone());
            state.say_changed(owner, job);
            return Ok((record, version));
        }
        tokio::time::sleep(Duration::from_millis(u64::from(round))).await;
    }
    let problem = Problem::new(
        ErrorCode::Unavailable,
        "the job is being changed by others all the time",
    );
    Err(problem.retry_after(Duration::from_secs(1)))
}

async fn mark_active(state: &AppState, record: &Record) -> Result<(), Problem> {
    let owner = Bytes::from(record.owner.to_string());
    state.storage.put(ObjectKey::Active(record.id), owner).await?;
    Ok(())
}

/// The job as it is after a command.
fn answer(state: &AppState, status: StatusCode, record: &Record) -> Answer {
    let snapshot = state.records.known(record.owner, record.id);
    let view = snapshot.and_then(|snapshot| JobView::new(&snapshot, state.scheduler.as_ref()));
    Ok((status, Json(view.ok_or_else(Problem::no_such_job)?)))
}

/// What is done of a job from now on is done for this request, and belongs into its trace.
fn brought_back(record: &mut Record) {
    record.trace = trace::current().or(record.trace.take());
}

async fn command(state: &AppState, caller: Caller, job: JobId, command: Command) -> Answer {
    let _room = match command {
        Command::Retry => Some(state.quotas.reserve(&caller, 0)?),
        _ => None,
    };
    let (record, _) = change(state, caller, job, |record| {
        record.want(command)?;
        if command == Command::Retry {
            brought_back(record);
        }
        Ok(())
    })
    .await?;
    tracing::info!(owner = %caller.owner, %job, %command, "job {job}: {command} is accepted");
    answer(state, StatusCode::ACCEPTED, &record)
}

/// Declares the commands that take nothing but the job.
macro_rules! commands {
    ($($(#[doc = $doc:literal])* $name:ident($path:literal) = $command:expr;)*) => {$(
        $(#[doc = $doc])*
        #[utoipa::path(
            post,
            path = $path,
            tag = "jobs",
            params(("id" = String, Path, description = "The job.")),
            responses(
                (status = 202, description = "Accepted; the job as it will be.", body = JobView),
                (status = 409, description = "It does not go with the job's state, which `details.state` names.", body = ProblemBody, content_type = "application/problem+json"),
                (status = "4XX", description = "There is no such job.", body = ProblemBody, content_type = "application/problem+json"),
            )
        )]
        pub(super) async fn $name(Extracted(state): Extracted<AppState>, caller: Caller, JobPath(job): JobPath) -> Answer {
            command(&state, caller, job, $command).await
        }
    )*};
}

commands! {
    /// Cancel a job. Finished batches are kept for a retry.
    cancel("/v1/jobs/{id}/cancel") = Command::Cancel;
    /// Pause a job: no further batch is begun.
    pause("/v1/jobs/{id}/pause") = Command::Pause;
    /// Go on after a pause, or start a job that was made with `"start": false`.
    resume("/v1/jobs/{id}/resume") = Command::Resume;
    /// Do what a failed or cancelled job lacks.
    retry("/v1/jobs/{id}/retry") = Command::Retry;
}

/// What another result shall be like; what is left out stays as it was.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RedoInput {
    /// All settings of the new result; with `only`, nothing but `denoise` and `sharpen`.
    settings: Option<SettingsInput>,
    /// Which part of a video, in seconds of its own clock; `[null, null]` is the whole.
    #[schema(min_items = 2, max_items = 2)]
    range: Option<[Option<f64>; 2]>,
    /// The part of a video that the settings are for, in seconds of its own clock: only its batches are done again, and
    /// all else stays as it is.
    #[schema(min_items = 2, max_items = 2)]
    only: Option<[Option<f64>; 2]>,
}

impl RedoInput {
    fn apply(&self, record: &mut Record) -> Result<(), Problem> {
        if let Some(only) = self.only {
            return self.retouch(stretch(only)?, record);
        }
        let request = &mut record.request;
        if let Some(settings) = &self.settings {
            request.settings = settings.read()?;
            // They are of the whole.
            request.retouches.clear();
        }
        if let Some(range) = self.range {
            request.stretch = stretch(range)?;
        }
        Ok(())
    }

    fn retouch(&self, stretch: Stretch, record: &mut Record) -> Result<(), Problem> {
        let refused = |detail: &str| Err(Problem::new(ErrorCode::SettingsInvalid, detail));
        let settings = match &self.settings {
            Some(settings) if self.range.is_none() && settings.says_filters_only() => settings,
            _ => return refused("what can differ in a part of a video is denoise and sharpen"),
        };
        if record.plan.as_ref().is_none_or(|plan| plan.kind != SourceKind::Video) {
            return refused("only a video has parts that can be done again");
        }
        let filters = settings.filters()?;
        let request = &mut record.request;
        request.retouches.retain(|earlier| earlier.stretch != stretch);
        request.retouches.push(Retouch { stretch, filters });
        if request.retouches.len() > Retouch::MOST {
            let detail = format!("more than {} parts of one video differ", Retouch::MOST);
            return Err(Problem::new(ErrorCode::SettingsInvalid, detail).with("limit", Retouch::MOST));
        }
        Ok(())
    }
}

/// Make another result from the same source. The old one stays until the new one is verified.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/redo",
    tag = "jobs",
    params(("id" = String, Path, description = "The job.")),
    request_body = RedoInput,
    responses(
        (status = 202, description = "Accepted; the job as it will be.", body = JobView),
        (status = 409, description = "The job is not done.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn redo(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JobPath(job): JobPath,
    JsonBody(input): JsonBody<RedoInput>,
) -> Answer {
    let _room = state.quotas.reserve(&caller, 0)?;
    let (record, _) = change(&state, caller, job, |record| {
        record.want(Command::Redo)?;
        brought_back(record);
        input.apply(record)
    })
    .await?;
    tracing::info!(owner = %caller.owner, %job, "job {job}: redo is accepted");
    answer(&state, StatusCode::ACCEPTED, &record)
}

/// What of a job can be changed; what is left out stays as it was.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JobPatch {
    /// All settings, of a job that is not planned yet.
    settings: Option<SettingsInput>,
    /// Which part of a video, of a job that is not planned yet; `[null, null]` is the whole.
    #[schema(min_items = 2, max_items = 2)]
    range: Option<[Option<f64>; 2]>,
    /// Who comes first among one owner's jobs.
    #[schema(inline, value_type = Option<PriorityName>)]
    priority: Option<Priority>,
}

/// Change a job: its settings before it is planned, its priority at any time.
#[utoipa::path(
    patch,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "The job.")),
    request_body = JobPatch,
    responses(
        (status = 200, description = "Changed.", body = JobView),
        (status = 409, description = "The job is planned already.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn patch(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JobPath(job): JobPath,
    JsonBody(patch): JsonBody<JobPatch>,
) -> Answer {
    let says_nothing = patch.settings.is_none() && patch.range.is_none() && patch.priority.is_none();
    if says_nothing {
        let record = &job_of(&state, caller, job).await?.record;
        return answer(&state, StatusCode::OK, record);
    }
    let redo = RedoInput {
        settings: patch.settings,
        range: patch.range,
        only: None,
    };
    let (record, _) = change(&state, caller, job, |record| {
        if redo.settings.is_some() || redo.range.is_some() {
            must_be_unplanned(record)?;
            redo.apply(record)?;
        }
        if let Some(priority) = patch.priority {
            record.request.priority = priority;
        }
        Ok(())
    })
    .await?;
    answer(&state, StatusCode::OK, &record)
}

fn must_be_unplanned(record: &Record) -> Result<(), Problem> {
    let waits = matches!(record.state, State::Uploading | State::Queued | State::Paused);
    if waits && record.plan.is_none() {
        return Ok(());
    }
    let detail = "settings can be changed until the job is planned; a job that is done can be done again with others";
    Err(Problem::new(ErrorCode::StateConflict, detail).with("state", record.apparent_state().unwrap_or(record.state)))
}

/// End a job and delete everything of it, its previews included.
#[utoipa::path(
    delete,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 204, description = "Accepted; from now on there is no such job."),
        (status = "4XX", description = "There is no such job.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JobPath(job): JobPath,
) -> Result<StatusCode, Problem> {
    change(&state, caller, job, |record| Ok(record.want(Command::Delete)?)).await?;
    for preview in state.records.previews_of(caller.owner, job) {
        // One that is gone already is as it should be; another goes after its time.
        if let Err(e) = change(&state, caller, preview, |record| Ok(record.want(Command::Delete)?)).await {
            tracing::debug!(job = %preview, error = ?e, "a preview stays until it expires");
        }
    }
    tracing::info!(owner = %caller.owner, %job, "job {job}: delete is accepted");
    Ok(StatusCode::NO_CONTENT)
}
