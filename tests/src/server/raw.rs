//! Bytes on a socket, for clients that are no clients.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::DEADLINE;

/// A connection on which anything can be sent.
#[derive(Debug)]
pub struct Raw(TcpStream);

impl Raw {
    /// Connects to `host:port`.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn connect(host: &str) -> Self {
        let stream = TcpStream::connect(host).unwrap_or_else(|e| panic!("{host}: {e}"));
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a socket of the test's own");
        stream
            .set_write_timeout(Some(DEADLINE))
            .expect("a socket of the test's own");
        Self(stream)
    }

    /// Sends bytes; whether the server took them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// Says that nothing more is sent.
    pub fn end(&self) {
        // The server may have closed it already.
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }

    /// Everything that comes until the server closes the connection.
    ///
    /// # Panics
    /// If it does not close it in time.
    pub fn rest(&mut self) -> String {
        let mut said = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => said.extend_from_slice(&piece[..length]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("the connection is kept open: {}", String::from_utf8_lossy(&said));
                }
                // A reset after the answer is as good as an end.
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&said).into_owned()
    }

    /// What comes up to the end of the answer's head.
    ///
    /// # Panics
    /// If nothing comes in time.
    pub fn head(&mut self) -> String {
        let mut said = Vec::new();
        let mut byte = [0];
        while !said.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1..) => said.push(byte[0]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Whether the server has said something, or closed the connection; waits no longer than this, and takes nothing.
    ///
    /// # Panics
    /// If the socket refuses a time.
    pub fn is_answered_within(&self, patience: Duration) -> bool {
        let wait = |patience| {
            let set = self.0.set_read_timeout(Some(patience));
            set.expect("a socket of the test's own");
        };
        wait(patience);
        let peeked = self.0.peek(&mut [0]);
        wait(DEADLINE);
        peeked.map_err(|e| e.kind()).map_or_else(
            |kind| !matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut),
            |_| true,
        )
    }

    /// Whether the server has closed the connection; waits no longer than this.
    pub fn is_closed_within(&mut self, patience: Duration) -> bool {
        self.0
            .set_read_timeout(Some(patience))
            .expect("a socket of the test's own");
        let read = self.0.read(&mut [0; 4096]);
        match read {
            Ok(length) => length == 0,
            Err(e) => !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}
