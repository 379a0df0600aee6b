//! Clients who use a fleet while its processes are replaced: who finds a server gone asks the other.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clearfleet_tests::{Answer, Client, DEADLINE, Raw, id_of};
use serde_json::Value;

/// How long a request may be without an answer of either server. The one that is not being replaced answers at once; the rest
/// is what an answer takes on a machine that is busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How often is asked again what cannot be waited for.
const AGAIN: Duration = Duration::from_millis(50);
/// From one photo to the next: people send photos, they do not keep a fleet busy with them.
const BETWEEN_PHOTOS: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Film,
    Photo,
}

impl Kind {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Film => "film.mp4",
            Self::Photo => "photo.png",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Film => "/v1/jobs?format=mkv&codec=ffv1",
            Self::Photo => "/v1/jobs",
        }
    }
}

/// A job that a server has taken.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) id: String,
    pub(super) kind: Kind,
    /// The key of its owner.
    pub(super) key: String,
}

/// The servers as clients know them, and what came of asking them.
#[derive(Debug)]
pub(super) struct Site {
    folder: PathBuf,
    /// Where each server is, or was before it was stopped.
    servers: Mutex<Vec<String>>,
    taken: Mutex<Vec<Taken>>,
    /// Films that have ended, of those that were asked for since this was set to nothing.
    films: AtomicUsize,
    round: AtomicUsize,
    longest: Mutex<Duration>,
    stop: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Who panicked has said so, and what is in here is whole.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Site {
    /// Servers at these addresses; what is sent to them lies in `folder`.
    pub(super) fn new(folder: PathBuf, servers: Vec<String>) -> Self {
        Self {
            folder,
            servers: Mutex::new(servers),
            taken: Mutex::default(),
            films: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
            longest: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    /// A server is somewhere else now.
    pub(super) fn moved(&self, at: usize, url: &str) {
        url.clone_into(&mut locked(&self.servers)[at]);
    }

    /// The answer of whichever server answers, the one at `first` asked first.
    pub(super) fn ask(&self, first: usize, key: &str, call: Call<'_>) -> Answer {
        let since = Instant::now();
        for turn in first.. {
            let url = {
                let servers = locked(&self.servers);
                servers[turn % servers.len()].clone()
            };
            let client = Client::new(&url).with_key(key);
            let refused = match client.try_send(call.method, call.path, call.headers, call.body) {
                // One that is about to end may say that it cannot; whatever else went wrong in it did go wrong.
                Ok(answer) if answer.status != 503 => {
                    let mut longest = locked(&self.longest);
                    *longest = longest.max(since.elapsed());
                    assert!(answer.status < 500, "{call:?}: {} {}", answer.status, answer.text());
                    return answer;
                }
                Ok(answer) => answer.text(),
                Err(e) => e.to_string(),
            };
            assert!(
                since.elapsed() < PATIENCE,
                "no server answers {call:?}, the last said: {refused}"
            );
            std::thread::sleep(AGAIN);
        }
        unreachable!("turns do not end")
    }

    /// How long the longest request was without an answer.
    pub(super) fn longest(&self) -> Duration {
        *locked(&self.longest)
    }

    /// All jobs that were taken so far.
    pub(super) fn taken(&self) -> Vec<Taken> {
        locked(&self.taken).clone()
    }

    /// Asks for a job; `name` is the same when it is asked for again.
    fn submit(&self, first: usize, kind: Kind, key: &str, name: &str) -> Taken {
        let content = std::fs::read(self.folder.join(kind.file())).expect("a file of the test's own");
        let headers = [
            ("content-type", "application/octet-stream"),
            ("idempotency-key", name),
            ("x-clearfleet-name", kind.file()),
        ];
        let call = Call {
            method: "POST",
            path: kind.path(),
            headers: &headers,
            body: &content,
        };
        let answer = self.ask(first, key, call);
        assert!(
            matches!(answer.status, 200 | 201),
            "{} {}",
            answer.status,
            answer.text()
        );
        self.keep(kind, key, &answer.json())
    }

    fn keep(&self, kind: Kind, key: &str, job: &Value) -> Taken {
        let taken = Taken {
            id: id_of(job),
            kind,
            key: key.to_owned(),
        };
        locked(&self.taken).push(taken.clone());
        taken
    }

    /// Waits until a job is done, which whichever server says.
    fn done(&self, first: usize, job: &Taken) -> Value {
        let since = Instant::now();
        let path = format!("/v1/jobs/{}", job.id);
        for turn in first.. {
            let found = self.ask(turn, &job.key, Call::get(&path));
            assert_eq!(found.status, 200, "{path}: {}", found.text());
            let found = found.json();
            if !found["ended"].is_null() {
                assert_eq!(found["state"], "done", "{found:#}");
                return found;
            }
            assert!(since.elapsed() < DEADLINE, "it does not end: {found:#}");
            std::thread::sleep(AGAIN);
        }
        unreachable!("turns do not end")
    }

    /// Waits until all that was taken is done.
    pub(super) fn all_done(&self) {
        for job in self.taken() {
            self.done(0, &job);
        }
    }

    /// One job after the other, until it is told to stop.
    fn go_on(&self, who: usize, kind: Kind, key: &str) {
        let mut next = Instant::now();
        for n in 0.. {
            while Instant::now() < next && !self.has_ended() {
                std::thread::sleep(AGAIN);
            }
            if self.has_ended() {
                return;
            }
            let round = self.round.load(Ordering::SeqCst);
            let job = self.submit(who + n, kind, key, &format!("{who}-{n}"));
            self.done(who + n, &job);
            if kind == Kind::Film {
                if round == self.round.load(Ordering::SeqCst) {
                    self.films.fetch_add(1, Ordering::SeqCst);
                }
            } else {
                next = Instant::now() + BETWEEN_PHOTOS;
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// A request.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    method: &'a str,
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            headers: &[],
            body: b"",
        }
    }
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Clients at work.
pub(super) struct Load {
    pub(super) site: Arc<Site>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Each of these keeps one job of a kind in work, of the owner with a key.
    pub(super) fn start(site: Arc<Site>, clients: &[(Kind, String)]) -> Self {
        let start = |(who, (kind, key)): (usize, &(Kind, String))| {
            let (site, kind, key) = (Arc::clone(&site), *kind, key.clone());
            std::thread::spawn(move || site.go_on(who, kind, &key))
        };
        let clients = clients.iter().enumerate().map(start).collect();
        Self { site, clients }
    }

    /// Waits until so many films are done that were asked for from now on.
    pub(super) fn films(&mut self, count: usize) {
        self.site.round.fetch_add(1, Ordering::SeqCst);
        self.site.films.store(0, Ordering::SeqCst);
        let since = Instant::now();
        while self.site.films.load(Ordering::SeqCst) < count {
            self.assert_well();
            assert!(since.elapsed() < DEADLINE, "not {count} films in {DEADLINE:?}");
            std::thread::sleep(AGAIN);
        }
    }

    /// No client has given up.
    fn assert_well(&mut self) {
        if let Some(at) = self.clients.iter().position(JoinHandle::is_finished) {
            join(self.clients.swap_remove(at));
        }
    }

    /// Lets everybody end what they wait for.
    pub(super) fn stop(mut self) {
        self.site.stop.store(true, Ordering::SeqCst);
        self.clients.drain(..).for_each(join);
    }
}

fn join(client: JoinHandle<()>) {
    if let Err(panic) = client.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A film of which a server has one half, and gets the other when it has been asked to stop.
pub(super) struct Upload {
    site: Arc<Site>,
    key: String,
    host: String,
    raw: Raw,
    rest: Vec<u8>,
}

impl Upload {
    pub(super) fn begin(site: &Arc<Site>, at: usize, key: &str) -> Self {
        let content = std::fs::read(site.folder.join(Kind::Film.file())).expect("a film");
        let host = locked(&site.servers)[at].trim_start_matches("http://").to_owned();
        let mut raw = Raw::connect(&host);
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\nx-clearfleet-name: film.mp4\r\n\
             content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
            Kind::Film.path(),
            content.len()
        );
        let (first, rest) = content.split_at(content.len() / 2);
        assert!(raw.send(head) && raw.send(first));
        Self {
            site: Arc::clone(site),
            key: key.to_owned(),
            host,
            raw,
            rest: rest.to_owned(),
        }
    }

    /// Sends the rest once nobody new is let in, in a thread of its own.
    pub(super) fn end_when_stopping(mut self) -> JoinHandle<()> {
        std::thread::spawn(move || {
            let since = Instant::now();
            while std::net::TcpStream::connect(&self.host).is_ok() {
                assert!(since.elapsed() < DEADLINE, "the server does not stop");
                std::thread::sleep(AGAIN);
            }
            assert!(self.raw.send(&self.rest), "the server has dropped an upload");
            let said = self.raw.rest();
            let (head, body) = said.split_once("\r\n\r\n").unwrap_or((&said, ""));
            assert!(head.starts_with("HTTP/1.1 201"), "an upload in the middle: {said}");
            let job = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {said}"));
            self.site.keep(Kind::Film, &self.key, &job);
        })
    }
}
