//! What comes out is what `clearfleet upscale` makes of the same, under the right name and type.

use std::process::Command;

use clearfleet_tests::{Upload, decoded, id_of, probe};
use serde_json::json;

use super::{Setting, assert_same, lossless, upscaled};

#[test]
fn a_photo_is_what_the_command_makes() {
    let setting = Setting::new();
    let client = setting.server.client();
    let job = client.done(&setting.submit_photo());
    let id = id_of(&job);
    let expected = upscaled(&setting.world, &setting.photo());
    let answer = client.get(&format!("/v1/jobs/{id}/result")).expect(200);
    assert!(answer.body == expected, "other bytes than the command's");
    assert_eq!(answer.header("content-type"), "image/png");
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"photo-2x.png\""
    );
    assert_eq!(answer.header("content-length"), expected.len().to_string());
    assert_eq!(answer.header("accept-ranges"), "bytes");

    assert_eq!(job["kind"], "picture");
    let result = &job["result"];
    assert_eq!(
        (&result["width"], &result["height"], &result["frames"]),
        (&json!(48), &json!(32), &json!(1))
    );
    assert_eq!(result["bytes"], expected.len());
    assert_eq!(result["sha256"], sha256(&setting, &expected));
    assert_eq!(
        (&result["name"], &result["content_type"]),
        (&json!("photo-2x.png"), &json!("image/png"))
    );
    client.assert_verified(&id);

    let source = client.get(&format!("/v1/jobs/{id}/source")).expect(200);
    assert!(
        source.body == std::fs::read(setting.photo()).expect("the source"),
        "another source"
    );
    assert_eq!(source.header("content-type"), "image/png");
    let small = client.get(&format!("/v1/jobs/{id}/thumbnail")).expect(200);
    assert_webp(&small.body, small.header("content-type"));
}

fn sha256(setting: &Setting, bytes: &[u8]) -> String {
    let file = setting.world.file("digested", bytes);
    let said = Command::new("sha256sum").arg(file).output().expect("coreutils");
    String::from_utf8_lossy(&said.stdout)
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn assert_webp(bytes: &[u8], content_type: &str) {
    assert_eq!(content_type, "image/webp");
    assert_eq!((&bytes[..4], &bytes[8..12]), (&b"RIFF"[..], &b"WEBP"[..]));
}

#[test]
fn a_film_is_what_the_command_makes() {
    let setting = Setting::new();
    let client = setting.server.client();
    let job = client.done(&setting.submit_film());
    let id = id_of(&job);
    setting.assert_film(&id);
    assert_eq!(job["kind"], "video");
    let plan = &job["plan"];
    assert_eq!((&plan["frames"], &plan["batches"]), (&json!(50), &json!(5)));
    assert_eq!(job["progress"]["batches_done"], 5);
    let result = &job["result"];
    assert_eq!(
        (&result["width"], &result["height"], &result["frames"]),
        (&json!(128), &json!(96), &json!(50))
    );
    let answer = client.get(&format!("/v1/jobs/{id}/result")).expect(200);
    assert_eq!(answer.header("content-type"), "video/matroska");
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"film-2x.mkv\""
    );
    for batch in 0..5 {
        let pair = client.get(&format!("/v1/jobs/{id}/pairs/{batch}")).expect(200);
        assert_webp(&pair.body, pair.header("content-type"));
    }
    assert_eq!(client.get(&format!("/v1/jobs/{id}/pairs/5")).refusal(404), "not_found");
}

/// An MP4 with sound, of the repository's own.
#[test]
fn sound_goes_along() {
    let setting = Setting::new();
    let clip = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/demo/clip.mp4");
    let client = setting.server.client();
    let job = client.submit_with(&clip, &json!({ "preset": "ultrafast" }));
    client.done(&job);
    client.assert_verified(&job);
    let result = setting.world.path("clip.mp4");
    client.download(&format!("/v1/jobs/{job}/result"), &result);
    assert_eq!(decoded(&result, 0).pts.len(), decoded(&clip, 0).pts.len());
    let packets = |file| {
        let listed = probe(
            file,
            &["-select_streams", "a", "-show_packets", "-show_data_hash", "md5"],
        );
        let packets = listed["packets"].as_array().expect("packets").clone();
        packets
            .into_iter()
            .map(|packet| packet["data_hash"].clone())
            .collect::<Vec<_>>()
    };
    assert!(!packets(&clip).is_empty());
    assert_eq!(packets(&result), packets(&clip));
}

#[test]
fn a_result_can_be_had_in_pieces() {
    let setting = Setting::new();
    let client = setting.server.client();
    let id = setting.submit_photo();
    client.done(&id);
    let path = format!("/v1/jobs/{id}/result");
    let whole = client.get(&path);
    let etag = whole.header("etag").to_owned();
    let length = whole.body.len();
    let piece = |range: &str| client.send("GET", &path, &[("range", range), ("if-range", &etag)], b"");
    let first = piece("bytes=0-99").expect(206);
    assert_eq!(first.header("content-range"), format!("bytes 0-99/{length}"));
    let rest = piece("bytes=100-").expect(206);
    assert!(
        [first.body, rest.body].concat() == whole.body,
        "the pieces are not the whole"
    );
    assert!(piece("bytes=-7").expect(206).body == whole.body[length - 7..]);
    assert_eq!(piece(&format!("bytes={length}-")).refusal(416), "range_unsatisfiable");
    let head = client.send("HEAD", &path, &[], b"").expect(200);
    assert_eq!(
        (head.header("content-length"), head.body.len()),
        (&*length.to_string(), 0)
    );
    client.send("GET", &path, &[("if-none-match", &etag)], b"").expect(304);
    let other = client.send("GET", &path, &[("range", "bytes=0-0"), ("if-range", "\"other\"")], b"");
    assert!(other.expect(200).body == whole.body, "of another version all is sent");
}

