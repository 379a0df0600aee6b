//! Sources that lie in an operator's bucket: `s3://bucket/key`, in a real store.

use clearfleet_common::storage::{Secret, Storage, StorageConfig, StorageTimeouts};
use clearfleet_tests::{Call, Minio, Server, World, film, id_of, photo};
use futures::TryStreamExt;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Setting, assert_same, lossless};

/// An operator with the buckets `films` and `others`.
struct Operator {
    minio: Minio,
    films: Storage,
    runtime: Runtime,
}

impl Operator {
    /// Nothing where there is no MinIO.
    fn start() -> Option<Self> {
        let minio = Minio::start()?;
        let runtime = Runtime::new().expect("a runtime of the test's own");
        let (user, password) = minio.credentials();
        let bucket = |bucket: &str| {
            let config = StorageConfig {
                endpoint: minio.url(),
                region: "us-east-1".to_owned(),
                bucket: bucket.to_owned(),
                access_key: user.to_owned(),
                secret_key: Secret::from(password.to_owned()),
                path_style: true,
                signed_bodies: true,
                timeouts: StorageTimeouts::default(),
            };
            runtime
                .block_on(Storage::connect(&config))
                .expect("a bucket of its own")
        };
        let films = bucket("films");
        bucket("others");
        Some(Self { minio, films, runtime })
    }

    fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        let put = self.films.client().put_object().bucket(bucket).key(key);
        let put = put.body(content.to_vec().into()).send();
        self.runtime.block_on(put).expect("an object of the test's own");
    }

    fn get(&self, key: &str) -> Vec<u8> {
        let read = async {
            let object = self.films.read(key, None, None).await?;
            let pieces: Vec<_> = object.try_collect().await.expect("all of it");
            Ok::<_, clearfleet_common::storage::StorageError>(pieces.concat())
        };
        self.runtime.block_on(read).expect("an object")
    }

    fn delete(&self, key: &str) {
        self.runtime.block_on(self.films.delete(key)).expect("its own object");
    }

    /// Keys and ETags of a bucket.
    fn objects(&self, bucket: &str) -> Vec<(String, String)> {
        let bucket = self.films.in_bucket(bucket);
        let listed = bucket.list_keys(String::new());
        let listed = listed.map_ok(|object| (object.key, object.version.as_str().to_owned()));
        self.runtime.block_on(listed.try_collect()).expect("a list")
    }

    /// A server that keeps everything in this store, and lets jobs use what begins with `in/` in the bucket `films`.
    fn setting(&self) -> Setting {
        let allowed = "--allow-objects s3://films/in/";
        Setting::with(&format!(
            "--engine bicubic --batch-frames 10 {allowed} {}",
            self.minio.options()
        ))
    }
}

fn made_of(setting: &Setting, request: &Value) -> String {
    let made = setting.server.client().json("POST", "/v1/jobs", request);
    id_of(&made.expect(201).json())
}

#[test]
fn an_object_is_a_source_where_it_lies() {
    let Some(operator) = Operator::start() else { return };
    let setting = operator.setting();
    let client = setting.server.client();
    let content = std::fs::read(setting.photo()).expect("the photo");
    operator.put("films", "in/2024/Übung 1.png", &content);
    operator.put(
        "films",
        "in/film.mp4",
        &std::fs::read(setting.film()).expect("the film"),
    );
    let before = operator.objects("films");

    let photo = made_of(&setting, &json!({ "source": "s3://films/in/2024/Übung 1.png" }));
    let job = client.done(&photo);
    assert_eq!(
        (&job["name"], &job["result"]["name"]),
        (&json!("Übung 1.png"), &json!("Übung 1-2x.png"))
    );
    let uploaded = setting.submit_photo();
    client.done(&uploaded);
    let result = |job: &str| client.get(&format!("/v1/jobs/{job}/result")).expect(200).body;
    assert!(result(&photo) == result(&uploaded), "other pixels than of an upload");
    client.assert_verified(&photo);
    let source = client.get(&format!("/v1/jobs/{photo}/source")).expect(200);
    assert!(source.body == content, "another source");

    let film = made_of(
        &setting,
        &json!({ "source": "s3://films/in/film.mp4", "settings": lossless() }),
    );
    client.done(&film);
    let uploaded = setting.submit_film();
    client.done(&uploaded);
    assert_same(&setting.result(&film), &setting.result(&uploaded));
    setting.assert_film(&film);

    // It is used in place, and stays the operator's.
    let copied = format!("jobs/{film}/source");
    assert!(
        operator.objects("clearfleet").iter().all(|(key, _)| *key != copied),
        "it is copied"
    );
    for job in [&photo, &film] {
        client.send("DELETE", &format!("/v1/jobs/{job}"), &[], b"").expect(204);
    }
    assert_eq!(operator.objects("films"), before);
}

