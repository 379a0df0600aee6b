use bytes::Bytes;
use clearfleet_common::job::JobId;
use clearfleet_common::storage::{ObjectKey, Storage, StorageError};
use clearfleet_common::telemetry::{self, Families};
use futures::TryStreamExt as _;
use proptest::prelude::*;
use tokio::io::AsyncReadExt as _;

use crate::backend::{noise, property};

/// Where parts of the large object meet, and odd places.
fn places(length: u64) -> impl Strategy<Value = u64> {
    let edges = [0, 1, 8 << 20, 16 << 20, length / 2, length];
    prop_oneof![
        0..=length,
        (prop::sample::select(edges.to_vec()), -2..=2_i64).prop_map(|(edge, by)| edge.saturating_add_signed(by)),
    ]
}

pub(crate) async fn ranges_are_those_of_a_slice(storage: &Storage) {
    for length in [1000, 20 << 20] {
        let key = ObjectKey::Source(JobId::new());
        let name = key.to_string();
        let data = noise(length, length as usize);
        let mut writer = storage.write(key, "video/mp4").await.unwrap();
        writer.write(data.clone()).await.unwrap();
        let version = writer.finish().await.unwrap().version;

        property(100, &(places(length), places(length)), async |(a, b)| {
            let (start, end) = (a.min(b), a.max(b));
            let read = storage.read(&name, Some(start..end), Some(&version)).await;
            if start >= length && start < end {
                assert!(
                    matches!(read, Err(StorageError::Invalid { .. })),
                    "{start}..{end}: {read:?}"
                );
                return;
            }
            let read = read.unwrap();
            let expected = data.slice(start.min(length) as usize..end.min(length) as usize);
            assert_eq!(read.bytes(), expected.len() as u64);
            assert_eq!(read.version(), &version);
            let read: Vec<Bytes> = read.try_collect().await.unwrap();
            assert!(read.concat() == expected, "{start}..{end}");
        });
    }
}

pub(crate) async fn a_pinned_version_is_read_or_refused(storage: &Storage) {
    for length in [10, 9 << 20] {
        let key = ObjectKey::Source(JobId::new());
        let name = key.to_string();
        let mut versions = Vec::new();
        for seed in 0..2 {
            let mut writer = storage.write(key, "video/mp4").await.unwrap();
            writer.write(noise(seed, length)).await.unwrap();
            versions.push(writer.finish().await.unwrap().version);
        }
        for range in [None, Some(2..5), Some(3..3)] {
            let old = storage.read(&name, range.clone(), Some(&versions[0])).await;
            assert!(
                matches!(&old, Err(StorageError::Changed { key }) if *key == name),
                "{old:?}"
            );
            let mut new = storage
                .read(&name, range.clone(), Some(&versions[1]))
                .await
                .unwrap()
                .into_async_read();
            let mut content = Vec::new();
            new.read_to_end(&mut content).await.unwrap();
            let expected = noise(1, length);
            let range = range.unwrap_or(0..length as u64);
            assert!(content == expected[range.start as usize..range.end as usize]);
        }
    }
}

pub(crate) async fn what_is_missing_is_said_so(storage: &Storage) {
    let name = ObjectKey::Source(JobId::new()).to_string();
    for range in [None, Some(0..10), Some(5..5)] {
        let read = storage.read(&name, range, None).await;
        assert!(
            matches!(&read, Err(StorageError::Missing { key }) if *key == name),
            "{read:?}"
        );
    }
    assert_eq!(storage.stat(&name).await.unwrap(), None);
    let elsewhere = storage.in_bucket("no-such-bucket");
    assert!(matches!(
        elsewhere.read("a", None, None).await,
        Err(StorageError::Missing { .. })
    ));
    let put = elsewhere.put(ObjectKey::CurrentModels, Bytes::new()).await;
    assert!(matches!(put, Err(StorageError::Missing { .. })), "{put:?}");
}

pub(crate) async fn calls_are_counted_by_what_became_of_them(storage: &Storage) {
    let there = ObjectKey::Source(JobId::new());
    let missing = ObjectKey::Source(JobId::new()).to_string();
    let counted = || {
        let metrics: &dyn Families = &**storage.metrics();
        let text = String::from_utf8(telemetry::text([metrics]).unwrap()).unwrap();
        let value = |series: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(series));
            line.map_or(0, |value| value.trim().parse::<u64>().unwrap())
        };
        [
            ("PutObject", "ok"),
            ("PutObject", "changed"),
            ("HeadObject", "ok"),
            ("HeadObject", "missing"),
        ]
        .map(|(operation, outcome)| {
            value(&format!(
                "clearfleet_storage_requests_total{{operation=\"{operation}\",outcome=\"{outcome}\"}}"
            ))
        })
    };
    let before = counted();
    assert!(
        storage
            .create(there, Bytes::from_static(b"one"))
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        storage
            .create(there, Bytes::from_static(b"two"))
            .await
            .unwrap()
            .is_none()
    );
    assert!(storage.stat(&there.to_string()).await.unwrap().is_some());
    assert_eq!(storage.stat(&missing).await.unwrap(), None);
    let after = counted();
    let difference: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(difference[0], 1);
    assert_eq!(difference[3], 1);
    // Who finds an object that should not be there looks at whose it is.
    assert!(difference[1] == 1 && difference[2] >= 1, "{difference:?}");
}
