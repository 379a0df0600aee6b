use std::time::Duration;

use clearfleet_common::job::{Command, JobId, OwnerId, SourceLocation, State};
use clearfleet_common::storage::{Arrival, Digest, ObjectKey, PlanKey};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::*;
use crate::testing::{Site, ended, record, until};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn job(n: u128) -> JobId {
    JobId::from_u128(n)
}

/// Objects carry the time of the store's own clock: jobs begin now, and sweeps come later.
fn now() -> Timestamp {
    Timestamp::now()
}

/// Writes whatever a video of two batches leaves behind.
async fn objects_of(site: &Site, job: JobId) {
    let plan = PlanKey { job, plan: 0 };
    for key in [
        ObjectKey::Source(job),
        ObjectKey::Thumbnail(job),
        ObjectKey::Plan(plan),
        ObjectKey::Ledger(plan, 0),
        ObjectKey::Segment(plan, 0, Uuid::from_u128(5)),
        ObjectKey::Segment(plan, 1, Uuid::from_u128(6)),
        ObjectKey::Marker(plan, 0),
        ObjectKey::Marker(plan, 1),
        ObjectKey::Pair(plan, 0),
        ObjectKey::SoundHeader(plan, 0),
        ObjectKey::SoundPart(plan, 0, 0),
        ObjectKey::SoundMarker(plan),
        ObjectKey::Failure(job, 0),
        ObjectKey::Result(job, Uuid::from_u128(1)),
        ObjectKey::Hook(job),
    ] {
        site.put(key).await;
    }
}

/// A job in this state with all its objects, and no longer active where it has ended.
async fn make(site: &Site, job: JobId, state: State, at: Timestamp) {
    let made = match state.is_ended() {
        true => ended(job, state, at),
        false => record(job, at),
    };
    site.storage.create_record(&made).await.unwrap().unwrap();
    if state.is_ended() {
        site.storage.delete(&ObjectKey::Active(job).to_string()).await.unwrap();
    }
    objects_of(site, job).await;
}

async fn swept(site: &Site, at: Timestamp) -> Swept {
    sweep(&site.storage, &Retention::default(), at).await.unwrap()
}

