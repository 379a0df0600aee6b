//! The shell over a real store and a queue in memory, with a worker that does nothing but say that it is done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use clearfleet_common::job::{
    Announcement, ClassName, Command, ControlMessage, Event, FORMAT_VERSION, IllegalCommand, JobId, JobResult, Lane,
    Outcome, OutputFormat, OwnerId, PlanSummary, Priority, Record, Report, Request, Serves, Settings, Source,
    SourceKind, SourceLocation, State, Step, Stretch, Task, Topic, WorkerId,
};
use clearfleet_common::queue::{Delivery, MemoryQueue, Queue, QueueName};
use clearfleet_common::schedule::Rules;
use clearfleet_common::storage::embedded::ScratchStore;
use clearfleet_common::storage::{ObjectKey, PlanKey, Storage};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{SchedulerView, Shell};
use crate::records::Records;
use crate::testing::until;

/// Batches of the film.
const BATCHES: u64 = 3;
/// What takes longer than this does not happen.
const LONG: Duration = Duration::from_secs(60);

/// The design's rules, a minute in half a second.
fn rules() -> Rules {
    Rules {
        listen: Duration::from_millis(300),
        silence: Duration::from_millis(500),
        stall: Duration::from_millis(1000),
        relist: Duration::from_millis(500),
        ..Rules::default()
    }
}

struct World {
    storage: Storage,
    queue: MemoryQueue,
    _store: ScratchStore,
}

/// A running shell.
struct Running {
    stop: CancellationToken,
    view: SchedulerView,
    task: JoinHandle<()>,
}

impl Running {
    /// Waits until a worker was heard: what is planned before is planned for none of a known kind.
    async fn hears_a_worker(&self) {
        until("a worker is heard", async || !self.view.live_workers().is_empty()).await;
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// A film's record, which nobody has planned for.
pub(super) fn film() -> Record {
    let id = JobId::new();
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
        location: SourceLocation::Job(id),
        bytes: 1,
        etag: "\"1\"".to_owned(),
        content_type: "video/mp4".to_owned(),
    };
    Record::new(id, OwnerId::default(), request, source, Timestamp::now())
}

impl World {
    async fn new() -> Self {
        let store = ScratchStore::start().await.unwrap();
        Self {
            storage: Storage::connect(&store.config()).await.unwrap(),
            queue: MemoryQueue::new(),
            _store: store,
        }
    }

    fn start(&self) -> Running {
        let queue: Arc<dyn Queue> = Arc::new(self.queue.clone());
        let shell = Shell::new(self.storage.clone(), queue, Records::new(self.storage.clone()), rules());
        let stop = CancellationToken::new();
        Running {
            view: shell.view(),
            task: tokio::spawn(shell.run(stop.clone())),
            stop,
        }
    }

    /// Makes a film's record; nobody is told.
    async fn film(&self) -> JobId {
        let record = film();
        self.storage.create_record(&record).await.unwrap();
        record.id
    }

    async fn hint(&self, job: JobId) {
        let owner = OwnerId::default();
        let body = json(&ControlMessage::Look { job, owner });
        self.queue.publish(QueueName::Control, body).await.unwrap();
    }

    async fn want(&self, job: JobId, command: Command) {
        let want = |record: &mut Record| record.want(command).map(|()| true);
        let wanted: Result<_, IllegalCommand> =
            self.storage.update_record(OwnerId::default(), job, want).await.unwrap();
        wanted.unwrap().unwrap();
    }

    async fn record(&self, job: JobId) -> Record {
        self.storage.record(OwnerId::default(), job).await.unwrap().unwrap().0
    }

    async fn is_active(&self, job: JobId) -> bool {
        self.storage.get(ObjectKey::Active(job)).await.unwrap().is_some()
    }

