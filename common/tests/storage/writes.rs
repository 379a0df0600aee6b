use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearfleet_common::job::{
    ClassName, FORMAT_VERSION, JobId, OwnerId, Priority, Record, Request, Settings, Source, SourceKind, SourceLocation,
    Stretch,
};
use clearfleet_common::storage::{KeyPrefix, ObjectKey, Storage, StorageError};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::backend::noise;

const MIB: usize = 1 << 20;

/// Reads all of an object.
pub(crate) async fn content(storage: &Storage, key: &str) -> Bytes {
    let reader = storage.read(key, None, None).await.unwrap();
    let bytes = reader.bytes();
    let pieces: Vec<Bytes> = reader.try_collect().await.unwrap();
    let content = pieces.concat();
    assert_eq!(content.len() as u64, bytes);
    content.into()
}

pub(crate) async fn streams_arrive_whole(storage: &Storage) {
    let sizes = [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 20 * MIB + 5];
    for (seed, size) in sizes.into_iter().enumerate() {
        let job = JobId::new();
        let (key, data) = (ObjectKey::Source(job), noise(seed as u64, size));
        let mut writer = storage.write(key, "video/mp4").await.unwrap();
        // Pieces that fit neither parts nor pages.
        let mut rest = data.clone();
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(777_777));
            writer.write(piece).await.unwrap();
        }
        assert_eq!(writer.bytes(), size as u64);
        let written = writer.finish().await.unwrap();
        assert_eq!(written.bytes, size as u64);
        let digest = Sha256::digest(&data).iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        assert_eq!(written.sha256, digest);
        let stat = storage.stat(&key.to_string()).await.unwrap().unwrap();
        assert_eq!(stat.bytes, size as u64);
        assert_eq!(stat.version, written.version);
        assert_eq!(stat.content_type, "video/mp4");
        let age = jiff::Timestamp::now().as_second() - stat.modified.as_second();
        assert!((-2..60).contains(&age), "{age}");
        assert!(content(storage, &key.to_string()).await == data, "{size} bytes");
    }
}

