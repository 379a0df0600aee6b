use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clearfleet_common::job::JobId;
use clearfleet_common::storage::{
    KeyPrefix, Listed, ObjectKey, Storage, StorageConfig, StorageError, StorageTimeouts, Version,
};
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use crate::backend::noise;
use crate::writes::content;

const WRITERS: u64 = 8;

/// Lets eight writers do the same at once; gives what those wrote that say they succeeded.
async fn race<F>(write: impl Fn(u64) -> F) -> Vec<(u64, Version)>
where
    F: Future<Output = Option<Version>> + Send + 'static,
{
    let together = Arc::new(Barrier::new(WRITERS as usize));
    let mut writers = tokio::task::JoinSet::new();
    for seed in 0..WRITERS {
        let (write, together) = (write(seed), Arc::clone(&together));
        writers.spawn(async move {
            together.wait().await;
            write.await.map(|version| (seed, version))
        });
    }
    writers.join_all().await.into_iter().flatten().collect()
}

/// Checks that one succeeded, and that what is there is what it wrote.
async fn check(storage: &Storage, key: ObjectKey, winners: &[(u64, Version)], length: usize) {
    let [(seed, version)] = winners else {
        panic!("{} of {WRITERS} writers succeeded", winners.len());
    };
    let key = key.to_string();
    assert_eq!(storage.stat(&key).await.unwrap().unwrap().version, *version);
    assert!(content(storage, &key).await == noise(*seed, length));
}

pub(crate) async fn one_of_eight_creates(storage: &Storage) {
    for _ in 0..25 {
        let key = ObjectKey::Source(JobId::new());
        let winners = race(|seed| {
            let storage = storage.clone();
            async move { storage.create(key, noise(seed, 1000)).await.unwrap() }
        });
        check(storage, key, &winners.await, 1000).await;
    }
}

pub(crate) async fn one_of_eight_completes(storage: &Storage) {
    const LENGTH: usize = (8 << 20) + 100;
    for _ in 0..5 {
        let key = ObjectKey::Source(JobId::new());
        let winners = race(|seed| {
            let storage = storage.clone();
            async move {
                let mut writer = storage.write(key, "video/mp4").await.unwrap();
                writer.write(noise(seed, LENGTH)).await.unwrap();
                writer.finish_new().await.unwrap().map(|written| written.version)
            }
        });
        check(storage, key, &winners.await, LENGTH).await;
    }
}

pub(crate) async fn one_of_eight_replaces(storage: &Storage) {
    let key = ObjectKey::Source(JobId::new());
    let mut current = storage.put(key, Bytes::new()).await.unwrap();
    for round in 1..=25 {
        let winners = race(|seed| {
            let (storage, expected) = (storage.clone(), current.clone());
            let body = noise(round * WRITERS + seed, 1000);
            async move { storage.replace(key, body, &expected).await.unwrap() }
        });
        let winners: Vec<_> = winners
            .await
            .into_iter()
            .map(|(seed, v)| (round * WRITERS + seed, v))
            .collect();
        check(storage, key, &winners, 1000).await;
        current = winners[0].1.clone();
    }
}

pub(crate) async fn a_counter_ends_exact(storage: &Storage) {
    let key = ObjectKey::CurrentModels;
    storage.put(key, Bytes::from_static(b"0")).await.unwrap();
    let raise = async |storage: &Storage| loop {
        let stored = storage.get(key).await.unwrap().unwrap();
        let count: u64 = std::str::from_utf8(&stored.body).unwrap().parse().unwrap();
        let body = (count + 1).to_string().into();
        if storage.replace(key, body, &stored.version).await.unwrap().is_some() {
            return;
        }
    };
    let raises = (0..WRITERS).map(|_| async {
        for _ in 0..20 {
            raise(storage).await;
        }
    });
    futures::future::join_all(raises).await;
    assert_eq!(&*storage.get(key).await.unwrap().unwrap().body, b"160");
}

/// What a process tries at its start leaves nothing behind.
pub(crate) async fn a_store_that_honours_conditions_is_taken(storage: &Storage) {
    storage.must_honour_conditions().await.unwrap();
    let left: Vec<Listed> = storage.list(KeyPrefix::All).try_collect().await.unwrap();
    assert_eq!(left, []);
}

/// A store that takes every write whatever its conditions, as some do.
async fn careless_store() -> StorageConfig {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                // A call sends its head and its few bytes at once, or waits for nothing in between.
                while client.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
                    let is_whole = |seen: &[u8]| seen.windows(4).any(|four| four == b"\r\n\r\n");
                    if is_whole(&seen) {
                        let answer = "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        // Whoever is gone by now does not wait for it.
                        let _ = client.write_all(answer.as_bytes()).await;
                        return;
                    }
                }
            });
        }
    });
    StorageConfig {
        endpoint,
        region: "us-east-1".to_owned(),
        bucket: "careless".to_owned(),
        access_key: "a".to_owned(),
        secret_key: "b".to_owned().into(),
        path_style: true,
        signed_bodies: true,
        timeouts: StorageTimeouts::default(),
    }
}

#[tokio::test]
async fn a_store_that_does_not_is_refused_by_name() {
    let storage = Storage::connect(&careless_store().await).await.unwrap();
    let refused = storage.must_honour_conditions().await.unwrap_err();
    assert!(matches!(refused, StorageError::Invalid { .. }), "{refused:?}");
    let said = refused.to_string();
    assert!(said.contains("careless") && said.contains("If-None-Match"), "{said}");
}
