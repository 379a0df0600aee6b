//! What a request brings of an upload, on its way into the store.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Command, State};
use clearfleet_common::storage::{Appender, Received, ResumableUpload};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

use super::checksum::{self, Checksum};
use super::finish::finish;
use super::metadata::Metadata;
use crate::http::body::{Pace, PacedBody};
use crate::http::jobs::command::change;
use crate::http::jobs::sniff::{self, HEAD};
use crate::http::jobs::upload::turn;
use crate::http::{AppState, Caller, Problem};

/// How much has come is told no more often.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// The pieces of a body; the first error ends it.
type Pieces = BoxStream<'static, Result<Bytes, Problem>>;

/// Takes what a request brings and gives how much has come with it. What came before a break is kept; if it was the last of
/// the upload, its job goes on.
///
/// # Errors
/// What the source surely is not, which ends the upload; more than its length; a checksum that is not met; a body that
/// breaks off or comes too slowly; the store's.
pub(super) async fn receive(
    state: &AppState,
    caller: Caller,
    (upload, received): (ResumableUpload, &Received),
    headers: &HeaderMap,
    body: Body,
) -> Result<u64, Problem> {
    let turn = turn(state).await?;
    let left = upload.bytes - received.bytes();
    let pieces = pieces(state, headers, body, left).await?;
    let receiving = Receiving {
        state: state.clone(),
        caller,
        name: Metadata::read(&upload.metadata)?.new.name.unwrap_or_default(),
        head: (received.bytes() < enough(&upload)).then(|| received.beyond().to_vec()),
        appender: state.storage.append(upload, received),
        told: Instant::now(),
        _turn: turn,
    };
    // Beside the request: with its connection that is dropped, and what has come would be lost.
    let task = state.hints.spawn(receiving.take_all(pieces).in_current_span());
    task.await.map_err(Problem::internal)?
}

/// What a request brings; all of it at once where there is a checksum, for before that is known nothing may be kept.
async fn pieces(state: &AppState, headers: &HeaderMap, body: Body, left: u64) -> Result<Pieces, Problem> {
    let body = |most| PacedBody::new(headers, body, Pace::of(state), most, ErrorCode::InputTooLarge);
    let Some(checksum) = Checksum::of(headers)? else {
        let next = async |mut body: PacedBody| Ok(body.next().await?.map(|piece| (piece, body)));
        return Ok(stream::try_unfold(body(left)?, next).boxed());
    };
    let whole = body(left.min(checksum::MOST))?.collect().await?;
    checksum.check(&whole)?;
    Ok(stream::iter([Ok(whole)]).boxed())
}

/// Bytes of an upload that must have come before it is looked at.
fn enough(upload: &ResumableUpload) -> u64 {
    upload.bytes.min(HEAD as u64)
}

/// Bytes on their way into an upload.
struct Receiving {
    state: AppState,
    caller: Caller,
    /// What the upload's file is called.
    name: String,
    /// The upload's first bytes, until there are enough to look at.
    head: Option<Vec<u8>>,
    appender: Appender,
    /// When it was told how much has come.
    told: Instant,
    _turn: OwnedSemaphorePermit,
}

impl Receiving {
    async fn take_all(mut self, mut pieces: Pieces) -> Result<u64, Problem> {
        let stop = self.state.stop.clone();
        let broke = loop {
            match stop.run_until_cancelled(pieces.next()).await {
                Some(Some(Ok(piece))) => self.take(piece).await?,
                Some(Some(Err(problem))) => break Some(problem),
                Some(None) => break None,
                None => break Some(ends()),
            }
        };
        self.pour_head().await?;
        let bytes = self.appender.keep().await?;
        self.tell(bytes);
        if let Some(problem) = broke {
            return Err(problem);
        }
        if bytes == self.appender.upload().bytes {
            finish(&self.state, self.caller, self.appender.upload()).await?;
        }
        Ok(bytes)
    }

    /// Takes the next piece; the first ones are looked at before they are written.
    async fn take(&mut self, piece: Bytes) -> Result<(), Problem> {
        self.state.metrics.uploaded(piece.len() as u64);
        let Some(head) = &mut self.head else {
            self.appender.write(piece).await?;
            if self.told.elapsed() >= TOLD_EVERY {
                self.tell(self.appender.bytes());
            }
            return Ok(());
        };
        head.extend_from_slice(&piece);
        if (head.len() as u64) < enough(self.appender.upload()) {
            return Ok(());
        }
        self.look().await?;
        self.pour_head().await
    }

    /// Looks at the first bytes, and ends the upload if they are of no use.
    async fn look(&self) -> Result<(), Problem> {
        let head = self.head.as_deref().unwrap_or_default();
        let look = match sniff::look(&head[..head.len().min(HEAD)], &self.name) {
            Ok(look) => look,
            Err(problem) => {
                self.end().await?;
                return Err(problem);
            }
        };
        change(&self.state, self.caller, self.appender.upload().job, |record| {
            if record.state == State::Uploading {
                record.request.kind = look.kind;
                look.content_type.clone_into(&mut record.source.content_type);
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Has the upload's job deleted: as of one that is refused in one request, nothing is kept.
    async fn end(&self) -> Result<(), Problem> {
        let job = self.appender.upload().job;
        change(
            &self.state,
            self.caller,
            job,
            |record| Ok(record.want(Command::Delete)?),
        )
        .await?;
        Ok(())
    }

    /// Writes the first bytes, but for those that an earlier request has written.
    async fn pour_head(&mut self) -> Result<(), Problem> {
        if let Some(head) = self.head.take() {
            let written = self.appender.bytes() as usize;
            self.appender.write(Bytes::from(head).slice(written..)).await?;
        }
        Ok(())
    }

    fn tell(&mut self, bytes: u64) {
        self.told = Instant::now();
        self.state
            .say_received(self.caller.owner, self.appender.upload().job, bytes);
    }
}

/// The server ends; another, or the next, takes the rest.
fn ends() -> Problem {
    let problem = Problem::new(ErrorCode::Unavailable, "the server ends; what has come is kept");
    problem.retry_after(Duration::from_secs(1))
}
