//! A film from its upload to its result, and photos.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::Stop;
use clearfleet_common::config::Limits;
use clearfleet_common::job::{Marker, ObjectAddress, Outcome, OutputFormat, Record, SourceKind, State, Step};
use clearfleet_common::queue::QueueName;
use clearfleet_common::storage::{KeyPrefix, ObjectKey, PlanKey};
use clearfleet_worker::media::serve::{FileSource, SourceServer};
use clearfleet_worker::verify::{VerifyRequest, verify};
use image::GenericImageView;
use sha2::{Digest, Sha256};

use crate::script::{Script, bicubic};
use crate::world::{World, batch, bulk, clip, interactive, plan_key, task};

const CLIP: &str = "h264_10bits.mp4";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_is_planned_upscaled_and_put_together() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let worker = world.worker(bicubic()).await;
    let (mut record, summary) = world.planned(&clip).await;
    assert_eq!(
        (summary.frames, summary.batches, summary.format),
        (30, 3, OutputFormat::Mp4)
    );
    assert_eq!(
        summary.target_size,
        (2 * summary.source_size.0, 2 * summary.source_size.1)
    );
    assert!((summary.seconds - 1.0).abs() < 0.05, "{}", summary.seconds);
    for number in 0..summary.batches {
        world.publish(bulk(), &batch(&record, number)).await;
    }
    let mut done = BTreeSet::new();
    while done.len() < 3 {
        let report = world.report().await;
        assert_eq!(report.outcome, Outcome::BatchDone);
        assert_eq!(&report.worker, worker.id());
        done.extend(report.task.step.batch());
    }
    let markers = world.listed(KeyPrefix::Markers(plan_key(&record))).await;
    assert_eq!(
        (
            markers.len(),
            world.listed(KeyPrefix::Segments(plan_key(&record))).await.len()
        ),
        (3, 3)
    );
    let marker = world
        .storage
        .get(ObjectKey::Marker(plan_key(&record), 1))
        .await
        .unwrap()
        .unwrap();
    let marker: Marker = serde_json::from_slice(&marker.body).unwrap();
    assert_eq!((marker.frames, marker.worker.as_str()), (10, worker.id().as_str()));

    world
        .change(&mut record, |record| record.state = State::Assembling)
        .await;
    world
        .publish(QueueName::Media, &task(&record, Step::Assemble { plan: 0 }))
        .await;
    let Outcome::Finished { result, plan: None } = world.report().await.outcome else {
        panic!("no result");
    };
    assert_eq!((result.frames, result.size, result.plan), (30, summary.target_size, 0));
    let (bytes, sha256) = stored(&world, &result.key).await;
    assert_eq!(
        (result.bytes, result.sha256.as_str()),
        (bytes.len() as u64, sha256.as_str())
    );
    let stat = world.storage.stat(&result.key).await.unwrap().unwrap();
    assert_eq!(stat.content_type, "video/mp4");
    holds(&clip, bytes).await;

    let thumbnail = world
        .storage
        .get(ObjectKey::Thumbnail(record.id))
        .await
        .unwrap()
        .unwrap();
    let thumbnail = image::load_from_memory(&thumbnail.body).unwrap();
    assert_eq!(
        thumbnail.width().max(thumbnail.height()),
        320.min(summary.source_size.0)
    );
    // One a batch, unless the one before was still being made.
    let pair = world
        .storage
        .get(ObjectKey::Pair(plan_key(&record), 0))
        .await
        .unwrap()
        .unwrap();
    let (width, height) = image::load_from_memory(&pair.body).unwrap().dimensions();
    assert_eq!(
        (width / 2, height),
        (summary.target_size.0.min(960), summary.target_size.1.min(720))
    );
    worker.drain(Duration::from_secs(5)).await;
    assert!(world.nothing_reported());
}

