//! What is kept, and for how long: after its time nothing of a hundred jobs is left in the store, and their records go last.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use clearfleet_common::storage::embedded::EmbeddedStore;
use clearfleet_common::storage::{KeyPrefix, Storage};
use clearfleet_tests::{Call, Client, DEADLINE, Server, id_of};
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::Setting;

/// All keys of a store that nobody serves.
fn keys(store: &Path) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime of the test's own");
    runtime.block_on(async {
        let store = EmbeddedStore::open(store).expect("a store");
        let served = store.serve().await.expect("a port");
        let storage = Storage::connect(&served.config()).await.expect("the store answers");
        let listed = storage.list(KeyPrefix::All).map_ok(|listed| listed.key);
        let keys = listed.try_collect().await.expect("a list");
        served.shutdown().await;
        keys
    })
}

/// All keys of the running server's store, by way of a backup.
fn stored(setting: &Setting) -> Vec<String> {
    let (file, folder) = (setting.world.path("listed.tar"), setting.world.path("listed"));
    let call = setting.server.call("backup").arg("--data-dir").arg(setting.server.data());
    call.arg(&file).succeed();
    let restore = Call::new().args(["restore", "--data-dir"]).arg(&folder).arg(&file);
    restore.succeed();
    let keys = keys(&folder.join("store"));
    std::fs::remove_dir_all(&folder).expect("a folder of the test's own");
    std::fs::remove_file(&file).expect("a file of the test's own");
    keys
}

/// Waits until the keys of the running server's store are so; the keys then.
fn until_stored(setting: &Setting, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    let since = Instant::now();
    loop {
        let keys = stored(setting);
        if wanted(&keys) {
            return keys;
        }
        assert!(since.elapsed() < DEADLINE, "not in {DEADLINE:?}: {what}; there is {keys:#?}");
    }
}

/// The keys that begin so.
fn of<'a>(keys: &'a [String], prefix: &str) -> Vec<&'a String> {
    keys.iter().filter(|key| key.starts_with(prefix)).collect()
}

/// How many keys there are of each kind, by the first part of the key.
fn kinds(keys: &[String]) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for key in keys {
        *kinds.entry(key.split('/').next().unwrap_or_default()).or_default() += 1;
    }
    kinds
}

fn with_state(client: &Client, state: &str) -> usize {
    let page = client.get(&format!("/v1/jobs?limit=200&state={state}")).expect(200).json();
    page["jobs"].as_array().map_or(0, Vec::len)
}

