use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Extracted;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use clearfleet_common::job::{Hook, HookEvent, JobId, OwnerId, State};
use clearfleet_common::queue::{Queue, QueueName};
use jiff::Timestamp;
use prometheus::Registry;
use reqwest::dns::Resolve;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::address::{CheckedResolver, Lookup, System};
use super::send::{SendError, Sender};
use super::*;
use crate::testing::{Site, ended, until};

/// What a receiver got.
#[derive(Clone, Debug)]
struct Got {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// Somebody who is told, and answers with these statuses, then with 200.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    /// A receiver and its port.
    async fn start(answers: &[u16]) -> (Self, u16) {
        let receiver = Self {
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
            ..Self::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (receiver, port)
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    async fn until_got(&self, count: usize) {
        until(&format!("{count} webhooks"), async || self.got().len() >= count).await;
    }
}

async fn take(Extracted(receiver): Extracted<Receiver>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path().to_owned();
    receiver.got.lock().unwrap().push(Got { path, headers, body });
    let answer = receiver.answers.lock().unwrap().pop_front().unwrap_or(200);
    let status = StatusCode::from_u16(answer).unwrap();
    if status.is_redirection() {
        return (status, [(header::LOCATION, "/elsewhere")]).into_response();
    }
    status.into_response()
}

/// Resolves every name to these addresses.
#[derive(Debug)]
struct Fixed(Vec<IpAddr>);

#[async_trait]
impl Lookup for Fixed {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.clone())
    }
}

fn secrets() -> HookSecrets {
    HookSecrets::load(Some("of the operator, and long enough".to_owned()), None).unwrap()
}

const QUICK: HookTimes = HookTimes {
    attempts: 3,
    first: Duration::from_millis(100),
    longest: Duration::from_millis(200),
    refresh: Duration::from_millis(200),
    grace: Duration::ZERO,
};

