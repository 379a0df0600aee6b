use clearfleet_common::job::{ControlMessage, OutputFormat, Record, State};
use clearfleet_common::queue::{Queue, QueueName};
use clearfleet_common::storage::{ObjectKey, PlanKey};
use reqwest::{Method, StatusCode};

use super::world::{answer, owner, plan};
use super::{ALICE, Answer, World, png};

const RESULT: &[u8] = b"0123456789";

async fn with(world: &World, path: &str, headers: &[(&'static str, &str)]) -> Answer {
    let request = world.request(ALICE, Method::GET, path);
    answer(
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value)),
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_comes_under_its_name_whole_or_in_ranges() {
    let world = World::new().await;
    let job = world.done(ALICE, "sch%C3%B6n.png", RESULT).await;
    let path = format!("/v1/jobs/{job}/result");
    let whole = world.get(ALICE, &path).await;
    assert_eq!((whole.status, &whole.body[..]), (StatusCode::OK, RESULT));
    assert_eq!(whole.header("content-type"), "image/png");
    assert_eq!(whole.header("content-length"), "10");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    let named = "attachment; filename=\"sch_n-2x.png\"; filename*=UTF-8''sch%C3%B6n-2x.png";
    assert_eq!(whole.header("content-disposition"), named);
    let (etag, modified) = (whole.header("etag"), whole.header("last-modified"));
    assert!(etag.starts_with('"') && modified.ends_with(" GMT"), "{etag} {modified}");

    let part = with(&world, &path, &[("range", "bytes=2-4")]).await;
    assert_eq!(
        (part.status, &part.body[..]),
        (StatusCode::PARTIAL_CONTENT, &b"234"[..])
    );
    assert_eq!(
        (part.header("content-range"), part.header("content-length")),
        ("bytes 2-4/10", "3")
    );
    let tail = with(&world, &path, &[("range", "bytes=-3"), ("if-range", etag)]).await;
    assert_eq!(
        (tail.status, &tail.body[..]),
        (StatusCode::PARTIAL_CONTENT, &b"789"[..])
    );
    let other = with(&world, &path, &[("range", "bytes=-3"), ("if-range", "\"other\"")]).await;
    assert_eq!((other.status, &other.body[..]), (StatusCode::OK, RESULT));
    let beyond = with(&world, &path, &[("range", "bytes=10-")]).await;
    assert_eq!(beyond.refusal(), (416, "range_unsatisfiable".to_owned()));
    assert_eq!(beyond.header("content-range"), "bytes */10");

    let same = with(&world, &path, &[("if-none-match", etag)]).await;
    assert_eq!(
        (same.status, same.body.len(), same.header("etag")),
        (StatusCode::NOT_MODIFIED, 0, etag)
    );
    let since = with(&world, &path, &[("if-modified-since", modified)]).await;
    assert_eq!(since.status, StatusCode::NOT_MODIFIED);
    let unlike = with(&world, &path, &[("if-match", "\"other\"")]).await;
    assert_eq!(unlike.refusal(), (412, "precondition_failed".to_owned()));

    let head = answer(world.request(ALICE, Method::HEAD, &path)).await;
    assert_eq!(
        (head.status, head.body.len(), head.header("content-length")),
        (StatusCode::OK, 0, "10")
    );
    assert_eq!(head.header("content-disposition"), named);
    let head = answer(world.request(ALICE, Method::HEAD, &path).header("range", "bytes=0-1")).await;
    assert_eq!(
        (head.status, head.header("content-range")),
        (StatusCode::PARTIAL_CONTENT, "bytes 0-1/10")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_comes_back_byte_for_byte() {
    let world = World::new().await;
    let content = png(9 << 20);
    let made = answer(
        world
            .request(ALICE, Method::POST, "/v1/jobs?name=a.png")
            .body(content.clone()),
    )
    .await;
    let path = format!("/v1/jobs/{}/source", super::world::id_of(&made));
    let whole = world.get(ALICE, &path).await;
    assert!(whole.body == content);
    assert_eq!(whole.header("content-disposition"), "attachment; filename=\"a.png\"");
    let part = with(&world, &path, &[("range", "bytes=8388600-8388620")]).await;
    assert!(part.body[..] == content[8_388_600..=8_388_620]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_a_batch_that_is_not_there_yet_waits_for_it() {
    let world = World::new().await;
    let job = world.upload(ALICE, "a.mp4").await;
    let pair = format!("/v1/jobs/{job}/pairs/0");
    let follow = |state: State| {
        world.schedule(ALICE, job, move |record| {
            record.plan = Some(plan());
            record.state = state;
        })
    };
    let mut said = world.queue.consume(QueueName::Control).await.unwrap();
    // A paused job is waited for in vain: the next that is heard is of the running one.
    for state in [State::Paused, State::Running] {
        follow(state).await;
        assert_eq!(world.get(ALICE, &pair).await.refusal().1, "not_ready", "{state}");
    }
    let watch = async {
        loop {
            let delivery = said.next().await.unwrap();
            let message: ControlMessage = serde_json::from_slice(&delivery.body).unwrap();
            delivery.acknowledge().await.unwrap();
            if !matches!(message, ControlMessage::Look { .. }) {
                return message;
            }
        }
    };
    let heard = tokio::time::timeout(std::time::Duration::from_secs(10), watch).await;
    let expected = ControlMessage::Watch {
        job,
        owner: owner(ALICE),
        plan: plan().number,
        batch: 0,
    };
    assert_eq!(heard.expect("it is said"), expected);
    world
        .storage
        .put(ObjectKey::Pair(PlanKey { job, plan: 0 }, 0), "pair".into())
        .await
        .unwrap();
    assert_eq!(world.get(ALICE, &pair).await.status, StatusCode::OK);
    assert_eq!(world.queue.messages(QueueName::Control), 0);
}

/// Another server has told the client that the job is done, and this one has not heard of it yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_there_as_soon_as_any_server_has_told_of_it() {
    let world = World::new().await;
    let job = world.done(ALICE, "a.png", b"sharper").await;
    let (record, _) = world.storage.record(owner(ALICE), job).await.unwrap().unwrap();
    world
        .schedule(ALICE, job, |record| {
            (record.state, record.result, record.plan) = (State::Assembling, None, None);
        })
        .await;
    for what in ["result", "pairs/0", "verification"] {
        let refused = world.get(ALICE, &format!("/v1/jobs/{job}/{what}")).await.refusal();
        assert_eq!(refused, (404, "not_ready".to_owned()), "{what}");
    }
    let elsewhere = |found: &mut Record| {
        *found = record.clone();
        Ok::<_, std::convert::Infallible>(true)
    };
    let updated = world.storage.update_record(owner(ALICE), job, elsewhere).await;
    assert!(matches!(updated, Ok(Ok(Some(_)))), "{updated:?}");
    let result = world.get(ALICE, &format!("/v1/jobs/{job}/result")).await;
    assert_eq!((result.status, &result.body[..]), (StatusCode::OK, &b"sharper"[..]));
    assert_eq!(
        world.get(ALICE, &format!("/v1/jobs/{job}")).await.json()["state"],
        "done"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_yet_or_any_more_says_so() {
    let world = World::new().await;
    let job = world.upload(ALICE, "a.png").await;
    let path = |what: &str| format!("/v1/jobs/{job}/{what}");
    for what in ["result", "thumbnail", "pairs/0", "verification"] {
        let answer = world.get(ALICE, &path(what)).await;
        assert_eq!(answer.refusal(), (404, "not_ready".to_owned()), "{what}");
        assert_eq!(answer.json()["details"]["state"], "queued", "{what}");
    }
    world.schedule(ALICE, job, |record| record.plan = Some(plan())).await;
    assert_eq!(world.get(ALICE, &path("pairs/0")).await.refusal().1, "not_ready");
    for none in ["pairs/1", "pairs/-1", "pairs/x", "pairs/..%2f0"] {
        assert_eq!(world.get(ALICE, &path(none)).await.refusal().1, "not_found", "{none}");
    }
    let of = PlanKey { job, plan: 0 };
    world.storage.put(ObjectKey::Pair(of, 0), "pair".into()).await.unwrap();
    world
        .storage
        .put(ObjectKey::Thumbnail(job), "small".into())
        .await
        .unwrap();
    let pair = world.get(ALICE, &path("pairs/0")).await;
    assert_eq!(
        (&pair.body[..], pair.header("content-type")),
        (&b"pair"[..], "image/webp")
    );
    assert_eq!(world.get(ALICE, &path("thumbnail")).await.body, b"small");

    world.schedule(ALICE, job, |record| record.state = State::Expired).await;
    for what in ["source", "result", "thumbnail", "pairs/0"] {
        assert_eq!(
            world.get(ALICE, &path(what)).await.refusal(),
            (410, "gone".to_owned()),
            "{what}"
        );
    }
    let view = world.get(ALICE, &format!("/v1/jobs/{job}")).await.json();
    assert_eq!(
        (&view["links"]["source"], &view["links"]["result"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
}

/// A picture of one colour, and what upscaling would make of it; and one of another colour.
fn pictures() -> [Vec<u8>; 3] {
    let picture = |edge: u32, shade: u8| {
        let image = image::GrayImage::from_pixel(edge, edge, image::Luma([shade]));
        let mut file = std::io::Cursor::new(Vec::new());
        image.write_to(&mut file, image::ImageFormat::Png).unwrap();
        file.into_inner()
    };
    [picture(32, 100), picture(64, 100), picture(64, 200)]
}

#[cfg(feature = "standalone")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_held_against_its_source() {
    let world = World::new().await;
    let [source, good, bad] = pictures();
    for (result, verdict) in [(good, "holds"), (bad, "differs")] {
        let made = answer(
            world
                .request(ALICE, Method::POST, "/v1/jobs?name=a.png")
                .body(source.clone()),
        )
        .await;
        let job = super::world::id_of(&made);
        let key = ObjectKey::Result(job, uuid::Uuid::from_u128(1));
        world.storage.put(key, result.clone().into()).await.unwrap();
        world
            .schedule(ALICE, job, |record| {
                record.state = State::Done;
                record.plan = Some(plan());
                record.result = Some(clearfleet_common::job::JobResult {
                    key: key.to_string(),
                    plan: 0,
                    bytes: result.len() as u64,
                    sha256: String::new(),
                    format: OutputFormat::Png,
                    size: (64, 64),
                    frames: 1,
                    notes: Vec::new(),
                    destination: None,
                });
            })
            .await;
        let path = format!("/v1/jobs/{job}/verification");
        let report = world.get(ALICE, &path).await;
        assert_eq!(
            (report.status, &report.json()["verdict"]),
            (StatusCode::OK, &verdict.into()),
            "{report:?}"
        );
        let checks = report.json()["checks"].clone();
        assert!(
            checks
                .as_array()
                .unwrap()
                .iter()
                .all(|check| check["method"].as_str().is_some_and(|m| !m.is_empty()))
        );
        // The report is kept: the result itself is not needed for it any more.
        world.storage.delete(&key.to_string()).await.unwrap();
        assert_eq!(world.get(ALICE, &path).await.json()["checks"], checks);
    }
}
