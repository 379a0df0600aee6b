//! Each error code once through HTTP, as a client sees it: either the problem of a refusal, or the failure of a job.

use std::collections::BTreeSet;
use std::path::Path;

use clearfleet_common::ErrorCode;
use clearfleet_tests::{Answer, Client, Raw, Server, World, black_png, film, id_of, png_header};
use serde_json::{Value, json};
use strum::VariantArray;

use super::send;

/// Codes that nothing over HTTP can provoke at will, and why.
const NOT_PROVOKED: &[(ErrorCode, &str)] = &[
    (
        ErrorCode::InputNotFound,
        "of a file of the command line, or an object of an operator's place",
    ),
    (ErrorCode::InputUnreadable, "a disk that fails"),
    (ErrorCode::InputNotAFile, "of a file of the command line"),
    (ErrorCode::OutputExists, "of a file of the command line"),
    (ErrorCode::OutputIsInput, "of a file of the command line"),
    (ErrorCode::OutputNotAFile, "of a file of the command line"),
    (ErrorCode::OutputNoFolder, "of a file of the command line"),
    (ErrorCode::OutputUnsupported, "of a file of the command line"),
    (ErrorCode::OutputName, "of a file of the command line"),
    (
        ErrorCode::OutputUnwritable,
        "of a file of the command line, or a disk that fails",
    ),
    (ErrorCode::StateExists, "of a file of the command line"),
    (
        ErrorCode::DiskFull,
        "a store that is full pauses a job; uploads get insufficient_storage",
    ),
    (ErrorCode::FfmpegMissing, "the server does not start without it"),
    (ErrorCode::WeightsInvalid, "the server does not start with them"),
    (
        ErrorCode::EngineFailed,
        "the server does not start with an engine that fails",
    ),
    (
        ErrorCode::DecodeFailed,
        "what fails midway is found when it is planned: input_damaged",
    ),
    (
        ErrorCode::EncodeFailed,
        "what an encoder does not hold is found before: settings_invalid",
    ),
    (
        ErrorCode::FramesMismatch,
        "what is no longer as it was planned is another source",
    ),
    (ErrorCode::DeadlineExceeded, "the shortest deadline is 10 minutes"),
    (ErrorCode::WorkerDied, "tests/kill kills the only process there is"),
    (ErrorCode::VerifyMismatch, "a result that does not hold is made anew"),
    (ErrorCode::Stopped, "a job that is cancelled is not failed"),
    (
        ErrorCode::Gone,
        "the shortest time that something is kept is longer than a test",
    ),
    (ErrorCode::BodyIncomplete, "tests/http/clients.rs, of raw bytes"),
    (
        ErrorCode::Timeout,
        "the shortest deadline of a body is half a minute; api/src/http tests it",
    ),
    (
        ErrorCode::Unavailable,
        "a store that is not there; api/src/http tests it",
    ),
    (ErrorCode::NotOffered, "of builds that only serve the API"),
    (
        ErrorCode::Internal,
        "a fault of Clearfleet itself: there is none that is known",
    ),
];

/// A server that wants keys and has limits, an admin and a user of it, and what they have made.
struct Setting {
    world: World,
    _server: Server,
    admin: Client,
    user: Client,
    nobody: Client,
    /// A photo that is done.
    photo: String,
    /// One that waits.
    waiting: String,
}

impl Setting {
    fn new() -> Self {
        let world = World::new();
        world.file("photo.png", black_png(24, 16));
        film(&world.path("film.mp4"), 10, &["-preset", "ultrafast"]);
        let limits = "--max-bytes 300000 --max-frames 40 --max-seconds 60 --max-edge 4000";
        let args = format!("--engine bicubic --require-keys {limits}");
        let server = Server::with(&world.path("data"), &args);
        let first = std::fs::read_to_string(world.path("data/admin.key")).expect("the first key");
        let admin = server.client().with_key(first.trim());
        let made = admin
            .json("POST", "/v1/keys", &json!({ "name": "anna", "owner": "anna" }))
            .expect(201)
            .json();
        let user = server.client().with_key(made["secret"].as_str().expect("a secret"));
        let photo = user.submit_with(&world.path("photo.png"), &json!({}));
        user.done(&photo);
        let waiting = user.submit(&world.path("photo.png"), &json!({ "start": false }));
        Self {
            world,
            nobody: server.client().clone(),
            _server: server,
            admin,
            user,
            photo,
            waiting,
        }
    }

    fn file(&self, name: &str, content: &[u8]) -> Answer {
        send(&self.user, &self.world.file(name, content), name, "")
    }

