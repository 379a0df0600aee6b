//! A wire that breaks: connections end after as many bytes as are said.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How many bytes a connection carries before it is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Up(usize),
    Down(usize),
    Never,
}

/// Listens, and gives each new connection the next of `cuts`; those behind them are never cut.
pub(crate) async fn proxy(server: SocketAddr, cuts: Vec<Cut>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let cuts = Arc::new(Mutex::new(VecDeque::from(cuts)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let cut = cuts.lock().expect("cuts").pop_front().unwrap_or(Cut::Never);
            tokio::spawn(async move {
                let server = TcpStream::connect(server).await.expect("the stub listens");
                let ((mut from, mut to), (mut back, mut forth)) = (client.into_split(), server.into_split());
                let (up, down) = match cut {
                    Cut::Up(bytes) => (bytes, usize::MAX),
                    Cut::Down(bytes) => (usize::MAX, bytes),
                    Cut::Never => (usize::MAX, usize::MAX),
                };
                // Both ends are dropped with whichever ends first.
                tokio::select! {
                    () = carry(&mut from, &mut forth, up) => {}
                    () = carry(&mut back, &mut to, down) => {}
                }
            });
        }
    });
    address
}

async fn carry(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), mut left: usize) {
    let mut piece = vec![0; 16 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut piece).await else {
            return;
        };
        let carried = read.min(left);
        if to.write_all(&piece[..carried]).await.is_err() {
            return;
        }
        left -= carried;
        if left == 0 {
            return;
        }
    }
}
