//! A server's HTTP API, as commands use it: upload, follow, download. Every wait is bounded; what breaks on the way is
//! taken up again.

mod admin;
mod args;
mod download;
mod error;
mod follow;
mod name;
mod report;
mod sse;
mod upload;
mod view;

use std::time::{Duration, Instant};

use clearfleet_common::ErrorCode;
use clearfleet_common::job::JobId;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;

pub(super) use admin::{KeyView, MadeKey};
pub(super) use args::{RequestArgs, ServerArgs, address, secret};
pub(super) use error::{ClientError, Result};
pub(super) use report::{Reporter, Stage, described};
pub(super) use view::JobView;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a short call may take: it neither sends nor receives anything large.
const SHORT_CALL: Duration = Duration::from_secs(60);
/// How long nothing may come of an answer that comes bit by bit.
const IDLE: Duration = Duration::from_secs(60);
/// Attempts that are made at least.
const ATTEMPTS: u32 = 5;
/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_secs(15);

/// A client of one server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    /// Ends with a slash.
    base: Url,
}

impl Client {
    /// A client of the server that the command line names; nothing is sent yet.
    ///
    /// # Errors
    /// `Internal` where there can be none, for instance since there are no certificates to know an `https` server by.
    pub(super) fn new(args: &ServerArgs) -> Result<Self> {
        // Fails where a provider is installed already, which is then as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cannot = |e: &(dyn std::error::Error + 'static)| {
            ClientError::new(ErrorCode::Internal, "no connection to a server can be set up").because(e)
        };
        let mut headers = HeaderMap::new();
        if let Some(key) = &args.key {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", key.expose())).map_err(|e| cannot(&e))?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("clearfleet/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .tcp_keepalive(Duration::from_secs(30))
            // An upload cannot be sent elsewhere midway, and a key must not be.
            .redirect(Policy::none());
        if args.server.scheme() == "http" {
            // Else a machine without certificates could not even talk to itself.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            http: builder.build().map_err(|e| cannot(&e))?,
            base: args.server.clone(),
        })
    }

    /// Makes sure that there is a server that takes the key, before anything large is sent to it.
    ///
    /// # Errors
    /// `Unavailable`, `Unauthorized`, `Forbidden`, and what else the server says.
    pub(super) async fn greet(&self) -> Result<()> {
        let mut backoff = Backoff::for_at_most(Duration::from_secs(5));
        loop {
            match answered(self.http.get(self.route("v1/jobs?limit=1")).timeout(SHORT_CALL)).await {
                Ok(_) => return Ok(()),
                Err(e) => backoff.wait_after(e).await?,
            }
        }
    }

    /// What the server says of a job now.
    ///
    /// # Errors
    /// `Unavailable`, `NotFound`, and what else the server says.
    pub(super) async fn job(&self, id: JobId) -> Result<JobView> {
        let response = answered(self.http.get(self.job_route(id, "")).timeout(SHORT_CALL)).await?;
        understood(response).await
    }

    /// Asks the server to end a job.
    ///
    /// # Errors
    /// `Unavailable`, `StateConflict` where it has ended, and what else the server says.
    pub(super) async fn cancel(&self, id: JobId) -> Result<()> {
        let request = self.http.post(self.job_route(id, "/cancel")).timeout(SHORT_CALL);
        answered(request).await.map(drop)
    }

    fn route(&self, path: &str) -> Url {
        // Neither a constant nor an id makes an address invalid; the base is the server's own.
        self.base.join(path).unwrap_or_else(|_| self.base.clone())
    }

    fn job_route(&self, id: JobId, part: &str) -> Url {
        self.route(&format!("v1/jobs/{id}{part}"))
    }
}

/// Sends a request and takes a response that is a success.
async fn answered(request: RequestBuilder) -> Result<Response> {
    let response = request.send().await.map_err(ClientError::unreachable)?;
    match response.status().is_success() {
        true => Ok(response),
        false => Err(ClientError::refused(response).await),
    }
}

/// Reads a small JSON document.
async fn understood<T: DeserializeOwned>(response: Response) -> Result<T> {
    let body = response.bytes().await.map_err(ClientError::unreachable)?;
    serde_json::from_slice(&body).map_err(|e| {
        let message = "the server's answer cannot be understood; it is perhaps of another version";
        ClientError::new(ErrorCode::Internal, message).because(&e)
    })
}

/// Waits longer and longer between attempts, and not for ever.
#[derive(Debug)]
struct Backoff {
    failures: u32,
    since: Option<Instant>,
    patience: Duration,
}

impl Backoff {
    /// Gives up when for so long nothing worked, and several attempts did not: one may take hours.
    fn for_at_most(patience: Duration) -> Self {
        Self {
            failures: 0,
            since: None,
            patience,
        }
    }

    /// Something worked: the next failure is the first again.
    fn progressed(&mut self) {
        (self.failures, self.since) = (0, None);
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The error itself, if it is final or the last of several in a row.
    async fn wait_after(&mut self, error: ClientError) -> Result<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.failures += 1;
        let spent = self.failures >= ATTEMPTS && since.elapsed() > self.patience;
        if !error.is_transient() || spent {
            return Err(error);
        }
        tracing::info!(%error, causes = ?error.failure().causes, attempt = self.failures, "trying again");
        let pause = PAUSE.min(Duration::from_millis(500) * 2_u32.pow(self.failures.min(6) - 1));
        tokio::time::sleep(error.retry_after().unwrap_or(pause).min(Duration::from_secs(60))).await;
        Ok(())
    }
}

/// Waits until somebody asks the command to stop: Ctrl-C or SIGTERM.
///
/// # Errors
/// `Internal` if signals cannot be handled.
pub(super) async fn stop_asked() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let cannot = |e: std::io::Error| ClientError::new(ErrorCode::Internal, "signals cannot be handled").because(&e);
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Runs a command's work on a runtime of its own.
///
/// # Errors
/// `Internal` if there can be none.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|e| ClientError::new(ErrorCode::Internal, "no runtime can be started").because(&e))?;
    let done = runtime.block_on(work);
    // Reads of files may still be on their way; nothing of theirs is needed.
    runtime.shutdown_background();
    Ok(done)
}
