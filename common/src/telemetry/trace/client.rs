use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use reqwest::redirect::Policy;
use tokio::runtime::Handle;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// What is read of an answer, which says next to nothing.
const ANSWER_BYTES: usize = 64 << 10;

/// Sends spans on the process' own runtime: the exporter asks from a thread that has none.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    runtime: Handle,
    /// Why the last attempt failed; the exporter itself tells no more than that it did.
    trouble: Arc<Mutex<Option<String>>>,
}

impl Client {
    /// A client for this address, each of whose attempts may take so long.
    ///
    /// # Errors
    /// If there can be none, for instance since there are no certificates to know an `https` collector by.
    pub(super) fn new(endpoint: &str, timeout: Duration, runtime: Handle) -> reqwest::Result<Self> {
        // Another part of the process may have chosen already, and chose the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("clearfleet/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .connect_timeout(CONNECT.min(timeout))
            // Its headers may hold a key, which is nobody else's.
            .redirect(Policy::none());
        if endpoint.starts_with("http://") {
            // Else a machine without certificates could not even reach a collector of its own.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            http: builder.build()?,
            runtime,
            trouble: Arc::default(),
        })
    }

    /// Why the last attempt failed, if it did.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = self.runtime.spawn(send(self.http.clone(), request));
        let answer = match sending.await {
            Ok(answer) => answer,
            // The runtime ends.
            Err(e) => Err(e.into()),
        };
        self.remember(match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(e) => Some(whole(&**e)),
        });
        answer
    }
}

async fn send(http: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http
        .execute(request.try_into()?)
        .await
        .map_err(reqwest::Error::without_url)?;
    let mut body = BytesMut::new();
    while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + piece.len() > ANSWER_BYTES {
            return Err(ResponseBodyTooLarge::new().into());
        }
        body.extend_from_slice(&piece);
    }
    let mut response = Response::new(body.freeze());
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

/// An error with the causes beneath it.
fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
