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
    let call = setting
        .server
        .call("backup")
        .arg("--data-dir")
        .arg(setting.server.data());
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
        assert!(
            since.elapsed() < DEADLINE,
            "not in {DEADLINE:?}: {what}; there is {keys:#?}"
        );
    }
}

/// How many keys there are of each kind, by the first part of the key.
fn kinds(keys: &[String]) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for key in keys {
        *kinds.entry(key.split('/').next().unwrap_or_default()).or_default() += 1;
    }
    kinds
}

/// A hundred jobs that have ended.
struct Hundred {
    film: String,
    redone: String,
    /// Twenty others use its source.
    lent: String,
    failed: Vec<String>,
    cancelled: Vec<String>,
}

impl Hundred {
    const DONE: usize = 80;

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
        client
            .json("POST", &format!("/v1/jobs/{redone}/redo"), &settings)
            .expect(202);
        client.until(&redone, |job| job["state"] == "done" && job["result"]["width"] == 72);
        let lent = send(&photo, "");
        for _ in 0..20 {
            let request = json!({ "source": { "job": lent } });
            client.json("POST", "/v1/jobs", &request).expect(201);
        }
        for _ in 0..57 {
            send(&photo, "");
        }
        let failed: Vec<String> = (0..12).map(|_| send(&photo[..100], "")).collect();
        let cancelled: Vec<String> = (0..8).map(|_| send(&photo, "&start=false")).collect();
        for job in &cancelled {
            client.command(job, "cancel");
        }
        until_states(client, &[("done", Self::DONE), ("failed", 12), ("cancelled", 8)]);
        client.until(&failed[0], |job| job["failure"]["code"] == "input_damaged");
        Self {
            film,
            redone,
            lent,
            failed,
            cancelled,
        }
    }

    /// The jobs that did not end well.
    fn others(&self) -> impl Iterator<Item = &String> {
        self.failed.iter().chain(&self.cancelled)
    }
}

fn count(client: &Client, state: &str) -> usize {
    let page = client.get(&format!("/v1/jobs?limit=200&state={state}"));
    page.expect(200).json()["jobs"].as_array().map_or(0, Vec::len)
}

fn until_states(client: &Client, wanted: &[(&str, usize)]) {
    let since = Instant::now();
    let found = || -> Vec<(&str, usize)> { wanted.iter().map(|(state, _)| (*state, count(client, state))).collect() };
    while found() != wanted {
        assert!(since.elapsed() < DEADLINE, "{:?} and not {wanted:?}", found());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// A server with these times deletes until the keys of the store are so; the keys then. Afterwards there is one that
/// deletes nothing, and has read all records anew.
fn swept(setting: &mut Setting, times: &str, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    let data = setting.world.path("data");
    let args = "--engine bicubic --batch-frames 10";
    setting.server.stop();
    setting.server = Server::with(&data, &format!("{args} --sweep-every 1s {times}"));
    let keys = until_stored(setting, what, wanted);
    setting.server.stop();
    setting.server = Server::with(&data, args);
    keys
}

fn is_batch(key: &str) -> bool {
    key.contains("/segments/") || key.contains("/batches/")
}

/// Those of the keys that are so.
fn only(keys: &[String], which: impl Fn(&str) -> bool) -> Vec<String> {
    keys.iter().filter(|key| which(key)).cloned().collect()
}

#[test]
fn of_a_hundred_jobs_nothing_is_left_after_its_time() {
    let mut setting = Setting::new();
    let added = setting
        .server
        .call("keys")
        .args(["add", "kept", "--json", "--data-dir"]);
    added.arg(setting.server.data()).succeed();
    let hundred = Hundred::make(&setting);
    let before = stored(&setting);
    assert_eq!(kinds(&before)["records"], 100, "{:?}", kinds(&before));
    assert_eq!(only(&before, is_batch).len(), 10, "5 batches of a film: {before:#?}");

    // The batches of a film go first, and nothing else does.
    let thinned = swept(&mut setting, "--segments-ttl 0s", "no batches", |keys| {
        !keys.iter().any(|key| is_batch(key))
    });
    assert_eq!(thinned, only(&before, |key| !is_batch(key)));
    setting.assert_film(&hundred.film);

    // Then all of what failed or was cancelled, while results are kept.
    let folders: Vec<String> = hundred.others().map(|job| format!("jobs/{job}/")).collect();
    let is_other = |key: &str| folders.iter().any(|folder| key.starts_with(folder));
    assert!(only(&thinned, is_other).len() >= 20, "each has a source");
    let left = swept(
        &mut setting,
        "--failed-ttl 0s",
        "nothing of those that failed",
        |keys| !keys.iter().any(|key| is_other(key)),
    );
    assert_eq!(left, only(&thinned, |key| !is_other(key)));
    until_states(setting.server.client(), &[("done", Hundred::DONE), ("expired", 20)]);

    // Then results, and with the last job that uses it each source.
    let times = "--failed-ttl 0s --results-ttl 0s";
    let expired = swept(&mut setting, times, "nothing of jobs", |keys| {
        only(keys, |key| key.starts_with("jobs/")).is_empty()
    });
    let is_record = |key: &str| key.starts_with("records/");
    assert_eq!(only(&expired, is_record), only(&before, is_record));
    let rest: Vec<&str> = kinds(&expired).into_keys().filter(|kind| *kind != "records").collect();
    assert!(
        rest.iter().all(|kind| ["keys", "models", "classes"].contains(kind)),
        "{rest:?}"
    );
    let client = setting.server.client();
    until_states(client, &[("expired", 100)]);
    for job in [&hundred.film, &hundred.redone, &hundred.lent, &hundred.failed[0]] {
        assert_eq!(client.job(job)["links"]["source"], Value::Null);
        for route in ["source", "result"] {
            assert_eq!(
                client.get(&format!("/v1/jobs/{job}/{route}")).refusal(410),
                "gone",
                "{route}"
            );
        }
    }

    // And their records in the end, from the disk too.
    let last = swept(&mut setting, "--record-ttl 0s", "no records", |keys| {
        !keys.iter().any(|key| is_record(key))
    });
    assert_eq!(last, only(&expired, |key| !is_record(key)));
    assert_eq!(kinds(&last)["keys"], 1, "{last:#?}");
    assert_eq!(setting.server.client().get("/v1/jobs").json()["jobs"], json!([]));
    setting.server.stop();
    let is_file = |name: &str| name.starts_with("data/store/blobs/") && !name.ends_with('/');
    let files = only(&setting.world.names(), is_file);
    assert_eq!(
        files.len(),
        last.len(),
        "a file for each key, and none for what is gone: {files:#?}"
    );
}
