//! A loopback HTTP server of byte ranges: how ffmpeg reads a source without ever holding a path or an outside URL.

mod range;
mod source;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::{fmt, io};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use http_body::{Frame, SizeHint};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{Error, Result};

use clearfleet_common::Stop;

use super::animation::Film;
use range::Wanted;
pub use source::{FileSource, SourceBytes};

/// What follows a source's URL where it is to be read as a film.
const FILM: &str = "film";

/// Bytes that are read from a source at a time.
const CHUNK: usize = 256 << 10;

/// Serves registered sources on a port of 127.0.0.1, each under a token that cannot be guessed. Dropping the last handle
/// ends it.
pub struct SourceServer {
    address: SocketAddr,
    sources: Arc<Sources>,
    /// Taken when the server is dropped.
    runtime: Option<Runtime>,
}

/// A source that can be read by its URL until this is dropped.
pub struct ServedSource {
    url: String,
    token: Uuid,
    entry: Arc<Entry>,
    server: Arc<SourceServer>,
}

struct Entry {
    bytes: Arc<dyn SourceBytes>,
    /// The same as a film of raw frames, once somebody wanted it.
    film: Mutex<Option<Arc<Film>>>,
    /// The first failed read that nobody asked for yet.
    failure: Mutex<Option<io::Error>>,
}

type Sources = Mutex<HashMap<Uuid, Arc<Entry>>>;

#[derive(Clone)]
struct Shared {
    host: HeaderValue,
    sources: Arc<Sources>,
}

impl Shared {
    fn entry(&self, token: &str) -> Option<Arc<Entry>> {
        let token = Uuid::try_parse(token).ok()?;
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.get(&token).cloned()
    }
}

impl SourceServer {
    /// Starts a server on a port that the system chooses.
    ///
    /// # Errors
    /// If there is no port or no thread to be had.
    pub fn start() -> Result<Arc<Self>> {
        let failed = |e: io::Error| Error::internal("the server that hands sources to ffmpeg cannot start").because(e);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("serve")
            .enable_all()
            .build()
            .map_err(failed)?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let host = HeaderValue::try_from(address.to_string()).map_err(|e| failed(io::Error::other(e)))?;
        let sources = Arc::new(Sources::default());
        let router = Router::new().fallback(answer).with_state(Shared {
            host,
            sources: Arc::clone(&sources),
        });
        {
            let _inside = runtime.enter();
            let listener = TcpListener::from_std(listener).map_err(failed)?.tap_io(|stream| {
                // Without it a short answer waits for an acknowledgement; a stream that refuses works all the same.
                let _ = stream.set_nodelay(true);
            });
            runtime.spawn(async move { axum::serve(listener, router).await });
        }
        Ok(Arc::new(Self {
            address,
            sources,
            runtime: Some(runtime),
        }))
    }

    /// Makes a source readable.
    pub fn register(self: &Arc<Self>, bytes: Arc<dyn SourceBytes>) -> ServedSource {
        let token = Uuid::new_v4();
        let entry = Arc::new(Entry {
            bytes,
            film: Mutex::default(),
            failure: Mutex::default(),
        });
        self.sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token, Arc::clone(&entry));
        ServedSource {
            url: format!("http://{}/{token}", self.address),
            token,
            entry,
            server: Arc::clone(self),
        }
    }
}

impl Drop for SourceServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait, so it may happen on a thread of another runtime.
            runtime.shutdown_background();
        }
    }
}

impl ServedSource {
    /// Where ffmpeg reads it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of [`ServedSource::url`].
    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    /// The source itself.
    pub fn bytes(&self) -> &Arc<dyn SourceBytes> {
        &self.entry.bytes
    }

    /// Where ffmpeg reads an animated picture as a film of raw frames; see [`ServedSource::film`].
    pub(crate) fn film_url(&self) -> String {
        format!("{}/{FILM}", self.url)
    }

    /// The source, an animated picture, as a film of raw frames; it is opened once.
    ///
    /// # Errors
    /// Those of [`Film::open`].
    pub(crate) fn film(&self, stop: &Stop) -> Result<Arc<Film>> {
        self.entry.film(stop)
    }

