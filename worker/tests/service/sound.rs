//! The sound of streams as a task: beside its job, in every generation, and written once.

use clearfleet_common::job::{Outcome, State, Step};
use clearfleet_common::queue::QueueName;
use clearfleet_common::storage::{KeyPrefix, ObjectKey};

use crate::script::bicubic;
use crate::world::{World, clip, plan_key, task};

#[tokio::test(flavor = "multi_thread")]
async fn sound_is_written_once_as_long_as_its_job_is_not_given_up() {
    let Some(clip) = clip("sideways movie.mov") else { return };
    let mut world = World::new().await;
    let worker = world.worker(bicubic()).await;
    let (mut record, summary) = world.planned(&clip).await;
    assert!(summary.has_sound);
    let sound = task(&record, Step::Sound { plan: 0 });
    world.change(&mut record, |record| record.generation += 1).await;
    let mut written = Vec::new();
    for _ in 0..2 {
        world.publish(QueueName::Sound, &sound).await;
        let report = world.report().await;
        assert_eq!((report.outcome, &report.worker), (Outcome::SoundDone, worker.id()));
        written.push(world.listed(KeyPrefix::Sound(plan_key(&record))).await);
    }
    let keys: Vec<&str> = written[0].iter().map(|listed| listed.key.as_str()).collect();
    let expected = [
        ObjectKey::SoundPart(plan_key(&record), 0, 0),
        ObjectKey::SoundHeader(plan_key(&record), 0),
        ObjectKey::SoundMarker(plan_key(&record)),
    ];
    assert_eq!(keys, expected.map(|key| key.to_string()));
    let versions = |listed: &[clearfleet_common::storage::Listed]| -> Vec<String> {
        let versions = listed.iter().map(|listed| listed.version.as_str().to_owned());
        versions.collect()
    };
    assert_eq!(versions(&written[0]), versions(&written[1]));

    world
        .change(&mut record, |record| record.state = State::Cancelled)
        .await;
    world.publish(QueueName::Sound, &sound).await;
    world.until_messages(QueueName::Sound, 0).await;
    assert!(world.nothing_reported());
}
