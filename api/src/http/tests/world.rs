use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{
    ClassName, JobId, JobResult, OutputFormat, OwnerId, PlanSummary, Record, SourceKind, State,
};
use clearfleet_common::queue::{MemoryQueue, Queue};
use clearfleet_common::storage::embedded::ScratchStore;
use clearfleet_common::storage::{ObjectKey, Storage};
use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::http::{
    AppState, Authenticator, Caller, ConnectionLimits, Credentials, HttpConfig, Problem, Role, router, serve,
};
use crate::owners::Quota;
use crate::records::Records;

pub(super) const ALICE: &str = "alice";
pub(super) const BOB: &str = "bob";
pub(super) const ROOT: &str = "root";
pub(super) const NOBODY: &str = "";

/// Knows callers by their names: `root` is admin, `busy` asks too often, nobody is unknown.
#[derive(Debug)]
struct ByName;

#[async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, Problem> {
        let name = credentials
            .headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        match name.and_then(|value| value.strip_prefix("Bearer ")) {
            Some("busy") => {
                Err(Problem::new(ErrorCode::RateLimited, "too many requests").retry_after(Duration::from_secs(7)))
            }
            Some("broken") => panic!("an authenticator that panics"),
            Some(name) => Ok(Caller {
                owner: name.parse().unwrap(),
                role: if name == ROOT { Role::Admin } else { Role::User },
                quota: Quota::default(),
            }),
            None => Err(Problem::new(ErrorCode::Unauthorized, "this needs a key")),
        }
    }
}

/// A server, its store and its queue.
pub(super) struct World {
    pub(super) storage: Storage,
    pub(super) queue: MemoryQueue,
    pub(super) state: AppState,
    pub(super) address: String,
    pub(super) client: reqwest::Client,
    stop: CancellationToken,
    // Last: what uses it is dropped before.
    store: Option<ScratchStore>,
}

