//! `GET /v1/backup`.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State as Extracted;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use clearfleet_common::ErrorCode;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::pack::pack;
use crate::http::{AppState, Caller, Problem, ProblemBody};

/// Bytes that go over the connection at a time.
const PIECE: usize = 256 << 10;
/// Pieces that may wait for the connection.
const PIECES: usize = 4;
/// How long the client may take for one of them.
const PATIENCE: Duration = Duration::from_secs(120);

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(backup))
}

/// A backup of everything: jobs, sources, results and keys, as they are at one moment.
///
/// For the one server that keeps its data itself; `clearfleet restore` makes a data folder of it. It holds secrets.
#[utoipa::path(
    get,
    path = "/v1/backup",
    tag = "server",
    responses(
        (status = 200, description = "A tar. One that is cut off is not whole.", content_type = "application/x-tar"),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "It could not be done.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn backup(Extracted(state): Extracted<AppState>, caller: Caller) -> Result<Response, Problem> {
    caller.must_be_admin()?;
    let Some(backup) = state.backup().cloned() else {
        let detail = "this server keeps its data elsewhere; back that up";
        return Err(Problem::new(ErrorCode::NotOffered, detail));
    };
    let Ok(turn) = std::sync::Arc::clone(&backup.turn).try_acquire_owned() else {
        let problem = Problem::new(ErrorCode::RateLimited, "another backup is being made");
        return Err(problem.retry_after(Duration::from_secs(60)));
    };
    let copying = backup.clone();
    let snapshot = tokio::task::spawn_blocking(move || copying.snapshot()).await;
    let snapshot = snapshot.map_err(Problem::internal)?.map_err(Problem::internal)?;
    let (pieces, mut body) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let runtime = Handle::current();
        let sender = Pieces { pieces, runtime };
        let failed = sender.clone();
        let packed = pack(&snapshot.0, &backup.data_dir, BufWriter::with_capacity(PIECE, sender));
        if let Err(e) = packed {
            tracing::warn!(error = &e as &dyn std::error::Error, "a backup broke off");
            // It breaks the connection, so that the client knows; where that is why, there is nobody to tell.
            let _ = failed.send(Err(e));
        }
    });
    let body = futures::stream::poll_fn(move |cx| body.poll_recv(cx));
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"clearfleet-backup.tar\"",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Passes what is written on to a body, from a thread that may block.
#[derive(Clone)]
struct Pieces {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    runtime: Handle,
}

impl Pieces {
    fn send(&self, piece: io::Result<Bytes>) -> io::Result<()> {
        let sent = self.pieces.send_timeout(piece, PATIENCE);
        self.runtime.block_on(sent).map_err(|e| match e {
            mpsc::error::SendTimeoutError::Timeout(_) => {
                io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing any more")
            }
            mpsc::error::SendTimeoutError::Closed(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }
}

impl Write for Pieces {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        // What is larger than the buffer before this comes whole.
        let piece = &piece[..piece.len().min(PIECE)];
        self.send(Ok(Bytes::copy_from_slice(piece)))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
