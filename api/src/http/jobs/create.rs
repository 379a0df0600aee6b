//! `POST /v1/jobs`: a source and what is wanted of it become a job.

use axum::extract::{Request as HttpRequest, State as Extracted};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{JobId, Record, Source, SourceKind, SourceLocation};
use clearfleet_common::storage::StorageError;
use clearfleet_common::telemetry::trace;
use jiff::Timestamp;

use super::idempotency::{self, Reserved};
use super::request::{NewJob, NewJobQuery, SourceInput, object};
use super::upload::{Upload, Uploaded};
use crate::http::body::{self, Pace, PacedBody, Query};
use crate::http::error::ProblemBody;
use crate::http::view::JobView;
use crate::http::{AppState, Caller, Problem, traced};

/// Names the source of an upload that is the whole body; in UTF-8, percent-encoded or as it is.
const NAME_HEADER: &str = "x-clearfleet-name";

/// Make a job.
///
/// With the source as an upload: as `multipart/form-data` with a part `request` (a JSON document, first) and a part
/// `file`; or as the whole body, with what is wanted in the address. Or without an upload, as `application/json` that
/// names a `source` which is there already. A request with the same `Idempotency-Key` makes no second job.
#[utoipa::path(
    post,
    path = "/v1/jobs",
    tag = "jobs",
    params(
        NewJobQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Requests of the same key make one job.", max_length = 255),
        ("X-Clearfleet-Name" = Option<String>, Header, description = "File name of a source that is the whole body."),
    ),
    request_body(content(
        (MultipartUpload = "multipart/form-data"),
        (NewJob = "application/json"),
        ("application/octet-stream"),
    )),
    responses(
        (status = 201, description = "The job is made.", body = JobView, headers(("Location" = String, description = "Its address."))),
        (status = 200, description = "The idempotency key stands for this job, which was made before.", body = JobView),
        (status = "4XX", description = "Refused; nothing is kept.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "It could not be done.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    Query(query): Query<NewJobQuery>,
    request: HttpRequest,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let making = Making {
        state: &state,
        caller,
        headers: &headers,
    };
    let made = match body::media_type(&headers).as_deref() {
        Some("multipart/form-data") => {
            no_parameters(&query)?;
            // The request and what multipart puts around the parts come on top of the source.
            let limit = state
                .config
                .limits
                .bytes
                .saturating_add(2 * state.config.json_bytes as u64);
            let body = PacedBody::new(&headers, body, Pace::of(&state), limit, ErrorCode::InputTooLarge)?;
            making.multipart(body).await?
        }
        Some("application/json") => {
            no_parameters(&query)?;
            let limit = state.config.json_bytes as u64;
            let body = PacedBody::new(&headers, body, Pace::of(&state), limit, ErrorCode::TooLarge)?;
            let new: NewJob = body::from_json(&body.collect().await?)?;
            making.made_of_existing(&new).await?
        }
        _ => {
            let limit = state.config.limits.bytes;
            let body = PacedBody::new(&headers, body, Pace::of(&state), limit, ErrorCode::InputTooLarge)?;
            making.whole_body(query.into(), body).await?
        }
    };
    made.respond(&state)
}

fn no_parameters(query: &NewJobQuery) -> Result<(), Problem> {
    if query.is_empty() {
        return Ok(());
    }
    let detail =
        "parameters in the address go with an upload that is the whole body; here the JSON says what is wanted";
    Err(Problem::new(ErrorCode::QueryInvalid, detail))
}

/// `multipart/form-data` of a new job.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "describes a body; its parts are read one by one")]
pub(super) struct MultipartUpload {
    /// What is wanted; the first part.
    request: NewJob,
    /// The source.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    file: String,
}

/// A job, and whether this request made it.
pub(super) struct Made {
    pub(super) record: Record,
    new: bool,
}

impl Made {
    /// The answer.
    ///
    /// # Errors
    /// `not_found` if it was deleted meanwhile.
    pub(super) fn respond(self, state: &AppState) -> Result<Response, Problem> {
        let snapshot = state.records.known(self.record.owner, self.record.id);
        let snapshot = snapshot.ok_or_else(Problem::no_such_job)?;
        let view = JobView::new(&snapshot, state.scheduler.as_ref()).ok_or_else(Problem::no_such_job)?;
        let status = if self.new { StatusCode::CREATED } else { StatusCode::OK };
        let location = [(header::LOCATION, view.links.itself.clone())];
        Ok((status, location, axum::Json(view)).into_response())
    }
}

/// What the ways to make a job share.
pub(super) struct Making<'a> {
    pub(super) state: &'a AppState,
    pub(super) caller: Caller,
    pub(super) headers: &'a HeaderMap,
}