    /// Why a read failed since this was asked last, if one did: when ffmpeg fails, it was the source then, and not what is
    /// in it.
    pub fn take_failure(&self) -> Option<io::Error> {
        self.entry.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Entry {
    fn film(&self, stop: &Stop) -> Result<Arc<Film>> {
        let mut film = self.film.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(film) = &*film {
            return Ok(Arc::clone(film));
        }
        let opened = Film::open(Arc::clone(&self.bytes), stop)?;
        Ok(Arc::clone(film.insert(Arc::new(opened))))
    }

    /// Keeps a failure for whoever asks the [`ServedSource`].
    fn failed(&self, error: io::Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
    }
}

impl Drop for ServedSource {
    fn drop(&mut self) {
        self.server
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.token);
    }
}

impl fmt::Debug for ServedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedSource")
            .field("port", &self.port())
            .field("bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    // A page in a browser on this machine can reach the port under another name, but not send this header.
    if request.headers().get(header::HOST) != Some(&shared.host) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let head = match *request.method() {
        Method::GET => false,
        Method::HEAD => true,
        _ => return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response(),
    };
    let path = request.uri().path().trim_start_matches('/');
    let (token, as_film) = match path.split_once('/') {
        Some((token, FILM)) => (token, true),
        _ => (path, false),
    };
    let Some(entry) = shared.entry(token) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match opened(&entry, as_film).await {
        Ok(bytes) => send(entry, bytes, request.headers(), head),
        Err(error) => {
            entry.failed(error);
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}

/// The source as it is or as a film, which a blocking thread opens.
async fn opened(entry: &Arc<Entry>, as_film: bool) -> io::Result<Arc<dyn SourceBytes>> {
    if !as_film {
        return Ok(Arc::clone(&entry.bytes));
    }
    let entry = Arc::clone(entry);
    let film = tokio::task::spawn_blocking(move || entry.film(&Stop::new())).await;
    Ok(film.map_err(io::Error::other)?.map_err(io::Error::other)?)
}

/// Answers with what of the source is wanted.
fn send(entry: Arc<Entry>, bytes: Arc<dyn SourceBytes>, headers: &HeaderMap, head: bool) -> Response {
    let len = bytes.len();
    let (status, start, end) = match range::wanted(headers.get(header::RANGE), len) {
        Wanted::Everything => (StatusCode::OK, 0, len),
        Wanted::Part(start, end) => (StatusCode::PARTIAL_CONTENT, start, end),
        Wanted::Nothing => {
            let told = [(header::CONTENT_RANGE, format!("bytes */{len}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, told).into_response();
        }
    };
    let body = if head || start == end {
        Body::empty()
    } else {
        Body::new(Streamed::start(entry, bytes, start, end))
    };
    let told = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_LENGTH, (end - start).to_string()),
    ];
    let mut response = (status, told, body).into_response();
    if status == StatusCode::PARTIAL_CONTENT {
        let range = HeaderValue::try_from(format!("bytes {start}-{}/{len}", end - 1));
        // A text of digits is a header's value.
        response
            .headers_mut()
            .extend(range.ok().map(|r| (header::CONTENT_RANGE, r)));
    }
    response
}

/// A body that a blocking thread reads, one chunk ahead. A read that fails ends the connection before its announced
/// length; a client that goes away drops the body, and with it the thread's channel.
struct Streamed {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl Streamed {
    fn start(entry: Arc<Entry>, bytes: Arc<dyn SourceBytes>, start: u64, end: u64) -> Self {
        let (sender, chunks) = mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            let mut at = start;
            while at < end {
                let chunk = read_chunk(&*bytes, at, end).map_err(|error| {
                    let kind = error.kind();
                    entry.failed(error);
                    kind.into()
                });
                let read = chunk.as_ref().map_or(0, Bytes::len) as u64;
                if sender.blocking_send(chunk).is_err() || read == 0 {
                    return;
                }
                at += read;
            }
        });
        Self {
            chunks,
            left: end - start,
        }
    }
}

/// The bytes from `at`, at most a chunk and never none.
fn read_chunk(bytes: &dyn SourceBytes, at: u64, end: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK))];
    match bytes.read_at(at, &mut buffer)? {
        0 => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the source became shorter",
        )),
        read => {
            buffer.truncate(read);
            Ok(buffer.into())
        }
    }
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        this.chunks.poll_recv(context).map(|chunk| match chunk {
            Some(chunk) => Some(chunk.inspect(|c| this.left -= c.len() as u64).map(Frame::data)),
            // The reader is gone before its time; an end here would be a short body.
            None if this.left > 0 => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