    /// The failure of a job that is made of a file.
    fn failure(&self, file: &Path, query: &str) -> Value {
        let name = file.file_name().expect("a name").to_string_lossy();
        let job = id_of(&send(&self.user, file, &name, query).expect(201).json());
        let ended = self.user.ended(&job);
        assert_eq!(ended["state"], "failed", "{ended:#}");
        ended["failure"].clone()
    }

    /// A client whose owner is limited.
    fn limited(&self, owner: &str, quota: &Value) -> Client {
        let key = json!({ "name": owner, "owner": owner, "quota": quota });
        let made = self.admin.json("POST", "/v1/keys", &key).expect(201).json();
        self.nobody.with_key(made["secret"].as_str().expect("a secret"))
    }
}

fn snapshot(code: ErrorCode, told: &str) {
    let name = code.as_str();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, told);
    });
}

/// The code, which a snapshot says all of.
fn refused(code: ErrorCode, answer: &Answer) -> ErrorCode {
    assert_eq!(answer.refusal(answer.status), code.as_str(), "{}", answer.text());
    let mut problem = answer.json();
    problem["request_id"] = "REQUEST".into();
    if let Some(details) = problem.get_mut("details").and_then(Value::as_object_mut) {
        details.retain(|name, _| name != "job");
    }
    let mut told = format!("{} {}\n", answer.status, answer.header("content-type"));
    if !answer.header("retry-after").is_empty() {
        // How long depends on the moment.
        told += "retry-after: SECONDS\n";
    }
    for name in ["allow", "content-range", "www-authenticate"] {
        if !answer.header(name).is_empty() {
            told += &format!("{name}: {}\n", answer.header(name));
        }
    }
    snapshot(code, &(told + &serde_json::to_string_pretty(&problem).expect("JSON")));
    code
}

/// The same of a job that failed.
fn failed(setting: &Setting, code: ErrorCode, failure: &Value) -> ErrorCode {
    assert_eq!(failure["code"], code.as_str(), "{failure:#}");
    let mut failure = failure.clone();
    // Its words differ from version to version.
    let said = failure["ffmpeg"].as_array().is_some_and(|lines| !lines.is_empty());
    failure["ffmpeg"] = if said { json!(["…"]) } else { json!([]) };
    for volatile in ["worker", "attempts"] {
        if !failure[volatile].is_null() {
            failure[volatile] = "…".into();
        }
    }
    let told = format!("failed\n{}", serde_json::to_string_pretty(&failure).expect("JSON"));
    snapshot(code, &setting.world.normalised(&told));
    code
}

fn of_requests(setting: &Setting) -> Vec<ErrorCode> {
    use ErrorCode as E;
    let Setting {
        user,
        nobody,
        photo,
        waiting,
        ..
    } = setting;
    // Byte for byte the same with every version of ffmpeg.
    let content = black_png(24, 16);
    let upload = |query: &str, key: &str| {
        let headers = [("idempotency-key", key)];
        user.send("POST", &format!("/v1/jobs?name=a.png{query}"), &headers, &content)
    };
    upload("", "one").expect(201);
    let result = format!("/v1/jobs/{waiting}/source");
    let with = |name: &str, value: &str| user.send("GET", &result, &[(name, value)], b"");
    let text = [("content-type", "text/plain")];
    let quota = setting.limited("full", &json!({ "stored_bytes": 10 }));
    let hasty = setting.limited("hasty", &json!({ "requests_a_minute": 1 }));
    hasty.get("/v1/jobs").expect(200);
    vec![
        refused(E::NotFound, &user.get("/v1/jobs/018f0000-0000-7000-8000-000000000000")),
        refused(E::NotReady, &user.get(&format!("/v1/jobs/{waiting}/result"))),
        refused(E::StateConflict, &user.post(&format!("/v1/jobs/{photo}/pause"))),
        refused(E::IdempotencyConflict, &upload("&priority=low", "one")),
        refused(E::BodyInvalid, &user.json("POST", "/v1/jobs", &json!({}))),
        refused(
            E::FieldUnknown,
            &user.json("POST", "/v1/jobs", &json!({ "colour": "blue" })),
        ),
        refused(E::QueryInvalid, &user.get("/v1/jobs?limit=0")),
        refused(
            E::TooLarge,
            &user.json("POST", "/v1/jobs", &json!({ "name": "x".repeat(300_000) })),
        ),
        refused(
            E::QuotaExceeded,
            &quota.send("POST", "/v1/jobs?name=a.png", &[], &content),
        ),
        refused(E::MethodNotAllowed, &user.send("PUT", "/v1/jobs", &[], b"{}")),
        refused(
            E::MediaTypeUnsupported,
            &user.send("POST", &format!("/v1/jobs/{photo}/redo"), &text, b"{}"),
        ),
        refused(E::RangeUnsatisfiable, &with("range", "bytes=10000000-")),
        refused(E::PreconditionFailed, &with("if-match", "\"x\"")),
        refused(E::RateLimited, &hasty.get("/v1/jobs")),
        refused(E::Unauthorized, &nobody.get("/v1/jobs")),
        refused(E::Forbidden, &user.get("/v1/models")),
        refused(E::TargetInvalid, &upload("&target=9", "two")),
        refused(E::SettingsInvalid, &upload("&quality=0", "three")),
        refused(E::InputEmpty, &setting.file("empty.mp4", b"")),
        refused(
            E::InputTooLarge,
            &setting.file("large.png", &[&content[..], &[0; 300_000]].concat()),
        ),
        refused(E::InputMislabelled, &setting.file("text.mp4", b"Dear diary,\n")),
        refused(E::InputUnsupported, &setting.file("paper.pdf", b"%PDF-1.7\n")),
        refused(
            E::InputPlaylist,
            &setting.file("list.m3u8", b"#EXTM3U\n#EXTINF:1,\na.ts\n"),
        ),
        refused(E::InputNoVideo, &setting.file("song.flac", b"fLaC\0\0\0\x22")),
    ]
}

