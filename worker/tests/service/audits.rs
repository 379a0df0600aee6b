//! Batches that are computed again, and what becomes of a worker that makes wrong ones.

use std::process::{Command, Stdio};

use clearfleet_common::job::{
    Audited, Codec, Event, Marker, Outcome, OutputFormat, Record, Report, Settings, State, Step, Task, WorkerId,
};
use clearfleet_common::queue::Queue;
use clearfleet_common::storage::{KeyPrefix, ObjectKey};
use clearfleet_worker::service::WorkerHandle;
use futures::TryStreamExt;
use uuid::Uuid;

use crate::script::{Script, bicubic};
use crate::world::{PATIENCE, World, batch, bulk, clip, plan_key, task};

const CLIP: &str = "h264_10bits.mp4";

fn audit(record: &Record) -> Task {
    let step = Step::Audit {
        plan: 0,
        batch: 0,
        attempt: 1,
    };
    task(record, step)
}

/// A film whose first batch was made by a worker, who is gone.
struct Made {
    world: World,
    record: Record,
    maker: WorkerId,
}

impl Made {
    /// Nothing where there are no clips. Frames can be compared to the bit.
    async fn new() -> Option<Self> {
        let (made, maker) = Self::with_its_maker().await?;
        maker.drain(PATIENCE).await;
        Some(made)
    }

    async fn with_its_maker() -> Option<(Self, WorkerHandle)> {
        let clip = clip(CLIP)?;
        let mut world = World::new().await;
        let worker = world.worker(bicubic()).await;
        let settings = Settings {
            format: Some(OutputFormat::Mkv),
            codec: Some(Codec::Ffv1),
            ..Settings::default()
        };
        let (record, _) = world.planned_as(&clip, settings).await;
        world.publish(bulk(), &batch(&record, 0)).await;
        assert_eq!(world.report().await.outcome, Outcome::BatchDone);
        let maker = worker.id().clone();
        Some((Self { world, record, maker }, worker))
    }

    fn marker_key(&self) -> ObjectKey {
        ObjectKey::Marker(plan_key(&self.record), 0)
    }

    async fn marker(&self) -> Marker {
        let stored = self.world.storage.get(self.marker_key()).await.unwrap().unwrap();
        serde_json::from_slice(&stored.body).unwrap()
    }

    /// The batch's segment, encoded again through a filter, takes its place.
    async fn encode_again(&self, filter: &str) {
        let mut marker = self.marker().await;
        let mut object = self.world.storage.read(&marker.segment, None, None).await.unwrap();
        let mut segment = Vec::new();
        while let Some(piece) = object.try_next().await.unwrap() {
            segment.extend_from_slice(&piece);
        }
        let again = ffmpeg(
            &[
                "-f", "nut", "-i", "pipe:0", "-vf", filter, "-c:v", "ffv1", "-g", "1", "-f", "nut",
            ],
            &segment,
        );
        assert!(again != segment);
        let key = ObjectKey::Segment(plan_key(&self.record), 0, Uuid::new_v4());
        self.world.storage.put(key, again.into()).await.unwrap();
        marker.segment = key.to_string();
        marker.sha256 = String::new();
        let body = serde_json::to_vec(&marker).unwrap();
        self.world.storage.put(self.marker_key(), body.into()).await.unwrap();
    }

    async fn audit(&mut self) -> Report {
        self.world.publish(bulk(), &audit(&self.record)).await;
        self.world.report().await
    }

    /// Keys of everything that is stored of the job.
    async fn stored(&self) -> Vec<String> {
        let listed = self.world.listed(KeyPrefix::Job(self.record.id)).await;
        listed.into_iter().map(|listed| listed.key).collect()
    }
}