impl Making<'_> {
    async fn multipart(&self, body: PacedBody) -> Result<Made, Problem> {
        let mut parts = super::multipart::Parts::new(self.headers, body)?;
        let new = parts.request(self.state.config.json_bytes).await?;
        new.must_bring_its_source()?;
        let job = match self.begin(&new).await? {
            Ok(job) => job,
            Err(made) => return Ok(made),
        };
        let uploaded = parts.file(self.upload(job), new.name.as_deref()).await?;
        self.made_of_upload(job, &new, uploaded).await
    }

    async fn whole_body(&self, mut new: NewJob, mut body: PacedBody) -> Result<Made, Problem> {
        if new.name.is_none() {
            new.name = self.name_header()?;
        }
        let job = match self.begin(&new).await? {
            Ok(job) => job,
            Err(made) => return Ok(made),
        };
        let mut upload = self.upload(job).await?;
        let name = new.name.clone().unwrap_or_default();
        while let Some(piece) = body.next().await? {
            upload.take(piece, &name).await?;
        }
        let uploaded = upload.finish(&name).await?;
        self.made_of_upload(job, &new, uploaded).await
    }

    fn name_header(&self) -> Result<Option<String>, Problem> {
        let Some(value) = self.headers.get(NAME_HEADER) else {
            return Ok(None);
        };
        let name = percent_encoding::percent_decode(value.as_bytes()).decode_utf8();
        let name =
            name.map_err(|_| Problem::new(ErrorCode::BodyInvalid, "the name in X-Clearfleet-Name is not UTF-8"))?;
        Ok(Some(name.into_owned()))
    }

    /// The id that the job gets, or the job that is there already.
    ///
    /// # Errors
    /// What is wanted and does not go; `idempotency_conflict`, `gone`; the store's.
    pub(super) async fn begin(&self, new: &NewJob) -> Result<Result<JobId, Made>, Problem> {
        new.check(&self.state.config)?;
        let owner = self.caller.owner;
        let job = match idempotency::reserve(&self.state.storage, owner, self.headers, new).await? {
            Reserved::New(job) => return Ok(Ok(job)),
            Reserved::Before(job) => job,
        };
        match self.state.records.find(owner, job).await? {
            Some(there) if there.record.apparent_state().is_none() => {
                let detail = "the job that the idempotency key stands for was deleted";
                Err(Problem::new(ErrorCode::Gone, detail).with("job", job))
            }
            Some(there) => Ok(Err(Made {
                record: (*there.record).clone(),
                new: false,
            })),
            None => Ok(Ok(job)),
        }
    }

    async fn upload(&self, job: JobId) -> Result<Upload, Problem> {
        let announced = self.headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let room = self.state.quotas.reserve(&self.caller, announced.unwrap_or(0))?;
        Upload::begin(self.state, job, room).await
    }

    async fn made_of_upload(&self, job: JobId, new: &NewJob, uploaded: Uploaded) -> Result<Made, Problem> {
        let name = uploaded.name.as_deref();
        let request = new.request(&self.state.config, uploaded.look.kind, name)?;
        let source = Source {
            location: SourceLocation::Job(job),
            bytes: uploaded.bytes,
            etag: uploaded.version.as_str().to_owned(),
            content_type: uploaded.look.content_type.to_owned(),
        };
        let mut record = Record::new(job, self.caller.owner, request, source, Timestamp::now());
        record.state = new.first_state();
        let made = write(self.state, record).await;
        drop(uploaded.room);
        made
    }

    async fn made_of_existing(&self, new: &NewJob) -> Result<Made, Problem> {
        let Some(input) = &new.source else {
            let detail = "a request without an upload names a source: {\"job\": id} or s3://bucket/key";
            return Err(Problem::new(ErrorCode::BodyInvalid, detail).with("field", "source"));
        };
        let job = match self.begin(new).await? {
            Ok(job) => job,
            Err(made) => return Ok(made),
        };
        let _room = self.state.quotas.reserve(&self.caller, 0)?;
        let (source, name, kind) = match input {
            SourceInput::Job(of) => self.source_of(of.job).await?,
            SourceInput::Object(address) => self.source_at(address).await?,
        };
        let request = new.request(&self.state.config, kind, Some(&name))?;
        let mut record = Record::new(job, self.caller.owner, request, source, Timestamp::now());
        record.state = new.first_state();
        write(self.state, record).await
    }

    /// The source of another job, which must still be there.
    async fn source_of(&self, job: JobId) -> Result<(Source, String, SourceKind), Problem> {
        let found = self.state.records.find(self.caller.owner, job).await?;
        let found = found.filter(|snapshot| snapshot.record.apparent_state().is_some());
        let no_such = || Problem::no_such_job().with("job", job);
        let record = std::sync::Arc::clone(&found.ok_or_else(no_such)?.record);
        super::download::stat_of_source(self.state, &record).await?;
        let kind = record.plan.as_ref().map_or(record.request.kind, |plan| plan.kind);
        Ok((record.source.clone(), record.request.name.clone(), kind))
    }

    /// An object of an operator's place, its version pinned.
    async fn source_at(&self, address: &str) -> Result<(Source, String, SourceKind), Problem> {
        let at = object(&self.state.config, address)?;
        let storage = self.state.storage.in_bucket(&at.bucket);
        let missing = || Problem::new(ErrorCode::InputNotFound, "there is no such object").with("source", address);
        let stat = match storage.stat(&at.key).await {
            // The store takes no such key, or shows it to nobody: to ask again later, as a 503 says, does not help.
            Err(e @ StorageError::Denied { .. }) => return Err(missing().because(e)),
            stat => stat?.ok_or_else(missing)?,
        };
        let limit = self.state.config.limits.bytes;
        if stat.bytes > limit {
            let problem = Problem::new(ErrorCode::InputTooLarge, "the object is larger than the limit");
            return Err(problem.with("limit", limit).with("found", stat.bytes));
        }
        let head = super::upload::head_of(&storage, &at.key, &stat).await?;
        let look = super::sniff::look(&head, &at.key)?;
        let source = Source {
            bytes: stat.bytes,
            etag: stat.version.as_str().to_owned(),
            content_type: look.content_type.to_owned(),
            location: SourceLocation::External {
                bucket: at.bucket,
                key: at.key.clone(),
            },
        };
        Ok((source, at.key, look.kind))
    }
}

/// Writes the record of a new job and says so. Of two requests of one idempotency key the slower finds the other's record.
///
/// # Errors
/// `unavailable`, `internal` if the store does not take it.
pub(super) async fn write(state: &AppState, mut record: Record) -> Result<Made, Problem> {
    record.trace = trace::current();
    let (owner, job) = (record.owner, record.id);
    traced::concerns(job);
    match state.storage.create_record(&record).await? {
        Some(version) => {
            state.records.note(record.clone(), version);
            state.say_changed(owner, job);
            tracing::info!(%owner, %job, bytes = record.source.bytes, "job {job} is made");
            Ok(Made { record, new: true })
        }
        None => {
            let found = state.storage.record(owner, job).await?;
            let (record, version) = found.ok_or_else(Problem::no_such_job)?;
            state.records.note(record.clone(), version);
            Ok(Made { record, new: false })
        }
    }
}
