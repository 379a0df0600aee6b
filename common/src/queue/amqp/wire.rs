//! The stream that the client library talks over: TCP or TLS, which remembers what the server said of itself, and which can
//! be cut from outside.

use std::future::ready;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as StdStream};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use async_rs::{Runtime, Tokio};
use futures::{Stream, io as futures_io};
use lapin::AsyncTcpStream;
use lapin::uri::{AMQPScheme, AMQPUri};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::status::Presence;
use super::version::Greeting;

/// What is known of a connection's stream, and a way to end it that needs nobody's help.
#[derive(Debug)]
pub(super) struct Tap {
    greeting: Mutex<Greeting>,
    socket: OnceLock<StdStream>,
    pub(super) presence: Presence,
}

impl Tap {
    pub(super) fn new(presence: Presence) -> Self {
        Self {
            greeting: Mutex::default(),
            socket: OnceLock::new(),
            presence,
        }
    }

    /// Ends the connection at once: the other side is told, and whoever reads or writes here gets an error.
    pub(super) fn cut(&self) {
        self.presence.ends();
        if let Some(socket) = self.socket.get() {
            // It fails where the connection is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn greeting(&self) -> Greeting {
        self.greeting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Connects as an address says, and leaves in `tap` what belongs to it.
pub(super) async fn connect(uri: &AMQPUri, tap: &Arc<Tap>) -> io::Result<AsyncTcpStream<Wire>> {
    let (host, port) = (uri.authority.host.as_str(), uri.authority.port);
    let tcp = TcpStream::connect((host, port)).await?.into_std()?;
    tcp.set_nodelay(true)?;
    // Of one connection there is one attempt, so nothing is there yet.
    let _ = tap.socket.set(tcp.try_clone()?);
    let tcp = TcpStream::from_std(tcp)?;
    let stream: Box<dyn Duplex> = match uri.scheme {
        AMQPScheme::AMQP => Box::new(tcp),
        AMQPScheme::AMQPS => {
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            Box::new(tls()?.connect(name, tcp).await?)
        }
    };
    let tap = Arc::clone(tap);
    Ok(AsyncTcpStream::Plain(Wire { stream, tap }))
}

/// TLS with the system's authorities, or those of `SSL_CERT_FILE`.
fn tls() -> io::Result<tokio_rustls::TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connected stream.
pub(super) struct Wire {
    stream: Box<dyn Duplex>,
    tap: Arc<Tap>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Whoever ended the connection and for whatever reason: the library lets go of it then.
        self.tap.presence.ends();
    }
}

impl futures_io::AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        let mut greeting = self.tap.greeting.lock().unwrap_or_else(PoisonError::into_inner);
        greeting.hear(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }
}

impl futures_io::AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Tokio, as the client library wants to have it, with [`Wire`] for its streams.
#[derive(Clone, Debug)]
pub(super) struct Kit(Tokio);

impl Kit {
    pub(super) fn runtime() -> Runtime<Self> {
        Runtime::new(Self(Tokio::current()))
    }
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        self.0.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, call: F) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(call)
    }
}

impl Reactor for Kit {
    type TcpStream = Wire;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// Not used, as [`tcp_connect_addr`](Self::tcp_connect_addr).
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl futures_io::AsyncRead + futures_io::AsyncWrite + Send + Unpin + 'static> {
        Err::<Wire, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    /// Not used: [`connect`] makes the streams.
    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Wire>> + Send + 'static {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