fn until_state(client: &Client, state: &str, count: usize) {
    let since = Instant::now();
    while with_state(client, state) != count {
        let found = with_state(client, state);
        assert!(since.elapsed() < DEADLINE, "{found} and not {count} jobs are {state}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// What became of a hundred jobs.
struct Hundred {
    film: String,
    redone: String,
    lent: String,
    failed: String,
}

impl Hundred {
    const DONE: usize = 80;
    const FAILED: usize = 12;
    const CANCELLED: usize = 8;

    /// A film, a photo that was done again, one whose source twenty others use, 57 more; and those that did not end well.
    fn make(setting: &Setting) -> Self {
        let client = setting.server.client();
        let photo = std::fs::read(setting.photo()).expect("the photo");
        let send = |content: &[u8], query: &str| {
            let made = client.send("POST", &format!("/v1/jobs?name=a.png{query}"), &[], content);
            id_of(&made.expect(201).json())
        };
        let film = setting.submit_film();
        let redone = send(&photo, "");
        client.done(&redone);
        let settings = json!({ "settings": { "target": 3 } });
        client.json("POST", &format!("/v1/jobs/{redone}/redo"), &settings).expect(202);
        client.until(&redone, |job| job["state"] == "done" && job["result"]["width"] == 72);
        let lent = send(&photo, "");
        for _ in 0..20 {
            let request = json!({ "source": { "job": lent } });
            client.json("POST", "/v1/jobs", &request).expect(201);
        }
        for _ in 0..57 {
            send(&photo, "");
        }
        let failed: Vec<String> = (0..Self::FAILED).map(|_| send(&photo[..100], "")).collect();
        for _ in 0..Self::CANCELLED {
            client.command(&send(&photo, "&start=false"), "cancel");
        }
        until_state(client, "done", Self::DONE);
        until_state(client, "failed", Self::FAILED);
        until_state(client, "cancelled", Self::CANCELLED);
        let failed = failed[0].clone();
        client.until(&failed, |job| job["failure"]["code"] == "input_damaged");
        Self { film, redone, lent, failed }
    }
}

/// Starts the server again, with other times.
fn restart(setting: &mut Setting, times: &str) {
    setting.server.stop();
    let args = format!("--engine bicubic --batch-frames 10 --sweep-every 1s {times}");
    setting.server = Server::with(&setting.world.path("data"), &args);
}

#[test]
fn of_a_hundred_jobs_nothing_is_left_after_its_time() {
    let mut setting = Setting::new();
    let added = setting.server.call("keys").args(["add", "kept", "--json", "--data-dir"]);
    added.arg(setting.server.data()).succeed();
    let hundred = Hundred::make(&setting);
    let before = stored(&setting);
    let records = format!("{:#?}", of(&before, "records/"));
    let film = format!("jobs/{}/", hundred.film);
    let is_batch = |key: &&String| key.contains("/segments/") || key.contains("/batches/");
    assert_eq!(of(&before, &film).into_iter().filter(is_batch).count(), 10, "{before:#?}");

    // The batches of a film go first, and nothing else does.
    restart(&mut setting, "--segments-ttl 0s");
    let thinned = until_stored(&setting, "no batches", |keys| !keys.iter().any(|key| is_batch(&key)));
    let left: Vec<&String> = before.iter().filter(|key| !is_batch(key)).collect();
    assert_eq!(thinned.iter().collect::<Vec<_>>(), left);
    setting.assert_film(&hundred.film);

    // Then what failed or was cancelled, while results are kept.
    restart(&mut setting, "--failed-ttl 0s");
    let client = setting.server.client().clone();
    until_state(&client, "expired", Hundred::FAILED + Hundred::CANCELLED);
    assert_eq!(with_state(&client, "done"), Hundred::DONE);
    until_stored(&setting, "no source of a job that failed", |keys| {
        of(keys, &format!("jobs/{}/", hundred.failed)).is_empty()
    });
    for job in [&hundred.redone, &hundred.lent] {
        client.get(&format!("/v1/jobs/{job}/result")).expect(200);
    }

    // Then all.
    restart(&mut setting, "--failed-ttl 0s --results-ttl 0s");
    let client = setting.server.client().clone();
    until_state(&client, "expired", 100);
    let expired = until_stored(&setting, "nothing of jobs", |keys| of(keys, "jobs/").is_empty());
    assert_eq!(format!("{:#?}", of(&expired, "records/")), records);
    let others = |keys: &[String]| -> Vec<Value> {
        let others = kinds(keys).into_keys().filter(|kind| *kind != "records");
        others.map(Value::from).collect()
    };
    assert!(others(&expired).iter().all(|kind| ["keys", "models", "classes"].contains(&kind.as_str().unwrap_or_default())), "{expired:#?}");
    for job in [&hundred.film, &hundred.redone, &hundred.lent, &hundred.failed] {
        let record = client.job(job);
        assert_eq!((&record["state"], &record["result"]["links"]), (&json!("expired"), &Value::Null));
        for route in ["source", "result"] {
            assert_eq!(client.get(&format!("/v1/jobs/{job}/{route}")).refusal(410), "gone", "{route}");
        }
    }

    // And their records in the end, from the disk too.
    restart(&mut setting, "--record-ttl 0s");
    let last = until_stored(&setting, "no records", |keys| of(keys, "records/").is_empty());
    assert_eq!(last, expired.iter().filter(|key| !key.starts_with("records/")).cloned().collect::<Vec<_>>());
    assert_eq!(kinds(&last)["keys"], 1, "{last:#?}");
    assert_eq!(setting.server.client().get("/v1/jobs").json()["jobs"], json!([]));
    setting.server.stop();
    let files = setting.world.names().into_iter();
    let files = files.filter(|name| name.starts_with("data/store/blobs/") && !name.ends_with('/'));
    assert_eq!(files.count(), last.len(), "a file for each key, and none for what is gone");
}
