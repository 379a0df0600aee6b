//! A few frames to look at before all of them are done.

use std::path::Path;
use std::process::Command;

use clearfleet_tests::id_of;
use serde_json::{Value, json};

use super::{Setting, assert_same, lossless};

impl Setting {
    /// Asks for a preview of a job and waits until it is done; the preview.
    fn preview(&self, job: &str, wanted: &Value) -> Value {
        let client = self.server.client();
        let made = client
            .json("POST", &format!("/v1/jobs/{job}/preview"), wanted)
            .expect(201);
        let preview = id_of(&made.json());
        assert_eq!(made.header("location"), format!("/v1/jobs/{preview}"));
        client.done(&preview)
    }
}

/// The first frame of a file, or that at a number, as RGB.
fn rgb(file: &Path, frame: usize) -> Vec<u8> {
    let said = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-vf", &format!("select=eq(n\\,{frame})"), "-frames:v", "1"])
        .args(["-sws_flags", "neighbor+accurate_rnd+full_chroma_int"])
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .expect("ffmpeg");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    said.stdout
}

/// The mean difference of samples.
fn difference(one: &[u8], other: &[u8]) -> f64 {
    assert_eq!(one.len(), other.len());
    let differences = one
        .iter()
        .zip(other)
        .map(|(one, other)| f64::from(one.abs_diff(*other)));
    differences.sum::<f64>() / one.len() as f64
}

/// Before anything else of the film is done, some of its frames are, exactly as they will be.
#[test]
fn a_preview_is_the_result_in_small() {
    let setting = Setting::new();
    let client = setting.server.client();
    let request = json!({ "settings": lossless(), "start": false });
    let film = client.submit(&setting.film(), &request);
    let preview = setting.preview(&film, &json!({ "at": 0.5, "frames": 7 }));
    // 25 frames a second: the first that begins then is at 0.52.
    assert_eq!(
        (
            &preview["preview_of"],
            &preview["result"]["frames"],
            &preview["result"]["name"]
        ),
        (&json!(film), &json!(7), &json!("film-preview-2x.mkv"))
    );
    assert_same(
        &setting.result(&id_of(&preview)),
        &setting.expected(&["--start", "0.5", "--end", "0.8"]),
    );
    assert_eq!(client.job(&film)["state"], "paused");
    let other = json!({ "at": 1.9, "frames": 250, "settings": { "target": 3, "format": "mkv", "codec": "ffv1" } });
    let preview = setting.preview(&film, &other);
    assert_same(
        &setting.result(&id_of(&preview)),
        &setting.expected(&["--start", "1.9", "--scale", "3"]),
    );
}

#[test]
fn a_preview_is_as_long_as_it_shall_be() {
    let setting = Setting::new();
    let client = setting.server.client();
    let film = client.submit(&setting.film(), &json!({ "start": false }));
    // Of two seconds at 25 frames a second.
    for (wanted, frames) in [
        (json!({ "at": 0.4, "seconds": 0.6 }), 15),
        (json!({ "at": 1.8, "seconds": 5 }), 5),
    ] {
        let preview = setting.preview(&film, &wanted);
        let result = &preview["result"];
        assert_eq!(
            (&result["frames"], &result["content_type"]),
            (&json!(frames), &json!("video/mp4")),
            "{wanted}"
        );
    }
}

#[test]
fn a_preview_of_one_frame_is_a_picture() {
    let setting = Setting::new();
    let film = setting.submit_film();
    let preview = setting.preview(&film, &json!({ "at": 1 }));
    let result = &preview["result"];
    assert_eq!(
        (&result["name"], &result["content_type"]),
        (&json!("film-preview-2x.png"), &json!("image/png"))
    );
    assert_eq!(
        (&result["width"], &result["height"], &result["frames"]),
        (&json!(128), &json!(96), &json!(1))
    );
    let picture = setting.world.path("preview.png");
    let address = format!("/v1/jobs/{}/result", id_of(&preview));
    setting.server.client().download(&address, &picture);
    setting.expected(&[]);
    let expected = setting.world.path("expected.mkv");
    let picture = rgb(&picture, 0);
    assert_eq!(picture.len(), 128 * 96 * 3);
    let near = difference(&picture, &rgb(&expected, 25));
    let far = difference(&picture, &rgb(&expected, 12));
    assert!(
        near < 1.0 && far > 3.0 * near,
        "{near} from its frame, {far} from another"
    );
}

/// It waits for a frame of the film that is in work, and not for the batch, which here is all of it.
#[test]
fn a_preview_comes_before_films() {
    let setting = Setting::with("--engine wait --wait 100 --batch-frames 50");
    let client = setting.server.client();
    let film = setting.submit_film();
    client.until(&film, |job| job["progress"]["done"].as_u64() >= Some(1));
    setting.preview(&film, &json!({ "at": 1.5, "frames": 2 }));
    let meanwhile = client.job(&film);
    assert_eq!(meanwhile["state"], "running", "{meanwhile:#}");
    client.command(&film, "cancel");
}

#[test]
fn previews_are_listed_when_asked_for_and_go_with_their_job() {
    let setting = Setting::new();
    let client = setting.server.client();
    let film = setting.submit_film();
    let preview = id_of(&setting.preview(&film, &json!({})));
    client.done(&film);
    let listed = |query: &str| -> Vec<String> {
        let page = client.get(&format!("/v1/jobs{query}")).expect(200).json();
        page["jobs"].as_array().expect("jobs").iter().map(id_of).collect()
    };
    assert_eq!(listed(""), std::slice::from_ref(&film));
    assert_eq!(listed("?previews=true"), [preview.clone(), film.clone()]);
    let verified = client.get(&format!("/v1/jobs/{preview}/verification"));
    assert_eq!(verified.refusal(409), "state_conflict");
    client.send("DELETE", &format!("/v1/jobs/{film}"), &[], b"").expect(204);
    assert_eq!(client.get(&format!("/v1/jobs/{preview}")).refusal(404), "not_found");
    assert_eq!(listed("?previews=true"), Vec::<String>::new());
}

#[test]
fn what_cannot_be_previewed_is_refused() {
    let setting = Setting::new();
    let client = setting.server.client();
    let ask = |job: &str, wanted: &Value| client.json("POST", &format!("/v1/jobs/{job}/preview"), wanted);
    let photo = setting.submit_photo();
    assert_eq!(ask(&photo, &json!({})).refusal(422), "settings_invalid");
    let film = setting.submit_film();
    for wanted in [
        json!({ "frames": 0 }),
        json!({ "frames": 251 }),
        json!({ "at": -1 }),
        json!({ "seconds": 0 }),
        json!({ "frames": 2, "seconds": 1 }),
    ] {
        assert_eq!(ask(&film, &wanted).refusal(422), "settings_invalid", "{wanted}");
    }
    assert_eq!(ask(&film, &json!({ "from": 1 })).refusal(400), "field_unknown");
    // Whether there is a frame shows when it is looked for.
    let late = id_of(&ask(&film, &json!({ "at": 2.01 })).expect(201).json());
    let failed = client.ended(&late);
    assert_eq!(failed["failure"]["code"], "stretch_empty", "{failed:#}");
}
