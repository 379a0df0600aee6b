use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc as channel;
use std::time::Duration;

use clearfleet_common::ErrorCode;

use super::*;

/// Bytes that say where they are, with a place from which reading fails.
struct Numbers {
    len: u64,
    fails_from: u64,
    read: Mutex<Vec<u64>>,
    dropped: channel::Sender<()>,
}

fn byte(at: u64) -> u8 {
    (at * 31 + at / 251) as u8
}

impl SourceBytes for Numbers {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.read.lock().unwrap().push(offset);
        if offset + buffer.len() as u64 > self.fails_from {
            return Err(io::Error::other("the disk is gone"));
        }
        let n = buffer.len().min((self.len - offset) as usize);
        (0..n).for_each(|i| buffer[i] = byte(offset + i as u64));
        Ok(n)
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        let _ = self.dropped.send(());
    }
}

fn numbers(len: u64, fails_from: u64) -> (Arc<Numbers>, channel::Receiver<()>) {
    let (dropped, gone) = channel::channel();
    (
        Arc::new(Numbers {
            len,
            fails_from,
            read: Mutex::default(),
            dropped,
        }),
        gone,
    )
}

fn served(len: u64) -> ServedSource {
    SourceServer::start().unwrap().register(numbers(len, u64::MAX).0)
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|l| l.split_once(": "));
        lines
            .into_iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
    }
}

fn connect(source: &ServedSource) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, source.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// What comes back until the server closes.
fn ask(source: &ServedSource, method: &str, path: &str, headers: &str) -> Answer {
    let mut stream = connect(source);
    write!(stream, "{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut all = Vec::new();
    // A cut connection may be a reset; what came before it counts.
    let _ = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    Answer {
        status: head[9..12].parse().unwrap(),
        head,
        body: all.split_off(end + 4),
    }
}

fn get(source: &ServedSource, range: &str) -> Answer {
    ask(
        source,
        "GET",
        &path(source),
        &format!("Host: 127.0.0.1:{}\r\n{range}", source.port()),
    )
}

fn path(source: &ServedSource) -> String {
    let (_, token) = source.url().rsplit_once('/').unwrap();
    format!("/{token}")
}

fn expected(start: u64, end: u64) -> Vec<u8> {
    (start..end).map(byte).collect()
}

#[test]
fn everything_and_parts_are_served() {
    let len = 3 * CHUNK as u64 + 17;
    let source = served(len);
    let all = get(&source, "");
    assert_eq!((all.status, all.header("accept-ranges")), (200, Some("bytes")));
    assert_eq!(all.header("content-length"), Some(len.to_string().as_str()));
    assert!(all.body == expected(0, len), "{} bytes", all.body.len());
    for (range, start, end) in [
        ("0-", 0, len),
        ("5-9", 5, 10),
        ("262143-262144", 262_143, 262_145),
        ("-20", len - 20, len),
        ("786000-99999999", 786_000, len),
    ] {
        let part = get(&source, &format!("Range: bytes={range}\r\n"));
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(
            part.header("content-range"),
            Some(format!("bytes {start}-{}/{len}", end - 1).as_str())
        );
        assert_eq!(part.header("content-length"), Some((end - start).to_string().as_str()));
        assert!(part.body == expected(start, end), "{range}: {} bytes", part.body.len());
    }
}

#[test]
fn what_lies_beyond_the_end_is_refused() {
    let source = served(1000);
    let beyond = get(&source, "Range: bytes=1000-\r\n");
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, Some("bytes */1000"))
    );
    assert!(beyond.body.is_empty());
    let empty = served(0);
    assert_eq!(get(&empty, "").status, 200);
    assert_eq!(get(&empty, "Range: bytes=0-\r\n").status, 416);
}

#[test]
fn head_answers_without_a_body_and_without_reading() {
    let (bytes, _gone) = numbers(5000, 0);
    let source = SourceServer::start().unwrap().register(bytes.clone());
    let host = format!("Host: 127.0.0.1:{}\r\n", source.port());
    let head = ask(&source, "HEAD", &path(&source), &host);
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, Some("5000"), 0)
    );
    let part = ask(&source, "HEAD", &path(&source), &format!("{host}Range: bytes=10-\r\n"));
    assert_eq!(
        (part.status, part.header("content-range")),
        (206, Some("bytes 10-4999/5000"))
    );
    assert!(bytes.read.lock().unwrap().is_empty());
}

