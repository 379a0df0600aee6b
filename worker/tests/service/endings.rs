//! Work that ends before it is done: drained, cancelled, panicked, killed, or done twice.

use std::time::Duration;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Marker, Outcome, State, Task};
use clearfleet_common::storage::{KeyPrefix, ObjectKey};

use crate::script::{Script, bicubic};
use crate::world::{World, batch, bulk, clip, interactive, plan_key};

const CLIP: &str = "h264_10bits.mp4";

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_gives_back_what_it_cannot_finish() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let worker = world.worker(script.builder()).await;
    let (record, _) = world.planned(&clip).await;
    let id = worker.id().clone();
    for number in 0..3 {
        world.publish(bulk(), &batch(&record, number)).await;
    }
    world.hold_two(&script).await;
    worker.drain(Duration::from_secs(2)).await;
    let mut given_back = Vec::new();
    for _ in 0..2 {
        let report = world.report().await;
        assert_eq!((&report.outcome, &report.worker), (&Outcome::Returned, &id));
        given_back.extend(report.task.step.batch());
    }
    given_back.sort_unstable();
    assert_eq!(given_back, [0, 1]);
    // The third was never taken.
    world.until_messages(bulk(), 1).await;
    let last = world.announced(|said| said.draining && said.holds.is_empty()).await;
    assert_eq!(last.worker, id);
    assert!(world.listed(KeyPrefix::Segments(plan_key(&record))).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_it_can() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let worker = world.worker(script.builder()).await;
    let (record, _) = world.planned(&clip).await;
    world.publish(bulk(), &batch(&record, 0)).await;
    script.until(|asked| asked.len() == 2).await;
    let drained = tokio::spawn(worker.drain(Duration::from_secs(50)));
    world.announced(|said| said.draining).await;
    // What comes now is for others.
    world.publish(bulk(), &batch(&record, 1)).await;
    script.open();
    drained.await.unwrap();
    assert_eq!(world.report().await.outcome, Outcome::BatchDone);
    assert!(world.nothing_reported());
    world.until_messages(bulk(), 1).await;
    assert_eq!(script.frames(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_film_ends_within_a_frame() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let _worker = world.worker(script.builder()).await;
    let (mut record, _) = world.planned(&clip).await;
    world.publish(bulk(), &batch(&record, 0)).await;
    script.let_on(3);
    script.until(|asked| asked.len() == 5).await;
    world
        .change(&mut record, |record| record.state = State::Cancelled)
        .await;
    // The fourth frame never gets its permit, and still the task ends.
    world.until_messages(bulk(), 0).await;
    assert_eq!(script.frames(), 4);
    assert!(world.nothing_reported());
    assert!(world.listed(KeyPrefix::Segments(plan_key(&record))).await.is_empty());
    // And the engine is free for others.
    script.open();
    let (_, photo) = world.photo().await;
    world.publish(interactive(), &photo).await;
    assert!(matches!(world.report().await.outcome, Outcome::Finished { .. }));
}

/// What is held when the generation is raised is finished: whoever schedules then counts on it.
#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_when_a_scheduler_takes_over() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let _worker = world.worker(script.builder()).await;
    let (mut film, _) = world.planned(&clip).await;
    let of_before = batch(&film, 0);
    world.publish(bulk(), &of_before).await;
    let (mut photo, picture) = world.photo().await;
    world.publish(interactive(), &picture).await;
    world.announced(|said| said.holds.len() == 2).await;
    world.change(&mut film, |_| {}).await;
    assert_ne!(film.generation, of_before.generation);
    // Events come in order: when the worker has seen this one, it has seen that one.
    world.change(&mut photo, |photo| photo.state = State::Cancelled).await;
    world.announced(|said| said.holds == [of_before.clone()]).await;
    script.open();
    let report = world.report().await;
    assert_eq!((report.outcome, report.task), (Outcome::BatchDone, of_before));
    // What is delivered only now is of before, and is not begun.
    world
        .publish(
            bulk(),
            &Task {
                generation: 0,
                ..batch(&film, 1)
            },
        )
        .await;
    world.until_messages(bulk(), 0).await;
    assert!(world.nothing_reported());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failure_and_the_worker_lives_on() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::panicking_at(4);
    let _worker = world.worker(script.builder()).await;
    let (record, _) = world.planned(&clip).await;
    world.publish(bulk(), &batch(&record, 2)).await;
    let Outcome::Failed { failure, transient } = world.report().await.outcome else {
        panic!("a panic was no failure");
    };
    assert_eq!(
        (failure.code, failure.batch, transient),
        (ErrorCode::EngineFailed, Some(2), true)
    );
    assert_eq!(failure.causes, ["the engine panicked: as the script says"]);
    world.until_messages(bulk(), 0).await;
    assert_eq!(script.builds(), 1);
    world.publish(bulk(), &batch(&record, 2)).await;
    assert_eq!(world.report().await.outcome, Outcome::BatchDone);
    assert_eq!(script.builds(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_with_one_batch_make_one_marker_and_one_segment() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    // More frames than are decoded ahead: none of the two asks for another batch while it is at the first frame.
    world.batch_frames = 30;
    let scripts = [Script::gated(), Script::gated()];
    let _workers = (
        world.worker(scripts[0].builder()).await,
        world.worker(scripts[1].builder()).await,
    );
    let (record, _) = world.planned(&clip).await;
    let task = batch(&record, 0);
    world.publish(bulk(), &task).await;
    world.publish(bulk(), &task).await;
    // Both are in the middle of it.
    for script in &scripts {
        script.until(|asked| asked.len() == 2).await;
    }
    scripts.iter().for_each(|script| script.open());
    let mut workers = Vec::new();
    for _ in 0..2 {
        let report = world.report().await;
        assert_eq!(report.outcome, Outcome::BatchDone);
        workers.push(report.worker);
    }
    assert_ne!(workers[0], workers[1]);
    let segments = world.listed(KeyPrefix::Segments(plan_key(&record))).await;
    let markers = world.listed(KeyPrefix::Markers(plan_key(&record))).await;
    assert_eq!((segments.len(), markers.len()), (1, 1));
    let marker = world
        .storage
        .get(ObjectKey::Marker(plan_key(&record), 0))
        .await
        .unwrap()
        .unwrap();
    let marker: Marker = serde_json::from_slice(&marker.body).unwrap();
    assert_eq!(marker.segment, segments[0].key);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_had_comes_again_and_what_it_finished_does_not() {
    let Some(clip) = clip(CLIP) else { return };
    let mut world = World::new().await;
    let script = Script::gated();
    let worker = world.worker(script.builder()).await;
    let killed = worker.id().clone();
    let (record, _) = world.planned(&clip).await;
    for number in 0..3 {
        world.publish(bulk(), &batch(&record, number)).await;
    }
    script.let_on(14);
    assert_eq!(world.report().await.task.step.batch(), Some(0));
    script.until(|asked| asked.len() >= 16).await;
    drop(worker);
    let second = Script::gated();
    second.open();
    let _worker = world.worker(second.builder()).await;
    let mut reported = Vec::new();
    while reported.len() < 2 {
        let report = world.report().await;
        assert_eq!(report.outcome, Outcome::BatchDone);
        assert_ne!(report.worker, killed);
        reported.extend(report.task.step.batch());
    }
    reported.sort_unstable();
    assert_eq!((reported, second.frames()), (vec![1, 2], 20));
    for (number, by_killed) in [(0, true), (1, false), (2, false)] {
        let marker = world
            .storage
            .get(ObjectKey::Marker(plan_key(&record), number))
            .await
            .unwrap()
            .unwrap();
        let marker: Marker = serde_json::from_slice(&marker.body).unwrap();
        assert_eq!(marker.worker == killed.as_str(), by_killed, "batch {number}");
    }
    world.until_messages(bulk(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_queue_goes_away_takes_up_again() {
    let mut world = World::new().await;
    let _worker = world.worker(bicubic()).await;
    let (_, photo) = world.photo().await;
    world.queue.disconnect_all();
    world.publish(interactive(), &photo).await;
    world.until_messages(interactive(), 0).await;
    world.reconnect().await;
    assert!(matches!(world.report().await.outcome, Outcome::Finished { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_process_died_of_five_times_is_not_begun_again() {
    let mut world = World::new().await;
    let (_, photo) = world.photo().await;
    for _ in 0..5 {
        let script = Script::gated();
        let worker = world.worker(script.builder()).await;
        world.publish(interactive(), &photo).await;
        script.until(|asked| asked.len() == 2).await;
        drop(worker);
        // The queue goes with the process.
        world.queue.wipe();
        world.reconnect().await;
    }
    let script = Script::gated();
    script.open();
    let _worker = world.worker(script.builder()).await;
    world.publish(interactive(), &photo).await;
    let Outcome::Failed { failure, transient } = world.report().await.outcome else {
        panic!("it was begun again");
    };
    assert_eq!(
        (failure.code, transient, script.log()),
        (ErrorCode::WorkerDied, false, vec![])
    );
    // That was said; whoever retries the job begins from nothing.
    world.until_messages(interactive(), 0).await;
    world.publish(interactive(), &photo).await;
    assert!(matches!(world.report().await.outcome, Outcome::Finished { .. }));
}