pub(crate) async fn small_objects_are_replaced_and_deleted(storage: &Storage) {
    let key = ObjectKey::CurrentModels;
    assert_eq!(storage.get(key).await.unwrap(), None);
    let first = storage.put(key, Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(storage.create(key, Bytes::from_static(b"two")).await.unwrap(), None);
    let stored = storage.get(key).await.unwrap().unwrap();
    assert_eq!((&*stored.body, &stored.version), (&b"one"[..], &first));
    let stat = storage.stat(&key.to_string()).await.unwrap().unwrap();
    assert_eq!(stat.content_type, "application/json");

    let second = storage
        .replace(key, Bytes::from_static(b"three"), &first)
        .await
        .unwrap()
        .unwrap();
    assert_ne!(second, first);
    assert_eq!(
        storage.replace(key, Bytes::from_static(b"four"), &first).await.unwrap(),
        None
    );
    assert_eq!(&*storage.get(key).await.unwrap().unwrap().body, b"three");

    storage.delete(&key.to_string()).await.unwrap();
    storage.delete(&key.to_string()).await.unwrap();
    assert_eq!(storage.get(key).await.unwrap(), None);
    assert_eq!(
        storage
            .replace(key, Bytes::from_static(b"five"), &second)
            .await
            .unwrap(),
        None
    );
    let third = storage.create(key, Bytes::from_static(b"six")).await.unwrap().unwrap();
    assert_eq!(storage.get(key).await.unwrap().unwrap().version, third);
}

/// Uploads that are neither finished nor aborted, of one key: MinIO lists them only so.
async fn uploads(storage: &Storage, key: &str) -> usize {
    let listed = storage
        .client()
        .list_multipart_uploads()
        .bucket(storage.bucket())
        .prefix(key);
    listed.send().await.unwrap().uploads().len()
}

pub(crate) async fn abandoned_writes_leave_nothing(storage: &Storage) {
    let job = JobId::new();
    let key = ObjectKey::Result(job, Uuid::new_v4());
    let name = key.to_string();
    let data = noise(1, 20 * MIB);
    let begin = async || {
        let mut writer = storage.write(key, "video/mp4").await.unwrap();
        writer.write(data.clone()).await.unwrap();
        assert_eq!(uploads(storage, &name).await, 1);
        writer
    };

    begin().await.abort().await.unwrap();
    assert_eq!(uploads(storage, &name).await, 0);

    drop(begin().await);
    let deadline = Instant::now() + Duration::from_secs(20);
    while uploads(storage, &name).await > 0 {
        assert!(Instant::now() < deadline, "a dropped write was not taken back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // The writer's process died.
    std::mem::forget(begin().await);
    assert_eq!(storage.stat(&name).await.unwrap(), None);
    let listed: Vec<_> = storage.list(KeyPrefix::Job(job)).try_collect().await.unwrap();
    assert_eq!(listed, []);
    assert_eq!(storage.abort_stale_writes(Duration::from_secs(3600)).await.unwrap(), 0);
    // MinIO lists none of a whole bucket; it removes them itself.
    let found = storage
        .client()
        .list_multipart_uploads()
        .bucket(storage.bucket())
        .send()
        .await
        .unwrap();
    let found = found.uploads().len();
    assert_eq!(storage.abort_stale_writes(Duration::ZERO).await.unwrap(), found as u64);
    assert_eq!(uploads(storage, &name).await, 1 - found);

    // What is finished after others were given up is whole.
    let mut writer = storage.write(key, "video/mp4").await.unwrap();
    writer.write(data.clone()).await.unwrap();
    assert!(writer.finish_new().await.unwrap().is_some());
    assert!(content(storage, &name).await == data);
}

pub(crate) async fn large_objects_are_not_read_into_memory(storage: &Storage) {
    let key = ObjectKey::CurrentModels;
    let mut writer = storage.write(key, "application/json").await.unwrap();
    for seed in 0..9 {
        writer.write(noise(seed, 8 * MIB)).await.unwrap();
    }
    writer.finish().await.unwrap();
    match storage.get(key).await {
        Err(StorageError::TooLarge { key: named, limit }) => {
            assert_eq!((named, limit), (key.to_string(), Some(64 << 20)));
        }
        other => panic!("{other:?}"),
    }
}

/// A job that nobody works on.
pub(crate) fn record(id: JobId) -> Record {
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
        bytes: 3,
        etag: "\"1\"".to_owned(),
        content_type: "video/mp4".to_owned(),
    };
    Record::new(id, OwnerId::default(), request, source, jiff::Timestamp::UNIX_EPOCH)
}

pub(crate) async fn records_are_changed_in_turn(storage: &Storage) {
    let (owner, job) = (OwnerId::default(), JobId::new());
    assert_eq!(storage.record(owner, job).await.unwrap(), None);
    let nothing = storage.update_record(owner, job, |_| Ok::<_, ()>(true)).await.unwrap();
    assert_eq!(nothing, Ok(None));

    let mut record = record(job);
    let first = storage.create_record(&record).await.unwrap().unwrap();
    assert_eq!(storage.create_record(&record).await.unwrap(), None);
    let active = storage.get(ObjectKey::Active(job)).await.unwrap().unwrap();
    assert_eq!(&*active.body, b"local");
    assert_eq!(
        storage.record(owner, job).await.unwrap(),
        Some((record.clone(), first.clone()))
    );

    record.generation = 1;
    let second = storage.replace_record(&record, &first).await.unwrap().unwrap();
    assert_eq!(storage.replace_record(&record, &first).await.unwrap(), None);
    let same = storage.update_record(owner, job, |_| Ok::<_, ()>(false)).await.unwrap();
    assert_eq!(same, Ok(Some((record.clone(), second.clone()))));
    let refused = storage.update_record(owner, job, |_| Err("not so")).await.unwrap();
    assert_eq!(refused, Err("not so"));

    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let storage = storage.clone();
        writers.spawn(async move {
            for _ in 0..5 {
                let raise = |record: &mut Record| {
                    record.generation += 1;
                    Ok::<_, ()>(true)
                };
                storage
                    .update_record(owner, job, raise)
                    .await
                    .unwrap()
                    .unwrap()
                    .unwrap();
            }
        });
    }
    writers.join_all().await;
    assert_eq!(storage.record(owner, job).await.unwrap().unwrap().0.generation, 41);

    record.version = FORMAT_VERSION + 1;
    let newer = serde_json::to_vec(&record).unwrap();
    storage.put(ObjectKey::Record(owner, job), newer.into()).await.unwrap();
    assert!(matches!(
        storage.record(owner, job).await,
        Err(StorageError::Invalid { .. })
    ));
}
