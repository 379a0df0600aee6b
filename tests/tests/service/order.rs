//! Who waits for whom.

use serde_json::json;

use super::{Setting, lossless};

/// With one worker and 100 ms a frame, a photo is done long before a film that came before it: it waits for a frame.
#[test]
fn a_photo_does_not_wait_for_a_film() {
    let setting = Setting::slow(100);
    let client = setting.server.client();
    let mut all = client.events("/v1/events", None);
    let film = setting.submit_film();
    client.until(&film, |job| job["progress"]["done"].as_u64() > Some(0));
    let photos = [setting.submit_photo(), setting.submit_photo()];
    let mut waiting: Vec<&str> = photos.iter().map(String::as_str).collect();
    while !waiting.is_empty() {
        let event = all.next().expect("the stream goes on");
        let (id, state) = (&event.data["id"], &event.data["state"]);
        assert!(
            *id != film.as_str() || *state != "done",
            "the film is done before the photos are"
        );
        waiting.retain(|photo| *id != *photo || *state != "done");
    }
    let batches = &client.job(&film)["progress"]["batches_done"];
    assert!(batches.as_u64() < Some(8), "{batches} of 10 batches before two photos");
    // And the film does not starve.
    client.done(&film);
}

/// Batches of jobs of one owner take turns: a short film that comes later is computed earlier. (The long one takes ten
/// seconds, which is what the machine has for planning the short one.)
#[test]
fn a_short_film_does_not_wait_for_a_long_one() {
    let setting = Setting::slow(200);
    let client = setting.server.client();
    let long = setting.submit_film();
    client.until(&long, |job| job["state"] == "running");
    let short = client.submit(&setting.film(), &json!({ "settings": lossless(), "range": [0, 0.3] }));
    client.until(&short, |job| {
        matches!(job["state"].as_str(), Some("assembling" | "done"))
    });
    assert_eq!(client.job(&long)["state"], "running");
    client.done(&short);
    client.done(&long);
}
