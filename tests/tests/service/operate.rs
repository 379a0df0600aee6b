//! What an operator does: keys, backups.

use clearfleet_tests::{Server, World, photo};
use serde_json::json;

use super::{Setting, lossless};

/// A server that wants keys, and its data folder.
fn guarded() -> (World, Server) {
    let world = World::new();
    photo(&world.path("photo.png"));
    let server = Server::with(&world.path("data"), "--engine bicubic --require-keys");
    (world, server)
}

/// Makes a key on the command line, with what the server left in its data folder; its secret and its id.
fn add_key(server: &Server, name: &str, args: &[&str]) -> (String, String) {
    let call = server
        .call("keys")
        .args(["add", name, "--json", "--data-dir"])
        .arg(server.data());
    let made = call.args(args).succeed();
    let made: serde_json::Value = serde_json::from_str(&made.stdout.join("")).expect("JSON");
    let field = |name: &str| made[name].as_str().expect("a field of the key").to_owned();
    (field("secret"), field("id"))
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let (world, mut server) = guarded();
    let (secret, id) = add_key(&server, "Anna's laptop", &["--owner", "anna"]);
    let anna = server.client().with_key(&secret);
    let job = anna.submit_with(&world.path("photo.png"), &json!({}));
    anna.done(&job);
    assert_eq!(anna.get("/v1/keys").refusal(403), "forbidden");
    let list = |server: &Server| {
        let call = server
            .call("keys")
            .args(["list", "--json", "--data-dir"])
            .arg(server.data());
        let listed = call.succeed().stdout.join("\n");
        assert!(!listed.contains(&secret), "a secret is shown once: {listed}");
        listed
    };
    assert!(list(&server).contains("Anna's laptop"));
    // Not even the store has it.
    let index = std::fs::read(server.data().join("store/index.redb")).expect("the database");
    assert!(
        !index.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()),
        "the secret is stored"
    );
    server.kill();
    server.start_again();
    let anna = server.client().with_key(&secret);
    anna.get(&format!("/v1/jobs/{job}/result")).expect(200);
    let revoke = server
        .call("keys")
        .args(["revoke", &id, "--data-dir"])
        .arg(server.data());
    revoke.succeed();
    assert_eq!(anna.get("/v1/jobs").refusal(401), "unauthorized");
    assert!(list(&server).contains("revoked"));
}

#[test]
fn a_key_carries_its_owners_limits() {
    let (world, server) = guarded();
    let photo = std::fs::read(world.path("photo.png")).expect("the photo");
    let limited = |name: &str, args: &[&str]| {
        let args = [&["--owner", name], args].concat();
        server.client().with_key(&add_key(&server, name, &args).0)
    };
    let upload = |client: &clearfleet_tests::Client, query: &str| {
        client.send("POST", &format!("/v1/jobs?name=a.png{query}"), &[], &photo)
    };
    let one_job = limited("one", &["--quota-jobs", "1"]);
    upload(&one_job, "&start=false").expect(201);
    assert!(matches!(upload(&one_job, "").status, 413 | 429 | 507), "a second job");
    let few_bytes = limited("few", &["--quota-bytes", &(photo.len() + 10).to_string()]);
    upload(&few_bytes, "&start=false").expect(201);
    assert_eq!(upload(&few_bytes, "").refusal(413), "quota_exceeded");
    let patient = limited("slow", &["--quota-requests", "2"]);
    let answers: Vec<u16> = (0..4).map(|_| patient.get("/v1/jobs").status).collect();
    assert_eq!(answers, [200, 200, 429, 429]);
    assert!(!patient.get("/v1/jobs").header("retry-after").is_empty());
}