async fn stored(world: &World, key: &str) -> (Vec<u8>, String) {
    use futures::TryStreamExt;
    let object = world.storage.read(key, None, None).await.unwrap();
    let bytes: Vec<bytes::Bytes> = object.try_collect().await.unwrap();
    let bytes = bytes.concat();
    let digest = hex(&Sha256::digest(&bytes));
    (bytes, digest)
}

/// The check that shares nothing with the pipeline.
async fn holds(source: &std::path::Path, result: Vec<u8>) {
    let source = source.to_owned();
    let report = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        std::fs::write(&path, result).unwrap();
        let request = VerifyRequest {
            source: Arc::new(FileSource::open(&source).unwrap()),
            result: Arc::new(FileSource::open(&path).unwrap()),
            source_name: "source",
            result_name: "result",
            server: &SourceServer::start().unwrap(),
            limits: &Limits::default(),
            stop: &Stop::new(),
            stretch: Default::default(),
        };
        verify(&request).unwrap()
    });
    let report = report.await.unwrap();
    assert!(report.holds(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_one_plan_flow_through_one_line() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let worker = world.worker(script.builder()).await;
    let (record, _) = world.planned(&clip).await;
    world.publish(bulk(), &batch(&record, 0)).await;
    world.publish(bulk(), &batch(&record, 1)).await;
    // An engine that takes a while for a frame, and looks for the next batch before each.
    for _ in 0..20 {
        script.let_on(1);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for _ in 0..2 {
        assert_eq!(world.report().await.outcome, Outcome::BatchDone);
    }
    let opened = script.log().len() - script.frames();
    assert_eq!((opened, script.frames()), (1, 20));
    // A batch of another film is another line.
    let (other, _) = world.planned(&clip).await;
    world.publish(bulk(), &batch(&other, 2)).await;
    script.open();
    assert_eq!(world.report().await.outcome, Outcome::BatchDone);
    assert_eq!(script.log().len() - script.frames(), 2);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_is_one_task() {
    let mut world = World::new().await;
    let _worker = world.worker(bicubic()).await;
    let (record, photo) = world.photo().await;
    world.publish(interactive(), &photo).await;
    let Outcome::Finished {
        result,
        plan: Some(plan),
    } = world.report().await.outcome
    else {
        panic!("no result");
    };
    assert_eq!(
        (plan.kind, plan.frames, plan.source_size),
        (SourceKind::Picture, 1, (30, 20))
    );
    assert_eq!(
        (result.size, result.format, result.frames),
        ((60, 40), OutputFormat::Png, 1)
    );
    let (bytes, sha256) = stored(&world, &result.key).await;
    assert_eq!(sha256, result.sha256);
    assert_eq!(image::load_from_memory(&bytes).unwrap().dimensions(), (60, 40));
    assert!(
        world
            .storage
            .get(ObjectKey::Thumbnail(record.id))
            .await
            .unwrap()
            .is_some()
    );
    world.until_messages(interactive(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_is_no_picture_and_a_picture_is_no_film() {
    let Some(gif) = clip("animated.gif") else { return };
    let mut world = World::new().await;
    let _worker = world.worker(bicubic()).await;
    let mut record = world
        .job("animated.gif", std::fs::read(gif).unwrap(), SourceKind::Picture)
        .await;
    world.change(&mut record, |record| record.state = State::Running).await;
    world
        .publish(interactive(), &task(&record, Step::Picture { plan: 0 }))
        .await;
    assert_eq!(world.report().await.outcome, Outcome::IsVideo);
    let (mut record, _) = world.photo().await;
    world.change(&mut record, |record| record.state = State::Planning).await;
    world
        .publish(QueueName::Media, &task(&record, Step::Plan { plan: 1, exact: false }))
        .await;
    assert_eq!(world.report().await.outcome, Outcome::IsPicture);
}

/// What an operator's place gets is the result, and the result is there as ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_written_where_it_is_wanted_too() {
    let mut world = World::new().await;
    let _worker = world.worker(bicubic()).await;
    let films = world.storage.in_bucket("films");
    world
        .storage
        .client()
        .create_bucket()
        .bucket("films")
        .send()
        .await
        .unwrap();
    let (mut record, _) = world.photo().await;
    let to = |bucket: &str| ObjectAddress {
        bucket: bucket.to_owned(),
        key: "2026/photo large.png".to_owned(),
    };
    world
        .change(&mut record, |record| record.request.destination = Some(to("films")))
        .await;
    world
        .publish(interactive(), &task(&record, Step::Picture { plan: 0 }))
        .await;
    let Outcome::Finished { result, .. } = world.report().await.outcome else {
        panic!("no result");
    };
    assert_eq!(result.destination, Some(to("films")));
    let delivered = films.stat("2026/photo large.png").await.unwrap().unwrap();
    assert_eq!(
        (delivered.bytes, delivered.content_type.as_str()),
        (result.bytes, "image/png")
    );
    let object = films.read("2026/photo large.png", None, None).await.unwrap();
    let delivered: Vec<bytes::Bytes> = futures::TryStreamExt::try_collect(object).await.unwrap();
    assert_eq!(delivered.concat(), stored(&world, &result.key).await.0);

    world
        .change(&mut record, |record| record.request.destination = Some(to("nobodys")))
        .await;
    world
        .publish(interactive(), &task(&record, Step::Picture { plan: 1 }))
        .await;
    let Outcome::Failed { failure, .. } = world.report().await.outcome else {
        panic!("it was written nowhere");
    };
    assert!(
        failure.message.contains("s3://nobodys/2026/photo large.png"),
        "{failure:?}"
    );
    assert!(!failure.causes.is_empty(), "{failure:?}");
    let results = world.listed(KeyPrefix::Job(record.id)).await;
    let results = results.iter().filter(|listed| listed.key.contains("/results/"));
    assert_eq!(results.count(), 1, "what could not be delivered is no result");
}

/// A plan that makes the same of the same frames goes on from what an earlier one has done; one that makes something else
/// begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_plan_takes_over_what_would_be_made_again() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let _worker = world.worker(bicubic()).await;
    let (mut record, summary) = world.planned(&clip).await;
    for number in [0, 2] {
        world.publish(bulk(), &batch(&record, number)).await;
        assert_eq!(world.report().await.outcome, Outcome::BatchDone);
    }
    let (job, storage) = (record.id, world.storage.clone());
    let marker = async |plan: u32, batch: u64| {
        let key = PlanKey { job, plan };
        let stored = storage.get(ObjectKey::Marker(key, batch)).await.unwrap();
        stored.map(|stored| serde_json::from_slice::<Marker>(&stored.body).unwrap())
    };
    let (first, last) = (marker(0, 0).await, marker(0, 2).await);
    assert!(first.is_some() && last.is_some());
    let mut plan = async |record: &mut Record, number: u32, change: &dyn Fn(&mut Record)| {
        world
            .change(record, |record| {
                record.state = State::Planning;
                record.plan = None;
                record.next_plan = number + 1;
                change(record);
            })
            .await;
        let step = Step::Plan {
            plan: number,
            exact: false,
        };
        world.publish(QueueName::Media, &task(record, step)).await;
        match world.report().await.outcome {
            Outcome::Planned(summary) => summary,
            other => panic!("{other:?}"),
        }
    };
    let again = plan(&mut record, 1, &|_| {}).await;
    assert_eq!((again.batches, &again.pipeline), (summary.batches, &summary.pipeline));
    assert_eq!(
        (marker(1, 0).await, marker(1, 1).await, marker(1, 2).await),
        (first, None, last)
    );

    plan(&mut record, 2, &|record| record.request.settings.crf = Some(30)).await;
    assert_eq!((marker(2, 0).await, marker(2, 2).await), (None, None));
    // What is deleted, or about to be, is not built on.
    plan(&mut record, 3, &|record| {
        record.request.settings.crf = None;
        record.segments_gone = Some(3);
    })
    .await;
    assert_eq!((marker(3, 0).await, marker(3, 2).await), (None, None));
}