#[test]
fn a_stretch_of_a_film() {
    let setting = Setting::new();
    let client = setting.server.client();
    let id = client.submit(&setting.film(), &json!({ "settings": lossless(), "range": [0.4, 1.2] }));
    let job = client.done(&id);
    // 25 frames a second: those from 10 up to 30.
    assert_eq!(
        (&job["range"], &job["result"]["frames"]),
        (&json!([0.4, 1.2]), &json!(20))
    );
    assert_same(
        &setting.result(&id),
        &setting.expected(&["--start", "0.4", "--end", "1.2"]),
    );
    client.assert_verified(&id);
}

#[test]
fn a_source_serves_several_jobs() {
    let setting = Setting::new();
    let client = setting.server.client();
    let first = setting.submit_photo();
    client.done(&first);
    let request = json!({ "source": { "job": first }, "settings": { "target": "72x48", "format": "jpg" } });
    let second = id_of(&client.json("POST", "/v1/jobs", &request).expect(201).json());
    let job = client.done(&second);
    assert_eq!(job["result"]["name"], "photo-72x48.jpg");
    let result = client.get(&format!("/v1/jobs/{second}/result")).expect(200);
    assert_eq!(result.header("content-type"), "image/jpeg");
    let file = setting.world.file("result.jpg", &result.body);
    let stream = &probe(&file, &["-show_streams"])["streams"][0];
    assert_eq!((&stream["width"], &stream["height"]), (&json!(72), &json!(48)));
    client.assert_verified(&second);
    // It outlives the job that brought it.
    client
        .send("DELETE", &format!("/v1/jobs/{first}"), &[], b"")
        .expect(204);
    client
        .json("POST", &format!("/v1/jobs/{second}/redo"), &json!({}))
        .expect(202);
    let redo = client.until(&second, |job| job["state"] == "done");
    assert_eq!(redo["result"]["width"], 72);
}

/// As the whole body, with what is wanted in the address.
#[test]
fn an_upload_may_be_the_whole_body() {
    let setting = Setting::new();
    let client = setting.server.client();
    let photo = std::fs::read(setting.photo()).expect("the photo");
    let made = client
        .send("POST", "/v1/jobs?name=a%20b.png&target=3", &[], &photo)
        .expect(201);
    let job = client.done(&id_of(&made.json()));
    assert_eq!(made.header("location"), format!("/v1/jobs/{}", id_of(&job)));
    assert_eq!(
        (&job["name"], &job["result"]["name"]),
        (&json!("a b.png"), &json!("a b-3x.png"))
    );
    assert_eq!(job["result"]["width"], 72);
}

/// Two requests of one key are one job, also when the second comes after a crash.
#[test]
fn a_request_that_is_sent_twice_makes_one_job() {
    let mut setting = Setting::new();
    let photo = std::fs::read(setting.photo()).expect("the photo");
    let send = |setting: &Setting, query: &str, key: &str| {
        let path = format!("/v1/jobs?{query}");
        setting
            .server
            .client()
            .send("POST", &path, &[("idempotency-key", key)], &photo)
    };
    let first = id_of(&send(&setting, "name=a.png", "one").expect(201).json());
    assert_eq!(id_of(&send(&setting, "name=a.png", "one").expect(200).json()), first);
    assert_eq!(send(&setting, "name=b.png", "one").refusal(422), "idempotency_conflict");
    assert_ne!(id_of(&send(&setting, "name=a.png", "two").expect(201).json()), first);
    setting.server.kill();
    setting.server.start_again();
    assert_eq!(id_of(&send(&setting, "name=a.png", "one").expect(200).json()), first);
    let list = setting.server.client().get("/v1/jobs").json();
    assert_eq!(list["jobs"].as_array().map(Vec::len), Some(2), "{list:#}");
    setting.server.client().done(&first);
}

#[test]
fn names_are_kept_and_paths_are_not() {
    let setting = Setting::new();
    let client = setting.server.client();
    let photo = std::fs::read(setting.photo()).expect("the photo");
    for (name, kept) in [
        ("휴가 사진 🏝️.png", "휴가 사진 🏝️.png"),
        ("../../../../etc/passwd.png", "passwd.png"),
        ("-rf.png", "-rf.png"),
        ("a;b$(c)`d`.png", "a;b$(c)`d`.png"),
    ] {
        let upload = Upload {
            request: json!({}),
            name: Some(name),
            content: &photo,
        };
        let job = client.done(&id_of(&client.upload(&upload).expect(201).json()));
        assert_eq!(job["name"], kept);
        let result = kept.replace(".png", "-2x.png");
        assert_eq!(job["result"]["name"], result);
    }
    let outside: Vec<String> = setting.world.names();
    assert!(outside.iter().all(|name| !name.contains("passwd")), "{outside:#?}");
}
