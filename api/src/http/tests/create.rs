use clearfleet_common::job::{ControlMessage, SourceLocation, State};
use clearfleet_common::queue::{Queue, QueueName};
use clearfleet_common::storage::{ObjectKey, StorageError};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::{answer, id_of, owner, until};
use super::{ALICE, Answer, BOB, World, png};
use crate::http::{AllowedPlace, ConnectionLimits};

fn form(request: &Value, file: Vec<u8>, name: &str) -> Form {
    let request = Part::text(request.to_string()).mime_str("application/json").unwrap();
    Form::new()
        .part("request", request)
        .part("file", Part::bytes(file).file_name(name.to_owned()))
}

async fn upload(world: &World, who: &str, form: Form) -> Answer {
    answer(world.request(who, Method::POST, "/v1/jobs").multipart(form)).await
}

async fn bytes_of(world: &World, key: ObjectKey) -> Vec<u8> {
    world.storage.get(key).await.unwrap().unwrap().body.to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_becomes_a_job_and_the_scheduler_hears_of_it() {
    let world = World::new().await;
    // Larger than a part, so that it goes the way of large files.
    let content = png(9 << 20);
    let request = json!({
        "settings": {"target": "4/3", "format": "webp", "quality": 80},
        "range": [1.5, null],
        "priority": "high",
    });
    let made = upload(&world, ALICE, form(&request, content.clone(), "../Une été.png")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let job = id_of(&made);
    assert_eq!(made.header("location"), format!("/v1/jobs/{job}"));
    let view = made.json();
    assert_eq!(
        (&view["name"], &view["state"], &view["kind"]),
        (&json!("Une été.png"), &json!("queued"), &json!("picture"))
    );
    assert_eq!(view["settings"]["target"], json!((4.0_f64 / 3.0).to_string()));
    assert_eq!(
        (&view["range"], &view["priority"]),
        (&json!([1.5, null]), &json!("high"))
    );
    assert_eq!(
        view["source"],
        json!({"bytes": content.len(), "received": content.len(), "content_type": "image/png"})
    );

    assert!(bytes_of(&world, ObjectKey::Source(job)).await == content);
    assert_eq!(bytes_of(&world, ObjectKey::Active(job)).await, b"alice");
    let record = world.record(ALICE, job).await.unwrap();
    let stat = world
        .storage
        .stat(&ObjectKey::Source(job).to_string())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.source.etag, stat.version.as_str());

    let mut consumer = world.queue.consume(QueueName::Control).await.unwrap();
    let delivery = tokio::time::timeout(std::time::Duration::from_secs(10), consumer.next())
        .await
        .unwrap()
        .unwrap();
    let look: ControlMessage = serde_json::from_slice(&delivery.body).unwrap();
    assert_eq!(
        look,
        ControlMessage::Look {
            job,
            owner: owner(ALICE)
        }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_body_becomes_a_job() {
    let world = World::new().await;
    let path = "/v1/jobs?target=3&format=png&from=2&until=4.5&start=false&priority=low";
    let request = world
        .request(ALICE, Method::POST, path)
        .header("X-Clearfleet-Name", "gr%C3%BCn.mkv");
    let made = answer(request.body(png(20))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let view = made.json();
    assert_eq!((&view["name"], &view["state"]), (&json!("grün.mkv"), &json!("paused")));
    assert_eq!(
        (&view["settings"]["target"], &view["range"]),
        (&json!("3"), &json!([2.0, 4.5]))
    );
    assert_eq!(bytes_of(&world, ObjectKey::Source(id_of(&made))).await, png(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_counts_where_the_queue_is_down() {
    let world = World::new().await;
    world.queue.go_down();
    let job = world.upload(ALICE, "a.png").await;
    assert_eq!(world.record(ALICE, job).await.unwrap().state, State::Queued);
    assert_eq!(
        world.post(ALICE, &format!("/v1/jobs/{job}/cancel")).await.status,
        StatusCode::ACCEPTED
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_of_another_job_needs_no_upload() {
    let world = World::new().await;
    let first = world.upload(ALICE, "a.png").await;
    let again = json!({"source": {"job": first}, "settings": {"target": 4}});
    let made = world.send(ALICE, Method::POST, "/v1/jobs", &again).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(
        (&made.json()["name"], &made.json()["settings"]["target"]),
        (&json!("a.png"), &json!("4"))
    );
    let record = world.record(ALICE, id_of(&made)).await.unwrap();
    assert_eq!(record.source.location, SourceLocation::Job(first));
    // A third one made of the second is of the first's source too.
    let again = json!({"source": {"job": id_of(&made)}});
    let third = world.send(ALICE, Method::POST, "/v1/jobs", &again).await;
    let record = world.record(ALICE, id_of(&third)).await.unwrap();
    assert_eq!(record.source.location, SourceLocation::Job(first));

    assert_eq!(
        world.send(BOB, Method::POST, "/v1/jobs", &again).await.refusal(),
        (404, "not_found".to_owned())
    );
    world
        .storage
        .delete(&ObjectKey::Source(first).to_string())
        .await
        .unwrap();
    assert_eq!(
        world.send(ALICE, Method::POST, "/v1/jobs", &again).await.refusal(),
        (410, "gone".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_the_operators_places_are_used_where_they_lie() {
    let places = vec![AllowedPlace {
        bucket: "films".to_owned(),
        prefix: "in/".to_owned(),
    }];
    let world = World::with(|config| config.places = places, ConnectionLimits::default()).await;
    world
        .storage
        .client()
        .create_bucket()
        .bucket("films")
        .send()
        .await
        .unwrap();
    let films = world.storage.in_bucket("films");
    let put = films.client().put_object().bucket("films").key("in/a b.mkv");
    put.body(b"\x1a\x45\xdf\xa3 and so on".to_vec().into())
        .send()
        .await
        .unwrap();

    let of = |source: &str| json!({"source": source, "destination": "s3://films/in/out.mkv"});
    let made = world
        .send(ALICE, Method::POST, "/v1/jobs", &of("s3://films/in/a b.mkv"))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let record = world.record(ALICE, id_of(&made)).await.unwrap();
    let stat = films.stat("in/a b.mkv").await.unwrap().unwrap();
    assert_eq!(
        (record.source.etag.as_str(), record.source.bytes),
        (stat.version.as_str(), stat.bytes)
    );
    assert_eq!(record.request.name, "a b.mkv");
    assert_eq!(record.request.destination.unwrap().key, "in/out.mkv");
    let source = world.get(ALICE, &format!("/v1/jobs/{}/source", id_of(&made))).await;
    assert_eq!(source.body, b"\x1a\x45\xdf\xa3 and so on");

    let before = world.objects().await;
    for (refused, code) in [
        ("s3://films/out/a.mkv", "forbidden"),
        ("s3://others/in/a.mkv", "forbidden"),
        ("s3://films/in/../out/a.mkv", "settings_invalid"),
        ("s3://films/in//a.mkv", "settings_invalid"),
        ("s3://films", "settings_invalid"),
        ("http://films/in/a.mkv", "settings_invalid"),
        ("file:///etc/passwd", "settings_invalid"),
        ("s3://films/in/not there.mkv", "input_not_found"),
    ] {
        let answer = world.send(ALICE, Method::POST, "/v1/jobs", &of(refused)).await;
        assert_eq!(answer.refusal().1, code, "{refused}");
    }
    let elsewhere = json!({"source": "s3://films/in/a b.mkv", "destination": "s3://films/out.mkv"});
    assert_eq!(
        world
            .send(ALICE, Method::POST, "/v1/jobs", &elsewhere)
            .await
            .refusal()
            .1,
        "forbidden"
    );
    assert_eq!(world.objects().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_makes_one_job() {
    let world = World::new().await;
    let send = async |who: &str, key: &str, request: Value| {
        let sent = world
            .request(who, Method::POST, "/v1/jobs")
            .header("Idempotency-Key", key);
        answer(sent.multipart(form(&request, png(5000), "a.png"))).await
    };
    let first = send(ALICE, "k", json!({})).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let again = send(ALICE, "k", json!({})).await;
    assert_eq!((again.status, id_of(&again)), (StatusCode::OK, id_of(&first)));
    let other = send(ALICE, "k", json!({"priority": "low"})).await;
    assert_eq!(other.refusal(), (422, "idempotency_conflict".to_owned()));
    // Others have keys of their own, and other keys are others.
    assert_ne!(id_of(&send(BOB, "k", json!({})).await), id_of(&first));
    assert_ne!(id_of(&send(ALICE, "l", json!({})).await), id_of(&first));
    let jobs = world.get(ALICE, "/v1/jobs").await.json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 2);
    // The key of a deleted job makes no other.
    world
        .send(
            ALICE,
            Method::DELETE,
            &format!("/v1/jobs/{}", id_of(&first)),
            &json!({}),
        )
        .await;
    assert_eq!(send(ALICE, "k", json!({})).await.refusal(), (410, "gone".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_requests_of_one_key_at_once_make_one_job() {
    let world = World::new().await;
    let send = || async {
        let sent = world
            .request(ALICE, Method::POST, "/v1/jobs")
            .header("Idempotency-Key", "k");
        answer(sent.multipart(form(&json!({}), png(100_000), "a.png"))).await
    };
    let answers = futures::future::join_all((0..8).map(|_| send())).await;
    let job = id_of(&answers[0]);
    for answer in &answers {
        assert!(answer.status.is_success(), "{answer:?}");
        assert_eq!(id_of(answer), job);
    }
    assert_eq!(
        answers
            .iter()
            .filter(|answer| answer.status == StatusCode::CREATED)
            .count(),
        1
    );
    // The record names the source that is there.
    let record = world.record(ALICE, job).await.unwrap();
    let stat = world
        .storage
        .stat(&ObjectKey::Source(job).to_string())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.source.etag, stat.version.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_died_midway_is_made_good_by_the_next_of_its_key() {
    let world = World::new().await;
    let send = |path: &str| world.request(ALICE, Method::POST, path).header("Idempotency-Key", "k");
    // It got as far as its reservation, and its file was none.
    let refused = answer(send("/v1/jobs?name=a.png").body("hello")).await;
    assert_eq!(refused.refusal().1, "input_mislabelled");
    let made = answer(send("/v1/jobs?name=a.png").body(png(10))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(bytes_of(&world, ObjectKey::Source(id_of(&made))).await, png(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_leaves_nothing_behind() {
    let limit = |config: &mut crate::http::HttpConfig| {
        config.limits.bytes = 20 << 20;
        config.json_bytes = 1000;
    };
    let world = World::with(limit, ConnectionLimits::default()).await;
    let ok = json!({});
    let named = |name: &str, content: &[u8]| Part::bytes(content.to_vec()).file_name(name.to_owned());
    let cases: Vec<(Form, u16, &str)> = vec![
        (form(&ok, vec![], "a.png"), 422, "input_empty"),
        (
            form(&ok, b"<!doctype html><html>".to_vec(), "a.html"),
            422,
            "input_unsupported",
        ),
        (
            form(&ok, b"#EXTM3U\n/etc/passwd".to_vec(), "a.mp4"),
            422,
            "input_playlist",
        ),
        (form(&ok, b"%PDF-1.4".to_vec(), "a.mp4"), 422, "input_mislabelled"),
        (form(&json!({"colour": "blue"}), png(10), "a.png"), 400, "field_unknown"),
        (
            form(&json!({"settings": {"colour": 1}}), png(10), "a.png"),
            400,
            "field_unknown",
        ),
        (form(&json!({"name": 5}), png(10), "a.png"), 400, "body_invalid"),
        (
            form(&json!({"name": "x".repeat(300)}), png(10), "a.png"),
            400,
            "body_invalid",
        ),
        (
            form(&json!({"webhook": "y".repeat(3000)}), png(10), "a.png"),
            413,
            "too_large",
        ),
        (
            form(&json!({"settings": {"target": 9}}), png(10), "a.png"),
            422,
            "target_invalid",
        ),
        (
            form(&json!({"settings": {"target": "99999x99999"}}), png(10), "a.png"),
            422,
            "target_invalid",
        ),
        (
            form(&json!({"settings": {"quality": 0}}), png(10), "a.png"),
            422,
            "settings_invalid",
        ),
        (
            form(&json!({"settings": {"crf": 64}}), png(10), "a.png"),
            422,
            "settings_invalid",
        ),
        (
            form(
                &json!({"settings": {"format": "webm", "codec": "h264"}}),
                png(10),
                "a.png",
            ),
            422,
            "settings_invalid",
        ),
        (
            form(&json!({"range": [3, 2]}), png(10), "a.png"),
            422,
            "settings_invalid",
        ),
        (
            form(&json!({"range": [-1, 2]}), png(10), "a.png"),
            422,
            "settings_invalid",
        ),
        (
            form(&json!({"class": "a100"}), png(10), "a.png"),
            422,
            "settings_invalid",
        ),
        (
            form(&json!({"webhook": "file:///etc/passwd"}), png(10), "a.png"),
            422,
            "settings_invalid",
        ),
        (
            form(&json!({"source": "s3://a/b"}), png(10), "a.png"),
            400,
            "body_invalid",
        ),
        (form(&ok, png((20 << 20) + 3000), "a.png"), 413, "input_too_large"),
        (
            form(&ok, png(10), "a.png").part("more", Part::text("1")),
            400,
            "field_unknown",
        ),
        (
            form(&ok, png(10), "a.png").part("file", named("b.png", &png(10))),
            400,
            "field_unknown",
        ),
        (Form::new().part("request", Part::text("{}")), 400, "body_invalid"),
        (Form::new().part("colour", Part::text("{}")), 400, "field_unknown"),
        (
            Form::new()
                .part("request", Part::text("{"))
                .part("file", named("a", b"x")),
            400,
            "body_invalid",
        ),
        (Form::new(), 400, "body_incomplete"),
    ];
    for (number, (form, status, code)) in cases.into_iter().enumerate() {
        let answer = upload(&world, ALICE, form).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "case {number}");
    }
    world.nothing_is_left().await;
    assert_eq!(world.get(ALICE, "/v1/jobs").await.json()["jobs"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_json_request_without_a_source_or_with_a_query_is_refused() {
    let world = World::new().await;
    let refused = async |path: &str, body: Value| world.send(ALICE, Method::POST, path, &body).await.refusal().1;
    assert_eq!(refused("/v1/jobs", json!({})).await, "body_invalid");
    assert_eq!(refused("/v1/jobs", json!([])).await, "body_invalid");
    assert_eq!(
        refused("/v1/jobs", json!({"source": {"job": "1"}})).await,
        "body_invalid"
    );
    assert_eq!(
        refused("/v1/jobs?target=2", json!({"source": "s3://a/b"})).await,
        "query_invalid"
    );
    assert_eq!(
        refused("/v1/jobs?colour=2", json!({"source": "s3://a/b"})).await,
        "field_unknown"
    );
    world.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_gone_is_said_to_be() {
    let mut world = World::new().await;
    world.lose_store().await;
    let answer = answer(world.request(ALICE, Method::POST, "/v1/jobs").body(png(10))).await;
    assert_eq!(answer.refusal(), (503, "unavailable".to_owned()));
    assert!(!answer.header("retry-after").is_empty());
    let error = world.storage.stat("records/x").await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }));
    until(async || world.get(ALICE, "/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE).await;
}
