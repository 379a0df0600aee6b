//! A store, a queue, and a scheduler's hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clearfleet_common::config::Limits;
use clearfleet_common::job::{
    Announcement, ClassName, ControlMessage, Event, JobId, Lane, Outcome, OwnerId, PlanSummary, PlannedFor, Priority,
    Record, Report, Request, Settings, Source, SourceKind, SourceLocation, State, Step, Stretch, Task, Topic,
};
use clearfleet_common::queue::{Consumer, Listener, MemoryQueue, Queue, QueueName, StartLog};
use clearfleet_common::storage::embedded::ScratchStore;
use clearfleet_common::storage::{KeyPrefix, Listed, ObjectKey, PlanKey, Storage};
use clearfleet_worker::media::codec::Ffmpeg;
use clearfleet_worker::service::{EngineBuilder, Worker, WorkerConfig, WorkerHandle};
use futures::TryStreamExt;
use jiff::Timestamp;
use vdsr::{Size, Weights};

use crate::script::Script;

/// No wait of a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Width and height of the photo that tests send.
pub(crate) const PHOTO: Size = Size { width: 30, height: 20 };

pub(crate) struct World {
    pub(crate) storage: Storage,
    pub(crate) queue: MemoryQueue,
    /// Frames in a batch of the plans that its workers make.
    pub(crate) batch_frames: u64,
    control: Box<dyn Consumer>,
    events: Box<dyn Listener>,
    scratch: tempfile::TempDir,
    starts: Arc<StartLog>,
    _store: ScratchStore,
}

impl World {
    pub(crate) async fn new() -> Self {
        let store = ScratchStore::start().await.unwrap();
        let queue = MemoryQueue::new();
        let scratch = tempfile::tempdir().unwrap();
        Self {
            storage: Storage::connect(&store.config()).await.unwrap(),
            control: queue.consume(QueueName::Control).await.unwrap(),
            events: queue.listen(&[Topic::Workers]).await.unwrap(),
            queue,
            batch_frames: 10,
            starts: Arc::new(StartLog::open(scratch.path().join("starts")).unwrap()),
            scratch,
            _store: store,
        }
    }

    pub(crate) async fn worker(&self, engine: EngineBuilder) -> WorkerHandle {
        let config = WorkerConfig {
            class: ClassName::default(),
            lanes: vec![Lane::Interactive, Lane::Bulk],
            media: true,
            engine,
            codec: Arc::new(Ffmpeg),
            weights: Weights::embedded().unwrap(),
            device: "test".to_owned(),
            pixels_per_second: 1e6,
            batch_frames: Some(self.batch_frames),
            limits: Limits::default(),
            scratch: self.scratch.path().to_owned(),
            metrics: Arc::default(),
            starts: Some(Arc::clone(&self.starts)),
        };
        Worker::start(config, self.storage.clone(), Arc::new(self.queue.clone()))
            .await
            .unwrap()
    }

    /// A job whose source is stored, in a state in which nothing is published yet.
    pub(crate) async fn job(&self, name: &str, source: Vec<u8>, kind: SourceKind) -> Record {
        let id = JobId::new();
        let bytes = source.len() as u64;
        let version = self.storage.put(ObjectKey::Source(id), source.into()).await.unwrap();
        let request = Request {
            name: name.to_owned(),
            kind,
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
            bytes,
            etag: version.as_str().to_owned(),
            content_type: "application/octet-stream".to_owned(),
        };
        let record = Record::new(id, OwnerId::default(), request, source, Timestamp::now());
        self.storage.create_record(&record).await.unwrap().unwrap();
        record
    }

    /// Changes a record as the scheduler does: what was published before does not count.
    pub(crate) async fn change(&self, record: &mut Record, change: impl Fn(&mut Record)) {
        let changed = self.storage.update_record(record.owner, record.id, |record| {
            change(record);
            record.generation += 1;
            Ok::<_, ()>(true)
        });
        *record = changed.await.unwrap().unwrap().unwrap().0;
        let event = Event::Changed {
            job: record.id,
            owner: record.owner,
        };
        self.queue
            .emit(event.topic(), serde_json::to_vec(&event).unwrap().into())
            .await
            .unwrap();
    }

    pub(crate) async fn publish(&self, queue: QueueName, task: &Task) {
        self.queue
            .publish(queue, serde_json::to_vec(task).unwrap().into())
            .await
            .unwrap();
    }

    /// Takes messages again after the queue went away.
    pub(crate) async fn reconnect(&mut self) {
        self.control = self.queue.consume(QueueName::Control).await.unwrap();
        self.events = self.queue.listen(&[Topic::Workers]).await.unwrap();
    }

    /// The next report.
    pub(crate) async fn report(&mut self) -> Report {
        match serde_json::from_slice(&self.letter().await.body).unwrap() {
            ControlMessage::Report(report) => report,
            other => panic!("{other:?}"),
        }
    }

