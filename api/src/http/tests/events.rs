use std::time::Duration;

use clearfleet_common::job::{JobId, Record, State};
use clearfleet_common::storage::ObjectKey;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::world::{answer, owner, until};
use super::{ALICE, BOB, World};
use crate::http::ConnectionLimits;

/// A stream as a browser reads it.
struct Events {
    response: Response,
    text: String,
}

#[derive(Debug)]
struct Event {
    name: String,
    id: Option<String>,
    data: Value,
}

impl Events {
    async fn open(world: &World, who: &str, path: &str, last: Option<&str>) -> Self {
        let request = world.request(who, Method::GET, path);
        let request = last
            .iter()
            .fold(request, |request, id| request.header("last-event-id", *id));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event; nothing at the stream's end.
    async fn next(&mut self) -> Option<Event> {
        let read = async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let (event, rest) = (event.to_owned(), rest.to_owned());
                    self.text = rest;
                    match parse(&event) {
                        Some(event) => return Some(event),
                        None => continue,
                    }
                }
                let piece = self.response.chunk().await.unwrap()?;
                self.text += std::str::from_utf8(&piece).unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), read)
            .await
            .expect("no event came")
    }
}

fn parse(text: &str) -> Option<Event> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|line| line.trim_start().to_owned())
    };
    Some(Event {
        name: field("event")?,
        id: field("id"),
        data: serde_json::from_str(&field("data")?).unwrap(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jobs_events_are_the_job_itself_until_it_has_ended() {
    let world = World::new().await;
    let job = world.upload(ALICE, "a.png").await;
    let path = format!("/v1/jobs/{job}/events");
    let mut events = Events::open(&world, ALICE, &path, None).await;
    let first = events.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.data["state"]), ("job", &json!("queued")));
    assert_eq!(first.data, world.get(ALICE, &format!("/v1/jobs/{job}")).await.json());

    world.schedule(ALICE, job, |record| record.state = State::Running).await;
    let second = events.next().await.unwrap();
    assert_eq!(second.data["state"], "running");
    drop(events);

    // Who comes back with the last id gets what is new, and nothing twice.
    let mut events = Events::open(&world, ALICE, &path, second.id.as_deref()).await;
    let done = |record: &mut Record| {
        record.state = State::Done;
        record.ended = Some(record.changed);
    };
    world.schedule(ALICE, job, done).await;
    let last = events.next().await.unwrap();
    assert_eq!(last.data["state"], "done");
    assert!(events.next().await.is_none(), "the stream ends with the job");

    let mut again = Events::open(&world, ALICE, &path, None).await;
    assert_eq!(again.next().await.unwrap().id, last.id);
    assert!(again.next().await.is_none());
    let id = last.id.unwrap();
    let stay_away = answer(world.request(ALICE, Method::GET, &path).header("last-event-id", id)).await;
    assert_eq!(stay_away.status, StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_a_job_hears_that_it_is_deleted() {
    let world = World::new().await;
    let job = world.upload(ALICE, "a.png").await;
    let path = format!("/v1/jobs/{job}");
    let mut events = Events::open(&world, ALICE, &format!("{path}/events"), None).await;
    events.next().await.unwrap();
    world.send(ALICE, Method::DELETE, &path, &json!({})).await;
    let gone = events.next().await.unwrap();
    assert_eq!((gone.name.as_str(), gone.data), ("deleted", json!({"id": job})));
    assert!(events.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_events_of_an_owner_come_in_one_stream_and_nobody_elses() {
    let world = World::new().await;
    let before = world.upload(ALICE, "before.png").await;
    let mut events = Events::open(&world, ALICE, "/v1/events", None).await;
    world.upload(BOB, "b.png").await;
    let job = world.upload(ALICE, "a.png").await;
    let first = events.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.data["id"]), ("job", &json!(job)));
    world
        .schedule(ALICE, before, |record| record.state = State::Running)
        .await;
    let second = events.next().await.unwrap();
    assert_eq!(
        (&second.data["id"], &second.data["state"]),
        (&json!(before), &json!("running"))
    );
    drop(events);

    // What happened since is told to whoever comes back, deletions too.
    world.upload(BOB, "c.png").await;
    let missed = world.upload(ALICE, "c.png").await;
    world
        .storage
        .delete(&ObjectKey::Record(owner(ALICE), job).to_string())
        .await
        .unwrap();
    world.state.records.look_again(owner(ALICE), job);
    until(async || world.state.records.known(owner(ALICE), job).is_none()).await;
    let mut events = Events::open(&world, ALICE, "/v1/events", second.id.as_deref()).await;
    let mut told: Vec<(String, JobId)> = Vec::new();
    while !told.iter().any(|(name, _)| name == "deleted") {
        let event = events.next().await.unwrap();
        told.push((event.name, event.data["id"].as_str().unwrap().parse().unwrap()));
    }
    assert!(told.contains(&("job".to_owned(), missed)), "{told:?}");
    assert_eq!(told.last().unwrap(), &("deleted".to_owned(), job));
    let number = second.id.as_ref().unwrap().split('.').next().unwrap();
    // Of another process, a number of this minute is too old for one that has just begun.
    let elsewhere = format!("{number}.{}", uuid::Uuid::nil().simple());
    for old in ["0", "x", "-1.x", &elsewhere] {
        let mut events = Events::open(&world, ALICE, "/v1/events", Some(old)).await;
        assert_eq!(events.next().await.unwrap().name, "reset", "{old}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_limited_counted_and_end_with_the_server() {
    let world = World::with(|config| config.streams = 1, ConnectionLimits::default()).await;
    let mut events = Events::open(&world, ALICE, "/v1/events", None).await;
    let open = async || {
        let text = String::from_utf8(world.get("", "/metrics").await.body).unwrap();
        text.lines().any(|line| line == "clearfleet_http_event_streams 1")
    };
    assert!(open().await);
    assert_eq!(
        world.get(BOB, "/v1/events").await.refusal(),
        (503, "unavailable".to_owned())
    );
    drop(events);
    until(async || !open().await).await;
    events = Events::open(&world, ALICE, "/v1/events", None).await;
    world.state.stop.cancel();
    assert!(events.next().await.is_none());
}