/// Webhooks of one process.
struct Process {
    counts: HookCounts,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Process {
    async fn start(site: &Site, times: HookTimes) -> Self {
        let counts = HookCounts::new(&Registry::new()).unwrap();
        let webhooks = Webhooks {
            storage: site.storage.clone(),
            queue: site.shared_queue(),
            records: site.records().await,
            sender: Sender::new(secrets(), Reach::Everywhere, Arc::new(System)).unwrap(),
            times,
            counts: counts.clone(),
        };
        let stop = CancellationToken::new();
        Self {
            running: tokio::spawn(webhooks.run(stop.clone())),
            counts,
            stop,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// A job that has ended and whose end `url` is to be told.
async fn job(site: &Site, n: u128, state: State, url: &str) -> Hook {
    let mut record = ended(JobId::from_u128(n), state, Timestamp::now());
    record.request.webhook = Some(url.to_owned());
    site.storage.create_record(&record).await.unwrap().unwrap();
    Hook::of(&record).unwrap()
}

async fn publish(site: &Site, hook: &Hook) {
    let body = serde_json::to_vec(hook).unwrap();
    site.queue.publish(QueueName::Hooks, body.into()).await.unwrap();
}

/// Only the message counts: records are not looked at.
const BY_MESSAGE: HookTimes = HookTimes {
    grace: Duration::from_secs(3600),
    ..QUICK
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_is_told_and_can_check_by_whom() {
    let (site, (receiver, port)) = (Site::new().await, Receiver::start(&[]).await);
    let process = Process::start(&site, BY_MESSAGE).await;
    let hook = job(&site, 1, State::Done, &format!("http://127.0.0.1:{port}/hook?of=me")).await;
    publish(&site, &hook).await;
    receiver.until_got(1).await;
    let got = &receiver.got()[0];
    assert_eq!(
        (got.path.as_str(), got.header("content-type")),
        ("/hook", "application/json")
    );
    assert_eq!(got.header("clearfleet-event"), "done");
    let at = Timestamp::from_second(got.header("clearfleet-timestamp").parse().unwrap()).unwrap();
    let age = Timestamp::now().duration_since(at).as_secs();
    assert!((-1..60).contains(&age), "{age}");
    let owner = OwnerId::default();
    assert_eq!(
        got.header("clearfleet-signature"),
        secrets().of(owner).sign(at, &got.body)
    );
    let other = secrets().of("other".parse().unwrap()).sign(at, &got.body);
    assert_ne!(got.header("clearfleet-signature"), other);
    let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(
        (&body["event"], &body["job"]["state"]),
        (&"done".into(), &"done".into())
    );
    assert_eq!(body["job"]["id"], JobId::from_u128(1).to_string());
    assert_eq!(body["at"], hook.at.to_string());
    until("it is counted", async || process.counts.delivered.get() == 1).await;
    assert_eq!(site.queue.messages(QueueName::Hooks), 0);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_end_is_told_once_however_often_it_is_said() {
    let (site, (receiver, port)) = (Site::new().await, Receiver::start(&[]).await);
    let processes = [Process::start(&site, QUICK).await, Process::start(&site, QUICK).await];
    let hook = job(&site, 1, State::Failed, &format!("http://127.0.0.1:{port}/")).await;
    for _ in 0..5 {
        publish(&site, &hook).await;
    }
    receiver.until_got(1).await;
    publish(&site, &hook).await;
    // The end of another attempt at the same job is another end.
    let later = Timestamp::now();
    site.change(hook.job, |record| {
        (record.state, record.ended) = (State::Done, Some(later));
    })
    .await;
    let (record, _) = site.storage.record(hook.owner, hook.job).await.unwrap().unwrap();
    publish(&site, &Hook::of(&record).unwrap()).await;
    receiver.until_got(2).await;
    until("the queue is empty", async || {
        site.queue.messages(QueueName::Hooks) == 0
    })
    .await;
    // Three looks at the store find nothing more to tell.
    tokio::time::sleep(QUICK.refresh * 3).await;
    let events: Vec<String> = receiver
        .got()
        .iter()
        .map(|got| got.header("clearfleet-event").to_owned())
        .collect();
    assert_eq!(events, ["failed", "done"]);
    let deliveries: Vec<String> = receiver
        .got()
        .iter()
        .map(|got| got.header("clearfleet-delivery").to_owned())
        .collect();
    assert_ne!(deliveries[0], deliveries[1]);
    for process in processes {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_taken_is_sent_again_and_given_up_in_the_end() {
    let (site, (receiver, port)) = (Site::new().await, Receiver::start(&[500, 503]).await);
    let process = Process::start(&site, BY_MESSAGE).await;
    let url = format!("http://127.0.0.1:{port}/");
    publish(&site, &job(&site, 1, State::Done, &url).await).await;
    receiver.until_got(3).await;
    until("it is delivered", async || process.counts.delivered.get() == 1).await;
    assert_eq!((process.counts.failed.get(), process.counts.given_up.get()), (2, 0));
    let deliveries = receiver.got();
    let same = |name: &str| {
        deliveries
            .iter()
            .all(|got| got.header(name) == deliveries[0].header(name))
    };
    assert!(same("clearfleet-delivery"));

    receiver.answers.lock().unwrap().extend([500; 10]);
    publish(&site, &job(&site, 2, State::Cancelled, &url).await).await;
    until("it is given up", async || process.counts.given_up.get() == 1).await;
    tokio::time::sleep(QUICK.longest * 3).await;
    assert_eq!(receiver.got().len(), 3 + 3);
    let entry = ledger::read(&site.storage, JobId::from_u128(2)).await.unwrap().unwrap();
    assert_eq!((entry.telling.hook, entry.telling.attempts), (None, 3));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_not_followed() {
    let (site, (receiver, port)) = (Site::new().await, Receiver::start(&[301, 302, 307]).await);
    let process = Process::start(&site, BY_MESSAGE).await;
    publish(
        &site,
        &job(&site, 1, State::Done, &format!("http://127.0.0.1:{port}/here")).await,
    )
    .await;
    until("it is given up", async || process.counts.given_up.get() == 1).await;
    let paths: Vec<String> = receiver.got().into_iter().map(|got| got.path).collect();
    assert_eq!(paths, ["/here", "/here", "/here"]);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_with_a_process_and_its_queue() {
    let (site, (receiver, port)) = (Site::new().await, Receiver::start(&[500]).await);
    let slow = HookTimes {
        first: Duration::from_secs(2),
        longest: Duration::from_secs(2),
        ..BY_MESSAGE
    };
    let first = Process::start(&site, slow).await;
    publish(
        &site,
        &job(&site, 1, State::Done, &format!("http://127.0.0.1:{port}/")).await,
    )
    .await;
    receiver.until_got(1).await;
    first.stop().await;
    site.queue.wipe();
    let second = Process::start(&site, slow).await;
    receiver.until_got(2).await;
    until("it is delivered", async || second.counts.delivered.get() == 1).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_whose_message_was_lost_is_found_by_its_record() {
    let (site, (receiver, port)) = (Site::new().await, Receiver::start(&[]).await);
    job(&site, 1, State::Cancelled, &format!("http://127.0.0.1:{port}/")).await;
    let process = Process::start(&site, QUICK).await;
    receiver.until_got(1).await;
    assert_eq!(receiver.got()[0].header("clearfleet-event"), "cancelled");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_none_is_passed_over() {
    let (site, (receiver, port)) = (Site::new().await, Receiver::start(&[]).await);
    let process = Process::start(&site, BY_MESSAGE).await;
    site.queue.publish(QueueName::Hooks, "not json".into()).await.unwrap();
    let mut newer = job(&site, 1, State::Done, &format!("http://127.0.0.1:{port}/newer")).await;
    newer.version = 99;
    publish(&site, &newer).await;
    // A job that was deleted meanwhile has nothing to tell.
    let gone = Hook {
        job: JobId::from_u128(9),
        version: 1,
        ..newer.clone()
    };
    publish(&site, &gone).await;
    publish(
        &site,
        &job(&site, 2, State::Done, &format!("http://127.0.0.1:{port}/fine")).await,
    )
    .await;
    receiver.until_got(1).await;
    assert_eq!(receiver.got()[0].path, "/fine");
    until("the queue is empty", async || {
        site.queue.messages(QueueName::Hooks) == 0
    })
    .await;
    process.stop().await;
}

fn hook(url: String) -> Hook {
    Hook {
        version: 1,
        job: JobId::from_u128(1),
        owner: OwnerId::default(),
        url,
        event: HookEvent::Done,
        at: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_sent_to_the_address_that_was_checked() {
    let (receiver, port) = Receiver::start(&[]).await;
    let to = |reach, addresses: &[&str]| {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Sender::new(secrets(), reach, Arc::new(Fixed(addresses))).unwrap()
    };
    let named = hook(format!("http://hooks.example:{port}/"));
    for private in ["127.0.0.1", "::ffff:127.0.0.1"] {
        let refused = to(Reach::Public, &[private]).send(&named, Vec::new()).await;
        assert!(
            matches!(refused, Err(SendError::Address(HookUrlError::Private(_)))),
            "{refused:?}"
        );
    }
    let literal = hook(format!("http://127.0.0.1:{port}/"));
    let refused = to(Reach::Public, &["8.8.8.8"]).send(&literal, Vec::new()).await;
    assert!(matches!(refused, Err(SendError::Address(_))), "{refused:?}");
    assert_eq!(receiver.got().len(), 0);
    to(Reach::Everywhere, &["127.0.0.1"])
        .send(&named, b"{}".to_vec())
        .await
        .unwrap();
    assert_eq!(receiver.got()[0].header("host"), format!("hooks.example:{port}"));
}

#[tokio::test]
async fn of_a_names_addresses_only_public_ones_are_used() {
    let addresses = ["10.0.0.1", "8.8.8.8", "::1", "2606:4700:4700::1111"];
    let resolver = CheckedResolver {
        lookup: Arc::new(Fixed(
            addresses.iter().map(|address| address.parse().unwrap()).collect(),
        )),
        reach: Reach::Public,
    };
    let found = resolver.resolve("hooks.example".parse().unwrap()).await.unwrap();
    let found: Vec<String> = found.map(|address| address.ip().to_string()).collect();
    assert_eq!(found, ["8.8.8.8", "2606:4700:4700::1111"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_not_there_is_told_of_without_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let sender = Sender::new(secrets(), Reach::Everywhere, Arc::new(System)).unwrap();
    let refused = sender
        .send(&hook(format!("http://127.0.0.1:{port}/?token=hidden")), Vec::new())
        .await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, SendError::Unreachable(_)), "{refused:?}");
    let causes = std::iter::successors(Some(&refused as &dyn std::error::Error), |error| error.source());
    assert!(causes.map(ToString::to_string).all(|cause| !cause.contains("hidden")));
}