/// What a request got.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The status and the code of a problem.
    pub(super) fn refusal(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let code = self.json()["code"].as_str().unwrap().to_owned();
        (self.status.as_u16(), code)
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}, ConnectionLimits::default()).await
    }

    /// Takes the store away, and waits until it takes nothing more: whoever asks it tries for seconds.
    pub(super) async fn lose_store(&mut self) {
        let store = self.store.take().expect("a store that is still there");
        let endpoint = store.config().endpoint;
        let address = endpoint.strip_prefix("http://").expect("a plain address");
        drop(store);
        until(async || TcpStream::connect(address).await.is_err()).await;
    }

    /// A world whose limits are changed.
    pub(super) async fn with(change: impl FnOnce(&mut HttpConfig), limits: ConnectionLimits) -> Self {
        // Fails where another test was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = ScratchStore::start().await.unwrap();
        let storage = Storage::connect(&store.config()).await.unwrap();
        let queue = MemoryQueue::new();
        let mut config = HttpConfig::default();
        change(&mut config);
        let mut world = Self::on(storage, queue, config, limits).await;
        world.store = Some(store);
        world
    }

    /// Another server of the same store and the same queue.
    pub(super) async fn another_server(&self) -> Self {
        let (storage, queue) = (self.storage.clone(), self.queue.clone());
        Self::on(storage, queue, HttpConfig::default(), ConnectionLimits::default()).await
    }

    async fn on(storage: Storage, queue: MemoryQueue, config: HttpConfig, limits: ConnectionLimits) -> Self {
        let stop = CancellationToken::new();
        let shared: Arc<dyn Queue> = Arc::new(queue.clone());
        let records = Records::new(storage.clone());
        tokio::spawn(Arc::clone(&records).follow(Arc::clone(&shared), stop.clone()));
        assert!(records.wait_loaded(Duration::from_secs(30)).await);
        until(async || records.is_listening()).await;
        let state = AppState::new(storage.clone(), shared, records, Arc::new(ByName), config, stop.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve(listener, router(state.clone()), limits, stop.clone()));
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60));
        Self {
            client: client.build().unwrap(),
            store: None,
            storage,
            queue,
            state,
            address,
            stop,
        }
    }

    pub(super) fn request(&self, who: &str, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        if who.is_empty() {
            request
        } else {
            request.bearer_auth(who)
        }
    }

    pub(super) async fn get(&self, who: &str, path: &str) -> Answer {
        answer(self.request(who, Method::GET, path)).await
    }

    pub(super) async fn post(&self, who: &str, path: &str) -> Answer {
        answer(self.request(who, Method::POST, path)).await
    }

    pub(super) async fn send(&self, who: &str, method: Method, path: &str, body: &Value) -> Answer {
        answer(self.request(who, method, path).json(body)).await
    }

    /// Uploads a picture as the whole body; the job's id.
    pub(super) async fn upload(&self, who: &str, name: &str) -> JobId {
        let made = answer(
            self.request(who, Method::POST, &format!("/v1/jobs?name={name}"))
                .body(png(100)),
        )
        .await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        id_of(&made)
    }

    pub(super) async fn record(&self, who: &str, job: JobId) -> Option<Record> {
        let found = self.storage.record(owner(who), job).await.unwrap();
        found.map(|(record, _)| record)
    }

    /// Changes a record as a scheduler would, and waits until the server has heard of it.
    pub(super) async fn schedule(&self, who: &str, job: JobId, change: impl Fn(&mut Record)) {
        let changed = self
            .storage
            .update_record(owner(who), job, |record| {
                change(record);
                Ok::<_, std::convert::Infallible>(true)
            })
            .await;
        let (record, version) = changed.unwrap().unwrap().unwrap();
        self.state.records.note(record, version);
    }

    /// A job that is done, with a result of these bytes.
    pub(super) async fn done(&self, who: &str, name: &str, content: &[u8]) -> JobId {
        let job = self.upload(who, name).await;
        let key = ObjectKey::Result(job, Uuid::from_u128(1));
        self.storage.put(key, content.to_vec().into()).await.unwrap();
        let result = JobResult {
            key: key.to_string(),
            plan: 0,
            bytes: content.len() as u64,
            sha256: "0".repeat(64),
            format: OutputFormat::Png,
            size: (4, 4),
            frames: 1,
            notes: Vec::new(),
            destination: None,
        };
        self.schedule(who, job, |record| {
            record.state = State::Done;
            record.plan = Some(plan());
            record.result = Some(result.clone());
        })
        .await;
        job
    }

    /// Keys of all objects but keys, models and classes.
    pub(super) async fn objects(&self) -> Vec<String> {
        let listed = self.storage.list(clearfleet_common::storage::KeyPrefix::All);
        let mut listed = std::pin::pin!(listed);
        let mut keys = Vec::new();
        while let Some(object) = listed.next().await {
            keys.push(object.unwrap().key);
        }
        keys
    }

    /// Waits until nothing is stored and nothing is being written.
    pub(super) async fn nothing_is_left(&self) {
        until(async || self.objects().await.is_empty()).await;
        let writes = self
            .storage
            .client()
            .list_multipart_uploads()
            .bucket(self.storage.bucket());
        until(async || writes.clone().send().await.unwrap().uploads().is_empty()).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(super) fn owner(who: &str) -> OwnerId {
    who.parse().unwrap()
}

pub(super) fn id_of(made: &Answer) -> JobId {
    made.json()["id"].as_str().unwrap().parse().unwrap()
}

pub(super) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.bytes().await.unwrap().to_vec(),
    }
}

pub(super) async fn until(condition: impl AsyncFn() -> bool) {
    crate::testing::until("what the test waits for", condition).await;
}

/// What begins as a PNG does.
pub(super) fn png(bytes: usize) -> Vec<u8> {
    let mut content = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    content.extend((content.len()..bytes).map(|n| (n % 251) as u8));
    content
}

/// The plan of a picture.
pub(super) fn plan() -> PlanSummary {
    PlanSummary {
        number: 0,
        kind: SourceKind::Picture,
        class: ClassName::default(),
        pipeline: "pipeline".to_owned(),
        batches: 1,
        frames: 1,
        batch_seconds: 5.0,
        source_size: (2, 2),
        target_size: (4, 4),
        seconds: 0.0,
        format: OutputFormat::Png,
        notes: Vec::new(),
        exact: false,
        has_sound: false,
        fingerprint: None,
    }
}
