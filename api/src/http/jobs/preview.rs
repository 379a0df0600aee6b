//! `POST /v1/jobs/{id}/preview`: a few frames to look at before, or while, all of them are done.

use std::sync::Arc;

use axum::extract::State as Extracted;
use axum::response::Response;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{JobId, Preview, Record, Request, SourceKind, Stretch};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use super::create::write;
use super::request::SettingsInput;
use super::{download, job_of};
use crate::http::body::{JobPath, Json as JsonBody};
use crate::http::error::ProblemBody;
use crate::http::view::JobView;
use crate::http::{AppState, Caller, Problem};

/// Which frames, and how they are made.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PreviewInput {
    /// From which moment on, in seconds after the video's beginning.
    #[schema(minimum = 0)]
    at: f64,
    /// How many: one, which is usual, becomes a PNG, more a video as the job's result would be. Fewer are made where as many
    /// would take over a minute.
    #[schema(minimum = 1, maximum = 250)]
    frames: Option<u32>,
    /// How long a video is made, in place of a number of frames, of which it has 250 at most.
    #[schema(exclusive_minimum = 0)]
    seconds: Option<f64>,
    /// All settings, in place of the job's.
    settings: Option<SettingsInput>,
}

impl PreviewInput {
    /// How many frames at most, and at which moment it ends.
    fn length(&self) -> Result<(u32, Option<f64>), Problem> {
        match (self.frames, self.seconds) {
            (Some(_), Some(_)) => Err(invalid("a preview is so many frames, or so many seconds")),
            (None, Some(seconds)) if seconds.is_finite() && seconds > 0.0 => {
                Ok((Preview::FRAMES, Some(self.at + seconds)))
            }
            (None, Some(_)) => Err(invalid("a length is a number of seconds above 0")),
            (frames, None) => match frames.unwrap_or(1) {
                frames @ 1..=Preview::FRAMES => Ok((frames, None)),
                _ => {
                    let detail = format!("a preview has 1 to {} frames", Preview::FRAMES);
                    Err(invalid(detail).with("limit", Preview::FRAMES))
                }
            },
        }
    }

    /// The request of the preview of a job.
    fn request(&self, of: &Record) -> Result<Request, Problem> {
        if !(self.at.is_finite() && self.at >= 0.0) {
            return Err(invalid("a moment is a number of seconds from 0 on"));
        }
        let (frames, end) = self.length()?;
        let (settings, retouches) = match &self.settings {
            Some(settings) => (settings.read()?, Vec::new()),
            None => (of.request.settings.clone(), of.request.retouches.clone()),
        };
        Ok(Request {
            kind: SourceKind::Picture,
            settings,
            stretch: Stretch {
                start: Some(self.at),
                end,
            },
            retouches,
            webhook: None,
            destination: None,
            preview: Some(Preview { of: of.id, frames }),
            ..of.request.clone()
        })
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::SettingsInvalid, detail)
}

/// Look at a few frames of a video before all of it is upscaled.
///
/// They are a job of their own, which comes before all films: follow it and download its result as any other's. It is not
/// listed unless asked for, and goes with the job that it is of.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/preview",
    tag = "jobs",
    params(("id" = String, Path, description = "The job.")),
    request_body = PreviewInput,
    responses(
        (status = 201, description = "The job that makes the preview.", body = JobView, headers(("Location" = String, description = "Its address."))),
        (status = "4XX", description = "There is no such job, its source is gone, or it is a picture.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn preview(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JobPath(job): JobPath,
    JsonBody(input): JsonBody<PreviewInput>,
) -> Result<Response, Problem> {
    let of = Arc::clone(&job_of(&state, caller, job).await?.record);
    let kind = of.plan.as_ref().map_or(of.request.kind, |plan| plan.kind);
    if kind == SourceKind::Picture {
        let detail = "a still picture has no preview: it is one step itself";
        return Err(Problem::new(ErrorCode::SettingsInvalid, detail).with("kind", kind));
    }
    download::stat_of_source(&state, &of).await?;
    let request = input.request(&of)?;
    let _room = state.quotas.reserve(&caller, 0)?;
    let record = Record::new(JobId::new(), caller.owner, request, of.source.clone(), Timestamp::now());
    write(&state, record).await?.respond(&state)
}
