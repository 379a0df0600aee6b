//! Watching a film while it is made.

use std::ffi::OsStr;
use std::path::Path;

use clearfleet_tests::{decoded, ffmpeg};
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

/// A film of two seconds that is heard in two languages, of which browsers play one as it is.
fn with_two_languages(film: &Path) {
    let [picture, tone] = ["testsrc2=size=64x48:rate=25:d=2", "sine=d=2:r=48000"];
    let inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone];
    let streams = [
        "-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:a:0", "aac", "-c:a:1", "ac3",
    ];
    let languages = ["-metadata:s:a:0", "language=kor", "-metadata:s:a:1", "language=eng"];
    let args = [&inputs[..], &streams, &languages, &["-pix_fmt", "yuv420p"]].concat();
    ffmpeg(args.into_iter().map(OsStr::new).chain([film.as_os_str()]));
}

/// Digests of a sound's packets.
fn packets(from: &Path, sound: &str) -> Vec<String> {
    let read = [OsStr::new("-i"), from.as_os_str()];
    let write = ["-map", sound, "-c", "copy", "-f", "framemd5", "-"];
    let listed = ffmpeg(read.into_iter().chain(write.map(OsStr::new)));
    let rows = listed.lines().filter(|line| !line.starts_with('#'));
    // stream, dts, pts, duration, size, digest
    rows.filter_map(|row| Some(row.split(',').nth(5)?.trim().to_owned()))
        .collect()
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

/// Every language is heard beside the video: what browsers play to the packet, the rest as AAC, as long as the film.
#[test]
fn the_sound_is_heard_while_the_film_is_made() {
    let setting = Setting::slow(300);
    let client = setting.server.client();
    let source = setting.world.path("languages.mp4");
    with_two_languages(&source);
    let film = client.submit_with(&source, &json!({}));
    setting.stream(&film);
    let stream = format!("/v1/jobs/{film}/stream.m3u8");
    let streams = client.get(&stream).expect(200).text();
    for language in ["kor", "eng"] {
        assert!(streams.contains(&format!(",LANGUAGE=\"{language}\",")), "{streams}");
    }
    let address = format!("{}{stream}", client.url());
    let copied = packets(Path::new(&address), "0:m:language:kor");
    assert_eq!(copied, packets(&source, "0:a:0"));
    let encoded = packets(Path::new(&address), "0:m:language:eng");
    // Two seconds, and what decoders need before them.
    assert_eq!(encoded.len(), 95);
    let done = batches_done(&client.job(&film));
    assert!(done < 10, "all of the film was made by then");
    client.command(&film, "cancel");
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
