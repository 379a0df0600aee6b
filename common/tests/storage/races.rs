use std::sync::Arc;

use bytes::Bytes;
use clearfleet_common::job::JobId;
use clearfleet_common::storage::{ObjectKey, Storage, Version};
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
