//! Somebody whom a server tells of things: what webhooks are sent to.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This status; one that redirects leads to `/elsewhere` of the same receiver.
    Status(u16),
    /// Nothing, on a connection that stays open.
    Silence,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its method.
    pub method: String,
    /// Path and query.
    pub path: String,
    headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// When all of it was there.
    pub came: Instant,
    /// What it was answered with.
    pub reply: Reply,
}

impl Told {
    /// A header, which must be there once.
    ///
    /// # Panics
    /// If it is not.
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => value,
            _ => panic!("not one header {name}: {:#?}", self.headers),
        }
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }
}

/// A receiver on the loopback interface. It keeps what it is told, in the order in which it came.
#[derive(Clone, Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    connections: usize,
    told: Vec<Told>,
    replies: VecDeque<Reply>,
    /// Connections of those who wait for an answer in vain.
    silent: Vec<TcpStream>,
}

impl Receiver {
    /// One that answers with these, then with 200.
    ///
    /// # Panics
    /// If there is no port.
    pub fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let receiver = Self {
            address: listener.local_addr().expect("its address"),
            shared: Arc::default(),
        };
        receiver.lock().replies.extend(replies);
        let accepting = receiver.clone();
        // Both end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let receiver = accepting.clone();
                receiver.lock().connections += 1;
                std::thread::spawn(move || receiver.serve(stream));
            }
        });
        receiver
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().expect("no thread of the receiver panicked")
    }

    /// An address of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections that were made, with a request or without.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    /// What came so far.
    pub fn told(&self) -> Vec<Told> {
        self.lock().told.clone()
    }

    /// Waits until `count` requests have come; all that came.
    ///
    /// # Panics
    /// If they do not come within `patience`.
    pub fn until(&self, count: usize, patience: Duration) -> Vec<Told> {
        let too_few = |state: &mut State| state.told.len() < count;
        let waited = self.shared.changed.wait_timeout_while(self.lock(), patience, too_few);
        let (state, timeout) = waited.expect("no thread of the receiver panicked");
        let paths: Vec<&String> = state.told.iter().map(|told| &told.path).collect();
        assert!(
            !timeout.timed_out(),
            "{count} webhooks in {patience:?}, and these came: {paths:?}"
        );
        state.told.clone()
    }

    fn serve(&self, stream: TcpStream) {
        // Whoever breaks off has told nothing.
        let Ok((told, stream)) = self.read(stream) else { return };
        let reply = told.reply;
        let mut state = self.lock();
        state.told.push(told);
        self.shared.changed.notify_all();
        match reply {
            Reply::Silence => state.silent.push(stream),
            Reply::Status(status) => {
                drop(state);
                answer(stream, status);
            }
        }
    }

    fn read(&self, stream: TcpStream) -> std::io::Result<(Told, TcpStream)> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut start = line.split(' ').map(str::to_owned);
        let (method, path) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
        let mut headers = Vec::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().map_err(std::io::Error::other)?;
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let told = Told {
            method,
            path,
            headers,
            body,
            came: Instant::now(),
            reply: self.lock().replies.pop_front().unwrap_or(Reply::Status(200)),
        };
        Ok((told, reader.into_inner()))
    }
}

fn answer(mut stream: TcpStream, status: u16) {
    let location = match status {
        300..400 => "location: /elsewhere\r\n",
        _ => "",
    };
    let head = format!("HTTP/1.1 {status} Said\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
    // Who does not wait for it has ended.
    let _ = stream.write_all(head.as_bytes());
}
