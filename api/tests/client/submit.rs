use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::call::{Ended, files, start, until};
use super::proxy::Cut;
use super::stub::{Rules, Stub, upscaled};

/// A folder with two files, one of which does not fit into any buffer on the way.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("photo.png"), "a photo").expect("a file");
    fs::write(folder.path().join("film.mkv"), film()).expect("a file");
    folder
}

/// Bytes that tell where they are.
fn film() -> Vec<u8> {
    (0..2_000_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn submit(folder: &Path, url: &str, args: &[&str]) -> Ended {
    start(folder, &[&["submit", "--json", "--server", url], args].concat()).end()
}

fn kinds(ended: &Ended) -> Vec<String> {
    let names = ended
        .events()
        .into_iter()
        .map(|event| event["event"].as_str().expect("a name").to_owned());
    names.filter(|name| name != "progress").collect()
}

#[test]
fn files_are_sent_whole_and_results_come_back_whole() {
    let (folder, stub) = (
        folder(),
        Stub::start(Rules {
            key: Some("k-1".to_owned()),
            ..Rules::default()
        }),
    );
    let args =
        "photo.png film.mkv --wait -o out/larger --key k-1 --scale 3 --codec h265 --crf 21 --start 1:00 --priority low";
    let ended = submit(folder.path(), &stub.url(), &args.split(' ').collect::<Vec<_>>());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let seen = stub.seen();
    let request = |name: &str| {
        let settings = json!({ "target": "3", "codec": "h265", "crf": 21 });
        json!({ "name": name, "settings": settings, "range": [60.0, null], "priority": "low" })
    };
    let sent: Vec<(&str, &Value, &[u8])> = seen
        .jobs
        .iter()
        .map(|job| (&*job.file_name, &job.request, &*job.file))
        .collect();
    let film = film();
    assert!(
        sent == [
            ("photo.png", &request("photo.png"), &b"a photo"[..]),
            ("film.mkv", &request("film.mkv"), &film),
        ],
        "{:#?}",
        seen.jobs.iter().map(|job| &job.request).collect::<Vec<_>>()
    );
    assert_ne!(seen.jobs[0].key, seen.jobs[1].key, "two files are two jobs");

    let out = folder.path().join("out/larger");
    assert_eq!(files(&out), ["film-2x.mkv", "photo-2x.png"]);
    assert_eq!(
        fs::read(out.join("photo-2x.png")).expect("a result"),
        upscaled(b"a photo")
    );
    assert!(fs::read(out.join("film-2x.mkv")).expect("a result") == upscaled(&film));
    assert_eq!(
        kinds(&ended),
        ["submitted", "finished", "submitted", "finished", "summary"]
    );
    assert_eq!(
        ended.named("finished")[0],
        json!({
            "event": "finished", "input": "photo.png", "job": seen.jobs[0].id, "output": "out/larger/photo-2x.png",
            "bytes": 16, "notes": ["no sound"],
        })
    );
    assert_eq!(ended.stderr, "", "one voice only");
}

#[test]
fn without_wait_it_ends_when_the_server_has_the_file() {
    let (folder, stub) = (
        folder(),
        Stub::start(Rules {
            endless: true,
            ..Rules::default()
        }),
    );
    let ended = submit(folder.path(), &stub.url(), &["photo.png"]);
    assert_eq!((ended.code, kinds(&ended)), (Some(0), vec!["submitted".to_owned()]));
    assert_eq!(ended.named("submitted")[0]["job"], stub.seen().jobs[0].id);
    assert_eq!(files(folder.path()), ["film.mkv", "photo.png"], "nothing new");
}

#[test]
fn a_broken_upload_is_sent_again_and_makes_one_job() {
    let (folder, stub) = (folder(), Stub::start(Rules::default()));
    let url = stub.url_behind(vec![Cut::Up(3_000_000), Cut::Up(100_000)]);
    let ended = submit(folder.path(), &url, &["film.mkv"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let seen = stub.seen();
    assert_eq!(seen.uploads.len(), 3);
    assert!(
        seen.uploads.iter().all(|key| *key == seen.uploads[0]),
        "one key for all attempts"
    );
    assert_eq!(seen.jobs.len(), 1);
    assert!(seen.jobs[0].file == film());
}

#[test]
fn progress_goes_on_where_a_broken_connection_ended() {
    let (folder, stub) = (
        folder(),
        Stub::start(Rules {
            events: Some(2),
            ..Rules::default()
        }),
    );
    stub.seen().rules.endless = true;
    let running = start(
        folder.path(),
        &["submit", "--json", "--wait", "--server", &stub.url(), "photo.png"],
    );
    until("two connections", || stub.seen().listeners.len() >= 2);
    stub.seen().rules.endless = false;
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    // The first brought events 0 and 1; nothing that came once is asked for again.
    assert_eq!(stub.seen().listeners, [None, Some("1".to_owned())]);
    let told = ended.named("progress");
    let told = told.iter().filter(|event| event["unit"] == "frames");
    let mut steps: Vec<(String, u64)> = told
        .map(|event| {
            let state = event["state"].as_str().expect("a state").to_owned();
            (state, event["done"].as_u64().expect("a count"))
        })
        .collect();
    assert!(steps.is_sorted_by_key(|(_, done)| *done), "{steps:?}");
    steps.dedup_by_key(|(state, _)| state.clone());
    let expected = [("queued", 0), ("running", 1), ("done", 2)].map(|(state, done)| (state.to_owned(), done));
    assert_eq!(steps, expected);
}

#[test]
fn without_events_the_job_is_looked_at() {
    let (folder, stub) = (
        folder(),
        Stub::start(Rules {
            eventless: true,
            ..Rules::default()
        }),
    );
    let ended = submit(folder.path(), &stub.url(), &["photo.png", "--wait"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(
        fs::read(folder.path().join("photo-2x.png")).expect("a result"),
        upscaled(b"a photo")
    );
}

#[test]
fn a_broken_download_goes_on_where_it_ended() {
    let (folder, stub) = (
        folder(),
        Stub::start(Rules {
            eventless: true,
            ..Rules::default()
        }),
    );
    // The first connection carries everything up to some of the result; the second breaks, too.
    let url = stub.url_behind(vec![Cut::Down(3_000_000), Cut::Down(2_000_000)]);
    let ended = submit(folder.path(), &url, &["film.mkv", "--wait", "-o", "out"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(files(&folder.path().join("out")), ["film-2x.mkv"]);
    assert!(fs::read(folder.path().join("out/film-2x.mkv")).expect("a result") == upscaled(&film()));
    let ranges = stub.seen().ranges.clone();
    assert_eq!(ranges.len(), 3);
    assert_eq!(ranges[0], None);
    let starts: Vec<u64> = ranges[1..]
        .iter()
        .map(|range| {
            let (range, condition) = range.as_ref().expect("a range");
            assert_eq!(condition, "\"v1\"");
            range
                .trim_start_matches("bytes=")
                .trim_end_matches('-')
                .parse()
                .expect("a number")
        })
        .collect();
    assert!(
        (2_000_000..3_000_000).contains(&starts[0]) && starts[1] > starts[0] + 1_000_000,
        "{starts:?}"
    );
}

#[test]
fn a_refused_file_does_not_stop_the_others() {
    let playlist = json!({
        "type": "urn:clearfleet:problem:input_playlist", "status": 422, "code": "input_playlist",
        "detail": "an M3U playlist names other files", "request_id": "r-1", "details": { "found": "an M3U playlist" },
    });
    let failure = json!({
        "code": "decode_failed", "message": "frame 7 cannot be decoded", "causes": ["damaged"], "details": {},
        "ffmpeg": ["bad header"], "batch": 0, "worker": "w", "attempts": 3,
    });
    let rules = Rules {
        refused: [("list.m3u".to_owned(), (422, playlist))].into(),
        failures: [("film.mkv".to_owned(), failure)].into(),
        ..Rules::default()
    };
    let (folder, stub) = (folder(), Stub::start(rules));
    fs::write(folder.path().join("list.m3u"), "#EXTM3U").expect("a file");
    let ended = submit(
        folder.path(),
        &stub.url(),
        &["list.m3u", "film.mkv", "photo.png", "--wait", "-o", "out"],
    );
    assert_eq!(ended.code, Some(3), "the first failure's: {ended:#?}");
    assert_eq!(files(&folder.path().join("out")), ["photo-2x.png"]);
    let failed = ended.named("failed");
    let expected = json!({ "found": "an M3U playlist", "request_id": "r-1" });
    assert_eq!(
        (&failed[0]["code"], &failed[0]["details"]),
        (&json!("input_playlist"), &expected)
    );
    assert_eq!(failed[0]["message"], "an M3U playlist names other files");
    assert_eq!(
        failed[1],
        json!({
            "event": "failed", "input": "film.mkv", "job": stub.seen().jobs[0].id, "code": "decode_failed",
            "message": "frame 7 cannot be decoded", "causes": ["damaged"], "details": {}, "ffmpeg": ["bad header"],
        })
    );
    assert_eq!(
        ended.named("summary")[0],
        json!({ "event": "summary", "finished": 1, "failed": 2 })
    );

    let ended = submit(folder.path(), &stub.url(), &["film.mkv", "list.m3u", "--wait"]);
    assert_eq!(ended.code, Some(5), "the work failed first");
}

#[test]
fn a_wrong_key_is_known_before_anything_is_sent() {
    let (folder, stub) = (
        folder(),
        Stub::start(Rules {
            key: Some("right".to_owned()),
            ..Rules::default()
        }),
    );
    let ended = start(
        folder.path(),
        &["submit", "--server", &stub.url(), "--key", "wrong", "film.mkv"],
    )
    .end();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert_eq!(ended.stderr, "there is no such key [unauthorized]\n  request_id: r-7\n");
    assert_eq!(stub.seen().uploads, [""; 0]);
}

#[test]
fn what_is_no_file_is_refused_without_a_server() {
    let (folder, stub) = (folder(), Stub::start(Rules::default()));
    fs::write(folder.path().join("empty.png"), "").expect("a file");
    fs::create_dir(folder.path().join("inner")).expect("a folder");
    let ended = submit(folder.path(), &stub.url(), &["nowhere.png", "inner", "empty.png"]);
    let codes: Vec<Value> = ended
        .named("failed")
        .iter()
        .map(|event| event["code"].clone())
        .collect();
    assert_eq!(codes, ["input_not_found", "input_not_a_file", "input_empty"]);
    assert_eq!((ended.code, stub.seen().uploads.len()), (Some(3), 0));
}

#[test]
fn a_server_that_is_not_there_is_said_to_be_so() {
    let folder = folder();
    // Nobody listens on a port that was just let go.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its address")
        .port();
    let ended = submit(folder.path(), &format!("http://127.0.0.1:{port}"), &["photo.png"]);
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    let failed = &ended.named("failed")[0];
    assert_eq!(failed["code"], "unavailable");
    assert!(failed["causes"].to_string().contains("Connection refused"), "{failed}");
}

#[test]
fn a_name_does_not_lead_out_of_the_folder() {
    let evil = "attachment; filename*=UTF-8''..%2F..%2F%2Ebashrc";
    let rules = Rules {
        dispositions: [("photo.png".to_owned(), evil.to_owned())].into(),
        ..Rules::default()
    };
    let (folder, stub) = (folder(), Stub::start(rules));
    let ended = submit(folder.path(), &stub.url(), &["photo.png", "--wait", "-o", "a/b"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(files(folder.path()), ["a/b/bashrc", "film.mkv", "photo.png"]);
}

#[test]
fn what_exists_is_replaced_only_if_that_is_asked_for() {
    let (folder, stub) = (folder(), Stub::start(Rules::default()));
    let result = folder.path().join("photo-2x.png");
    fs::write(&result, "precious").expect("a file");
    let args = ["photo.png", "--wait"];
    let ended = submit(folder.path(), &stub.url(), &args);
    assert_eq!(
        (ended.code, &ended.named("failed")[0]["code"]),
        (Some(4), &json!("output_exists"))
    );
    assert_eq!(fs::read_to_string(&result).expect("a file"), "precious");
    let ended = submit(folder.path(), &stub.url(), &[&args[..], &["--overwrite"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(fs::read(&result).expect("a result"), upscaled(b"a photo"));
    assert_eq!(
        files(folder.path()),
        ["film.mkv", "photo-2x.png", "photo.png"],
        "nothing half done is left"
    );
}

#[test]
fn other_bytes_than_the_server_says_are_no_result() {
    let (folder, stub) = (
        folder(),
        Stub::start(Rules {
            lying: true,
            ..Rules::default()
        }),
    );
    let ended = submit(folder.path(), &stub.url(), &["photo.png", "--wait", "-o", "out"]);
    assert_eq!(
        (ended.code, &ended.named("failed")[0]["code"]),
        (Some(6), &json!("verify_mismatch"))
    );
    assert_eq!(files(&folder.path().join("out")), [""; 0]);
}

#[test]
fn stopped_while_it_waits_it_says_what_goes_on() {
    let (folder, stub) = (
        folder(),
        Stub::start(Rules {
            endless: true,
            ..Rules::default()
        }),
    );
    let running = start(
        folder.path(),
        &["submit", "--server", &stub.url(), "photo.png", "--wait"],
    );
    until("it listens", || !stub.seen().listeners.is_empty());
    let ended = running.terminate();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    let expected = format!("the server goes on with job {}", stub.seen().jobs[0].id);
    assert!(ended.stderr.contains(&expected), "{ended:#?}");
    assert_eq!(files(folder.path()), ["film.mkv", "photo.png"]);
}

#[test]
fn an_https_server_needs_a_trusted_certificate_only_when_asked() {
    // Without any certificates on this machine, http works and https says what is missing.
    let (folder, stub) = (folder(), Stub::start(Rules::default()));
    let call = |url: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_clearfleet"));
        command
            .args(["submit", "photo.png", "--server", url])
            .current_dir(folder.path());
        command
            .env("SSL_CERT_FILE", "/dev/null")
            .env("SSL_CERT_DIR", folder.path());
        Ended::from(command.output().expect("it runs"))
    };
    assert_eq!(call(&stub.url()).code, Some(0));
    let ended = call("https://127.0.0.1:1");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("No CA certificates were loaded"), "{ended:#?}");
}