/// A backup is made while a film is in work; what is restored of it goes on from there.
#[test]
fn a_backup_holds_everything_and_goes_on() {
    let mut setting = Setting::slow(40);
    let client = setting.server.client().clone();
    let photo = setting.submit_photo();
    client.done(&photo);
    let film = client.submit_with(&setting.film(), &lossless());
    client.until(&film, |job| job["progress"]["batches_done"].as_u64() >= Some(3));
    let file = setting.world.path("backup.tar");
    let call = setting
        .server
        .call("backup")
        .args(["--json", "--data-dir"])
        .arg(setting.server.data());
    call.arg(&file).succeed();
    client.done(&film);
    let again = setting.server.call("backup").arg("--json").arg(&file).run();
    assert_eq!(again.event("failed")["code"], "output_exists");
    let result = client.get(&format!("/v1/jobs/{photo}/result"));
    setting.server.stop();

    let restored = setting.world.path("restored");
    let restore = || {
        clearfleet_tests::Call::new()
            .args(["restore", "--json", "--data-dir"])
            .arg(&restored)
            .arg(&file)
    };
    restore().succeed();
    let refused = restore().run();
    assert_eq!(
        refused.event("failed")["code"],
        "output_exists",
        "it replaces no data: {refused:#?}"
    );
    let server = Server::with(&restored, "--engine wait --wait 40 --batch-frames 5");
    let client = server.client();
    assert!(client.get(&format!("/v1/jobs/{photo}/result")).expect(200).body == result.body);
    let going_on = client.until(&film, |job| job["progress"]["batches_done"].as_u64() > Some(0));
    assert!(going_on["progress"]["batches_done"].as_u64() >= Some(3), "{going_on:#}");
    client.done(&film);
    client.assert_verified(&film);
    // What of a backup is cut off is no backup.
    let whole = std::fs::read(&file).expect("the backup");
    let cut = setting.world.file("cut.tar", &whole[..whole.len() / 2]);
    let call = clearfleet_tests::Call::new().args(["restore", "--json", "--data-dir"]);
    let refused = call.arg(setting.world.path("half")).arg(cut).run();
    assert_eq!(refused.event("failed")["code"], "input_damaged", "{refused:#?}");
    assert!(!setting.world.path("half").join("store/index.redb").exists());
}

/// What dashboards, alerts and autoscalers look at, after one film.
#[test]
fn what_a_server_does_is_in_its_metrics() {
    let setting = Setting::with("--engine bicubic --batch-frames 10 --class default,idle=1e6");
    let client = setting.server.client();
    let job = setting.submit_film();
    client.done(&job);
    let value = |series: &str| client.metric(series).unwrap_or_else(|| panic!("no {series}"));
    assert_eq!(value("clearfleet_scheduler_active"), 1.0);
    for class in ["default", "idle"] {
        assert_eq!(value(&format!("clearfleet_backlog_seconds{{class=\"{class}\"}}")), 0.0);
    }
    assert_eq!(value("clearfleet_workers{class=\"default\"}"), 1.0);
    assert_eq!(value("clearfleet_workers{class=\"idle\"}"), 0.0);
    assert_eq!(value("clearfleet_batches_done_total{class=\"default\"}"), 5.0);
    assert_eq!(value("clearfleet_jobs_ended_total{state=\"done\"}"), 1.0);
    // Five batches; the plan and the result.
    assert_eq!(value("clearfleet_lane_wait_seconds_count{lane=\"bulk\"}"), 5.0);
    assert_eq!(value("clearfleet_lane_wait_seconds_count{lane=\"media\"}"), 2.0);
    // 64×48 pixels twice as wide and high, of 50 frames.
    let of_worker = |name: &str| value(&format!("clearfleet_worker_{name}"));
    assert_eq!(of_worker("pixels_total{class=\"default\"}"), 50.0 * 128.0 * 96.0);
    for stage in ["decode", "infer", "encode"] {
        assert_eq!(of_worker(&format!("stage_seconds_count{{stage=\"{stage}\"}}")), 5.0);
    }
    for stage in ["fetch", "decode", "infer", "encode", "upload"] {
        let busy = of_worker(&format!("stage_busy_seconds_total{{stage=\"{stage}\"}}"));
        assert!(busy > 0.0, "{stage}");
    }
    assert_eq!(of_worker("info"), 1.0);
    assert!(value("clearfleet_storage_requests_total{operation=\"PutObject\",outcome=\"ok\"}") > 0.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
}
