//! Watching a film while it is made: a playlist for HTTP Live Streaming (RFC 8216) that lists every batch from the start, over
//! the segments as workers write them.
//!
//! Who asks for a batch that is not done yet waits for it, and the fleet does it next.

mod codecs;
mod playlist;
mod sound;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State as Extracted};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{JobId, Marker, Plan, Record, SegmentKind, State};
use clearfleet_common::mp4::{self, Additions};
use clearfleet_common::storage::{KeyPrefix, ObjectKey, PlanKey, Storage, StorageError};
use futures::TryStreamExt;
use tokio::time::{Instant, sleep, timeout_at};

use super::job_that;
use super::objects::{must_be_kept, not_yet};
use crate::http::body::JobPath;
use crate::http::error::ProblemBody;
use crate::http::{AppState, Caller, Problem};

use sound::SoundName;

/// A finished batch is looked for this often where nothing is heard of the job.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// And not more often than this, whatever is heard.
const LOOK_AFTER: Duration = Duration::from_millis(100);
/// When a player that waited in vain should ask again.
const AGAIN: Duration = Duration::from_secs(1);
/// Headers of segments are shorter, in bytes.
const LONGEST_HEADER: u64 = 64 << 10;

/// How players get the video.
const VIDEO: &str = "video/mp4";
/// What lists streams, as players know it.
const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// Watch the video, while it is made too: a playlist for HTTP Live Streaming.
///
/// It lists the whole video from the moment on at which it is planned. Parts that are not made yet are made next when a player
/// asks for them. The source's sound is beside it, every stream of it as a rendition, as far as workers can write it. Segments
/// are kept a day after the job is done; then there is the result.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/stream.m3u8",
    tag = "objects",
    params(("id" = String, Path, description = "The job.")),
    responses(
        (status = 200, description = "The playlist.", body = String, content_type = "application/vnd.apple.mpegurl"),
        (status = "4XX", description = "There is none, or none yet.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn stream(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JobPath(job): JobPath,
) -> Result<Response, Problem> {
    let film = Film::of(&state, caller, job).await?;
    let plan = film.plan(&state).await?;
    let sound = film.sound(&state, &plan).await?;
    let streams = playlist::of_streams(film.key.plan, &plan, sound);
    Ok(uncached(streams))
}

/// What the playlist names: `video.m3u8`, `init.mp4`, and a segment a batch, such as `3.m4s`; of the first rendition of the
/// sound `sound0.m3u8`, `sound0-init.mp4`, and a part every 10 seconds, such as `sound0-3.m4s`.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/stream/{plan}/{part}",
    tag = "objects",
    params(
        ("id" = String, Path, description = "The job."),
        ("plan" = u32, Path, description = "The plan, as the playlist has it."),
        ("part" = String, Path, description = "The part, as the playlist has it."),
    ),
    responses(
        (status = 200, description = "It.", content_type = "*/*"),
        (status = "4XX", description = "There is none.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "It is not made yet: ask again.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn part(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    Path((id, plan, part)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let job = id.parse().map_err(|_| Problem::no_such_job())?;
    let film = Film::of(&state, caller, job).await?;
    if plan.parse() != Ok(film.key.plan) {
        let detail = "the video is made anew since: its stream has another playlist";
        return Err(Problem::new(ErrorCode::Gone, detail).with("plan", film.key.plan));
    }
    match part.as_str() {
        "video.m3u8" => Ok(uncached(playlist::of_segments(&film.plan(&state).await?))),
        "init.mp4" => film.header(&state).await,
        part if let Some(name) = SoundName::parse(part) => film.sound_part(&state, name).await,
        part => {
            let number = part.strip_suffix(".m4s").and_then(|number| number.parse().ok());
            let batch = number.filter(|batch| *batch < film.batches);
            let no_such = || Problem::new(ErrorCode::NotFound, "the stream has no such part");
            film.segment(&state, batch.ok_or_else(no_such)?).await
        }
    }
}

/// What became of waiting.
enum Waited<T> {
    /// It is there.
    Found(T),
    /// The job ended without it.
    Ended,
    /// It did not come in time.
    Late,
}

/// The plan that a job follows, as far as its record tells.
struct Film {
    record: Arc<Record>,
    key: PlanKey,
    batches: u64,
}

impl Film {
    async fn of(state: &AppState, caller: Caller, job: JobId) -> Result<Self, Problem> {
        let found = job_that(state, caller, job, |record| record.plan.is_some()).await?;
        let record = Arc::clone(&found.record);
        must_be_kept(&record)?;
        let plan = record.plan.as_ref().ok_or_else(|| not_yet(&record, "a stream"))?;
        if !record.is_streamed() {
            return Err(not_streamed(
                "its result is no video that players show while it is made",
            ));
        }
        Ok(Self {
            key: PlanKey { job, plan: plan.number },
            batches: plan.batches,
            record,
        })
    }

    /// All of the plan.
    async fn plan(&self, state: &AppState) -> Result<Plan, Problem> {
        let stored = state.storage.get(ObjectKey::Plan(self.key)).await?.ok_or_else(gone)?;
        let plan: Plan = serde_json::from_slice(&stored.body).map_err(Problem::internal)?;
        if plan.encoder.segment != SegmentKind::FragmentedMp4 {
            return Err(not_streamed("no player shows its codec while it is made"));
        }
        if plan.times.is_empty() {
            return Err(not_streamed("it was planned by a version that streams did not know"));
        }
        Ok(plan)
    }

    /// What all segments begin with, as a player needs it.
    async fn header(&self, state: &AppState) -> Result<Response, Problem> {
        let plan = self.plan(state).await?;
        let marker = self.wait(state, Some(0), || self.any_marker(&state.storage)).await?;
        let header = read_header(&state.storage, &marker).await?;
        let header = Additions::of_shown(&plan.video).add_to(header);
        let header = header.ok_or_else(|| Problem::internal("a segment's header without the boxes of a track"))?;
        Ok(kept(VIDEO, header.len() as u64, header.into()))
    }

    /// The fragments of a batch.
    async fn segment(&self, state: &AppState, batch: u64) -> Result<Response, Problem> {
        let look = || self.marker(&state.storage, batch);
        let marker = self.wait(state, Some(batch), look).await?;
        let header = read_header(&state.storage, &marker).await?.len() as u64;
        let fragments = state
            .storage
            .read(&marker.segment, Some(header..marker.bytes), None)
            .await?;
        Ok(kept(VIDEO, marker.bytes - header, Body::from_stream(fragments)))
    }

    async fn marker(&self, storage: &Storage, batch: u64) -> Result<Option<Marker>, Problem> {
        let stored = storage.get(ObjectKey::Marker(self.key, batch)).await?;
        let marker = stored.map(|stored| serde_json::from_slice(&stored.body).map_err(Problem::internal));
        marker.transpose()
    }

    /// That of the first batch that is done: all have one header.
    async fn any_marker(&self, storage: &Storage) -> Result<Option<Marker>, Problem> {
        let mut markers = std::pin::pin!(storage.list(KeyPrefix::Markers(self.key)));
        let first = markers.try_next().await?;
        let batch = first.and_then(|listed| ObjectKey::marked_batch(&listed.key));
        match batch {
            Some(batch) => self.marker(storage, batch).await,
            None => Ok(None),
        }
    }

    /// What `look` finds, once it does. Meanwhile `batch`, if it is one, is what somebody waits for.
    async fn wait<T, F>(&self, state: &AppState, batch: Option<u64>, look: impl FnMut() -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<Option<T>, Problem>>,
    {
        let waited = self.wait_until(state, batch, look).await?;
        if let Waited::Found(found) = waited {
            return Ok(found);
        }
        let changes = state.records.watch(self.key.job).ok_or_else(Problem::no_such_job)?;
        let now = Arc::clone(&changes.borrow().record);
        if matches!(waited, Waited::Ended) {
            return Err(not_yet(&now, "this part"));
        }
        let detail = format!("this part is not made yet: the job is {}", now.state);
        Err(Problem::new(ErrorCode::Unavailable, detail).retry_after(AGAIN))
    }

    /// As [`wait`](Self::wait); to wait in vain is no error here.
    async fn wait_until<T, F>(
        &self,
        state: &AppState,
        batch: Option<u64>,
        mut look: impl FnMut() -> F,
    ) -> Result<Waited<T>, Problem>
    where
        F: Future<Output = Result<Option<T>, Problem>>,
    {
        if let Some(found) = look().await? {
            return Ok(Waited::Found(found));
        }
        let _turn = state.turn_to_wait()?;
        let until = Instant::now() + state.config.segment_wait;
        let mut changes = state.records.watch(self.key.job).ok_or_else(Problem::no_such_job)?;
        if let Some(batch) = batch {
            state.say_watched(&self.record, batch);
        }
        loop {
            let now = changes.borrow_and_update().record.state;
            if now.is_ended() && now != State::Done {
                return Ok(Waited::Ended);
            }
            let heard = async {
                sleep(LOOK_AFTER).await;
                // Whether it changed or is gone shows at the next look.
                let _ = tokio::time::timeout(LOOK_EVERY, changes.changed()).await;
            };
            let in_time = timeout_at(until, heard).await.is_ok();
            if let Some(found) = look().await? {
                return Ok(Waited::Found(found));
            }
            if !in_time {
                return Ok(Waited::Late);
            }
        }
    }
}

/// The header of a segment, as its encoder made it.
async fn read_header(storage: &Storage, marker: &Marker) -> Result<Vec<u8>, Problem> {
    let range = 0..marker.bytes.min(LONGEST_HEADER);
    let pieces = storage.read(&marker.segment, Some(range), None).await;
    let mut pieces = pieces.map_err(|error| match error {
        StorageError::Missing { .. } => gone(),
        error => error.into(),
    })?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.try_next().await.map_err(Problem::internal)? {
        bytes.extend_from_slice(&piece);
    }
    let length = mp4::header_len(&bytes);
    bytes.truncate(length.ok_or_else(|| Problem::internal("a segment without a header"))?);
    Ok(bytes)
}

fn not_streamed(why: &str) -> Problem {
    Problem::new(ErrorCode::StateConflict, format!("the job is not streamed: {why}"))
}

fn gone() -> Problem {
    Problem::new(ErrorCode::Gone, "the segments were deleted after their time")
}

fn uncached(playlist: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, PLAYLIST),
        (header::CACHE_CONTROL, "private, no-cache"),
    ];
    (headers, playlist).into_response()
}

/// What stays the same as long as its address means something.
fn kept(content_type: &str, bytes: u64, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CACHE_CONTROL, "private, max-age=86400, immutable".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
    ];
    (headers, body).into_response()
}
