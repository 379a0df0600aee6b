use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::job::{Event, State};
use clearfleet_common::queue::{MemoryQueue, Queue};
use clearfleet_common::storage::{ObjectKey, Storage};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::records::{Query, Records};
use crate::testing::until;
use clearfleet_common::storage::embedded::ScratchStore;

/// Two processes that follow one store.
struct World {
    _store: ScratchStore,
    storage: Storage,
    queue: MemoryQueue,
    stop: CancellationToken,
}

impl World {
    async fn new() -> Self {
        let store = ScratchStore::start().await.unwrap();
        Self {
            storage: Storage::connect(&store.config()).await.unwrap(),
            _store: store,
            queue: MemoryQueue::new(),
            stop: CancellationToken::new(),
        }
    }

    async fn process(&self) -> Arc<Records> {
        let records = Records::new(self.storage.clone());
        let queue: Arc<dyn Queue> = Arc::new(self.queue.clone());
        tokio::spawn(Arc::clone(&records).follow(queue, self.stop.clone()));
        assert!(records.wait_loaded(Duration::from_secs(20)).await);
        until("it listens", async || records.is_listening()).await;
        records
    }

    async fn say(&self, job: JobId) {
        let event = Event::Changed { job, owner: alice() };
        self.queue
            .emit(event.topic(), serde_json::to_vec(&event).unwrap().into())
            .await
            .unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn ids(records: &Records) -> Vec<JobId> {
    let page = records.page(alice(), &Query::new("", 100));
    page.jobs.iter().map(|snapshot| snapshot.record.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_at_the_start_is_read_and_what_happens_is_heard() {
    let world = World::new().await;
    let (first, second) = (JobId::new(), JobId::new());
    let version = world
        .storage
        .create_record(&record(alice(), first, "a", 1))
        .await
        .unwrap()
        .unwrap();
    let records = world.process().await;
    assert_eq!(ids(&records), [first]);

    world
        .storage
        .create_record(&record(alice(), second, "b", 2))
        .await
        .unwrap()
        .unwrap();
    world.say(second).await;
    until("both are known", async || ids(&records).len() == 2).await;

    let mut watch = records.watch(first).unwrap();
    let mut changed = record(alice(), first, "a", 1);
    changed.state = State::Running;
    world.storage.replace_record(&changed, &version).await.unwrap().unwrap();
    world.say(first).await;
    let seen = tokio::time::timeout(Duration::from_secs(20), watch.changed()).await;
    seen.unwrap().unwrap();
    assert_eq!(watch.borrow().record.state, State::Running);

    world
        .storage
        .delete(&ObjectKey::Record(alice(), first).to_string())
        .await
        .unwrap();
    world.say(first).await;
    until("one is gone", async || ids(&records) == [second]).await;
    assert!(
        watch.changed().await.is_err(),
        "who watches a deleted job hears that it is gone"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_event_told_is_found_by_the_next_list() {
    let world = World::new().await;
    let records = world.process().await;
    let (kept, gone) = (JobId::new(), JobId::new());
    for job in [kept, gone] {
        let written = record(alice(), job, "a", 1);
        let version = world.storage.create_record(&written).await.unwrap().unwrap();
        records.note(written, version);
    }
    let new = JobId::new();
    world
        .storage
        .create_record(&record(alice(), new, "b", 2))
        .await
        .unwrap();
    world
        .storage
        .delete(&ObjectKey::Record(alice(), gone).to_string())
        .await
        .unwrap();
    let garbage = ObjectKey::Record(alice(), JobId::new());
    world.storage.put(garbage, "{\"version\":99}".into()).await.unwrap();
    records.list().await.unwrap();
    assert_eq!(ids(&records), [new, kept]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_known_is_looked_for_and_only_as_the_owners() {
    let world = World::new().await;
    let records = world.process().await;
    let job = JobId::new();
    world
        .storage
        .create_record(&record(alice(), job, "a", 1))
        .await
        .unwrap();
    assert!(records.find(bob(), job).await.unwrap().is_none());
    assert_eq!(records.find(alice(), job).await.unwrap().unwrap().record.id, job);
    assert!(records.find(bob(), job).await.unwrap().is_none());
    assert!(records.known(bob(), job).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_comes_back_is_heard_again() {
    let world = World::new().await;
    let records = world.process().await;
    world.queue.go_down();
    until("it has lost the queue", async || !records.is_listening()).await;
    world.queue.come_up();
    until("it listens", async || records.is_listening()).await;
    let job = JobId::new();
    world
        .storage
        .create_record(&record(alice(), job, "a", 1))
        .await
        .unwrap();
    world.say(job).await;
    until("the job is known", async || ids(&records) == [job]).await;
}