    /// The next message to the scheduler.
    pub(crate) async fn letter(&mut self) -> Letter {
        let delivery = tokio::time::timeout(PATIENCE, self.control.next())
            .await
            .expect("no report")
            .unwrap();
        let (body, dead_from) = (delivery.body.clone(), delivery.dead_from.clone());
        delivery.acknowledge().await.unwrap();
        Letter { body, dead_from }
    }

    /// Whether nobody has reported anything that was not read.
    pub(crate) fn nothing_reported(&self) -> bool {
        self.queue.messages(QueueName::Control) == 0
    }

    /// Waits for an announcement that fits.
    pub(crate) async fn announced(&mut self, mut fits: impl FnMut(&Announcement) -> bool) -> Announcement {
        let heard = async {
            loop {
                if let Ok(Event::Announced(said)) = serde_json::from_slice(&self.events.next().await.unwrap())
                    && fits(&said)
                {
                    return said;
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard)
            .await
            .expect("no such announcement")
    }

    /// Lets an engine into the first of two batches until the second is held too, which is asked for before a frame at
    /// which all of the first are decoded.
    pub(crate) async fn hold_two(&mut self, script: &Script) {
        script.let_on(3);
        for _ in 0..5 {
            let both = self.announced(|said| said.holds.len() == 2);
            if tokio::time::timeout(Duration::from_secs(1), both).await.is_ok() {
                return;
            }
            script.let_on(1);
        }
        panic!("the second batch was not asked for");
    }

    /// Plans a film: the record is running when this returns, and nothing of it is published.
    pub(crate) async fn planned(&mut self, clip: &Path) -> (Record, PlanSummary) {
        self.planned_as(clip, Settings::default()).await
    }

    /// The same for other settings.
    pub(crate) async fn planned_as(&mut self, clip: &Path, settings: Settings) -> (Record, PlanSummary) {
        let name = clip.file_name().unwrap().to_string_lossy().into_owned();
        let mut record = self.job(&name, std::fs::read(clip).unwrap(), SourceKind::Video).await;
        self.change(&mut record, |record| {
            record.request.settings = settings.clone();
            record.state = State::Planning;
            record.next_plan = 1;
            record.planned_for = Some(PlannedFor {
                kind: SourceKind::Video,
                turns: 0,
                bulk: false,
                exact: false,
                fingerprint: None,
                pixels_per_second: 1e6,
            });
        })
        .await;
        let task = task(&record, Step::Plan { plan: 0, exact: false });
        self.publish(QueueName::Media, &task).await;
        let Outcome::Planned(summary) = self.report().await.outcome else {
            panic!("no plan");
        };
        self.change(&mut record, |record| {
            record.state = State::Running;
            record.plan = Some(summary.clone());
        })
        .await;
        (record, summary)
    }

    /// A photo's job and its task.
    pub(crate) async fn photo(&self) -> (Record, Task) {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let pixels = image::RgbImage::from_fn(PHOTO.width, PHOTO.height, |x, y| image::Rgb([x as u8, y as u8, 99]));
        pixels.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        let mut record = self.job("photo.png", bytes.into_inner(), SourceKind::Picture).await;
        self.change(&mut record, |record| record.state = State::Running).await;
        let task = task(&record, Step::Picture { plan: 0 });
        (record, task)
    }

    pub(crate) async fn listed(&self, prefix: KeyPrefix) -> Vec<Listed> {
        self.storage.list(prefix).try_collect().await.unwrap()
    }

    /// Waits until a queue has this many messages, those that are held included.
    pub(crate) async fn until_messages(&self, queue: QueueName, count: usize) {
        let reached = async {
            while self.queue.messages(queue) != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, reached).await;
        found.unwrap_or_else(|_| panic!("{queue} has {} messages", self.queue.messages(queue)));
    }
}

/// A message to the scheduler, acknowledged.
pub(crate) struct Letter {
    pub(crate) body: Bytes,
    pub(crate) dead_from: Option<String>,
}

pub(crate) fn bulk() -> QueueName {
    QueueName::Work(Lane::Bulk, ClassName::default())
}

pub(crate) fn interactive() -> QueueName {
    QueueName::Work(Lane::Interactive, ClassName::default())
}

pub(crate) fn task(record: &Record, step: Step) -> Task {
    Task::new(record.id, record.owner, record.generation, step)
}

pub(crate) fn batch(record: &Record, batch: u64) -> Task {
    task(record, Step::Upscale { plan: 0, batch })
}

pub(crate) fn plan_key(record: &Record) -> PlanKey {
    PlanKey {
        job: record.id,
        plan: 0,
    }
}

/// A shared clip, or nothing where they are not beside the repository.
pub(crate) fn clip(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("CLEARFLEET_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"));
    let clip = shared.join("clips/good").join(name);
    if clip.is_file() {
        return Some(clip);
    }
    println!("skipped: {} is not there", clip.display());
    None
}