    /// Waits until the job has ended as it should, its key below `active/` gone.
    async fn ends(&self, job: JobId, state: State) -> Record {
        let ended = async {
            loop {
                let record = self.record(job).await;
                if record.state.is_ended() && !self.is_active(job).await {
                    return record;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let Ok(record) = tokio::time::timeout(LONG, ended).await else {
            panic!("it does not end: {:#?}", self.record(job).await);
        };
        assert_eq!(record.state, state, "{record:#?}");
        record
    }
}

fn json(message: &impl Serialize) -> Bytes {
    serde_json::to_vec(message).unwrap().into()
}

/// A worker that says that everything is done, and counts what it made.
struct Worker {
    made: Arc<Mutex<BTreeMap<u64, u32>>>,
    /// How many batches it may make; it waits for leave to make more.
    leave: watch::Sender<usize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Worker {
    /// Starts one that may make `leave` batches.
    fn start(world: &World, leave: usize) -> Self {
        let made = Arc::new(Mutex::new(BTreeMap::new()));
        let held = Arc::new(Mutex::new(Vec::new()));
        let (leave, may) = watch::channel(leave);
        let class = ClassName::default();
        let queues = [QueueName::Media, QueueName::Work(Lane::Bulk, class)];
        let mut tasks: Vec<_> = queues
            .into_iter()
            .map(|name| {
                let (queue, storage) = (world.queue.clone(), world.storage.clone());
                let (made, held, may) = (Arc::clone(&made), Arc::clone(&held), may.clone());
                tokio::spawn(async move {
                    loop {
                        // A broker that was wiped is consumed anew.
                        let Ok(mut consumer) = queue.consume(name).await else {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                            continue;
                        };
                        while let Ok(delivery) = consumer.next().await {
                            work(&queue, &storage, delivery, (&made, &held), may.clone()).await;
                        }
                    }
                })
            })
            .collect();
        let queue = world.queue.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                let announcement = Announcement {
                    worker: WorkerId::new("w"),
                    class,
                    fingerprint: "f".to_owned(),
                    device: "cpu".to_owned(),
                    pixels_per_second: 1e6,
                    holds: held.lock().unwrap().clone(),
                    draining: false,
                    serves: Serves::default(),
                    audits: true,
                    distrusted: false,
                };
                // Nobody hears it while the broker is away; the next one they do.
                let _ = queue.emit(Topic::Workers, json(&Event::Announced(announcement))).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }));
        Self { made, leave, tasks }
    }

    fn made(&self) -> BTreeMap<u64, u32> {
        self.made.lock().unwrap().clone()
    }

    /// Waits until it has made this many batches.
    async fn has_made(&self, batches: usize) {
        let made = async {
            while self.made().len() < batches {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LONG, made).await.expect("batches are made");
    }
}

type Books<'a> = (&'a Mutex<BTreeMap<u64, u32>>, &'a Mutex<Vec<Task>>);

/// What a worker does on a delivery, the pictures left out.
async fn work(
    queue: &MemoryQueue,
    storage: &Storage,
    delivery: Delivery,
    (made, held): Books<'_>,
    mut may: watch::Receiver<usize>,
) {
    let task: Task = serde_json::from_slice(&delivery.body).unwrap();
    let record = storage
        .record(task.owner, task.job)
        .await
        .unwrap()
        .map(|(record, _)| record);
    let Some(record) = record.filter(|record| record.generation == task.generation) else {
        delivery.acknowledge().await.unwrap();
        return;
    };
    held.lock().unwrap().push(task.clone());
    let outcome = match task.step {
        Step::Plan { plan, .. } => Outcome::Planned(summary(plan, &record)),
        Step::Upscale { plan, batch } => {
            let is_allowed = |leave: &usize| made.lock().unwrap().len() < *leave;
            may.wait_for(is_allowed).await.unwrap();
            let marker = ObjectKey::Marker(PlanKey { job: task.job, plan }, batch);
            storage.create(marker, Bytes::from_static(b"{}")).await.unwrap();
            *made.lock().unwrap().entry(batch).or_default() += 1;
            Outcome::BatchDone
        }
        Step::Audit { .. } | Step::Sound { .. } => Outcome::Returned,
        Step::Assemble { plan } | Step::Picture { plan } => Outcome::Finished {
            result: JobResult {
                key: "result".to_owned(),
                plan,
                bytes: 1,
                sha256: String::new(),
                format: OutputFormat::Mp4,
                size: (32, 32),
                frames: 30,
                notes: Vec::new(),
                destination: None,
            },
            plan: None,
        },
    };
    let report = Report {
        version: FORMAT_VERSION,
        worker: WorkerId::new("w"),
        task: task.clone(),
        outcome,
        held_seconds: None,
    };
    let body = json(&ControlMessage::Report(report));
    while queue.publish(QueueName::Control, body.clone()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    held.lock().unwrap().retain(|other| *other != task);
    // If the broker was wiped meanwhile, there is nothing to acknowledge any more.
    let _ = delivery.acknowledge().await;
}

fn summary(number: u32, record: &Record) -> PlanSummary {
    PlanSummary {
        number,
        kind: SourceKind::Video,
        class: record.request.class,
        pipeline: "p".to_owned(),
        batches: BATCHES,
        frames: 30,
        batch_seconds: 1.0,
        source_size: (16, 16),
        target_size: (32, 32),
        seconds: 1.0,
        format: OutputFormat::Mp4,
        notes: Vec::new(),
        exact: false,
        has_sound: false,
        fingerprint: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_is_done_from_its_hint_to_its_end() {
    let world = World::new().await;
    let shell = world.start();
    let worker = Worker::start(&world, 3);
    shell.hears_a_worker().await;
    let job = world.film().await;
    world.hint(job).await;
    let record = world.ends(job, State::Done).await;
    assert_eq!(
        record.result.map(|result| result.plan),
        record.plan.map(|plan| plan.number)
    );
    assert_eq!(worker.made(), BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
    assert!(shell.view.is_active());
    assert_eq!(shell.view.live_workers().len(), 1);
    // What the class can do is written down for those who plan before a worker lives.
    let key = ObjectKey::Class(ClassName::default());
    until("the class is written down", async || {
        world.storage.get(key).await.unwrap().is_some()
    })
    .await;
    let class = world.storage.get(key).await.unwrap().unwrap();
    let class: serde_json::Value = serde_json::from_slice(&class.body).unwrap();
    assert_eq!(
        (&class["fingerprint"], &class["pixels_per_second"]),
        (&"f".into(), &1e6.into())
    );
    shell.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_newer_build_is_dropped_and_the_next_is_heard() {
    let world = World::new().await;
    let shell = world.start();
    let _worker = Worker::start(&world, 3);
    shell.hears_a_worker().await;
    let newer = Bytes::from_static(br#"{"message":"unheard_of","job":7}"#);
    world.queue.publish(QueueName::Control, newer).await.unwrap();
    let job = world.film().await;
    world.hint(job).await;
    world.ends(job, State::Done).await;
    until("nothing comes again", async || {
        world.queue.messages(QueueName::Control) == 0
    })
    .await;
    shell.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_shell_goes_on_where_one_ended_and_does_nothing_twice() {
    let world = World::new().await;
    let shell = world.start();
    let worker = Worker::start(&world, 1);
    shell.hears_a_worker().await;
    let job = world.film().await;
    world.hint(job).await;
    worker.has_made(1).await;
    shell.end().await;
    drop(worker);
    // All that was published is lost, and so is the worker's report.
    world.queue.wipe();
    let generation = world.record(job).await.generation;
    let shell = world.start();
    let worker = Worker::start(&world, 3);
    let record = world.ends(job, State::Done).await;
    assert!(record.generation > generation);
    assert_eq!(worker.made(), BTreeMap::from([(1, 1), (2, 1)]));
    shell.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_broker_is_found_out_and_what_is_held_is_not_done_twice() {
    let world = World::new().await;
    let shell = world.start();
    let worker = Worker::start(&world, 1);
    shell.hears_a_worker().await;
    let job = world.film().await;
    world.hint(job).await;
    worker.has_made(1).await;
    world.queue.wipe();
    worker.leave.send(3).unwrap();
    world.ends(job, State::Done).await;
    assert_eq!(worker.made(), BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
    shell.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_hints_at_is_found() {
    let world = World::new().await;
    let shell = world.start();
    let worker = Worker::start(&world, 0);
    let job = world.film().await;
    let begun = async {
        while world.record(job).await.state != State::Running {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, begun).await.expect("it begins");
    assert_eq!(shell.view.classes()[0].jobs, 1);
    world.want(job, Command::Cancel).await;
    world.ends(job, State::Cancelled).await;
    assert_eq!(worker.made(), BTreeMap::new());
    shell.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_shells_one_is_active_and_the_other_takes_over() {
    let world = World::new().await;
    let (one, other) = (world.start(), world.start());
    let one_is_active = async {
        loop {
            let active = (one.view.is_active(), other.view.is_active());
            if active.0 != active.1 {
                return active.0;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let first = tokio::time::timeout(LONG, one_is_active).await.expect("one is active");
    let (active, passive) = if first { (one, other) } else { (other, one) };
    active.end().await;
    let taken_over = async {
        while !passive.view.is_active() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, taken_over)
        .await
        .expect("the other takes over");
    passive.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_of_a_cancelled_upload_is_deleted() {
    let world = World::new().await;
    let mut record = film();
    (record.state, record.source.etag) = (State::Uploading, String::new());
    let job = record.id;
    world.storage.begin_upload((record.owner, job), 100, "").await.unwrap();
    world.storage.create_record(&record).await.unwrap();
    let running = world.start();
    world.want(job, Command::Cancel).await;
    world.hint(job).await;
    world.ends(job, State::Cancelled).await;
    until("its upload is gone", async || {
        world.storage.upload(job).await.unwrap().is_none()
    })
    .await;
    running.end().await;
}