#[test]
fn other_requests_are_refused() {
    let source = served(1000);
    let host = format!("Host: 127.0.0.1:{}\r\n", source.port());
    let status = |method: &str, path: &str, headers: &str| ask(&source, method, path, headers).status;
    assert_eq!(status("GET", &path(&source), &host), 200);
    assert_eq!(status("GET", &format!("/{}", Uuid::new_v4()), &host), 404);
    assert_eq!(status("GET", "/", &host), 404);
    assert_eq!(status("GET", "/../etc/hostname", &host), 404);
    assert_eq!(status("GET", &path(&source), "Host: localhost\r\n"), 404);
    assert_eq!(
        status(
            "GET",
            &path(&source),
            &format!("Host: evil.example:{}\r\n", source.port())
        ),
        404
    );
    assert_eq!(
        status("POST", &path(&source), &format!("{host}Content-Length: 0\r\n")),
        405
    );
    assert_eq!(status("DELETE", &path(&source), &host), 405);
}

#[test]
fn a_source_is_gone_when_it_is_dropped() {
    let server = SourceServer::start().unwrap();
    let kept = server.register(numbers(10, u64::MAX).0);
    let (bytes, gone) = numbers(10, u64::MAX);
    let dropped = server.register(bytes);
    let old = path(&dropped);
    drop(dropped);
    gone.recv_timeout(Duration::from_secs(20)).unwrap();
    let host = format!("Host: 127.0.0.1:{}\r\n", kept.port());
    assert_eq!(ask(&kept, "GET", &old, &host).status, 404);
    assert_eq!(get(&kept, "").body, expected(0, 10));
}

#[test]
fn a_failed_read_cuts_the_connection() {
    let len = 8 * CHUNK as u64;
    let (bytes, _gone) = numbers(len, 2 * CHUNK as u64);
    let source = SourceServer::start().unwrap().register(bytes);
    let answer = get(&source, "");
    assert_eq!(answer.header("content-length"), Some(len.to_string().as_str()));
    assert_eq!(answer.header("transfer-encoding"), None);
    assert!(answer.body.len() as u64 <= 2 * CHUNK as u64, "{}", answer.body.len());
    assert_eq!(source.take_failure().unwrap().to_string(), "the disk is gone");
    assert!(source.take_failure().is_none());
}

#[test]
fn a_client_that_goes_away_ends_the_reading() {
    let (bytes, gone) = numbers(1 << 40, u64::MAX);
    let source = SourceServer::start().unwrap().register(bytes);
    let mut stream = connect(&source);
    write!(
        stream,
        "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n",
        path(&source),
        source.port()
    )
    .unwrap();
    stream.read_exact(&mut [0; 100_000]).unwrap();
    let server = Arc::clone(&source.server);
    drop(source);
    assert!(gone.try_recv().is_err(), "it is still being read");
    drop(stream);
    gone.recv_timeout(Duration::from_secs(20)).unwrap();
    drop(server);
}

#[test]
fn only_regular_files_are_sources() {
    let folder = tempfile::tempdir().unwrap();
    let code = |path: &std::path::Path| FileSource::open(path).map(|_| ()).unwrap_err().code();
    assert_eq!(code(folder.path()), ErrorCode::InputNotAFile);
    assert_eq!(code(&folder.path().join("none")), ErrorCode::InputNotFound);
    assert_eq!(code(std::path::Path::new("/dev/zero")), ErrorCode::InputNotAFile);
    let file = folder.path().join("a");
    std::fs::write(&file, b"0123456789").unwrap();
    let source = FileSource::open(&file).unwrap();
    let mut buffer = [0; 8];
    assert_eq!((source.len(), source.read_at(4, &mut buffer).unwrap()), (10, 6));
    assert_eq!(&buffer[..6], b"456789");
    assert_eq!(source.read_at(10, &mut buffer).unwrap(), 0);
}
