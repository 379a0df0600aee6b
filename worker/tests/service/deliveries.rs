//! Every way in which a delivery needs no work, or cannot be worked on.

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Outcome, Plan, State, Step};
use clearfleet_common::queue::{Queue, QueueName};
use clearfleet_common::storage::{KeyPrefix, ObjectKey};

use crate::script::{Script, bicubic};
use crate::world::{World, batch, bulk, clip, plan_key, task};

const CLIP: &str = "h264_10bits.mp4";

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_marker_is_there_is_done_whatever_else_changed() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    script.open();
    let _worker = world.worker(script.builder()).await;
    let (mut record, _) = world.planned(&clip).await;
    let first = batch(&record, 0);
    world.publish(bulk(), &first).await;
    assert_eq!(world.report().await.outcome, Outcome::BatchDone);
    assert_eq!(script.frames(), 10);
    // Of an old generation, of a job that was cancelled since: the marker counts.
    world
        .change(&mut record, |record| record.state = State::Cancelled)
        .await;
    world.publish(bulk(), &first).await;
    let report = world.report().await;
    assert_eq!((report.outcome, report.task), (Outcome::BatchDone, first));
    world.until_messages(bulk(), 0).await;
    assert_eq!(script.frames(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_count_is_acknowledged_in_silence() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let _worker = world.worker(script.builder()).await;
    let (mut record, summary) = world.planned(&clip).await;
    let old = batch(&record, 0);
    // Another generation.
    world.change(&mut record, |_| {}).await;
    world.publish(bulk(), &old).await;
    world.until_messages(bulk(), 0).await;
    // Another plan.
    let mut other = summary.clone();
    other.number = 1;
    world
        .change(&mut record, |record| record.plan = Some(other.clone()))
        .await;
    world.publish(bulk(), &batch(&record, 0)).await;
    world.until_messages(bulk(), 0).await;
    // Another state.
    world.change(&mut record, |record| record.state = State::Paused).await;
    for step in [
        Step::Upscale { plan: 1, batch: 0 },
        Step::Assemble { plan: 1 },
        Step::Plan { plan: 2, exact: false },
    ] {
        world.publish(bulk(), &task(&record, step)).await;
        world.until_messages(bulk(), 0).await;
    }
    // No record at all.
    world
        .storage
        .delete(&ObjectKey::Record(record.owner, record.id).to_string())
        .await
        .unwrap();
    world.publish(bulk(), &batch(&record, 0)).await;
    world.until_messages(bulk(), 0).await;
    assert!(world.nothing_reported());
    assert_eq!(script.log(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_other_engines_is_left_to_them() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let planner = world.worker(bicubic()).await;
    let (record, _) = world.planned(&clip).await;
    drop(planner);
    let key = ObjectKey::Plan(plan_key(&record));
    let stored = world.storage.get(key).await.unwrap().unwrap();
    let mut plan: Plan = serde_json::from_slice(&stored.body).unwrap();
    plan.pipeline = "0".repeat(64);
    world
        .storage
        .put(key, serde_json::to_vec(&plan).unwrap().into())
        .await
        .unwrap();
    let script = Script::gated();
    let _worker = world.worker(script.builder()).await;
    world.publish(bulk(), &batch(&record, 0)).await;
    assert_eq!(world.report().await.outcome, Outcome::OtherFingerprint);
    world.until_messages(bulk(), 0).await;
    assert_eq!(script.log(), []);
    assert!(world.listed(KeyPrefix::Segments(plan_key(&record))).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_made_once() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let _worker = world.worker(bicubic()).await;
    let (record, summary) = world.planned(&clip).await;
    let key = ObjectKey::Plan(plan_key(&record)).to_string();
    let before = world.storage.stat(&key).await.unwrap().unwrap();
    // It comes again, and late.
    world
        .publish(QueueName::Media, &task(&record, Step::Plan { plan: 0, exact: false }))
        .await;
    assert_eq!(world.report().await.outcome, Outcome::Planned(summary));
    assert_eq!(world.storage.stat(&key).await.unwrap().unwrap().version, before.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planner_goes_on_where_another_ended() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let _worker = world.worker(bicubic()).await;
    let (mut record, summary) = world.planned(&clip).await;
    let ledgers = |plan: u32| {
        let key = clearfleet_common::storage::PlanKey { job: record.id, plan };
        (0..3).map(move |n| ObjectKey::Ledger(key, n))
    };
    // Its first ledger was written, for another rate: batches of 7.
    let first = world.storage.get(ledgers(0).next().unwrap()).await.unwrap().unwrap();
    let first = String::from_utf8(first.body.to_vec()).unwrap();
    let other = first
        .replace("\"range\":[0,10]", "\"range\":[0,7]")
        .replace(",10]]", ",7]]");
    assert_ne!(other, first);
    world
        .storage
        .put(ledgers(1).next().unwrap(), other.into())
        .await
        .unwrap();
    world.change(&mut record, |record| record.state = State::Planning).await;
    world
        .publish(QueueName::Media, &task(&record, Step::Plan { plan: 1, exact: false }))
        .await;
    let Outcome::Planned(again) = world.report().await.outcome else {
        panic!("no plan");
    };
    assert_eq!((again.number, again.batches, again.frames), (1, 5, summary.frames));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_becomes_a_dead_letter() {
    let mut world = World::new().await;
    let _worker = world.worker(bicubic()).await;
    let newer = br#"{"version":99,"step":"of tomorrow"}"#;
    world.queue.publish(bulk(), newer.to_vec().into()).await.unwrap();
    let letter = world.letter().await;
    assert_eq!(letter.dead_from, Some(bulk().to_string()));
    assert_eq!(&letter.body[..], newer);
    // And the worker takes what comes after it.
    let (_, photo) = world.photo().await;
    world.publish(bulk(), &photo).await;
    assert!(matches!(world.report().await.outcome, Outcome::Finished { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_replaced_is_not_read() {
    let mut world = World::new().await;
    let _worker = world.worker(bicubic()).await;
    let (record, photo) = world.photo().await;
    let version = world
        .storage
        .put(ObjectKey::Source(record.id), vec![7; 500].into())
        .await
        .unwrap();
    assert_ne!(version.as_str(), record.source.etag);
    world.publish(bulk(), &photo).await;
    let Outcome::Failed { failure, transient } = world.report().await.outcome else {
        panic!("a replaced source was read");
    };
    assert_eq!((failure.code, transient), (ErrorCode::InputUnreadable, false));
    assert_eq!(
        failure.causes,
        ["the source was replaced or deleted since the job was made"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_other_than_the_ledgers_are_reported_as_such() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let _worker = world.worker(bicubic()).await;
    let (record, _) = world.planned(&clip).await;
    let key = ObjectKey::Ledger(plan_key(&record), 1);
    let text = world.storage.get(key).await.unwrap().unwrap();
    let text = String::from_utf8(text.body.to_vec()).unwrap();
    // A frame one tick off. The lead comes first, in the same run.
    let (head, run) = text.split_once("\"runs\":[[512,").unwrap();
    let (count, rest) = run.split_once("]]").unwrap();
    let count: u64 = count.parse().unwrap();
    let other = format!("{head}\"runs\":[[512,{}],[513,1],[511,1]]{rest}", count - 2);
    world.storage.put(key, other.into()).await.unwrap();
    world.publish(bulk(), &batch(&record, 1)).await;
    let Outcome::LedgerMismatch(failure) = world.report().await.outcome else {
        panic!("other frames were taken");
    };
    assert_eq!((failure.code, failure.batch), (ErrorCode::FramesMismatch, Some(1)));
}
