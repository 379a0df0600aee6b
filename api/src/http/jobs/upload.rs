//! A source on its way into the store.

use std::sync::Arc;

use axum::body::Bytes;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::JobId;
use clearfleet_common::storage::{ObjectKey, ObjectWriter, Stat, Storage, Version};
use futures::TryStreamExt;
use tokio::sync::OwnedSemaphorePermit;

use super::sniff::{self, HEAD, Look};
use crate::http::{AppState, Problem};
use crate::owners::Reservation;

/// A source that is written as it comes: no more of it is in memory than the writer's two parts. Dropped unfinished, the
/// writer takes back what was sent.
pub(super) struct Upload {
    state: AppState,
    job: JobId,
    /// The first bytes, until there are enough to look at.
    head: Vec<u8>,
    writing: Option<(Look, ObjectWriter)>,
    bytes: u64,
    room: Reservation,
    _turn: OwnedSemaphorePermit,
}

/// A source that is in the store.
pub(super) struct Uploaded {
    pub(super) look: Look,
    pub(super) bytes: u64,
    pub(super) version: Version,
    /// What the upload itself calls it.
    pub(super) name: Option<String>,
    /// Held until the record says how much is stored.
    pub(super) room: Reservation,
}

impl Upload {
    /// Begins the upload of a job's source, when it is its turn.
    ///
    /// # Errors
    /// `unavailable` if too many uploads are under way.
    pub(super) async fn begin(state: &AppState, job: JobId, room: Reservation) -> Result<Self, Problem> {
        let turn = turn(state).await?;
        Ok(Self {
            state: state.clone(),
            job,
            head: Vec::new(),
            writing: None,
            bytes: 0,
            room,
            _turn: turn,
        })
    }

    /// Takes the next piece; the first ones are looked at before anything is written.
    ///
    /// # Errors
    /// What the source surely is not, too many bytes, no room for them, the store's.
    pub(super) async fn take(&mut self, piece: Bytes, name: &str) -> Result<(), Problem> {
        self.bytes += piece.len() as u64;
        let limit = self.state.config.limits.bytes;
        if self.bytes > limit {
            let detail = format!("the source is larger than {limit} bytes");
            return Err(Problem::new(ErrorCode::InputTooLarge, detail).with("limit", limit));
        }
        self.room.came(self.bytes)?;
        self.state.metrics.uploaded(piece.len() as u64);
        if let Some((_, writer)) = &mut self.writing {
            return Ok(writer.write(piece).await?);
        }
        self.head.extend_from_slice(&piece);
        if self.head.len() >= HEAD {
            self.start(name).await?;
        }
        Ok(())
    }

    /// Looks at the first bytes and begins to write.
    async fn start(&mut self, name: &str) -> Result<(), Problem> {
        let head = Bytes::from(std::mem::take(&mut self.head));
        let look = sniff::look(&head[..head.len().min(HEAD)], name)?;
        let key = ObjectKey::Source(self.job);
        let mut writer = self.state.storage.write(key, look.content_type).await?;
        writer.write(head).await?;
        self.writing = Some((look, writer));
        Ok(())
    }

    /// Puts the source in place. Where another request of the same idempotency key was faster, its source counts.
    ///
    /// # Errors
    /// What the source surely is not, the store's.
    pub(super) async fn finish(mut self, name: &str) -> Result<Uploaded, Problem> {
        if self.writing.is_none() {
            self.start(name).await?;
        }
        let Some((look, writer)) = self.writing.take() else {
            return Err(Problem::internal("an upload without a writer"));
        };
        let storage = &self.state.storage;
        let (bytes, version) = match writer.finish_new().await? {
            Some(written) => (written.bytes, written.version),
            None => {
                let there = storage.stat(&ObjectKey::Source(self.job).to_string()).await?;
                let there = there.ok_or_else(|| Problem::internal("a source was there and is not any more"))?;
                (there.bytes, there.version)
            }
        };
        Ok(Uploaded {
            look,
            bytes,
            version,
            name: None,
            room: self.room,
        })
    }
}

/// Waits until another upload may be under way.
///
/// # Errors
/// `unavailable` if too many are.
pub(super) async fn turn(state: &AppState) -> Result<OwnedSemaphorePermit, Problem> {
    let patience = state.config.upload_turn;
    let turn = tokio::time::timeout(patience, Arc::clone(&state.uploads).acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        let problem = Problem::new(ErrorCode::Unavailable, "too many uploads are under way");
        return Err(problem.retry_after(patience));
    };
    Ok(turn)
}

/// The first bytes of an object.
pub(super) async fn head_of(storage: &Storage, key: &str, stat: &Stat) -> Result<Vec<u8>, Problem> {
    let range = 0..stat.bytes.min(HEAD as u64);
    let reader = storage.read(key, Some(range), Some(&stat.version)).await?;
    let failed = |e: std::io::Error| Problem::new(ErrorCode::Unavailable, "the store cannot be used now").because(e);
    let pieces: Vec<Bytes> = reader.try_collect().await.map_err(failed)?;
    Ok(pieces.concat())
}
