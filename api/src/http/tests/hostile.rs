//! Clients that lie, stall, or want too much.

use std::time::Duration;

use clearfleet_common::storage::KeyPrefix;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::until;
use super::{ALICE, World, png};
use crate::http::{ConnectionLimits, HttpConfig};

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(&world.address).await.unwrap()
}

/// What comes until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset after the answer is as good as an end.
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut text)).await;
    assert!(
        read.is_ok(),
        "the server keeps the connection: {}",
        String::from_utf8_lossy(&text)
    );
    String::from_utf8_lossy(&text).into_owned()
}

fn post(world: &World, headers: &str) -> String {
    let address = &world.address;
    format!("POST /v1/jobs?name=a.png HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer alice\r\n{headers}\r\n")
}

fn impatient(config: &mut HttpConfig) {
    config.body_idle = Duration::from_millis(400);
    config.body_rate = 10_000;
    config.limits.bytes = 30 << 20;
}

async fn impatient_world() -> World {
    World::with(impatient, ConnectionLimits::default()).await
}

fn refused(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_cut_off_leaves_nothing() {
    let world = impatient_world().await;
    // Within the first bytes, within the first part, and after a part was sent to the store.
    for sent in [0, 100, 1 << 20, 20 << 20] {
        let mut stream = connect(&world).await;
        let announced = format!("content-length: {}\r\n", 25 << 20);
        stream.write_all(post(&world, &announced).as_bytes()).await.unwrap();
        stream.write_all(&png(sent)[..sent]).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = rest(&mut stream).await;
        refused(&answer, 400, "body_incomplete");
    }
    // A form whose framing is whole and whose parts are not.
    let mut stream = connect(&world).await;
    let form = "--x\r\ncontent-disposition: form-data; name=\"request\"\r\n\r\n{}\r\n--x\r\n\
                content-disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n\u{89}PNG";
    let headers = format!(
        "content-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\nconnection: close\r\n",
        form.len()
    );
    stream
        .write_all((post(&world, &headers).replace("?name=a.png", "") + form).as_bytes())
        .await
        .unwrap();
    refused(&rest(&mut stream).await, 400, "body_incomplete");
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_leaves_nothing() {
    let world = impatient_world().await;
    let mut stream = connect(&world).await;
    stream
        .write_all(post(&world, "transfer-encoding: chunked\r\n").as_bytes())
        .await
        .unwrap();
    let piece = png(18 << 20);
    stream
        .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
        .await
        .unwrap();
    stream.write_all(&piece).await.unwrap();
    until(async || !uploads(&world).await.is_empty()).await;
    drop(stream);
    world.nothing_is_left().await;
}

/// Uploads in parts that the store knows.
async fn uploads(world: &World) -> Vec<String> {
    let client = world.storage.client();
    let listed = client
        .list_multipart_uploads()
        .bucket(world.storage.bucket())
        .send()
        .await
        .unwrap();
    listed
        .uploads()
        .iter()
        .filter_map(|upload| upload.key().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_about_the_length_are_refused() {
    let world = impatient_world().await;
    for (headers, status) in [
        ("content-length: -5\r\n", 400),
        ("content-length: 5\r\ncontent-length: 6\r\n", 400),
        ("content-length: 99999999999999999999999999\r\n", 400),
        ("content-length: x\r\n", 400),
    ] {
        let mut stream = connect(&world).await;
        stream.write_all(post(&world, headers).as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{headers}: {answer}"
        );
    }
    // More than the limit, said at once: refused before anything is sent.
    let mut stream = connect(&world).await;
    let headers = format!(
        "content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n",
        1_u64 << 40
    );
    stream.write_all(post(&world, &headers).as_bytes()).await.unwrap();
    refused(&rest(&mut stream).await, 413, "input_too_large");
    // Less than is sent: what follows is no request.
    let mut stream = connect(&world).await;
    stream
        .write_all(post(&world, "content-length: 10\r\n").as_bytes())
        .await
        .unwrap();
    stream.write_all(&png(100)).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 201 ") && answer.contains("HTTP/1.1 400 "),
        "{answer}"
    );
    let page = world.get(ALICE, "/v1/jobs").await.json();
    assert_eq!(page["jobs"][0]["source"]["bytes"], 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_never_ends_meets_the_limit() {
    let world = impatient_world().await;
    let mut stream = connect(&world).await;
    stream
        .write_all(post(&world, "transfer-encoding: chunked\r\n").as_bytes())
        .await
        .unwrap();
    let (mut reader, mut writer) = stream.split();
    let piece = png(1 << 20);
    let write = async {
        let head = format!("{:x}\r\n", piece.len());
        let mut sent = 0;
        // Until the server has enough.
        while writer.write_all(head.as_bytes()).await.is_ok() && writer.write_all(&piece).await.is_ok() {
            if writer.write_all(b"\r\n").await.is_err() {
                break;
            }
            sent += piece.len();
        }
        sent
    };
    let read = async {
        let mut text = vec![0; 4096];
        let read = reader.read(&mut text).await.unwrap();
        String::from_utf8_lossy(&text[..read]).into_owned()
    };
    let both = async { tokio::join!(write, read) };
    let (sent, answer) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    refused(&answer, 413, "input_too_large");
    // The limit, what may linger so that the client sees the answer, and what lies in buffers.
    assert!(sent < 130 << 20, "{sent} bytes were taken");
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_are_given_up() {
    let world = impatient_world().await;
    for head in [0, 100, 5000, 9 << 20] {
        let mut stream = connect(&world).await;
        stream
            .write_all(post(&world, "content-length: 20000000\r\n").as_bytes())
            .await
            .unwrap();
        stream.write_all(&png(head)[..head]).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        // A byte now and then keeps nothing alive.
        let trickle = async {
            while writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let read = async {
            let mut text = vec![0; 4096];
            let read = reader.read(&mut text).await.unwrap();
            String::from_utf8_lossy(&text[..read]).into_owned()
        };
        let answer = tokio::select! {
            answer = read => answer,
            () = trickle => String::new(),
            () = tokio::time::sleep(Duration::from_secs(30)) => "nothing".to_owned(),
        };
        refused(&answer, 408, "timeout");
    }
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_without_end_before_the_file_are_refused() {
    let world = impatient_world().await;
    let mut stream = connect(&world).await;
    let headers = "content-type: multipart/form-data; boundary=x\r\ntransfer-encoding: chunked\r\n";
    stream
        .write_all(post(&world, headers).replace("?name=a.png", "").as_bytes())
        .await
        .unwrap();
    let (mut reader, mut writer) = stream.split();
    let piece = vec![b'y'; 1 << 16];
    let write = async {
        while writer.write_all(b"10000\r\n").await.is_ok() && writer.write_all(&piece).await.is_ok() {
            if writer.write_all(b"\r\n").await.is_err() {
                break;
            }
        }
    };
    let read = async {
        let mut text = vec![0; 4096];
        let read = reader.read(&mut text).await.unwrap();
        String::from_utf8_lossy(&text[..read]).into_owned()
    };
    let both = async { tokio::join!(write, read) };
    let ((), answer) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    refused(&answer, 413, "too_large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_are_slow_or_too_large_are_given_up() {
    let limits = ConnectionLimits {
        head: Duration::from_millis(500),
        head_bytes: 16 << 10,
        ..ConnectionLimits::default()
    };
    let world = World::with(|_| {}, limits).await;
    let mut slow = connect(&world).await;
    let (mut reader, mut writer) = slow.split();
    let drip = async {
        for byte in b"GET /v1/jobs HTTP/1.1\r\nhost: ".iter().chain([&b'x'; 1000]) {
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut text = Vec::new();
    tokio::select! {
        read = reader.read_to_end(&mut text) => drop(read),
        () = drip => panic!("the head took half a minute"),
    }
    assert!(!String::from_utf8_lossy(&text).contains("200"), "{text:?}");

    for large in [
        format!(
            "GET /v1/jobs HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
            "y".repeat(20 << 10)
        ),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(20 << 10)),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(2000)),
    ] {
        let mut stream = connect(&world).await;
        // It may be refused before all of it is sent.
        let sent = stream.write_all(large.as_bytes()).await;
        let answer = rest(&mut stream).await;
        let refused = ["HTTP/1.1 431 ", "HTTP/1.1 414 "]
            .iter()
            .any(|status| answer.starts_with(status));
        assert!(refused || sent.is_err(), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_connections_keep_nobody_out() {
    let limits = ConnectionLimits {
        connections: 600,
        head: Duration::from_secs(1),
        ..ConnectionLimits::default()
    };
    let world = World::with(|_| {}, limits).await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(connect(&world).await);
    }
    let asked = tokio::time::timeout(Duration::from_secs(20), world.get(ALICE, "/v1/jobs")).await;
    assert_eq!(asked.expect("idle connections keep others out").status, StatusCode::OK);
    for stream in &mut idle {
        assert_eq!(rest(stream).await, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_work_end_before_the_server_does() {
    let world = World::new().await;
    let mut stream = connect(&world).await;
    stream
        .write_all(post(&world, "content-length: 1000\r\n").as_bytes())
        .await
        .unwrap();
    stream.write_all(&png(500)).await.unwrap();
    // It is in work once it has a turn.
    until(async || world.state.uploads.available_permits() < world.state.config.uploads).await;
    world.state.stop.cancel();
    until(async || TcpStream::connect(&world.address).await.is_err()).await;
    stream.write_all(&png(1000)[500..]).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_wait_for_their_turn_and_not_for_ever() {
    let one = |config: &mut HttpConfig| {
        config.uploads = 1;
        config.upload_turn = Duration::from_millis(300);
    };
    let world = World::with(one, ConnectionLimits::default()).await;
    let mut first = connect(&world).await;
    first
        .write_all(post(&world, "content-length: 10\r\nconnection: close\r\n").as_bytes())
        .await
        .unwrap();
    until(async || world.state.uploads.available_permits() == 0).await;
    let mut second = connect(&world).await;
    let request = post(&world, "content-length: 10\r\nconnection: close\r\n");
    second.write_all(request.as_bytes()).await.unwrap();
    second.write_all(&png(10)[..10]).await.unwrap();
    refused(&rest(&mut second).await, 503, "unavailable");
    first.write_all(&png(10)[..10]).await.unwrap();
    assert!(rest(&mut first).await.starts_with("HTTP/1.1 201 "));
    let mut third = connect(&world).await;
    third.write_all(request.as_bytes()).await.unwrap();
    third.write_all(&png(10)[..10]).await.unwrap();
    assert!(rest(&mut third).await.starts_with("HTTP/1.1 201 "));
}

/// No more of a source is in memory than the writer's two parts: the server takes no more from a client than that while
/// the store takes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_is_not_held_in_memory() {
    let mut world = World::new().await;
    let mut stream = connect(&world).await;
    let length = 400_u64 << 20;
    stream
        .write_all(post(&world, &format!("content-length: {length}\r\n")).as_bytes())
        .await
        .unwrap();
    let piece = png(1 << 20);
    stream.write_all(&piece).await.unwrap();
    let prefix = KeyPrefix::Jobs.to_string();
    assert!(world.objects().await.iter().all(|key| !key.starts_with(&prefix)));
    world.lose_store().await;
    // What is taken after the store is gone is the writer's buffer and what lies in sockets.
    let mut taken = piece.len();
    while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(700), stream.write_all(&piece)).await {
        taken += piece.len();
        assert!(taken < 64 << 20, "{taken} bytes were taken without a store");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_of_an_answer_is_given_up() {
    let limits = ConnectionLimits {
        connections: 1,
        head: Duration::from_secs(1),
        stalled: Duration::from_secs(1),
        ..ConnectionLimits::default()
    };
    let world = World::with(|_| {}, limits).await;
    let job = world.done(ALICE, "a.png", &vec![7; 48 << 20]).await;
    let mut stream = connect(&world).await;
    let address = &world.address;
    let request =
        format!("GET /v1/jobs/{job}/result HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer alice\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    // While the first reads nothing it holds the only place, for as long as the limit says.
    let next = tokio::time::timeout(Duration::from_secs(60), async {
        let mut next = connect(&world).await;
        let request = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        next.write_all(request.as_bytes()).await.unwrap();
        rest_of(&mut next).await
    });
    assert!(next.await.expect("it keeps its place").starts_with("HTTP/1.1 200 "));
}

async fn rest_of(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text).await;
    assert!(read.is_ok(), "{read:?}");
    String::from_utf8_lossy(&text).into_owned()
}
