use std::time::Duration;

use clearfleet_common::job::{ClassName, Failure, JobId, Progress, Record, State, Step, WorkerId};
use clearfleet_common::queue::Queue;
use clearfleet_common::storage::{Digest, ObjectKey};
use clearfleet_common::{ErrorCode, job::Event};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::world::{owner, plan, until};
use super::{ALICE, BOB, ROOT, World};
use crate::http::{ConnectionLimits, HttpConfig};

fn ids(page: &Value) -> Vec<String> {
    let jobs = page["jobs"].as_array().unwrap();
    jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_paged_searched_and_filtered() {
    let world = World::new().await;
    let mut jobs = Vec::new();
    for n in 0..5 {
        jobs.push(world.upload(ALICE, &format!("Film%20{n}.png")).await.to_string());
    }
    jobs.reverse();
    world.upload(BOB, "Film%207.png").await;
    let mut seen = Vec::new();
    let mut path = "/v1/jobs?limit=2".to_owned();
    loop {
        let page = world.get(ALICE, &path).await.json();
        seen.extend(ids(&page));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/jobs?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, jobs);
    let found = async |query: &str| ids(&world.get(ALICE, &format!("/v1/jobs?{query}")).await.json());
    assert_eq!(found("q=film%203").await, [jobs[1].clone()]);
    assert_eq!(found("state=done,failed").await, Vec::<String>::new());
    assert_eq!(found("state=queued&kind=picture&priority=normal,high").await, jobs);
    for refused in [
        "limit=0",
        "limit=201",
        "limit=x",
        "state=gone",
        "kind=sound",
        "priority=1",
        "cursor=x",
    ] {
        let answer = world.get(ALICE, &format!("/v1/jobs?{refused}")).await;
        assert_eq!(answer.refusal(), (400, "query_invalid".to_owned()), "{refused}");
    }
    assert_eq!(world.get(ALICE, "/v1/jobs?colour=1").await.refusal().1, "field_unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_another_process_made_is_found() {
    let world = World::new().await;
    let known = world.upload(ALICE, "a.png").await;
    let mut record: Record = world.record(ALICE, known).await.unwrap();
    record.id = JobId::new();
    world.storage.create_record(&record).await.unwrap().unwrap();
    let path = format!("/v1/jobs/{}", record.id);
    assert_eq!(world.get(BOB, &path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get(ALICE, &path).await.json()["name"], "a.png");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_are_none_are_not_found() {
    let world = World::new().await;
    let job = world.upload(ALICE, "a.png").await.to_string();
    for id in [
        "1",
        "..",
        "%2e%2e",
        "..%2Fmodels%2Fcurrent.json",
        "%00",
        "%ff",
        &job.to_uppercase(),
        &job.replace('-', ""),
        &format!("{job}%20"),
        &JobId::new().to_string(),
    ] {
        let answer = world.get(ALICE, &format!("/v1/jobs/{id}/source")).await;
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_workers_say_is_in_the_view() {
    let world = World::new().await;
    let job = world.upload(ALICE, "a.png").await;
    world
        .schedule(ALICE, job, |record| {
            record.state = State::Running;
            record.plan = Some(clearfleet_common::job::PlanSummary {
                frames: 100,
                batches: 10,
                kind: clearfleet_common::job::SourceKind::Video,
                ..plan()
            });
        })
        .await;
    for (batch, done) in [(0, 10), (1, 4)] {
        let progress = Event::Progress(Progress {
            job,
            owner: owner(ALICE),
            step: Step::Upscale { plan: 0, batch },
            done,
            total: 10,
        });
        world
            .queue
            .emit(progress.topic(), serde_json::to_vec(&progress).unwrap().into())
            .await
            .unwrap();
    }
    let path = format!("/v1/jobs/{job}");
    until(async || world.get(ALICE, &path).await.json()["progress"]["done"] == 14).await;
    let view = world.get(ALICE, &path).await.json();
    let progress = &view["progress"];
    assert_eq!(
        (&progress["total"], &progress["batches_done"], &progress["batches"]),
        (&json!(100), &json!(1), &json!(10))
    );
    assert_eq!(progress["finished"], json!([[0, 1]]));
    assert_eq!(view["kind"], "video");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_estimate_is_pixels_by_rate_and_what_waits() {
    let world = World::new().await;
    let path = "/v1/estimate?width=100&height=50&frames=10&target=2";
    let unknown = world.get(ALICE, path).await.json();
    assert_eq!(
        (&unknown["pixels"], &unknown["seconds"]),
        (&json!(200_000), &Value::Null)
    );
    let class = ObjectKey::Class(ClassName::default());
    world
        .storage
        .put(class, "{\"pixels_per_second\": 1000.0, \"more\": 1}".into())
        .await
        .unwrap();
    let job = world.upload(ALICE, "a.png").await;
    world
        .schedule(ALICE, job, |record| {
            record.state = State::Running;
            record.plan = Some(plan());
        })
        .await;
    let known = world.get(ALICE, path).await.json();
    assert_eq!(
        (&known["seconds"], &known["backlog_seconds"]),
        (&json!(200.0), &json!(5.0))
    );
    assert_eq!(known["target_size"], json!([200, 100]));
    for (refused, code) in [
        ("/v1/estimate?width=0&height=5", "input_too_many_pixels"),
        ("/v1/estimate?width=40000&height=5", "input_too_many_pixels"),
        ("/v1/estimate?width=20000&height=20000", "input_too_many_pixels"),
        ("/v1/estimate?width=5&height=5&target=9", "target_invalid"),
        ("/v1/estimate?width=5&height=5&target=4x4", "target_invalid"),
        (
            "/v1/estimate?width=5&height=5&frames=18446744073709551615",
            "input_too_many_frames",
        ),
        ("/v1/estimate?width=5", "query_invalid"),
        ("/v1/estimate?width=5&height=5&class=x", "query_invalid"),
    ] {
        assert_eq!(world.get(ALICE, refused).await.refusal().1, code, "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_says_what_it_can_and_how_it_is() {
    let world = World::new().await;
    let can = world.get(ALICE, "/v1/capabilities").await.json();
    assert_eq!(can["version"], env!("CARGO_PKG_VERSION"));
    let webm = can["formats"]
        .as_array()
        .unwrap()
        .iter()
        .find(|format| format["name"] == "webm")
        .unwrap();
    assert_eq!(webm["codecs"], json!(["av1", "vp9"]));
    assert_eq!(
        can["qualities"][0],
        json!({"codec": "h264", "crf": [0, 51], "usual": 18})
    );
    assert_eq!(can["qualities"].as_array().unwrap().len(), 4);
    assert_eq!(can["filters"]["denoise"], json!(["off", "light", "strong"]));
    assert_eq!(
        (&can["uploads"]["path"], &can["uploads"]["expires_seconds"]),
        (&json!("/v1/uploads"), &json!(3 * 86_400))
    );
    let sources = can["sources"].as_array().unwrap();
    let named = |extension: &str| {
        let names = |format: &&Value| format["extensions"].as_array().unwrap().contains(&json!(extension));
        sources.iter().find(names).map(|format| format["kind"].clone())
    };
    assert_eq!(
        (named("jpeg"), named("gif")),
        (Some(json!("picture")), Some(json!("video")))
    );
    for taken in [
        "png", "jpg", "bmp", "webp", "tiff", "mp4", "mkv", "wmv", "mov", "webm", "avi",
    ] {
        assert!(named(taken).is_some(), "{taken}");
    }
    assert_eq!((named("txt"), named("pdf"), named("m3u8")), (None, None, None));
    assert_eq!(world.get("", "/healthz").await.json(), json!({"status": "ok"}));
    assert_eq!(world.get("", "/readyz").await.json(), json!({"status": "ok"}));
    world.queue.go_down();
    until(async || world.get("", "/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(world.get("", "/readyz").await.json()["details"]["queue"], "missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_everybodys_is_for_admins() {
    let world = World::new().await;
    let job = world.upload(ALICE, "a.png").await;
    world
        .schedule(ALICE, job, |record| {
            record.state = State::Failed;
            let mut failure = Failure::new(ErrorCode::EngineFailed, "the engine failed");
            failure.worker = Some(WorkerId::new("w1"));
            failure.batch = Some(3);
            failure.attempts = 6;
            record.failure = Some(failure);
        })
        .await;
    let model = ObjectKey::Model(Digest([7; 32]));
    world.storage.put(model, "weights".into()).await.unwrap();
    world
        .storage
        .put(ObjectKey::CurrentModels, "{\"clean\": \"07\"}".into())
        .await
        .unwrap();

    let letters = world.get(ROOT, "/v1/dead-letters").await.json();
    assert_eq!((&letters[0]["job"], &letters[0]["owner"]), (&json!(job), &json!(ALICE)));
    assert_eq!(letters[0]["failure"]["worker"], "w1");
    let models = world.get(ROOT, "/v1/models").await.json();
    assert_eq!(models["current"]["clean"], "07");
    assert_eq!(models["models"], json!([{"digest": "07".repeat(32), "bytes": 7}]));
    for path in ["/v1/dead-letters", "/v1/models"] {
        assert_eq!(
            world.get(ALICE, path).await.refusal(),
            (403, "forbidden".to_owned()),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_jobs_are_counted() {
    let world = World::new().await;
    let job = world.upload(ALICE, "a.png").await;
    world.get(ALICE, &format!("/v1/jobs/{job}")).await;
    world.get(ALICE, "/v1/jobs/nothing").await;
    world.get(ALICE, "/nowhere").await;
    let text = String::from_utf8(world.get("", "/metrics").await.body).unwrap();
    for line in [
        "# HELP clearfleet_http_requests_total Requests that were answered, by method, route and status.",
        "clearfleet_http_requests_total{method=\"POST\",route=\"/v1/jobs\",status=\"201\"} 1",
        "clearfleet_http_requests_total{method=\"GET\",route=\"/v1/jobs/{id}\",status=\"200\"} 1",
        "clearfleet_http_requests_total{method=\"GET\",route=\"/v1/jobs/{id}\",status=\"404\"} 1",
        "clearfleet_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "clearfleet_http_uploaded_bytes_total 100",
        "clearfleet_jobs{state=\"queued\"} 1",
        "clearfleet_jobs{state=\"done\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_takes_too_long_is_given_up() {
    let short = |config: &mut HttpConfig| config.answer = Duration::from_millis(100);
    let mut world = World::with(short, ConnectionLimits::default()).await;
    world.lose_store().await;
    let late = world.get(ROOT, "/v1/models").await;
    assert_eq!(late.refusal(), (503, "unavailable".to_owned()));
    assert_eq!(late.json()["detail"], "the answer took too long to make");
}
