use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clearfleet_common::job::{JobId, State};
use clearfleet_common::storage::{ObjectKey, PlanKey};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::stream::film;
use super::world::answer;
use super::{ALICE, BOB, NOBODY, World};
use crate::http::docs;

/// Every method and path of the document.
fn routes() -> Vec<(Method, String)> {
    let (_, document) = docs::routes_and_document();
    let document = serde_json::to_value(document).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase().parse().unwrap();
            routes.push((method, path.clone()));
        }
    }
    assert!(routes.len() > 20);
    routes
}

/// What a route that takes a body is sent.
fn body(method: &Method, path: &str) -> Option<Value> {
    match (method.as_str(), path) {
        ("PATCH", _) => Some(json!({"priority": "low"})),
        ("POST", "/v1/session") => Some(json!({"key": "no key"})),
        ("POST", path) if path.ends_with("/redo") || path.ends_with("/preview") => Some(json!({})),
        _ => None,
    }
}

async fn call(world: &World, who: &str, method: &Method, path: &str, job: JobId) -> super::Answer {
    let address = path.replace("{id}", &job.to_string()).replace("{n}", "0");
    let address = address.replace("{plan}", "0").replace("{part}", "0.m4s");
    let mut request = world.request(who, method.clone(), &address);
    if let Some(body) = body(method, path) {
        request = request.json(&body);
    }
    answer(request).await
}

/// Whatever there is of a job, so that every route has something to show.
async fn job_with_everything(world: &World) -> JobId {
    let job = world.done(ALICE, "secret.png", b"secret result").await;
    world
        .storage
        .put(ObjectKey::Thumbnail(job), "secret thumbnail".into())
        .await
        .unwrap();
    let of = PlanKey { job, plan: 0 };
    world
        .storage
        .put(ObjectKey::Pair(of, 0), "secret pair".into())
        .await
        .unwrap();
    world.plan_film(job, &film(), State::Done).await;
    world.make(job, 0).await;
    job
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_job_of_another_is_on_every_route_as_one_that_never_was() {
    let world = World::new().await;
    let job = job_with_everything(&world).await;
    let before = world.record(ALICE, job).await.unwrap();
    let never = JobId::new();
    for (method, path) in routes().into_iter().filter(|(_, path)| path.contains("/jobs/{id}")) {
        let theirs = call(&world, BOB, &method, &path, job).await;
        assert_eq!(theirs.refusal(), (404, "not_found".to_owned()), "{method} {path}");
        let none = call(&world, BOB, &method, &path, never).await;
        let without_id = |answer: &super::Answer| {
            let mut problem = answer.json();
            problem["request_id"] = Value::Null;
            problem
        };
        assert_eq!(without_id(&theirs), without_id(&none), "{method} {path}");
    }
    assert_eq!(world.record(ALICE, job).await.unwrap(), before);
    // The owner herself gets something from each: the routes are real ones.
    for (method, path) in routes()
        .into_iter()
        .filter(|(method, path)| path.contains("/jobs/{id}") && method == Method::GET)
    {
        if path.ends_with("/events") || path.ends_with("/verification") {
            continue;
        }
        let own = call(&world, ALICE, &method, &path, job).await;
        assert_eq!(own.status, StatusCode::OK, "{method} {path}: {own:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_names_no_job_shows_nobodys() {
    let world = World::new().await;
    let job = job_with_everything(&world).await;
    let mut unknown = BTreeSet::new();
    for (method, path) in routes().into_iter().filter(|(_, path)| !path.contains("/jobs/{id}")) {
        match (method.as_str(), path.as_str()) {
            // Streams do not end; `events` has tests of their own for it.
            ("GET", "/v1/events") => {}
            ("POST", "/v1/jobs") => {
                let source = json!({"source": {"job": job}});
                let answer = world.send(BOB, Method::POST, "/v1/jobs", &source).await;
                assert_eq!(answer.refusal(), (404, "not_found".to_owned()));
            }
            ("GET", "/v1/jobs" | "/v1/estimate" | "/v1/capabilities" | "/healthz" | "/readyz" | "/metrics") => {
                let query = if path == "/v1/estimate" {
                    "?width=5&height=5"
                } else {
                    ""
                };
                let answer = world.get(BOB, &format!("{path}{query}")).await;
                assert_eq!(answer.status, StatusCode::OK, "{path}");
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                assert!(
                    !text.contains("secret") && !text.contains(&job.to_string()),
                    "{path}: {text}"
                );
            }
            ("POST", "/v1/uploads") => {
                let source = format!(
                    "settings {}",
                    BASE64_STANDARD.encode(json!({"source": {"job": job}}).to_string())
                );
                let begin = world.request(BOB, method, &path).header("Tus-Resumable", "1.0.0");
                let begin = begin.header("Upload-Length", 1).header("Upload-Metadata", source);
                assert_eq!(answer(begin).await.refusal(), (400, "body_invalid".to_owned()));
            }
            (_, "/v1/uploads/{id}") => {
                let address = format!("/v1/uploads/{job}");
                let upload = world
                    .request(BOB, method.clone(), &address)
                    .header("Tus-Resumable", "1.0.0");
                let upload = upload
                    .header("X-HTTP-Method-Override", "PATCH")
                    .header("Content-Type", "application/offset+octet-stream")
                    .header("Upload-Offset", 0);
                assert_eq!(answer(upload).await.status, StatusCode::NOT_FOUND, "{method}");
            }
            ("GET", "/v1/models" | "/v1/dead-letters" | "/v1/backup") => {
                assert_eq!(
                    world.get(BOB, &path).await.refusal(),
                    (403, "forbidden".to_owned()),
                    "{path}"
                );
            }
            // Of keys and sessions: tested where they are made.
            (_, path)
                if ["/v1/keys", "/v1/webhook", "/v1/session"]
                    .iter()
                    .any(|of| path.starts_with(of)) => {}
            (method, path) => {
                unknown.insert(format!("{method} {path}"));
            }
        }
    }
    assert_eq!(unknown, BTreeSet::new(), "routes that this test knows nothing of");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_key_gets_nowhere() {
    let world = World::new().await;
    let job = job_with_everything(&world).await;
    let open = ["/healthz", "/readyz", "/metrics"];
    for (method, path) in routes() {
        let answer = call(&world, NOBODY, &method, &path, job).await;
        if open.contains(&path.as_str()) {
            assert_eq!(answer.status, StatusCode::OK, "{method} {path}");
        } else if method == Method::HEAD {
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        } else if (method.as_str(), path.as_str()) == ("DELETE", "/v1/session") {
            assert_eq!(
                answer.status,
                StatusCode::NO_CONTENT,
                "who has no session has none afterwards"
            );
        } else {
            assert_eq!(answer.refusal(), (401, "unauthorized".to_owned()), "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
        }
    }
}
