//! Clients that stall and stay: they are given up after a while, and until then cost others nothing.

use std::time::{Duration, Instant};

use clearfleet_tests::{Client, Raw};
use serde_json::json;

use super::clients::{post, status_of};
use super::world;

/// How many connections this process can have beside what a test needs otherwise.
fn room() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    usize::try_from(limit.unwrap_or(100_000).saturating_sub(200)).expect("a number of files")
}

/// A client that has sent the head of a request, and sends the rest piece by piece.
struct Slow {
    what: &'static str,
    raw: Raw,
    rest: std::vec::IntoIter<Vec<u8>>,
    answered: Option<Duration>,
}

impl Slow {
    fn start(what: &'static str, client: &Client, head: &str, rest: &[u8], piece: usize) -> Self {
        let mut raw = Raw::connect(client.host());
        assert!(raw.send(head), "{what}");
        let pieces: Vec<Vec<u8>> = rest.chunks(piece).map(<[u8]>::to_vec).collect();
        Self {
            what,
            raw,
            rest: pieces.into_iter(),
            answered: None,
        }
    }

    /// Waits for an answer for as long as `patience`; where none comes, sends one piece more.
    fn go_on(&mut self, since: Instant, patience: Duration) {
        if self.answered.is_some() {
            std::thread::sleep(patience);
        } else if self.raw.is_answered_within(patience) {
            self.answered = Some(since.elapsed());
        } else if let Some(piece) = self.rest.next() {
            self.raw.send(piece);
        }
    }
}

/// Bodies must come at a kilobyte a second, looked at over half a minute; heads have twenty seconds.
#[test]
fn who_sends_a_byte_a_second_is_given_up() {
    let (world, server) = world("--engine bicubic");
    let client = server.client();
    let photo = std::fs::read(world.path("photo.png")).expect("the photo");
    let large = [&photo[..], &vec![0; 100_000 - photo.len()]].concat();
    let form = "content-length: 100000\r\ncontent-type: multipart/form-data; boundary=b\r\n";
    let parts = b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n";
    let document = "content-length: 1000\r\ncontent-type: application/json\r\n";
    let jobs = |headers: &str| post(client, headers).replace("?name=a.png", "");
    let whole = post(client, "content-length: 100000\r\n");
    let mut slow = [
        Slow::start("whole", client, &whole, &large, 1),
        // As many bytes as are looked at before anything is stored have come already.
        Slow::start("begun", client, &whole, &large[50_000..], 1),
        Slow::start("form", client, &jobs(form), &[parts, &large[..]].concat(), 1),
        Slow::start("json", client, &jobs(document), &[b' '; 1000], 1),
        Slow::start("head", client, "GET /v1/jobs HTTP/1.1\r\nx-long: ", &[b'x'; 1000], 1),
        // Slow too, and fast enough.
        Slow::start("steady", client, &whole, &large, 2500),
    ];
    let begun = slow.iter_mut().find(|slow| slow.what == "begun");
    begun.expect("it is there").raw.send(&large[..50_000]);

    let since = Instant::now();
    while slow.iter().any(|slow| slow.answered.is_none()) {
        assert!(since.elapsed() < Duration::from_secs(90), "not all are answered");
        for slow in &mut slow {
            slow.go_on(since, Duration::from_millis(170));
        }
    }
    for Slow {
        what, raw, answered, ..
    } in &mut slow
    {
        let seconds = answered.expect("all are answered").as_secs_f64();
        let answer = raw.rest();
        match *what {
            // No request came, so there is nothing to answer.
            "head" => assert!(
                answer.is_empty() && (19.0..30.0).contains(&seconds),
                "{seconds} s: {answer}"
            ),
            "steady" => assert!(status_of(&answer) == 201 && seconds > 38.0, "{seconds} s: {answer}"),
            _ => {
                assert_eq!(status_of(&answer), 408, "{what}: {answer}");
                assert!(answer.contains("\"code\":\"timeout\""), "{what}: {answer}");
                // One that began quickly has the first half minute for what it brought then.
                let latest = if *what == "begun" { 75.0 } else { 45.0 };
                assert!((29.0..latest).contains(&seconds), "{what}: {seconds} s");
            }
        }
    }
    let jobs = client.get("/v1/jobs").json();
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(1), "{jobs:#}");
}

/// Connections that say nothing cost others nothing, and are closed after a while.
#[test]
fn thousands_of_idle_connections_disturb_nobody() {
    let (world, server) = world("--engine bicubic");
    let client = server.client();
    let count = room().min(2000);
    let mut idle: Vec<Raw> = (0..count).map(|_| Raw::connect(client.host())).collect();
    // Half of them begin a request and stop in the middle of it.
    for raw in idle.iter_mut().step_by(2) {
        raw.send("GET /v1/jobs HTTP/1.1\r\nhost: x\r\nx-slow: ");
    }
    let since = Instant::now();
    client.get("/healthz").expect(200);
    let at_once = since.elapsed();
    let job = client.submit_with(&world.path("photo.png"), &json!({}));
    client.done(&job);
    // None of them is closed yet: nobody waited for that.
    assert!(
        at_once < Duration::from_secs(5) && since.elapsed() < Duration::from_secs(15),
        "{at_once:?}, {:?}",
        since.elapsed()
    );
    assert!(
        idle.pop().expect("idle ones").is_closed_within(Duration::from_secs(60)),
        "it may stay for ever"
    );
    let closed = idle
        .iter_mut()
        .filter_map(|raw| raw.is_closed_within(Duration::from_secs(10)).then_some(()))
        .count();
    assert_eq!(closed, count - 1, "of idle connections");
    client.get("/healthz").expect(200);
}

/// Where idle connections take all the room that there is, whoever comes then is served as soon as they are given up.
#[test]
fn a_server_full_of_idle_connections_serves_again() {
    // A server has 4,096 of them at once, and the system keeps more waiting.
    const COUNT: usize = 4200;
    if room() < COUNT {
        println!(
            "skipped: this process may have {} connections, and needs {COUNT}",
            room()
        );
        return;
    }
    let (_world, server) = world("--engine bicubic");
    let client = server.client();
    let idle: Vec<Raw> = (0..COUNT).map(|_| Raw::connect(client.host())).collect();
    let since = Instant::now();
    client.get("/healthz").expect(200);
    assert!(since.elapsed() < Duration::from_secs(45), "{:?}", since.elapsed());
    drop(idle);
    client.get("/healthz").expect(200);
}
