//! Watching a film while it is made.

use std::path::Path;

use clearfleet_tests::decoded;
use serde_json::{Value, json};

use super::Setting;

impl Setting {
    /// The playlist of the film's video once there is one, and the address of what it names, up to the last slash.
    fn stream(&self, job: &str) -> (String, String) {
        let client = self.server.client();
        let watched = client.until(job, |job| !job["links"]["stream"].is_null());
        let stream = watched["links"]["stream"].as_str().expect("an address").to_owned();
        let streams = client.get(&stream).expect(200).text();
        let video = streams.lines().find(|line| !line.starts_with('#')).expect("a stream");
        let (folder, _) = stream.rsplit_once('/').expect("an address");
        let video = format!("{folder}/{video}");
        let (parts, _) = video.rsplit_once('/').expect("an address");
        (client.get(&video).expect(200).text(), parts.to_owned())
    }
}

fn batches_done(job: &Value) -> u64 {
    job["progress"]["batches_done"].as_u64().expect("a number of batches")
}

/// Whoever plays it from the start on, before most of it is made, sees every frame of the result at its time.
#[test]
fn what_is_watched_is_the_result() {
    let setting = Setting::slow(20);
    let client = setting.server.client();
    let film = client.submit_with(&setting.film(), &json!({}));
    let (playlist, _) = setting.stream(&film);
    let lengths = playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    assert_eq!(lengths.collect::<Vec<_>>(), ["0.200000,"; 10]);
    let address = format!("{}/v1/jobs/{film}/stream.m3u8", client.url());
    let watched = decoded(Path::new(&address), 0);
    let result = setting.world.path("result.mp4");
    client.done(&film);
    client.download(&format!("/v1/jobs/{film}/result"), &result);
    let result = decoded(&result, 0);
    assert_eq!(watched.sums, result.sums);
    let since_first = |frames: &clearfleet_tests::Frames| -> Vec<f64> {
        let seconds = (0..frames.pts.len()).map(|n| frames.seconds(n) - frames.seconds(0));
        seconds.map(|seconds| (seconds * 1e4).round()).collect()
    };
    assert_eq!(since_first(&watched), since_first(&result));
}

/// A player that jumps ahead gets that part next.
#[test]
fn who_jumps_ahead_gets_that_part_next() {
    let setting = Setting::slow(100);
    let client = setting.server.client();
    let film = client.submit_with(&setting.film(), &json!({}));
    let (_, parts) = setting.stream(&film);
    let last = client.get(&format!("{parts}/9.m4s")).expect(200);
    let done = batches_done(&client.job(&film));
    assert!(done < 9, "{done} of 10 batches were done by then");
    assert_eq!(&last.body[4..8], b"moof");
    let header = client.get(&format!("{parts}/init.mp4")).expect(200);
    assert_eq!(&header.body[4..8], b"ftyp");
    client.command(&film, "cancel");
}

/// What no player shows in segments is not offered, and says why.
#[test]
fn what_players_do_not_show_is_refused() {
    let setting = Setting::new();
    let client = setting.server.client();
    let film = setting.submit_film();
    client.done(&film);
    let refused = client.get(&format!("/v1/jobs/{film}/stream.m3u8"));
    assert_eq!(refused.refusal(409), "state_conflict");
    let photo = setting.submit_photo();
    client.done(&photo);
    assert_eq!(client.job(&photo)["links"]["stream"], Value::Null);
    assert_eq!(client.get(&format!("/v1/jobs/{photo}/stream.m3u8")).status, 409);
}