/// A job is of the version that it was made with.
/// A result goes where the operator allows it, beside its place here; a redo puts the new one there.
#[test]
fn a_result_is_written_where_it_is_wanted() {
    let Some(operator) = Operator::start() else { return };
    let setting = operator.setting();
    let client = setting.server.client();
    let wanted = "s3://films/in/2x/film large.mkv";
    let request = json!({ "settings": lossless(), "destination": wanted });
    let film = client.submit(&setting.film(), &request);
    let same = |width: u32| {
        let job = client.done(&film);
        assert_eq!(
            (&job["result"]["destination"], &job["result"]["width"]),
            (&json!(wanted), &json!(width))
        );
        let here = client.get(&format!("/v1/jobs/{film}/result")).expect(200).body;
        assert!(operator.get("in/2x/film large.mkv") == here, "another result is there");
    };
    same(128);
    let redo = json!({ "settings": { "target": 3, "format": "mkv", "codec": "ffv1" } });
    client.json("POST", &format!("/v1/jobs/{film}/redo"), &redo).expect(202);
    same(192);
    let elsewhere = json!({ "settings": lossless(), "destination": "s3://others/film.mkv" });
    let photo = std::fs::read(setting.photo()).expect("the photo");
    let upload = clearfleet_tests::Upload {
        request: elsewhere,
        name: Some("a.png"),
        content: &photo,
    };
    assert_eq!(client.upload(&upload).refusal(403), "forbidden");
    assert_eq!(operator.objects("others"), []);
}

#[test]
fn an_object_that_was_replaced_fails_its_job() {
    let Some(operator) = Operator::start() else { return };
    let setting = operator.setting();
    let client = setting.server.client();
    let content = std::fs::read(setting.photo()).expect("the photo");
    film(
        &setting.world.path("other.mp4"),
        50,
        &["-preset", "ultrafast", "-crf", "40"],
    );
    let [film, other] = ["film.mp4", "other.mp4"].map(|name| std::fs::read(setting.world.path(name)).expect("a film"));
    let waiting = |key: &str, content: &[u8]| {
        operator.put("films", key, content);
        made_of(
            &setting,
            &json!({ "source": format!("s3://films/{key}"), "start": false }),
        )
    };
    let [photo, clip, deleted, rewritten] = [
        waiting("in/a.png", &content),
        waiting("in/b.mp4", &film),
        waiting("in/c.png", &content),
        waiting("in/d.png", &content),
    ];
    // As long as before, and a picture still.
    let mut changed = content.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    operator.put("films", "in/a.png", &changed);
    operator.put("films", "in/b.mp4", &other);
    operator.delete("in/c.png");
    operator.put("films", "in/d.png", &content);

    for job in [&photo, &clip, &deleted] {
        client.command(job, "resume");
        let failed = client.ended(job);
        let failure = &failed["failure"];
        assert_eq!(
            (&failed["state"], &failure["code"]),
            (&json!("failed"), &json!("input_unreadable")),
            "{failed:#}"
        );
        assert!(
            failure
                .to_string()
                .contains("the source was replaced or deleted since the job was made"),
            "{failure:#}"
        );
        assert_eq!(failed["result"], Value::Null);
    }
    // The same content is the same version.
    client.command(&rewritten, "resume");
    client.done(&rewritten);
    // What is there now can be had by a new job.
    let anew = made_of(
        &setting,
        &json!({ "source": "s3://films/in/b.mp4", "settings": lossless() }),
    );
    assert_eq!(client.done(&anew)["result"]["frames"], 50);
}

