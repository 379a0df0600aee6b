//! The server: connections, and how many and how long.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, info, warn};

/// What clients may take of the server.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at once; more wait until one ends.
    pub connections: usize,
    /// How long the head of a request may take to come, and a connection may be idle.
    pub head: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// How long a client may leave unread what it is sent; Linux only.
    pub stalled: Duration,
    /// How long requests in work may go on after the server was asked to end.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            head: Duration::from_secs(20),
            head_bytes: 64 << 10,
            stalled: Duration::from_secs(60),
            drain: Duration::from_secs(10),
        }
    }
}

/// Runs `router` on `listener` until `stop`, then lets requests in work end, for as long as the limits say.
///
/// # Errors
/// None: a connection that cannot be accepted is logged, and the next one is waited for.
pub async fn serve(listener: TcpListener, router: Router, limits: ConnectionLimits, stop: CancellationToken) {
    let open = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let kill = CancellationToken::new();
    while let Some((stream, permit)) = stop.run_until_cancelled(next(&listener, &open)).await {
        prepare(&stream, &limits);
        let router = router.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let router = router.clone();
            async move { Ok::<_, Infallible>(answer(router, request).await) }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_header_size(limits.head_bytes);
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        let kill = kill.clone();
        tokio::spawn(async move {
            if let Some(Err(e)) = kill.run_until_cancelled(connection).await {
                let error: &dyn std::error::Error = &e;
                debug!(error, "a connection ended with an error");
            }
            drop(permit);
        });
    }
    drop(listener);
    let busy = graceful.count();
    info!(busy, "the server takes no more connections");
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        warn!("requests that were still in work are cut off");
    }
    kill.cancel();
}

/// Options of a connection; one that refuses them works all the same.
fn prepare(stream: &TcpStream, limits: &ConnectionLimits) {
    // Without it a short answer waits for an acknowledgement.
    let _ = stream.set_nodelay(true);
    // Nobody else looks at what lies in the kernel's buffer for a client that reads nothing.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limits.stalled));
}

async fn answer(router: Router, request: Request<Incoming>) -> axum::response::Response {
    match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The next connection, when there is room for one.
async fn next(listener: &TcpListener, open: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = Arc::clone(open).acquire_owned().await else {
            // Nobody closes it.
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                return (stream, permit);
            }
            Err(e) if is_of_the_client(&e) => {}
            Err(e) => {
                warn!(error = &e as &dyn std::error::Error, "a connection cannot be accepted");
                // Out of file descriptors, most likely: they come back as connections end.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Whether a connection was gone before it was accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(
        error.kind(),
        E::ConnectionRefused | E::ConnectionAborted | E::ConnectionReset
    )
}
