use clearfleet_common::job::{Command, JobId, State};
use clearfleet_common::storage::ObjectKey;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{BYTES, begin, begun, bring, head, metadata, of_uploads, offset, patch, tus};
use crate::http::ConnectionLimits;
use crate::http::tests::world::{answer, owner};
use crate::http::tests::{ALICE, BOB, World, png};
use crate::owners::Usage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_type_ends_the_upload_as_one_request_would() {
    let world = World::new().await;
    let text = b"#EXTM3U\nhttp://example.com/a.ts\n".repeat(200);
    let whole = world
        .request(ALICE, Method::POST, "/v1/jobs?name=a.mp4")
        .body(text.clone());
    let mut expected = answer(whole).await.json();
    let job = begun(&world, text.len(), "a.mp4").await;
    // Too few bytes to tell.
    bring(&world, job, 0, &text[..3]).await;
    let refused = answer(patch(&world, job, 3, &text[3..])).await;
    assert_eq!(refused.refusal(), (422, "input_playlist".to_owned()));
    let mut found = refused.json();
    (found["request_id"], expected["request_id"]) = (Value::Null, Value::Null);
    assert_eq!(found, expected);
    let record = world.record(ALICE, job).await.unwrap();
    assert_eq!(record.pending(), Some(Command::Delete));
    assert_eq!(head(&world, ALICE, job).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        world.storage.stat(&ObjectKey::Source(job).to_string()).await.unwrap(),
        None
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_protocol_does_not_know_is_refused() {
    let world = World::with(|config| config.limits.bytes = 1000, ConnectionLimits::default()).await;
    let said = metadata("a.png", &json!({}));
    let post = || tus(&world, ALICE, Method::POST, "/v1/uploads");
    for (request, status, code) in [
        (begin(&world, 1001, &said), 413, "input_too_large"),
        (begin(&world, 0, &said), 422, "input_empty"),
        (begin(&world, 10, "filename ?"), 400, "body_invalid"),
        (
            begin(&world, 10, &metadata("a", &json!({"colour": 1}))),
            400,
            "field_unknown",
        ),
        (
            begin(&world, 10, &metadata("a", &json!({"settings": {"target": 9}}))),
            422,
            "target_invalid",
        ),
        (
            begin(&world, 10, &metadata("a", &json!({"source": "s3://a/b"}))),
            400,
            "body_invalid",
        ),
        (
            begin(&world, 10, &said).header("Upload-Defer-Length", 1),
            400,
            "body_invalid",
        ),
        (post(), 400, "body_invalid"),
        (post().header("Upload-Length", "-1"), 400, "body_invalid"),
    ] {
        assert_eq!(answer(request).await.refusal(), (status, code.to_owned()));
    }
    assert_eq!(world.get(ALICE, "/v1/jobs").await.json()["jobs"], json!([]));
    assert_eq!(of_uploads(&world).await, 0);

    let job = begun(&world, 100, "a.png").await;
    let path = format!("/v1/uploads/{job}");
    let more = |offset| tus(&world, ALICE, Method::PATCH, &path).header("Upload-Offset", offset);
    for (request, status, code) in [
        (patch(&world, job, 1, b"x"), 409, "offset_conflict"),
        (patch(&world, job, 0, &png(101)), 413, "input_too_large"),
        (more("0").body("x"), 415, "media_type_unsupported"),
        (more("x").header("Content-Type", BYTES), 400, "body_invalid"),
        (tus(&world, ALICE, Method::POST, &path), 405, "method_not_allowed"),
        (patch(&world, JobId::new(), 0, b"x"), 404, "not_found"),
    ] {
        let refused = answer(request).await;
        assert_eq!(refused.refusal(), (status, code.to_owned()));
        assert_eq!(refused.header("tus-resumable"), "1.0.0");
    }
    let other = world
        .request(ALICE, Method::HEAD, &path)
        .header("Tus-Resumable", "0.2.2");
    let other = answer(other).await;
    assert_eq!((other.status.as_u16(), other.header("tus-version")), (412, "1.0.0"));
    assert_eq!(offset(&world, job).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_not_those_of_their_checksum_are_not_kept() {
    let world = World::new().await;
    let job = begun(&world, 11, "a.bin").await;
    let request = |sum: &str| patch(&world, job, 0, b"hello w").header("Upload-Checksum", sum);
    let refused = answer(request("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")).await;
    assert_eq!(refused.refusal(), (460, "checksum_mismatch".to_owned()));
    assert_eq!(offset(&world, job).await, 0);
    let taken = answer(request("crc32 SFDdwg==")).await;
    assert_eq!(taken.status, StatusCode::NO_CONTENT, "{taken:?}");
    assert_eq!(offset(&world, job).await, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_upload_takes_nothing_and_is_not_tried_again() {
    let world = World::new().await;
    let job = begun(&world, 100, "a.png").await;
    let path = format!("/v1/jobs/{job}");
    assert_eq!(
        world.get(ALICE, &format!("{path}/source")).await.refusal().1,
        "not_ready"
    );
    let again = json!({"source": {"job": job}});
    assert_eq!(
        world.send(ALICE, Method::POST, "/v1/jobs", &again).await.refusal(),
        (404, "not_ready".to_owned())
    );
    assert_eq!(world.post(ALICE, &format!("{path}/pause")).await.refusal().0, 409);
    assert_eq!(
        world.post(ALICE, &format!("{path}/cancel")).await.status,
        StatusCode::ACCEPTED
    );
    assert_eq!(
        answer(patch(&world, job, 0, b"x")).await.refusal(),
        (410, "gone".to_owned())
    );
    world
        .schedule(ALICE, job, |record| {
            (record.state, record.heard) = (State::Cancelled, 1);
        })
        .await;
    assert_eq!(head(&world, ALICE, job).await.status, StatusCode::GONE);
    assert_eq!(
        world.post(ALICE, &format!("{path}/retry")).await.refusal(),
        (409, "state_conflict".to_owned())
    );
    let used = Usage::of(&*world.state.records, owner(ALICE));
    assert_eq!((used.bytes, used.coming, used.jobs), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_ended_is_gone_with_its_job() {
    let world = World::new().await;
    let job = begun(&world, 100, "a.png").await;
    let path = format!("/v1/uploads/{job}");
    let end = |who| answer(tus(&world, who, Method::DELETE, &path));
    assert_eq!(end(BOB).await.refusal(), (404, "not_found".to_owned()));
    assert_eq!(head(&world, BOB, job).await.status, StatusCode::NOT_FOUND);
    assert_eq!(end(ALICE).await.status, StatusCode::NO_CONTENT);
    assert_eq!(end(ALICE).await.refusal(), (404, "not_found".to_owned()));
    assert_eq!(
        world.get(ALICE, &format!("/v1/jobs/{job}")).await.status,
        StatusCode::NOT_FOUND
    );
    let record = world.record(ALICE, job).await.unwrap();
    assert_eq!(record.pending(), Some(Command::Delete));
}
