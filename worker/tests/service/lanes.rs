//! Who has the engine, and who has the worker to itself.

use std::time::Duration;

use clearfleet_common::job::{Event, Outcome, Topic};
use clearfleet_common::queue::Queue;
use clearfleet_common::storage::KeyPrefix;

use crate::script::{Asked, Script};
use crate::world::{PHOTO, World, batch, bulk, clip, interactive, plan_key};

const CLIP: &str = "h264_10bits.mp4";

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_waits_for_two_frames_of_a_film_at_most() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let _worker = world.worker(script.builder()).await;
    let (record, _) = world.planned(&clip).await;
    for number in 0..3 {
        world.publish(bulk(), &batch(&record, number)).await;
    }
    script.let_on(4);
    script.until(|asked| asked.len() == 6).await;
    let (_, photo) = world.photo().await;
    world.publish(interactive(), &photo).await;
    script.until(|asked| asked.contains(&Asked::Open(PHOTO))).await;
    script.open();
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(matches!(world.report().await.outcome, Outcome::Finished { .. }));
    }
    let log = script.log();
    let at = |asked| log.iter().position(|entry| *entry == asked).unwrap();
    let between = at(Asked::Frame(PHOTO)) - at(Asked::Open(PHOTO)) - 1;
    assert!(between <= 2, "the photo waited for {between} frames: {log:?}");
    assert_eq!(order, [true, false, false, false]);
}

/// A batch that somebody waits for comes before a film's others, frame by frame, and is as whole as they are.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_the_interactive_lane_overtakes_those_of_the_other() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let worker = world.worker(script.builder()).await;
    let (record, _) = world.planned(&clip).await;
    world.publish(bulk(), &batch(&record, 0)).await;
    world.publish(bulk(), &batch(&record, 1)).await;
    // Two frames of the first are done, and the third is at the engine.
    script.let_on(2);
    script.until(|asked| asked.len() == 4).await;
    let watched = batch(&record, 2);
    world.publish(interactive(), &watched).await;
    // Its first frame goes into the third one's pause.
    script.until(|asked| asked.len() == 6).await;
    // The engine is slower than the decoder, and stops before a film whose frames came as often could end its batch.
    for _ in 0..17 {
        script.let_on(1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let first = world.report().await;
    assert_eq!((first.task, first.outcome), (watched, Outcome::BatchDone));
    script.open();
    for number in 0..2 {
        let report = world.report().await;
        assert_eq!(
            (report.task, report.outcome),
            (batch(&record, number), Outcome::BatchDone)
        );
    }
    let markers = world.listed(KeyPrefix::Markers(plan_key(&record))).await;
    let segments = world.listed(KeyPrefix::Segments(plan_key(&record))).await;
    assert_eq!((markers.len(), segments.len()), (3, 3));
    worker.drain(Duration::from_secs(5)).await;
    assert!(world.nothing_reported());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_wants_to_be_alone_is() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let _worker = world.worker(script.builder()).await;
    let (record, _) = world.planned(&clip).await;
    world.publish(bulk(), &batch(&record, 0)).await;
    script.until(|asked| asked.len() == 2).await;
    let (_, mut alone) = world.photo().await;
    alone.alone = true;
    world.publish(interactive(), &alone).await;
    world.announced(|said| said.holds.contains(&alone)).await;
    // Nothing is taken beside it any more, though both lanes have something.
    let (_, other) = world.photo().await;
    world.publish(interactive(), &other).await;
    world.publish(bulk(), &batch(&record, 1)).await;
    let mut events = world.queue.listen(&[Topic::Workers]).await.unwrap();
    script.open();
    let mut reported = Vec::new();
    for _ in 0..4 {
        reported.push(world.report().await.task);
    }
    assert_eq!(reported[..2], [batch(&record, 0), alone.clone()]);
    let mut seen = false;
    while !seen {
        if let Ok(Event::Announced(said)) = serde_json::from_slice(&events.next().await.unwrap()) {
            assert!(
                !said.holds.contains(&alone)
                    || said
                        .holds
                        .iter()
                        .all(|task| *task == alone || *task == batch(&record, 0))
            );
            seen = said.holds.is_empty();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_both_lanes_takes_nothing_beside_it_either() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let _worker = world.worker(script.builder()).await;
    let (record, _) = world.planned(&clip).await;
    let (_, mut alone) = world.photo().await;
    alone.alone = true;
    world.publish(interactive(), &alone).await;
    script.until(|asked| asked.len() == 2).await;
    world.announced(|said| said.holds.contains(&alone)).await;
    world.publish(bulk(), &batch(&record, 0)).await;
    // What is said next, at the latest when it is time again.
    let said = world.announced(|_| true).await;
    assert_eq!(said.holds, [alone.clone()]);
    script.open();
    assert_eq!(world.report().await.task, alone);
    assert_eq!(world.report().await.outcome, Outcome::BatchDone);
}