#[test]
fn what_the_operator_does_not_allow_is_refused() {
    let Some(operator) = Operator::start() else { return };
    let setting = operator.setting();
    let client = setting.server.client();
    let content = std::fs::read(setting.photo()).expect("the photo");
    for key in ["in/a.png", "out/a.png", "inside.png", "in", "a.png"] {
        operator.put(if key == "in" { "others" } else { "films" }, key, &content);
    }
    operator.put("others", "in/a.png", &content);
    let forbidden = (403, "forbidden");
    let invalid = (422, "settings_invalid");
    let missing = (422, "input_not_found");
    let long = |length: usize| format!("s3://films/in/{}.png", "x".repeat(length));
    for (source, (status, code)) in [
        (long(1100).as_str(), invalid),
        // Longer than a name on the store's own disk may be.
        (&long(300), missing),
        ("s3://films/out/a.png", forbidden),
        ("s3://films/inside.png", forbidden),
        ("s3://films/in", forbidden),
        ("s3://films/IN/a.png", forbidden),
        // Whether they are there does not show.
        ("s3://others/in/a.png", forbidden),
        ("s3://nobodys/in/a.png", forbidden),
        ("s3://clearfleet/records/local", forbidden),
        ("s3://others@films/in/a.png", forbidden),
        ("s3://films:80/in/a.png", forbidden),
        ("s3://films?/in/a.png", forbidden),
        ("s3://../films/in/a.png", forbidden),
        ("s3://films/in/../out/a.png", invalid),
        ("s3://films/in/../../others/in/a.png", invalid),
        ("s3://films/in/./a.png", invalid),
        ("s3://films/in//a.png", invalid),
        ("s3://films/in/", invalid),
        ("s3://films/../films/in/a.png", invalid),
        ("s3://films/in/a\u{0}.png", invalid),
        ("s3://films/in/a.png\r\nx: y", invalid),
        ("s3://films", invalid),
        ("s3:///in/a.png", invalid),
        ("S3://films/in/a.png", invalid),
        ("s3:films/in/a.png", invalid),
        ("http://films/in/a.png", invalid),
        ("file:///etc/passwd", invalid),
        ("/etc/passwd", invalid),
        // A key is taken as it is written.
        ("s3://films/in/%2e%2e/out/a.png", missing),
        ("s3://films/in/..%2fout%2fa.png", missing),
        ("s3://films/in/..\\out\\a.png", missing),
        ("s3://films/in/a.png?versionId=1", missing),
        ("s3://films/in/a.png#x", missing),
        ("s3://films/in/not there.png", missing),
    ] {
        let answer = client.json("POST", "/v1/jobs", &json!({ "source": source }));
        assert_eq!(
            (answer.status, answer.refusal(status).as_str()),
            (status, code),
            "{source}"
        );
    }
    assert_eq!(client.get("/v1/jobs").json()["jobs"], json!([]));
    // The one that is allowed, in the end.
    client.done(&made_of(&setting, &json!({ "source": "s3://films/in/a.png" })));
}

/// Without the option nothing is, and the bucket that holds everybody's jobs never is.
#[test]
fn nothing_is_allowed_that_the_operator_did_not_name() {
    let world = World::new();
    photo(&world.path("photo.png"));
    let server = Server::start(&world.path("data"));
    let client = server.client();
    let job = client.submit_with(&world.path("photo.png"), &json!({}));
    client.done(&job);
    for source in [
        format!("s3://clearfleet/jobs/{job}/source"),
        "s3://films/in/a.png".to_owned(),
    ] {
        let answer = client.json("POST", "/v1/jobs", &json!({ "source": source }));
        assert_eq!(answer.refusal(403), "forbidden", "{source}");
    }
    for (allowed, code, exit) in [
        ("s3://clearfleet", "settings_invalid", 4),
        ("s3://clearfleet/jobs/", "settings_invalid", 4),
    ] {
        let call = Call::new().args(["serve", "--listen", "127.0.0.1:0", "--json", "--engine", "bicubic"]);
        let call = call.args(["--allow-objects", allowed, "--data-dir"]);
        let refused = call.arg(world.path("other")).run();
        assert_eq!(
            (refused.code(), &refused.event("failed")["code"]),
            (Some(exit), &json!(code)),
            "{refused:#?}"
        );
    }
    let call = Call::new().args(["serve", "--allow-objects", "s3://films/../others", "--data-dir"]);
    assert_eq!(call.arg(world.path("other")).run().code(), Some(2));
}