/// What ffmpeg makes of some bytes.
fn ffmpeg(args: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(args)
        .arg("pipe:1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success());
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_another_worker_is_computed_again_and_nothing_is_stored() {
    let Some(mut made) = Made::new().await else { return };
    let before = made.stored().await;
    let auditor = made.world.worker(bicubic()).await;
    let report = made.audit().await;
    assert_eq!(report.outcome, Outcome::Audited(Audited::Equal));
    assert_eq!((&report.worker, made.stored().await), (auditor.id(), before));
    assert_eq!(made.marker().await.worker, made.maker.to_string());
}

/// Bytes of another encoder are no difference; one sample of one frame is.
#[tokio::test(flavor = "multi_thread")]
async fn frames_are_compared_and_not_how_they_are_encoded() {
    let Some(mut made) = Made::new().await else { return };
    let _auditor = made.world.worker(bicubic()).await;
    made.encode_again("null").await;
    assert_eq!(made.audit().await.outcome, Outcome::Audited(Audited::Equal));
    let wrong = "geq=lum='if(eq(X,5)*eq(Y,7)*eq(N,4),lum(X,Y)+1,lum(X,Y))':cb='cb(X,Y)':cr='cr(X,Y)'";
    made.encode_again(wrong).await;
    let mut found = Vec::new();
    for _ in 0..2 {
        let Outcome::Audited(difference) = made.audit().await.outcome else {
            panic!("an audit's outcome is another");
        };
        found.push(difference);
    }
    // What a third worker finds is comparable.
    assert_eq!(found[0], found[1]);
    let Audited::Different { made_by, stored, found } = &found[0] else {
        panic!("a wrong sample is not found: {found:?}");
    };
    assert_eq!(made_by, &made.maker);
    assert!(stored != found && stored.len() == 64, "{stored} {found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_made_a_batch_or_audited_it_before_does_not_audit_it() {
    let Some((mut made, maker)) = Made::with_its_maker().await else {
        return;
    };
    assert_eq!(made.audit().await.outcome, Outcome::Audited(Audited::Own));
    maker.drain(PATIENCE).await;
    let script = Script::gated();
    let other = made.world.worker(script.builder()).await;
    let not_again = Task {
        except: vec![other.id().clone()],
        ..audit(&made.record)
    };
    made.world.publish(bulk(), &not_again).await;
    assert_eq!(made.world.report().await.outcome, Outcome::Audited(Audited::Own));
    assert_eq!(script.frames(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_gone_also_under_an_audit() {
    let Some(mut made) = Made::new().await else { return };
    let script = Script::gated();
    let _auditor = made.world.worker(script.builder()).await;
    made.encode_again("null").await;
    made.world.publish(bulk(), &audit(&made.record)).await;
    script.until(|asked| !asked.is_empty()).await;
    let segment = made.marker().await.segment;
    made.world.storage.delete(&made.marker_key().to_string()).await.unwrap();
    made.world.storage.delete(&segment).await.unwrap();
    script.open();
    // It has read the marker by then, and finds no segment to compare with.
    assert_eq!(made.world.report().await.outcome, Outcome::Audited(Audited::Gone));
    assert_eq!(made.audit().await.outcome, Outcome::Audited(Audited::Gone));
    let record = ObjectKey::Record(made.record.owner, made.record.id);
    made.world.storage.delete(&record.to_string()).await.unwrap();
    assert_eq!(made.audit().await.outcome, Outcome::Audited(Audited::Gone));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_counts_whatever_its_job_does() {
    let Some(mut made) = Made::new().await else { return };
    let script = Script::gated();
    let _auditor = made.world.worker(script.builder()).await;
    let (audit, next) = (audit(&made.record), batch(&made.record, 1));
    made.world.publish(bulk(), &audit).await;
    made.world.announced(|said| said.holds == [audit.clone()]).await;
    let mut record = made.record.clone();
    made.world
        .change(&mut record, |record| record.state = State::Cancelled)
        .await;
    made.world.publish(bulk(), &next).await;
    script.open();
    assert_eq!(made.world.report().await.outcome, Outcome::Audited(Audited::Equal));
    made.world.until_messages(bulk(), 0).await;
    assert!(made.world.nothing_reported());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distrusted_worker_gives_back_what_it_has_and_takes_nothing_more() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let worker = world.worker(script.builder()).await;
    let (record, _) = world.planned(&clip).await;
    world.publish(bulk(), &batch(&record, 0)).await;
    script.until(|asked| !asked.is_empty()).await;
    let tell = async |world: &World, worker: &WorkerId| {
        let event = Event::Distrusted { worker: worker.clone() };
        world
            .queue
            .emit(event.topic(), serde_json::to_vec(&event).unwrap().into())
            .await
            .unwrap();
    };
    // That is somebody else's trouble.
    tell(&world, &WorkerId::new("another")).await;
    tell(&world, worker.id()).await;
    let report = world.report().await;
    assert_eq!((&report.worker, report.outcome), (worker.id(), Outcome::Returned));
    let said = world.announced(|said| said.distrusted && said.holds.is_empty()).await;
    assert!(said.draining);
    tokio::time::timeout(PATIENCE, worker.distrusted()).await.unwrap();
    world.publish(bulk(), &batch(&record, 1)).await;
    // Another worker gets what it leaves.
    let other = world.worker(bicubic()).await;
    let report = world.report().await;
    assert_eq!(&report.worker, other.id());
    worker.drain(PATIENCE).await;
}