/// What everything else than jobs leaves in a store, and no sweep touches.
async fn fixtures(site: &Site) -> Vec<String> {
    let kept = [
        ObjectKey::ApiKey(Digest([1; 32])),
        ObjectKey::Class(Default::default()),
        ObjectKey::Model(Digest([2; 32])),
        ObjectKey::CurrentModels,
    ];
    for key in kept {
        site.put(key).await;
    }
    let mut keys: Vec<String> = kept.iter().map(ToString::to_string).collect();
    keys.sort();
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_hundred_jobs_and_their_time_nothing_but_records_is_left_and_then_not_these() {
    let (site, start) = (Site::new().await, now());
    let fixtures = fixtures(&site).await;
    for n in 1..=100 {
        let state = [State::Done, State::Failed, State::Cancelled][n as usize % 3];
        make(&site, job(n), state, start).await;
        site.put(ObjectKey::Idempotency(OwnerId::default(), Digest([n as u8; 32])))
            .await;
    }
    assert_eq!(site.keys().await.len(), 4 + 100 * 17);
    let early = swept(&site, start + HOUR).await;
    assert_eq!(early, Swept::default());
    assert_eq!(site.keys().await.len(), 4 + 100 * 17);

    let expiry = start + DAY * 30 + HOUR;
    let sweep = swept(&site, expiry).await;
    assert_eq!(
        (sweep.expired, sweep.objects, sweep.idempotency, sweep.records),
        (100, 1400, 100, 0)
    );
    let records: Vec<String> = (1..=100)
        .map(|n| ObjectKey::Record(OwnerId::default(), job(n)).to_string())
        .collect();
    let mut expected = [fixtures.clone(), records].concat();
    expected.sort();
    assert_eq!(site.keys().await, expected);
    for n in 1..=100 {
        let (record, _) = site.storage.record(OwnerId::default(), job(n)).await.unwrap().unwrap();
        assert_eq!((record.state, record.changed), (State::Expired, expiry));
    }

    assert_eq!(swept(&site, expiry + DAY * 89).await, Swept::default());
    assert_eq!(swept(&site, expiry + DAY * 90).await.records, 100);
    assert_eq!(site.keys().await, fixtures);
    assert_eq!(swept(&site, expiry + DAY * 91).await, Swept::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_go_a_day_after_the_end_and_nothing_is_built_on_them() {
    let (site, start) = (Site::new().await, now());
    make(&site, job(1), State::Done, start).await;
    make(&site, job(2), State::Failed, start).await;
    let before = site.keys().await;
    assert_eq!(swept(&site, start + HOUR * 23).await, Swept::default());
    let sweep = swept(&site, start + HOUR * 24).await;
    assert_eq!((sweep.thinned, sweep.objects), (1, 7));
    let is_batch = |key: &String| {
        ["/segments/", "/batches/", "/hls/"]
            .iter()
            .any(|folder| key.contains(folder))
    };
    let of_done = |key: &String| ObjectKey::owning_job(key) == Some(job(1));
    let expected: Vec<String> = before
        .into_iter()
        .filter(|key| !(of_done(key) && is_batch(key)))
        .collect();
    assert_eq!(site.keys().await, expected);
    let gone = async |n| {
        site.storage
            .record(OwnerId::default(), job(n))
            .await
            .unwrap()
            .unwrap()
            .0
            .segments_gone
    };
    assert_eq!((gone(1).await, gone(2).await), (Some(1), None));
    assert_eq!(swept(&site, start + HOUR * 25).await, Swept::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_live_or_are_wanted_keep_everything() {
    let (site, start) = (Site::new().await, now());
    make(&site, job(1), State::Running, start).await;
    make(&site, job(2), State::Done, start).await;
    make(&site, job(3), State::Failed, start).await;
    make(&site, job(4), State::Done, start).await;
    site.change(job(2), |record| record.want(Command::Redo).unwrap()).await;
    site.change(job(3), |record| record.want(Command::Retry).unwrap()).await;
    site.change(job(4), |record| record.want(Command::Delete).unwrap())
        .await;
    let before = site.keys().await;
    assert_eq!(swept(&site, start + DAY * 400).await, Swept::default());
    assert_eq!(site.keys().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_outlives_its_job_as_long_as_another_uses_it() {
    let (site, start) = (Site::new().await, now());
    make(&site, job(1), State::Done, start).await;
    make(&site, job(2), State::Done, start + DAY * 20).await;
    site.change(job(2), |record| record.source.location = SourceLocation::Job(job(1)))
        .await;
    site.storage
        .delete(&ObjectKey::Source(job(2)).to_string())
        .await
        .unwrap();
    let source = ObjectKey::Source(job(1)).to_string();
    let of_first = async || -> Vec<String> {
        let keys = site.keys().await.into_iter();
        keys.filter(|key| ObjectKey::owning_job(key) == Some(job(1))).collect()
    };

    assert_eq!(swept(&site, start + DAY * 31).await.expired, 1);
    assert_eq!(of_first().await, std::slice::from_ref(&source));
    // Also when a person deletes the first one: what is left of it has no record.
    delete_job(&site.storage, OwnerId::default(), job(1), true)
        .await
        .unwrap();
    swept(&site, start + DAY * 40).await;
    assert_eq!(of_first().await, [source]);
    assert_eq!(swept(&site, start + DAY * 51).await.expired, 1);
    assert_eq!(of_first().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_no_job_goes_once_it_is_a_day_old() {
    let (site, start) = (Site::new().await, now());
    make(&site, job(1), State::Running, start).await;
    let kept = site.keys().await;
    objects_of(&site, job(2)).await;
    // A request that died between the two writes.
    site.storage
        .put(ObjectKey::Active(job(3)), "local".into())
        .await
        .unwrap();
    let before = site.keys().await;
    assert_eq!(swept(&site, start + HOUR * 23).await, Swept::default());
    assert_eq!(site.keys().await, before);
    let sweep = swept(&site, start + HOUR * 25).await;
    assert_eq!((sweep.orphans, sweep.objects), (14, 14));
    assert_eq!(site.keys().await, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_record_is_about_to_come_is_left_alone() {
    let (site, start) = (Site::new().await, now());
    site.put(ObjectKey::Source(job(1))).await;
    site.storage
        .put(ObjectKey::Active(job(1)), "local".into())
        .await
        .unwrap();
    let survey = survey::Survey::take(&site.storage).await.unwrap();
    // The record comes while the sweep is under way.
    site.storage
        .create_record(&record(job(1), start))
        .await
        .unwrap()
        .unwrap();
    let before = site.keys().await;
    let mut swept = Swept::default();
    orphans::delete(&site.storage, &survey, start + DAY * 2, &mut swept)
        .await
        .unwrap();
    assert_eq!((swept.orphans, site.keys().await), (0, before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_a_newer_build_are_left_alone() {
    let (site, start) = (Site::new().await, now());
    make(&site, job(1), State::Done, start).await;
    make(&site, job(2), State::Done, start).await;
    let newer = br#"{"version": 99}"#.as_slice();
    let record = ObjectKey::Record(OwnerId::default(), job(2));
    site.storage.put(record, newer.into()).await.unwrap();
    let of_newer: Vec<String> = site
        .keys()
        .await
        .into_iter()
        .filter(|key| key.contains(&job(2).to_string()))
        .collect();
    swept(&site, start + DAY * 200).await;
    let left = site.keys().await;
    assert!(of_newer.iter().all(|key| left.contains(key)), "{left:?}");
    // Whose source the newer one uses nobody can say.
    assert!(left.contains(&ObjectKey::Source(job(1)).to_string()));
    assert!(!left.contains(&ObjectKey::Thumbnail(job(1)).to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_job_deletes_all_of_it_and_nothing_else() {
    let (site, start) = (Site::new().await, now());
    make(&site, job(1), State::Running, start).await;
    let kept = site.keys().await;
    make(&site, job(2), State::Running, start).await;
    assert_eq!(
        delete_job(&site.storage, OwnerId::default(), job(2), false)
            .await
            .unwrap(),
        14
    );
    assert_eq!(site.keys().await, kept);
    // Again, as after a death on the way.
    assert_eq!(
        delete_job(&site.storage, OwnerId::default(), job(2), false)
            .await
            .unwrap(),
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_nobody_finished_are_taken_back() {
    let site = Site::new().await;
    let mut writer = site
        .storage
        .write(ObjectKey::Source(job(1)), "video/mp4")
        .await
        .unwrap();
    writer.write(vec![1; 9 << 20].into()).await.unwrap();
    let retention = |uploads| Retention {
        uploads,
        ..Retention::default()
    };
    let an_hour = Duration::from_secs(3600);
    let kept = sweep(&site.storage, &retention(an_hour), now()).await.unwrap();
    assert_eq!(kept.uploads, 0);
    // The store's clock is the real one, and counts whole seconds.
    until("the upload is older than nothing", async || {
        let taken = sweep(&site.storage, &retention(Duration::ZERO), now()).await.unwrap();
        taken.uploads == 1
    })
    .await;
}

/// A job whose source is on its way, and the parts of it that have come.
async fn make_uploading(site: &Site, job: JobId, at: Timestamp) {
    let upload = site.storage.begin_upload((OwnerId::default(), job), 9 << 20, "").await;
    let upload = upload.unwrap();
    let Arrival::Partial(received) = site.storage.received(&upload).await.unwrap() else {
        panic!("nothing has come");
    };
    let mut appender = site.storage.append(upload, &received);
    appender.write(vec![1; (8 << 20) + 1].into()).await.unwrap();
    appender.keep().await.unwrap();
    let mut record = record(job, at);
    (record.state, record.source.etag) = (State::Uploading, String::new());
    site.storage.create_record(&record).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_ends_when_nothing_more_comes() {
    let (site, start) = (Site::new().await, now());
    make_uploading(&site, job(1), start).await;
    let before = site.keys().await;
    assert_eq!(swept(&site, start + DAY * 2).await, Swept::default());
    assert_eq!(site.keys().await, before);
    assert_eq!(swept(&site, start + DAY * 3 + HOUR).await.uploads, 1);
    let of = |job| site.storage.record(OwnerId::default(), job);
    let (record, _) = of(job(1)).await.unwrap().unwrap();
    assert_eq!(record.pending(), Some(Command::Delete));
    // The rest is the scheduler's.
    assert_eq!(swept(&site, start + DAY * 4).await.uploads, 0);
    delete_job(&site.storage, OwnerId::default(), job(1), false)
        .await
        .unwrap();
    assert_eq!(site.keys().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_uploads_goes_once_it_is_a_day_old() {
    let (site, start) = (Site::new().await, now());
    make_uploading(&site, job(1), start).await;
    site.change(job(1), |record| record.state = State::Cancelled).await;
    make_uploading(&site, job(2), start).await;
    let record = ObjectKey::Record(OwnerId::default(), job(2));
    site.storage.delete(&record.to_string()).await.unwrap();
    assert_eq!(swept(&site, start + HOUR * 23).await, Swept::default());
    assert_eq!(swept(&site, start + HOUR * 25).await.uploads, 2);
    let left = site.keys().await;
    assert!(
        left.iter().all(|key| ObjectKey::uploading_job(key).is_none()),
        "{left:?}"
    );
    let writes = site
        .storage
        .client()
        .list_multipart_uploads()
        .bucket(site.storage.bucket());
    assert!(writes.send().await.unwrap().uploads().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sweeps_at_once_do_what_one_does() {
    let (site, start) = (Site::new().await, now());
    for n in 1..=10 {
        make(&site, job(n), State::Done, start).await;
    }
    let at = start + DAY * 31;
    let (one, other) = tokio::join!(swept(&site, at), swept(&site, at));
    assert!(one.expired.max(other.expired) >= 1 && one.expired <= 10 && other.expired <= 10);
    let left = site.keys().await;
    assert_eq!(left.len(), 10, "{left:?}");
    assert!(left.iter().all(|key| key.starts_with("records/")));
}
