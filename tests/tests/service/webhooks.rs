//! Who is told that a job ended: once, signed, again until it is taken, and nobody else.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clearfleet_tests::{Client, DEADLINE, Receiver, Reply, Server, Told};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Setting;

/// A server that may tell this machine.
const ALLOWED: &str = "--engine bicubic --batch-frames 10 --allow-private-webhooks";

/// What comes at once comes within this.
const SOON: Duration = Duration::from_secs(20);

/// Makes a job of the photo whose end this address is told of; its id.
fn submit(setting: &Setting, webhook: &str) -> String {
    let request = json!({ "webhook": webhook });
    setting.server.client().submit(&setting.photo(), &request)
}

fn authenticated(key: &str, message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// What the webhooks of the one owner are signed with, from what lies in the data folder.
fn secret(server: &Server) -> String {
    let of_all = std::fs::read_to_string(server.data().join("webhook.secret")).expect("the server's secret");
    let of_owner = authenticated(of_all.trim_end(), b"webhooks of local");
    format!("whsec_{}", URL_SAFE_NO_PAD.encode(of_owner))
}

/// It was signed just before it came, with this secret, over its time and all of its body.
fn assert_signed(told: &Told, secret: &str) {
    let time = told.header("clearfleet-timestamp");
    let signed = [time.as_bytes(), b".", &told.body].concat();
    let hex: String = authenticated(secret, &signed)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(told.header("clearfleet-signature"), format!("v1={hex}"));
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    let came = now.saturating_sub(told.came.elapsed()).as_secs();
    let time: u64 = time.parse().expect("seconds since 1970");
    assert!(came.abs_diff(time) <= 2, "signed at {time}, came at {came}");
}

/// What the server has counted.
fn counted(client: &Client, what: &str) -> u64 {
    let count = client.metric(&format!("clearfleet_webhooks_{what}_total"));
    count.expect("it is counted") as u64
}

/// Waits until it has counted so many: an answer is counted after it was given.
fn until_counted(client: &Client, what: &str, count: u64) {
    let since = Instant::now();
    while counted(client, what) < count {
        assert!(since.elapsed() < DEADLINE, "{what} is not {count} in {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(counted(client, what), count, "{what}");
}

fn paths(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.path.as_str()).collect()
}

#[test]
fn every_end_is_told_once_and_signed() {
    let (setting, receiver) = (Setting::with(ALLOWED), Receiver::start([]));
    let client = setting.server.client();
    let secret = secret(&setting.server);
    assert_eq!(client.get("/v1/webhook-secret").expect(200).json()["secret"], secret);

    let done = submit(&setting, &receiver.url("/done?of=me"));
    receiver.until(1, SOON);
    let content = std::fs::read(setting.photo()).expect("the photo");
    let cut = setting.world.file("cut.png", &content[..100]);
    let failed = client.submit(&cut, &json!({ "webhook": receiver.url("/failed") }));
    receiver.until(2, SOON);
    let waiting = json!({ "webhook": receiver.url("/cancelled"), "start": false });
    let cancelled = client.submit(&setting.photo(), &waiting);
    client.command(&cancelled, "cancel");
    let told = receiver.until(3, SOON);

    for (told, (job, event)) in told
        .iter()
        .zip([(done, "done"), (failed, "failed"), (cancelled, "cancelled")])
    {
        assert_eq!(
            (told.method.as_str(), told.header("content-type")),
            ("POST", "application/json")
        );
        assert_signed(told, &secret);
        let (said, job) = (told.json(), client.job(&job));
        assert_eq!(
            (told.header("clearfleet-event"), &said["event"]),
            (event, &json!(event))
        );
        assert_eq!((&job["state"], &said["at"]), (&json!(event), &job["ended"]));
        assert_eq!(said["job"], job);
    }
    let deliveries: BTreeSet<&str> = told.iter().map(|told| told.header("clearfleet-delivery")).collect();
    assert_eq!(deliveries.len(), 3, "each end has a name of its own: {deliveries:?}");
    until_counted(client, "delivered", 3);
    assert_eq!(counted(client, "failed_attempts"), 0);
    assert_eq!(paths(&receiver.told()), ["/done?of=me", "/failed", "/cancelled"]);
}

/// Half a minute later, then a whole one: an attempt may take 15 s, and the next one waits for twice that.
#[test]
fn what_is_not_taken_is_told_again_later() {
    let (setting, receiver) = (
        Setting::with(ALLOWED),
        Receiver::start([Reply::Status(500), Reply::Status(503)]),
    );
    let secret = secret(&setting.server);
    submit(&setting, &receiver.url("/hook"));
    let told = receiver.until(3, Duration::from_secs(150));
    let gaps = [told[1].came - told[0].came, told[2].came - told[1].came].map(|gap| gap.as_secs_f64());
    // A fifth more at most, so that not all come back at once; the rest is for a machine that has much to do.
    assert!(
        (29.0..40.0).contains(&gaps[0]) && (59.0..76.0).contains(&gaps[1]),
        "{gaps:?}"
    );
    for again in &told {
        assert_signed(again, &secret);
        assert_eq!(
            again.header("clearfleet-delivery"),
            told[0].header("clearfleet-delivery")
        );
        assert_eq!(again.json(), told[0].json());
    }
    let client = setting.server.client();
    until_counted(client, "delivered", 1);
    assert_eq!(
        (counted(client, "failed_attempts"), counted(client, "given_up")),
        (2, 0)
    );
}

/// Four are with a receiver that does not answer, and two wait behind them, when the server is killed.
#[test]
fn a_killed_server_tells_after_its_next_start() {
    let (mut setting, receiver) = (Setting::with(ALLOWED), Receiver::start([Reply::Silence; 4]));
    let client = setting.server.client().clone();
    let jobs: Vec<String> = (0..6)
        .map(|n| submit(&setting, &receiver.url(&format!("/{n}"))))
        .collect();
    for job in &jobs {
        client.done(job);
    }
    let before = receiver.until(4, SOON);
    assert_eq!(counted(&client, "delivered"), 0);
    setting.server.kill();
    assert_eq!(receiver.told().len(), 4);
    setting.server.start_again();

    let told = receiver.until(10, Duration::from_secs(100));
    let (_, after) = told.split_at(4);
    let mut names = paths(after);
    names.sort_unstable();
    assert_eq!(names, ["/0", "/1", "/2", "/3", "/4", "/5"], "each once");
    let secret = secret(&setting.server);
    for told in after {
        assert_signed(told, &secret);
        let job = told.json()["job"]["id"].clone();
        let n: usize = told.path[1..].parse().expect("its number");
        assert_eq!(job, Value::from(jobs[n].clone()));
        let first = before.iter().find(|first| first.path == told.path);
        // Receivers know by it what they have already.
        let same = |first: &Told| first.header("clearfleet-delivery") == told.header("clearfleet-delivery");
        assert!(first.is_none_or(same), "{}", told.path);
    }
    until_counted(setting.server.client(), "delivered", 6);
}

/// Neither by number nor by name, unless the operator allows it.
#[test]
fn nobody_on_this_network_is_told_unless_that_is_allowed() {
    let (setting, receiver) = (Setting::new(), Receiver::start([]));
    let client = setting.server.client();
    let port = receiver.port();
    let content = std::fs::read(setting.photo()).expect("the photo");
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "169.254.169.254",
    ] {
        let webhook = format!("http%3A%2F%2F{host}%3A{port}%2Fhook");
        let answer = client.send("POST", &format!("/v1/jobs?name=a.png&webhook={webhook}"), &[], &content);
        assert_eq!(answer.refusal(422), "settings_invalid", "{host}");
        assert_eq!(answer.json()["details"]["field"], "webhook", "{host}");
    }
    assert_eq!(client.get("/v1/jobs").json()["jobs"], json!([]));
    // What a name stands for shows when it is sent.
    let named = format!("http://localhost:{port}/hook");
    client.done(&submit(&setting, &named));
    until_counted(client, "failed_attempts", 1);
    assert_eq!((receiver.connections(), counted(client, "delivered")), (0, 0));

    let allowing = Setting::with(ALLOWED);
    submit(&allowing, &named);
    let told = receiver.until(1, SOON);
    assert_eq!(told[0].header("host"), format!("localhost:{port}"));
    until_counted(allowing.server.client(), "delivered", 1);
}

/// Where a redirect leads was never looked at, and a receiver could lead anywhere.
#[test]
fn redirects_are_not_followed() {
    let statuses = [301, 302, 303, 307, 308];
    let (setting, receiver) = (Setting::with(ALLOWED), Receiver::start(statuses.map(Reply::Status)));
    let client = setting.server.client();
    for (n, status) in statuses.into_iter().enumerate() {
        submit(&setting, &receiver.url(&format!("/{status}")));
        until_counted(client, "failed_attempts", n as u64 + 1);
    }
    assert_eq!(paths(&receiver.told()), ["/301", "/302", "/303", "/307", "/308"]);
    assert_eq!(counted(client, "delivered"), 0);
}
