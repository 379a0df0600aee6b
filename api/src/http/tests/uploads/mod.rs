mod breaks;
mod refused;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clearfleet_common::job::{JobId, SourceKind};
use clearfleet_common::storage::{KeyPrefix, ObjectKey};
use futures::TryStreamExt;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::world::{answer, owner};
use super::{ALICE, Answer, NOBODY, World, png};
use crate::owners::Usage;

const BYTES: &str = "application/offset+octet-stream";

fn tus(world: &World, who: &str, method: Method, path: &str) -> RequestBuilder {
    world.request(who, method, path).header("Tus-Resumable", "1.0.0")
}

fn metadata(name: &str, settings: &Value) -> String {
    let settings = BASE64_STANDARD.encode(settings.to_string());
    format!("filename {},settings {settings}", BASE64_STANDARD.encode(name))
}

/// What begins an upload.
fn begin(world: &World, length: usize, metadata: &str) -> RequestBuilder {
    let request = tus(world, ALICE, Method::POST, "/v1/uploads");
    request
        .header("Upload-Length", length)
        .header("Upload-Metadata", metadata)
}

/// Begins an upload; its job.
pub(super) async fn begun(world: &World, length: usize, name: &str) -> JobId {
    let made = answer(begin(world, length, &metadata(name, &json!({})))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    job_of(&made)
}

fn job_of(made: &Answer) -> JobId {
    let id = made.header("location").strip_prefix("/v1/uploads/").unwrap();
    id.parse().unwrap()
}

pub(super) fn patch(world: &World, job: JobId, offset: usize, bytes: &[u8]) -> RequestBuilder {
    let request = tus(world, ALICE, Method::PATCH, &format!("/v1/uploads/{job}"));
    let request = request.header("Content-Type", BYTES).header("Upload-Offset", offset);
    request.body(bytes.to_vec())
}

/// Brings bytes that must be taken.
async fn bring(world: &World, job: JobId, offset: usize, bytes: &[u8]) {
    let taken = answer(patch(world, job, offset, bytes)).await;
    assert_eq!(taken.status, StatusCode::NO_CONTENT, "{taken:?}");
    assert_eq!(taken.header("upload-offset"), (offset + bytes.len()).to_string());
    assert_eq!(taken.header("tus-resumable"), "1.0.0");
}

async fn head(world: &World, who: &str, job: JobId) -> Answer {
    answer(tus(world, who, Method::HEAD, &format!("/v1/uploads/{job}"))).await
}

/// How much has come, as the protocol says it.
async fn offset(world: &World, job: JobId) -> usize {
    let answer = head(world, ALICE, job).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.header("upload-offset").parse().unwrap()
}

async fn view(world: &World, job: JobId) -> Value {
    world.get(ALICE, &format!("/v1/jobs/{job}")).await.json()
}

async fn source_of(world: &World, job: JobId) -> Vec<u8> {
    world
        .storage
        .get(ObjectKey::Source(job))
        .await
        .unwrap()
        .unwrap()
        .body
        .to_vec()
}

/// Objects of uploads, whosever.
async fn of_uploads(world: &World) -> usize {
    let listed: Vec<_> = world.storage.list(KeyPrefix::Uploads).try_collect().await.unwrap();
    listed.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_in_pieces_becomes_a_job() {
    let world = World::new().await;
    let content = png(17 << 20);
    let said = metadata("../Übung.png", &json!({"settings": {"target": 3}, "priority": "high"}));
    let made = answer(begin(&world, content.len(), &said)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.header("upload-offset"), "0");
    assert!(made.header("upload-expires").ends_with(" GMT"), "{made:?}");
    let job = job_of(&made);
    let uploading = view(&world, job).await;
    assert_eq!(
        (
            &uploading["state"],
            &uploading["name"],
            &uploading["settings"]["target"]
        ),
        (&json!("uploading"), &json!("Übung.png"), &json!("3"))
    );
    assert_eq!(
        (&uploading["source"]["bytes"], &uploading["source"]["received"]),
        (&json!(content.len()), &json!(0))
    );
    assert_eq!(uploading["links"]["source"], Value::Null);
    let mut at = 0;
    for end in [10, 9 << 20, (9 << 20) + 1, content.len()] {
        let answer = head(&world, ALICE, job).await;
        assert_eq!(answer.header("upload-offset"), at.to_string());
        assert_eq!(answer.header("upload-length"), content.len().to_string());
        assert_eq!(answer.header("upload-metadata"), said);
        assert_eq!(answer.header("cache-control"), "no-store");
        bring(&world, job, at, &content[at..end]).await;
        at = end;
    }
    assert!(source_of(&world, job).await == content);
    let queued = view(&world, job).await;
    let expected = json!({"bytes": content.len(), "received": content.len(), "content_type": "image/png"});
    assert_eq!((&queued["state"], &queued["source"]), (&json!("queued"), &expected));
    let record = world.record(ALICE, job).await.unwrap();
    assert_eq!(record.request.kind, SourceKind::Picture);
    assert_eq!(of_uploads(&world).await, 0);
    // A client that missed the last answer looks and finds all of it there.
    assert_eq!(offset(&world, job).await, content.len());
    let late = answer(patch(&world, job, content.len(), b"")).await;
    assert_eq!(late.status, StatusCode::NO_CONTENT, "{late:?}");
    assert_eq!(late.header("upload-expires"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_may_bring_all_of_it() {
    let world = World::new().await;
    let said = metadata("a.png", &json!({"start": false}));
    let request = begin(&world, 100, &said).header("Content-Type", BYTES).body(png(100));
    let made = answer(request).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(
        (made.header("upload-offset"), made.header("upload-expires")),
        ("100", "")
    );
    let paused = view(&world, job_of(&made)).await;
    assert_eq!(paused["state"], "paused");
    assert_eq!(source_of(&world, job_of(&made)).await, png(100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_offered_is_said_to_everybody() {
    let world = World::new().await;
    for path in ["/v1/uploads", "/v1/uploads/1"] {
        let said = answer(world.request(NOBODY, Method::OPTIONS, path)).await;
        assert_eq!(said.status, StatusCode::NO_CONTENT);
        assert_eq!(said.header("tus-version"), "1.0.0");
        assert_eq!(said.header("tus-max-size"), (1_u64 << 40).to_string());
        assert_eq!(
            said.header("tus-extension"),
            "creation,creation-with-upload,termination,expiration,checksum"
        );
        assert_eq!(said.header("tus-checksum-algorithm"), "sha1,sha256,crc32");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_come_counts_as_used() {
    let world = World::new().await;
    let job = begun(&world, 1000, "a.png").await;
    let used = || {
        let used = Usage::of(&*world.state.records, owner(ALICE));
        (used.bytes, used.coming, used.jobs)
    };
    assert_eq!(used(), (1000, 1000, 1));
    bring(&world, job, 0, &png(400)).await;
    assert_eq!(used(), (1000, 600, 1));
    bring(&world, job, 400, &png(1000)[400..]).await;
    assert_eq!(used(), (1000, 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_idempotency_key_begins_one_upload() {
    let world = World::new().await;
    let said = metadata("a.png", &json!({}));
    let request = |length| begin(&world, length, &said).header("Idempotency-Key", "one");
    let first = answer(request(100)).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    bring(&world, job_of(&first), 0, &png(60)).await;
    let second = answer(request(100)).await;
    assert_eq!(second.status, StatusCode::OK, "{second:?}");
    assert_eq!(
        (job_of(&second), second.header("upload-offset")),
        (job_of(&first), "60")
    );
    assert_eq!(
        world.get(ALICE, "/v1/jobs").await.json()["jobs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_can_only_post_are_understood() {
    let world = World::new().await;
    let job = begun(&world, 100, "a.png").await;
    let post = |method: &str| {
        let request = tus(&world, ALICE, Method::POST, &format!("/v1/uploads/{job}"));
        request.header("X-HTTP-Method-Override", method)
    };
    let more = post("PATCH").header("Content-Type", BYTES).header("Upload-Offset", 0);
    let taken = answer(more.body(png(20))).await;
    assert_eq!((taken.status.as_u16(), taken.header("upload-offset")), (204, "20"));
    assert_eq!(answer(post("DELETE")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(head(&world, ALICE, job).await.status, StatusCode::NOT_FOUND);
}
