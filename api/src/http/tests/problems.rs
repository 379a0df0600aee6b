//! Each code of the API once, as the client sees it.

use std::collections::BTreeSet;
use std::time::Duration;

use clearfleet_common::job::State;
use clearfleet_common::{ErrorClass, ErrorCode};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use strum::VariantArray;

use super::uploads::{begun, patch};
use super::world::answer;
use super::{ALICE, World, png};
use crate::http::{ConnectionLimits, Problem};

/// The answer, with what differs from run to run taken out.
async fn told(request: RequestBuilder) -> String {
    let answer = answer(request).await;
    let mut problem = answer.json();
    assert!(
        problem["request_id"]
            .as_str()
            .is_some_and(|id| id == answer.header("x-request-id"))
    );
    problem["request_id"] = "REQUEST".into();
    if let Some(details) = problem.get_mut("details").and_then(serde_json::Value::as_object_mut) {
        details.retain(|name, _| name != "job");
    }
    let mut text = format!("{} {}\n", answer.status.as_u16(), answer.header("content-type"));
    for name in ["retry-after", "allow", "content-range", "www-authenticate"] {
        if !answer.header(name).is_empty() {
            text += &format!("{name}: {}\n", answer.header(name));
        }
    }
    text + &serde_json::to_string_pretty(&problem).unwrap()
}

/// Codes that need a store or a worker that fails, or that other tests provoke: those of `create`, `hostile`, `read`.
const ELSEWHERE: [ErrorCode; 4] = [
    ErrorCode::InsufficientStorage,
    ErrorCode::BodyIncomplete,
    ErrorCode::Unavailable,
    ErrorCode::QuotaExceeded,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_code_is_told_as_it_always_was() {
    let limit = |config: &mut crate::http::HttpConfig| {
        config.limits.bytes = 1000;
        config.json_bytes = 500;
        config.body_idle = Duration::from_millis(300);
    };
    let world = World::with(limit, ConnectionLimits::default()).await;
    let job = world.done(ALICE, "a.png", b"result").await;
    let fresh = world.upload(ALICE, "b.png").await;
    let old = world.upload(ALICE, "c.png").await;
    world.schedule(ALICE, old, |record| record.state = State::Expired).await;
    let get = |path: String| world.request(ALICE, Method::GET, &path);
    let post = |path: &str| world.request(ALICE, Method::POST, path);
    let upload = |name: &str| post(&format!("/v1/jobs?name={name}"));
    let first = answer(post("/v1/jobs?name=k.png").header("idempotency-key", "k").body(png(9))).await;
    assert!(first.status.is_success());
    let sent = begun(&world, 100, "u.bin").await;
    let never = reqwest::Body::wrap_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let cases: Vec<(ErrorCode, RequestBuilder)> = vec![
        (
            ErrorCode::NotFound,
            get("/v1/jobs/00000000-0000-0000-0000-000000000001".to_owned()),
        ),
        (ErrorCode::NotReady, get(format!("/v1/jobs/{fresh}/result"))),
        (ErrorCode::Gone, get(format!("/v1/jobs/{old}/source"))),
        (ErrorCode::StateConflict, post(&format!("/v1/jobs/{job}/pause"))),
        (
            ErrorCode::IdempotencyConflict,
            post("/v1/jobs?name=k.png&priority=low")
                .header("idempotency-key", "k")
                .body(png(9)),
        ),
        (ErrorCode::BodyInvalid, post("/v1/jobs").json(&json!({}))),
        (
            ErrorCode::FieldUnknown,
            post("/v1/jobs").json(&json!({"colour": "blue"})),
        ),
        (ErrorCode::QueryInvalid, get("/v1/jobs?limit=0".to_owned())),
        (
            ErrorCode::TooLarge,
            post("/v1/jobs").json(&json!({"name": "x".repeat(600)})),
        ),
        (
            ErrorCode::MethodNotAllowed,
            world.request(ALICE, Method::PUT, "/v1/jobs"),
        ),
        (
            ErrorCode::MediaTypeUnsupported,
            post(&format!("/v1/jobs/{job}/redo"))
                .header("content-type", "text/plain")
                .body("{}"),
        ),
        (
            ErrorCode::RangeUnsatisfiable,
            get(format!("/v1/jobs/{job}/result")).header("range", "bytes=6-"),
        ),
        (
            ErrorCode::PreconditionFailed,
            get(format!("/v1/jobs/{job}/result")).header("if-match", "\"x\""),
        ),
        (ErrorCode::OffsetConflict, patch(&world, sent, 7, b"more")),
        (
            ErrorCode::ChecksumMismatch,
            patch(&world, sent, 0, b"more").header("upload-checksum", "crc32 AAAAAA=="),
        ),
        (ErrorCode::RateLimited, world.request("busy", Method::GET, "/v1/jobs")),
        (ErrorCode::Unauthorized, world.request("", Method::GET, "/v1/jobs")),
        (ErrorCode::Forbidden, get("/v1/models".to_owned())),
        (
            ErrorCode::Timeout,
            world
                .request(ALICE, Method::PATCH, &format!("/v1/jobs/{job}"))
                .header("content-type", "application/json")
                .body(never),
        ),
        (ErrorCode::Internal, world.request("broken", Method::GET, "/v1/jobs")),
        (ErrorCode::InputEmpty, upload("a.png")),
        (ErrorCode::InputTooLarge, upload("a.png").body(png(1001))),
        (ErrorCode::InputMislabelled, upload("a.png").body("hello")),
        (ErrorCode::InputUnsupported, upload("a.zip").body("PK\x03\x04")),
        (ErrorCode::InputPlaylist, upload("a.m3u8").body("#EXTM3U")),
        (ErrorCode::InputNoVideo, upload("a.flac").body("fLaC\0\0\0\0")),
        (ErrorCode::TargetInvalid, post("/v1/jobs?target=9").body(png(9))),
        (ErrorCode::SettingsInvalid, post("/v1/jobs?quality=0").body(png(9))),
    ];
    let mut provoked: BTreeSet<&str> = ELSEWHERE.iter().map(|code| code.as_str()).collect();
    for (code, request) in cases {
        let told = told(request).await;
        assert!(told.contains(&format!("\"code\": \"{code}\"")), "{code}: {told}");
        provoked.insert(code.as_str());
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(code.as_str(), told);
        });
    }
    // What a request can be refused with is what the API's own codes say; the rest are about inputs and work.
    let by_request = ErrorCode::VARIANTS.iter().filter(|code| {
        let status = Problem::new(**code, "").status();
        status.is_client_error() && code.class() == ErrorClass::Request && **code != ErrorCode::StretchEmpty
    });
    let missing: Vec<&ErrorCode> = by_request.filter(|code| !provoked.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
