//! Uploads that go on after a break: by clients of others, whose connections are lost, and whose server is killed.

use std::path::PathBuf;

use clearfleet_tests::{Client, DEADLINE, Raw, TusClient};
use serde_json::{Value, json};

use super::Setting;

/// Length of the large file, 40 MiB: five parts.
const LARGE: usize = 40 << 20;
/// Length of a part.
const PART: usize = 8 << 20;

impl Setting {
    /// A file whose first bytes may be those of a video, and the bytes of it.
    fn large(&self) -> (PathBuf, Vec<u8>) {
        let mut content: Vec<u8> = (0..LARGE).map(|n| (n / 7 % 251) as u8).collect();
        content[..8].copy_from_slice(&[0, 0, 0, 1, 0x67, 0x64, 0, 0x1f]);
        let file = self.world.path("large.h264");
        std::fs::write(&file, &content).expect("a file of the test's own");
        (file, content)
    }
}

/// Where an upload has come to, by the protocol.
fn offset(client: &Client, upload: &str) -> usize {
    let answer = client
        .send("HEAD", upload, &[("tus-resumable", "1.0.0")], b"")
        .expect(200);
    answer.header("upload-offset").parse().expect("a number")
}

fn id_of(upload: &str) -> String {
    upload.rsplit('/').next().unwrap_or_default().to_owned()
}

/// A client uploads half of a file and is gone, the server is killed, and the client goes on with the next one.
fn goes_on_after_a_break_and_a_kill(client: TusClient) {
    let mut setting = Setting::new();
    let (file, content) = setting.large();
    let ask = |server: &str, upload: Value, stop_after: Value| {
        let settings = json!({ "start": false, "settings": { "target": 3 } });
        client.upload(&json!({
            "server": server,
            "file": file,
            "upload": upload,
            "stopAfter": stop_after,
            "metadata": { "filename": "Übung.h264", "settings": settings.to_string() },
        }))
    };
    let Some(first) = ask(setting.server.client().url(), Value::Null, json!(LARGE / 2)) else {
        return;
    };
    let upload = first["upload"].as_str().expect("an address").to_owned();
    let path = upload[upload.find("/v1/").expect("a path")..].to_owned();
    let job = setting.server.client().job(&id_of(&path));
    assert_eq!(
        (&job["state"], &job["name"], &job["source"]["bytes"]),
        (&json!("uploading"), &json!("Übung.h264"), &json!(LARGE))
    );
    setting.server.kill();
    setting.server.start_again();
    let http = setting.server.client();
    assert_eq!(http.job(&id_of(&path))["state"], "uploading");
    let kept = offset(http, &path);
    // All that was stored, and of what was on its way a few parts at most.
    let sent = first["sent"].as_u64().expect("bytes") as usize;
    assert!(kept <= LARGE && kept + 5 * PART > sent.min(LARGE), "{kept} of {sent}");
    let second = ask(http.url(), json!(format!("{}{path}", http.url())), Value::Null).expect("it was there before");
    assert_eq!(second["sent"], LARGE);
    let paused = http.job(&id_of(&path));
    assert_eq!(
        (&paused["state"], &paused["settings"]["target"]),
        (&json!("paused"), &json!("3"))
    );
    let source = http.get(&format!("/v1/jobs/{}/source", id_of(&path))).expect(200);
    assert!(source.body == content, "other bytes are stored");
}

#[test]
fn a_client_in_node_goes_on_after_a_break_and_a_kill() {
    goes_on_after_a_break_and_a_kill(TusClient::Node);
}

#[test]
fn a_client_in_python_goes_on_after_a_break_and_a_kill() {
    goes_on_after_a_break_and_a_kill(TusClient::Python);
}

/// What came in one request, in parts that were stored, is there after a kill in the midst of it.
#[test]
fn a_kill_in_the_midst_of_a_request_costs_no_more_than_what_was_not_stored() {
    let mut setting = Setting::new();
    let (_, content) = setting.large();
    let client = setting.server.client().clone();
    let length = LARGE.to_string();
    let begun = client
        .send(
            "POST",
            "/v1/uploads",
            &[("tus-resumable", "1.0.0"), ("upload-length", &length)],
            b"",
        )
        .expect(201);
    let path = begun.header("location").to_owned();
    let mut raw = Raw::connect(client.host());
    raw.send(format!(
        "PATCH {path} HTTP/1.1\r\nhost: {}\r\ntus-resumable: 1.0.0\r\nupload-offset: 0\r\n\
         content-type: application/offset+octet-stream\r\ncontent-length: {LARGE}\r\n\r\n",
        client.host()
    ));
    raw.send(&content[..LARGE - 1]);
    let since = std::time::Instant::now();
    while offset(&client, &path) < 4 * PART {
        assert!(
            since.elapsed() < DEADLINE,
            "{} bytes are stored",
            offset(&client, &path)
        );
        std::thread::yield_now();
    }
    setting.server.kill();
    setting.server.start_again();
    let client = setting.server.client();
    assert_eq!(offset(client, &path), 4 * PART);
    let rest = [
        ("tus-resumable", "1.0.0"),
        ("upload-offset", &*(4 * PART).to_string()),
        ("content-type", "application/offset+octet-stream"),
    ];
    client.send("PATCH", &path, &rest, &content[4 * PART..]).expect(204);
    let source = client.get(&format!("/v1/jobs/{}/source", id_of(&path))).expect(200);
    assert!(source.body == content, "other bytes are stored");
}

/// A film that came by tus becomes what it becomes otherwise; one that is cancelled on its way is gone from the store.
#[test]
fn an_uploaded_film_is_upscaled_as_every_other() {
    let setting = Setting::new();
    let film = std::fs::read(setting.film()).expect("the film");
    let client = setting.server.client();
    let begin = |metadata: &str| {
        let length = film.len().to_string();
        let headers = [
            ("tus-resumable", "1.0.0"),
            ("upload-length", &*length),
            ("upload-metadata", metadata),
        ];
        let begun = client.send("POST", "/v1/uploads", &headers, b"").expect(201);
        begun.header("location").to_owned()
    };
    // filename: film.mp4; settings: {"settings": {"format": "mkv", "codec": "ffv1"}}
    let upload =
        begin("filename ZmlsbS5tcDQ=,settings eyJzZXR0aW5ncyI6IHsiZm9ybWF0IjogIm1rdiIsICJjb2RlYyI6ICJmZnYxIn19");
    let half = film.len() / 2;
    for (at, piece) in [(0, &film[..half]), (half, &film[half..])] {
        let headers = [
            ("tus-resumable", "1.0.0"),
            ("upload-offset", &*at.to_string()),
            ("content-type", "application/offset+octet-stream"),
        ];
        client.send("PATCH", &upload, &headers, piece).expect(204);
    }
    client.done(&id_of(&upload));
    setting.assert_film(&id_of(&upload));

    let upload = begin("");
    client.command(&id_of(&upload), "cancel");
    client.until(&id_of(&upload), |job| !job["ended"].is_null());
    let gone = client.send("HEAD", &upload, &[("tus-resumable", "1.0.0")], b"");
    assert_eq!(gone.status, 410);
    let ended = client.send("DELETE", &upload, &[("tus-resumable", "1.0.0")], b"");
    assert_eq!(ended.status, 204);
}
