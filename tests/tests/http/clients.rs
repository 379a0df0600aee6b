//! Clients that lie, break off, or try names and paths, against the whole program. `api/src/http/tests/hostile.rs` has
//! the same on a server within the test, with limits that are small enough to be met.

use clearfleet_tests::{Client, DEADLINE, Raw, World, id_of};
use serde_json::json;

use super::{outside, world};

/// Head of an upload as the whole body.
pub(super) fn post(client: &Client, headers: &str) -> String {
    format!(
        "POST /v1/jobs?name=a.png HTTP/1.1\r\nhost: {}\r\n{headers}\r\n",
        client.host()
    )
}

pub(super) fn status_of(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

fn assert_alive(client: &Client) {
    client.get("/healthz").expect(200);
    assert_eq!(
        client.get("/v1/jobs").expect(200).json()["jobs"],
        json!([]),
        "something was left"
    );
}

/// Bytes that the data folder takes on disk.
fn stored(world: &World) -> u64 {
    let files = world.names().into_iter().filter(|name| name.starts_with("data/store/"));
    files
        .filter_map(|name| std::fs::metadata(world.path(name)).ok())
        .map(|file| file.len())
        .sum()
}

#[test]
fn bodies_that_are_cut_off_leave_nothing() {
    let (world, server) = world("--engine bicubic");
    let client = server.client();
    let before = stored(&world);
    let photo = std::fs::read(world.path("photo.png")).expect("the photo");
    let large = [&photo[..], &vec![0; 20 << 20]].concat();
    let chunked = |content: &[u8]| [format!("{:x}\r\n", content.len()).as_bytes(), content, b"\r\n"].concat();
    let bodies: [(String, Vec<u8>); 5] = [
        ("content-length: 100000\r\n".into(), Vec::new()),
        ("content-length: 100000\r\n".into(), photo.clone()),
        (format!("content-length: {}\r\n", large.len() + 1), large.clone()),
        ("transfer-encoding: chunked\r\n".into(), chunked(&photo)),
        (
            "transfer-encoding: chunked\r\n".into(),
            [&chunked(&large)[..], b"zz\r\n"].concat(),
        ),
    ];
    for (headers, body) in bodies {
        let mut raw = Raw::connect(client.host());
        raw.send(post(client, &headers));
        raw.send(&body);
        raw.end();
        let answer = raw.rest();
        assert_eq!(status_of(&answer), 400, "{headers}: {answer}");
        assert!(answer.contains("\"code\":\"body_incomplete\""), "{headers}: {answer}");
    }
    assert_alive(client);
    // What had come is taken back beside the answers.
    let since = std::time::Instant::now();
    while stored(&world) >= before + (8 << 20) {
        assert!(since.elapsed() < DEADLINE, "{before} bytes became {}", stored(&world));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn lies_about_the_length_are_refused_or_found_out() {
    let (_world, server) = world("--engine bicubic");
    let client = server.client();
    for headers in [
        "content-length: -1\r\n",
        "content-length: 1e3\r\n",
        "content-length: 3\r\ncontent-length: 4\r\n",
        "content-length: 99999999999999999999\r\n",
        "transfer-encoding: gzip, identity\r\n",
        "transfer-encoding: chunked, chunked\r\n",
    ] {
        let mut raw = Raw::connect(client.host());
        raw.send(post(client, headers));
        raw.end();
        let status = status_of(&raw.rest());
        assert!((400..=501).contains(&status) && status != 500, "{headers}: {status}");
    }
    // More than was said is another request, and no valid one.
    let mut raw = Raw::connect(client.host());
    raw.send(post(client, "content-length: 4\r\n"));
    raw.send("\u{89}PNG and more than that\r\n\r\n");
    raw.end();
    raw.rest();
    // A length beside chunks: one of them is a lie, and a proxy before may believe the other.
    let mut raw = Raw::connect(client.host());
    raw.send(post(client, "content-length: 4\r\ntransfer-encoding: chunked\r\n"));
    raw.send("0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    raw.end();
    let answers = raw.rest();
    assert!(status_of(&answers) >= 400, "{answers}");
    for job in client.get("/v1/jobs").json()["jobs"].as_array().expect("jobs") {
        client
            .send("DELETE", &format!("/v1/jobs/{}", id_of(job)), &[], b"")
            .expect(204);
    }
    assert_alive(client);
}

/// A body of chunks that never ends meets the limit, and nothing of it is kept.
#[test]
fn a_body_that_never_ends_meets_the_limit() {
    let (world, server) = world("--engine bicubic --max-bytes 30000000");
    let client = server.client();
    let before = stored(&world);
    let mut raw = Raw::connect(client.host());
    raw.send(post(client, "transfer-encoding: chunked\r\n"));
    let piece = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &vec![3; (1 << 20) - 16]].concat();
    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
    // As much as there is in sockets and in what the server swallows after its refusal, and no more.
    let taken = (0..400).take_while(|_| raw.send(&chunk)).count();
    assert!(taken < 200, "{taken} MiB were taken of a body that may have 30 MB");
    let answer = raw.rest();
    assert!(
        answer.is_empty() || answer.contains("\"code\":\"input_too_large\""),
        "{answer}"
    );
    assert_alive(client);
    assert!(stored(&world) < before + (8 << 20), "something of it is kept");
}

#[test]
fn oversized_heads_are_refused() {
    let (_world, server) = world("--engine bicubic");
    let client = server.client();
    let host = client.host();
    let long = "x".repeat(1 << 20);
    let many = (0..500).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    for head in [
        format!("GET /v1/jobs HTTP/1.1\r\nhost: {host}\r\nx-long: {long}\r\n\r\n"),
        format!("GET /v1/jobs HTTP/1.1\r\nhost: {host}\r\n{many}\r\n"),
        format!("GET /v1/jobs?q={long} HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        format!("{long} / HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}".to_owned(),
        "GET /v1/jobs HTTP/1.1\r\nx: a\0b\r\n\r\n".to_owned(),
    ] {
        let mut raw = Raw::connect(host);
        raw.send(&head);
        raw.end();
        let answer = raw.rest();
        let start: String = head.chars().take(60).collect();
        assert!(
            answer.is_empty() || (400..=505).contains(&status_of(&answer)),
            "{start}: {answer}"
        );
        assert!(!answer.starts_with("HTTP/1.1 500"), "{start}: {answer}");
    }
    assert_alive(client);
}

/// No path, no name and no id leads out of the store, or to a route that is not meant.
#[test]
fn paths_lead_nowhere_else() {
    let (world, server) = world("--engine bicubic");
    let client = server.client();
    let before = outside(&world);
    let job = client.submit_with(&world.path("photo.png"), &json!({}));
    client.done(&job);
    let tricks = [
        "../../../../etc/passwd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5c..%5cetc%5cpasswd",
        "%00",
        "%ff%fe",
        "records%2flocal",
        "*",
        "{id}",
        "00000000-0000-0000-0000-000000000000",
        "0",
        "%252e%252e",
    ];
    for trick in tricks {
        for path in [
            format!("/v1/jobs/{trick}"),
            format!("/v1/jobs/{trick}/source"),
            format!("/v1/jobs/{trick}/result"),
            format!("/v1/jobs/{job}/pairs/{trick}"),
            format!("/v1/keys/{trick}"),
            format!("/docs/{trick}"),
            format!("/{trick}"),
        ] {
            // Past the client, which would tidy it up.
            let mut raw = Raw::connect(client.host());
            raw.send(format!(
                "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
                client.host()
            ));
            let answer = raw.rest();
            let status = status_of(&answer);
            let own = path == format!("/v1/jobs/{job}/pairs/0");
            assert!(own || matches!(status, 400 | 404 | 405), "{path}: {answer}");
            assert!(!answer.contains("root:"), "{path}: {answer}");
        }
    }
    assert_eq!(outside(&world), before);
    client.done(&job);
}

/// A page of another site, shown by a browser on this machine, changes nothing; nor does a name that leads here.
#[test]
fn pages_of_other_sites_change_nothing() {
    let (_world, server) = world("--engine bicubic");
    let client = server.client();
    for origin in ["https://evil.example", "null"] {
        let headers = [("origin", origin)];
        for (method, path) in [("POST", "/v1/jobs"), ("DELETE", "/v1/jobs/0"), ("POST", "/v1/keys")] {
            assert_eq!(
                client.send(method, path, &headers, b"").refusal(403),
                "forbidden",
                "{origin} {path}"
            );
        }
    }
    assert_alive(client);
}

/// Browsers neither guess types nor run what they are given, and the page loads nothing from elsewhere.
#[test]
fn what_is_served_runs_nowhere() {
    let (world, server) = world("--engine bicubic");
    let client = server.client();
    let page = std::fs::read(world.path("photo.png")).expect("the photo");
    let made = client.send(
        "POST",
        "/v1/jobs?name=%3Cscript%3Ealert(1)%3C%2Fscript%3E.png",
        &[],
        &page,
    );
    let job = id_of(&made.expect(201).json());
    client.done(&job);
    for path in [format!("/v1/jobs/{job}/source"), format!("/v1/jobs/{job}/result")] {
        let answer = client.get(&path).expect(200);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("content-security-policy").contains("sandbox"));
        assert!(
            answer.header("content-disposition").starts_with("attachment;"),
            "{}",
            answer.header("content-disposition")
        );
    }
    let docs = client.get("/docs").expect(200);
    assert!(docs.header("content-security-policy").contains("default-src 'none'"));
    for outside in ["http://", "https://", "//cdn"] {
        assert!(!docs.text().contains(outside), "the page loads from {outside}");
    }
}
