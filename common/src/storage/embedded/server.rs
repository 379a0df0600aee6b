use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::folder::Credentials;
use super::{EmbeddedError, EmbeddedStore};
use crate::storage::{StorageConfig, StorageTimeouts};

/// Connections at a time; others wait to be taken.
const CONNECTIONS: usize = 512;

/// How long a client may take over the head of a request.
const HEAD: Duration = Duration::from_secs(30);

/// The most of a request that is held at once, and so the longest head: 256 KiB.
const BUFFER: usize = 256 << 10;

/// How long requests may go on when the server is to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Name of the bucket that [`EmbeddedServer::config`] names.
const BUCKET: &str = "clearfleet";

/// A store that is served on the loopback interface, to whoever has its credentials.
///
/// Dropped, it takes no more requests, and those under way are cut off; [`shutdown`](Self::shutdown) lets them end.
#[derive(Debug)]
pub struct EmbeddedServer {
    address: SocketAddr,
    credentials: Credentials,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl EmbeddedServer {
    pub(super) async fn start(store: Arc<EmbeddedStore>) -> Result<Self, EmbeddedError> {
        let root = store.service.folder.layout.root().to_owned();
        let listen = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let listening = listen.await.map_err(EmbeddedError::file("listen for", &root));
        let (listener, address) = listening?;
        let credentials = store.credentials.clone();
        let mut service = S3ServiceBuilder::new(store.service.clone());
        service.set_auth(SimpleAuth::from_single(
            credentials.access_key.clone(),
            credentials.secret_key.expose().to_owned(),
        ));
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(listener, service.build(), store, stopped));
        Ok(Self {
            address,
            credentials,
            stop: Some(stop),
            serving,
        })
    }

    /// How to reach it.
    pub fn config(&self) -> StorageConfig {
        StorageConfig {
            endpoint: format!("http://{}", self.address),
            region: "us-east-1".to_owned(),
            bucket: BUCKET.to_owned(),
            access_key: self.credentials.access_key.clone(),
            secret_key: self.credentials.secret_key.clone(),
            path_style: true,
            signed_bodies: false,
            timeouts: StorageTimeouts::default(),
        }
    }

    /// Takes no more requests, and lets those under way end within 10 s. Once it has returned and nobody else has the
    /// store, the folder is free for others.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        if let Err(error) = (&mut self.serving).await {
            tracing::error!(%error, "the store's server has panicked");
        }
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, service: S3Service, store: Arc<EmbeddedStore>, stopped: oneshot::Receiver<()>) {
    let graceful = GracefulShutdown::new();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Ends them all when this ends before them.
    let mut connections = tokio::task::JoinSet::new();
    let accept_all = async {
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the store cannot take a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection of the store may be slow");
            }
            let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service.clone()));
            let connection = graceful.watch(connection);
            connections.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection of the store broke");
                }
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accept_all => {}
        // Also when the other end is gone.
        _ = stopped => {}
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests to the store are cut off");
    }
    connections.shutdown().await;
    drop(service);
    // The folder stays locked as long as anything is served from it.
    drop(store);
}
