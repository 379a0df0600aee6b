//! A TCP proxy that fails on demand.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it does with what comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    /// Lets every piece wait, of 16 KiB at most.
    Delay(Duration),
    /// Keeps connections open and lets nothing through. On a connection that missed something that stays so.
    Swallow,
}

/// A proxy to a port of this machine.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    mode: watch::Sender<Mode>,
    cut: Arc<tokio::sync::Notify>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().port();
        let (mode, passing) = watch::channel(Mode::Pass);
        let cut = Arc::new(tokio::sync::Notify::new());
        let cuts = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                let (passing, cuts) = (passing.clone(), Arc::clone(&cuts));
                tokio::spawn(async move {
                    let cut = cuts.notified();
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::select! {
                        () = cut => {}
                        () = copy(from_client, to_server, passing.clone()) => {}
                        () = copy(from_server, to_client, passing) => {}
                    }
                });
            }
        });
        let port = here;
        Self { port, mode, cut }
    }

    /// Ends all connections there are.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// Lets nothing through any more, and closes nothing.
    pub(crate) fn swallow(&self) {
        self.mode.send_replace(Mode::Swallow);
    }

    /// Lets everything through, later.
    pub(crate) fn delay(&self, by: Duration) {
        self.mode.send_replace(Mode::Delay(by));
    }

    /// Lets everything through at once, as at the start.
    pub(crate) fn pass(&self) {
        self.mode.send_replace(Mode::Pass);
    }
}

async fn copy(
    from: tokio::net::tcp::OwnedReadHalf,
    to: tokio::net::tcp::OwnedWriteHalf,
    passing: watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 16 << 10];
    let mut lost = false;
    loop {
        if from.readable().await.is_err() {
            return;
        }
        let read = match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        let mode = *passing.borrow();
        lost |= mode == Mode::Swallow;
        if lost {
            continue;
        }
        if let Mode::Delay(by) = mode {
            tokio::time::sleep(by).await;
        }
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            if to.writable().await.is_err() {
                return;
            }
            match to.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
