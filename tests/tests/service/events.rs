//! Events as they come.

use clearfleet_tests::Event;
use serde_json::json;

use super::Setting;

/// How far a job with these states may have come.
fn rank(state: &str) -> usize {
    let order = ["uploading", "queued", "planning", "running", "assembling", "done"];
    order
        .iter()
        .position(|s| *s == state)
        .unwrap_or_else(|| panic!("{state}"))
}

fn assert_in_order(events: &[Event]) {
    for pair in events.windows(2) {
        let [before, after] = pair else { continue };
        let state = |event: &Event| rank(event.data["state"].as_str().expect("a state"));
        assert!(state(before) <= state(after), "{before:?} then {after:?}");
        let progress = |event: &Event| event.data["progress"]["batches_done"].as_u64();
        assert!(progress(before) <= progress(after), "{before:?} then {after:?}");
        assert_ne!(before.id, after.id);
    }
}

#[test]
fn a_job_tells_its_whole_life_in_order() {
    let setting = Setting::slow(15);
    let client = setting.server.client();
    let film = client.submit(&setting.film(), &json!({ "start": false }));
    let mut stream = client.events(&format!("/v1/jobs/{film}/events"), None);
    let first = stream.next().expect("an event at once");
    assert_eq!(
        (&first.data["state"], &first.data["id"]),
        (&json!("paused"), &json!(film))
    );
    client.command(&film, "resume");
    let events: Vec<Event> = stream.filter(|event| event.data["state"] != "paused").collect();
    assert_in_order(&events);
    let running = events.iter().filter(|event| event.data["state"] == "running");
    assert!(running.count() >= 2, "a second and a half in running: {events:?}");
    let last = events.last().expect("events");
    assert_eq!(last.data, client.job(&film));
    assert_eq!(last.data["state"], "done");
}

/// The stream of a job goes on where it broke off, at another server process too.
#[test]
fn who_comes_back_misses_nothing_and_gets_nothing_twice() {
    let mut setting = Setting::slow(30);
    let film = setting.submit_film();
    let path = format!("/v1/jobs/{film}/events");
    let client = setting.server.client().clone();
    let mut events: Vec<Event> = client.events(&path, None).take(4).collect();
    while events.last().is_some_and(|event| event.data["state"] != "done") {
        let last = events.last().map(|event| event.id.clone());
        events.extend(client.events(&path, last.as_deref()).take(2));
    }
    assert_in_order(&events);
    let last = events.pop().expect("events");
    // A browser that comes back then is told to stay away.
    client
        .send("GET", &path, &[("last-event-id", &last.id)], b"")
        .expect(204);
    setting.server.restart();
    let client = setting.server.client();
    client
        .send("GET", &path, &[("last-event-id", &last.id)], b"")
        .expect(204);
    let anew: Vec<Event> = client.events(&path, Some("of another time")).collect();
    assert_eq!(anew.len(), 1);
    assert_eq!((&anew[0].id, &anew[0].data), (&last.id, &last.data));
}

#[test]
fn one_stream_tells_of_all_jobs() {
    let setting = Setting::new();
    let client = setting.server.client();
    let mut all = client.events("/v1/events", None);
    let jobs = [setting.submit_photo(), setting.submit_film()];
    let mut open: Vec<&str> = jobs.iter().map(String::as_str).collect();
    let mut last = String::new();
    while !open.is_empty() {
        let event = all.next().expect("the stream goes on");
        assert_eq!(event.name, "job");
        last.clone_from(&event.id);
        open.retain(|id| event.data["id"] != *id || event.data["state"] != "done");
    }
    drop(all);
    client
        .send("DELETE", &format!("/v1/jobs/{}", jobs[0]), &[], b"")
        .expect(204);
    // What happened while nobody listened.
    let mut all = client.events("/v1/events", Some(&last));
    let missed = all.find(|event| event.name == "deleted").expect("the stream goes on");
    assert_eq!(missed.data, json!({ "id": jobs[0] }));
}
