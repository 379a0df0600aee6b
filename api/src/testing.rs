//! What tests of several modules stand on: an embedded store, a queue in memory, records that follow both, and servers.

use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::job::{
    ClassName, JobId, JobResult, OutputFormat, OwnerId, PlanSummary, Priority, Record, Request, Settings, Source,
    SourceKind, SourceLocation, State, Stretch,
};
use clearfleet_common::queue::{MemoryQueue, Queue};
use clearfleet_common::storage::embedded::ScratchStore;
use clearfleet_common::storage::{KeyPrefix, ObjectKey, Storage};
use futures::TryStreamExt;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::http::{AppState, Authenticator, ConnectionLimits, HttpConfig, router, serve};
use crate::records::Records;

/// A store and a queue of a test's own.
pub(crate) struct Site {
    pub(crate) storage: Storage,
    pub(crate) queue: MemoryQueue,
    pub(crate) stop: CancellationToken,
    // Last: what uses it is dropped before.
    pub(crate) store: Option<ScratchStore>,
}

impl Site {
    pub(crate) async fn new() -> Self {
        // Fails where another test was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = ScratchStore::start().await.unwrap();
        Self {
            storage: Storage::connect(&store.config()).await.unwrap(),
            queue: MemoryQueue::new(),
            stop: CancellationToken::new(),
            store: Some(store),
        }
    }

    pub(crate) fn shared_queue(&self) -> Arc<dyn Queue> {
        Arc::new(self.queue.clone())
    }

    /// Records that follow the store, read once.
    pub(crate) async fn records(&self) -> Arc<Records> {
        let records = Records::new(self.storage.clone());
        tokio::spawn(Arc::clone(&records).follow(self.shared_queue(), self.stop.clone()));
        assert!(records.wait_loaded(Duration::from_secs(30)).await);
        records
    }

    /// A server with these records and callers; gives its address.
    pub(crate) async fn serve(
        &self,
        records: Arc<Records>,
        authenticator: Arc<dyn Authenticator>,
        with: impl FnOnce(AppState) -> AppState,
    ) -> String {
        let state = AppState::new(
            self.storage.clone(),
            self.shared_queue(),
            records,
            authenticator,
            HttpConfig::default(),
            self.stop.clone(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = router(with(state));
        tokio::spawn(serve(listener, router, ConnectionLimits::default(), self.stop.clone()));
        address
    }

    /// All keys in the store, in order.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let listed = self.storage.list(KeyPrefix::All).map_ok(|listed| listed.key);
        listed.try_collect().await.unwrap()
    }

    /// Writes an object of a few bytes.
    pub(crate) async fn put(&self, key: ObjectKey) {
        self.storage.put(key, "content".into()).await.unwrap();
    }

    /// Changes a record.
    pub(crate) async fn change(&self, job: JobId, change: impl Fn(&mut Record)) {
        let changed = self.storage.update_record(OwnerId::default(), job, |record| {
            change(record);
            Ok::<_, std::convert::Infallible>(true)
        });
        changed.await.unwrap().unwrap().unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The record of a job of `local` that uploaded its source, of 3 bytes.
pub(crate) fn record(job: JobId, at: Timestamp) -> Record {
    let request = Request {
        name: "a.mp4".to_owned(),
        kind: SourceKind::Video,
        settings: Settings::default(),
        stretch: Stretch::default(),
        retouches: Vec::new(),
        class: ClassName::default(),
        priority: Priority::Normal,
        webhook: None,
        destination: None,
        preview: None,
    };
    let source = Source {
        location: SourceLocation::Job(job),
        bytes: 3,
        etag: "\"1\"".to_owned(),
        content_type: "video/mp4".to_owned(),
    };
    Record::new(job, OwnerId::default(), request, source, at)
}

/// The same, ended in this state.
pub(crate) fn ended(job: JobId, state: State, at: Timestamp) -> Record {
    let mut record = record(job, at);
    (record.state, record.ended, record.changed) = (state, Some(at), at);
    (record.plan, record.next_plan) = (Some(plan()), 1);
    record.result = (state == State::Done).then(|| JobResult {
        key: ObjectKey::Result(job, Uuid::from_u128(1)).to_string(),
        plan: 0,
        bytes: 7,
        sha256: "0".repeat(64),
        format: OutputFormat::Mp4,
        size: (4, 4),
        frames: 10,
        notes: Vec::new(),
        destination: None,
    });
    record
}

/// The plan of a video of two batches.
fn plan() -> PlanSummary {
    PlanSummary {
        number: 0,
        kind: SourceKind::Video,
        class: ClassName::default(),
        pipeline: "pipeline".to_owned(),
        batches: 2,
        frames: 10,
        batch_seconds: 5.0,
        source_size: (2, 2),
        target_size: (4, 4),
        seconds: 1.0,
        format: OutputFormat::Mp4,
        notes: Vec::new(),
        exact: false,
        has_sound: false,
        fingerprint: None,
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let waited = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waited).await;
    assert!(waited.is_ok(), "it never came: {what}");
}