fn of_uploads(setting: &Setting) -> Vec<ErrorCode> {
    const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
    let user = &setting.user;
    let begun = user.send("POST", "/v1/uploads", &[TUS, ("upload-length", "9")], b"");
    let begun = begun.expect(201);
    let bring = |more: &[(&str, &str)]| {
        let bytes = ("content-type", "application/offset+octet-stream");
        let headers = [&[TUS, bytes], more].concat();
        user.send("PATCH", begun.header("location"), &headers, b"more")
    };
    let wrong_sum = [("upload-offset", "0"), ("upload-checksum", "crc32 AAAAAA==")];
    vec![
        refused(ErrorCode::OffsetConflict, &bring(&[("upload-offset", "4")])),
        refused(ErrorCode::ChecksumMismatch, &bring(&wrong_sum)),
    ]
}

fn of_jobs(setting: &Setting) -> Vec<ErrorCode> {
    use ErrorCode as E;
    let world = &setting.world;
    let path = |name: &str| world.path(name);
    let whole = std::fs::read(path("film.mp4")).expect("the film");
    world.file("cut.mp4", &whole[..whole.len() / 2]);
    world.file("flat.png", png_header(0, 0));
    world.file("none.y4m", "YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n");
    world.file("huge.png", png_header(60_000, 60_000));
    film(&path("many.mp4"), 41, &["-preset", "ultrafast"]);
    film(&path("long.mp4"), 31, &["-r", "0.5", "-preset", "ultrafast"]);
    let late = "&from=100&until=101";
    vec![
        failed(setting, E::InputDamaged, &setting.failure(&path("cut.mp4"), "")),
        failed(setting, E::InputDimensions, &setting.failure(&path("flat.png"), "")),
        failed(setting, E::InputNoFrames, &setting.failure(&path("none.y4m"), "")),
        failed(setting, E::InputTooManyPixels, &setting.failure(&path("huge.png"), "")),
        failed(setting, E::InputTooManyFrames, &setting.failure(&path("many.mp4"), "")),
        failed(setting, E::InputTooLong, &setting.failure(&path("long.mp4"), "")),
        failed(setting, E::StretchEmpty, &setting.failure(&path("film.mp4"), late)),
    ]
}

/// More than there is room for, said at once.
fn of_space() -> Vec<ErrorCode> {
    let world = World::new();
    let server = Server::with(&world.path("data"), "--engine bicubic --storage-budget 1000");
    let mut raw = Raw::connect(server.client().host());
    let host = server.client().host();
    raw.send(format!(
        "POST /v1/jobs?name=a.png HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100000\r\n\r\n"
    ));
    assert!(raw.head().starts_with("HTTP/1.1 507 "));
    let answer = server.client().send("POST", "/v1/jobs?name=a.png", &[], &[7; 2000]);
    vec![refused(ErrorCode::InsufficientStorage, &answer)]
}

#[test]
fn every_code_is_provoked_or_excused() {
    let setting = Setting::new();
    let mut provoked: BTreeSet<&str> = of_requests(&setting).into_iter().map(ErrorCode::as_str).collect();
    provoked.extend(of_uploads(&setting).into_iter().map(ErrorCode::as_str));
    provoked.extend(of_jobs(&setting).into_iter().map(ErrorCode::as_str));
    provoked.extend(of_space().into_iter().map(ErrorCode::as_str));
    for code in ErrorCode::VARIANTS {
        let excused = NOT_PROVOKED.iter().any(|(excused, _)| excused == code);
        assert_ne!(provoked.contains(code.as_str()), excused, "{code}: excused {excused}");
    }
}
