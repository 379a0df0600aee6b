use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use clearfleet_common::ErrorCode;
use futures::Stream;
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::{Backoff, Client, ClientError, JobView, Result, understood};

/// How long the server may take no byte of an upload.
const STALLED: Duration = Duration::from_secs(120);
/// How long the server may take to answer when it has everything: it puts a large object together meanwhile.
const ANSWER: Duration = Duration::from_secs(600);
/// How long attempts are made while none succeeds.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often somebody who watches is told.
const TOLD: Duration = Duration::from_millis(100);
/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

/// What the body of an upload says of itself while it is read.
#[derive(Debug, Default)]
struct Sent {
    bytes: AtomicU64,
    /// Why the file could not be read to its end.
    fault: Mutex<Option<io::Error>>,
}

impl Client {
    /// Uploads a file as the source of a new job. An upload that breaks is sent again; under one `idempotency` key the
    /// server makes one job of all of them. `told` hears how many bytes were sent, of how many.
    ///
    /// # Errors
    /// `InputNotFound`, `InputUnreadable`, `InputNotAFile`, `InputEmpty`; what the server refuses; `Unavailable`.
    pub(in crate::cli) async fn submit(
        &self,
        path: &Path,
        request: &Value,
        idempotency: &str,
        told: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<JobView> {
        let mut backoff = Backoff::for_at_most(PATIENCE);
        loop {
            match self.submit_once(path, request, idempotency, told).await {
                Ok(job) => return Ok(job),
                Err(e) => backoff.wait_after(e).await?,
            }
        }
    }

    async fn submit_once(
        &self,
        path: &Path,
        request: &Value,
        idempotency: &str,
        told: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<JobView> {
        let (file, length) = open(path).await?;
        let sent = Arc::new(Sent::default());
        let form = form(
            path,
            request,
            Body::wrap_stream(pieces(file, length, Arc::clone(&sent))),
            length,
        )?;
        let request = self
            .http
            .post(self.route("v1/jobs"))
            .header("Idempotency-Key", idempotency);
        let mut answer = pin!(request.multipart(form).send());
        let mut ticks = tokio::time::interval(TOLD);
        let (mut before, mut since) = (0, Instant::now());
        let answer = loop {
            tokio::select! {
                answer = &mut answer => break answer,
                _ = ticks.tick() => {}
            }
            let now = sent.bytes.load(Ordering::Relaxed);
            told(now, length);
            if now != before {
                (before, since) = (now, Instant::now());
            } else if since.elapsed() > if now < length { STALLED } else { ANSWER } {
                let message = format!("the server took nothing for {} s", since.elapsed().as_secs());
                return Err(ClientError::new(ErrorCode::Timeout, message).transient());
            }
        };
        if let Some(e) = sent.fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(unreadable(path, &e));
        }
        let answer = answer.map_err(ClientError::unreachable)?;
        if answer.status().is_success() {
            told(length, length);
            understood(answer).await
        } else {
            Err(ClientError::refused(answer).await)
        }
    }
}

/// Opens a file and says how long it is; of one that grows, what is there now is sent.
async fn open(path: &Path) -> Result<(File, u64)> {
    let refused = |code, what: &str| ClientError::new(code, format!("{} {what}", path.display()));
    // Opening a pipe would wait for whoever writes to it.
    let metadata = tokio::fs::metadata(path).await.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => refused(ErrorCode::InputNotFound, "does not exist"),
        _ => unreadable(path, &e),
    })?;
    if !metadata.is_file() {
        return Err(refused(ErrorCode::InputNotAFile, "is not a file"));
    }
    if metadata.len() == 0 {
        return Err(refused(ErrorCode::InputEmpty, "has no bytes"));
    }
    let file = File::open(path).await.map_err(|e| unreadable(path, &e))?;
    Ok((file, metadata.len()))
}

fn unreadable(path: &Path, error: &io::Error) -> ClientError {
    let message = format!("{} cannot be read", path.display());
    ClientError::new(ErrorCode::InputUnreadable, message).because(error)
}

/// The request first: the server refuses by it before it takes the file.
fn form(path: &Path, request: &Value, body: Body, length: u64) -> Result<Form> {
    let cannot = |e: reqwest::Error| ClientError::new(ErrorCode::Internal, "no upload can be made of it").because(&e);
    let request = Part::text(request.to_string())
        .mime_str("application/json")
        .map_err(cannot)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = Part::stream_with_length(body, length).file_name(name);
    let file = file.mime_str("application/octet-stream").map_err(cannot)?;
    Ok(Form::new().part("request", request).part("file", file))
}

/// The first `length` bytes of a file, as they are read.
fn pieces(file: File, length: u64, sent: Arc<Sent>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures::stream::try_unfold((file, length, sent), |(mut file, left, sent)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
        let read = (&mut file).take(left).read_buf(&mut piece).await;
        let read = read.and_then(|read| match read {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it became shorter while it was read",
            )),
            read => Ok(read as u64),
        });
        match read {
            Ok(read) => {
                sent.bytes.fetch_add(read, Ordering::Relaxed);
                Ok(Some((piece.freeze(), (file, left - read, sent))))
            }
            Err(e) => {
                let told = io::Error::new(e.kind(), e.to_string());
                *sent.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
                Err(told)
            }
        }
    })
}
