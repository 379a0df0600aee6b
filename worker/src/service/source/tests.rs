use std::sync::Arc;

use clearfleet_common::storage::embedded::ScratchStore;
use clearfleet_common::storage::{Digest, ObjectKey, Storage};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

const KEY: ObjectKey = ObjectKey::Model(Digest([1; 32]));

/// An object of 40 MiB and a bit whose bytes say where they are.
fn bytes() -> Vec<u8> {
    (0..(40 << 20) + 123u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

async fn source(storage: &Storage) -> Arc<ObjectSource> {
    let body = bytes();
    let len = body.len() as u64;
    let version = storage.put(KEY, body.into()).await.unwrap();
    Arc::new(ObjectSource::of(
        storage.clone(),
        Handle::current(),
        &KEY.to_string(),
        version,
        len,
    ))
}

fn lengths(source: &ObjectSource) -> Vec<u64> {
    let blocks = source.blocks.lock().unwrap();
    blocks.iter().map(|block| block.range.end - block.range.start).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_the_objects_wherever_they_are_read() {
    let store = ScratchStore::start().await.unwrap();
    let storage = Storage::connect(&store.config()).await.unwrap();
    let source = source(&storage).await;
    let read = move || {
        let expected = bytes();
        let mut runner = TestRunner::new(ProptestConfig::with_cases(64));
        let places = (0..expected.len() + 1000, 1usize..300_000);
        runner
            .run(&places, |(at, length)| {
                let mut buffer = vec![0; length];
                let read = source.read_at(at as u64, &mut buffer).unwrap();
                let there = expected.len().saturating_sub(at);
                prop_assert!(read <= there && (read > 0 || there == 0));
                prop_assert_eq!(&buffer[..read], &expected[at.min(expected.len())..][..read]);
                prop_assert!(lengths(&source).len() <= BLOCKS);
                Ok(())
            })
            .unwrap();
    };
    tokio::task::spawn_blocking(read).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_on_takes_larger_and_larger_ranges() {
    let store = ScratchStore::start().await.unwrap();
    let storage = Storage::connect(&store.config()).await.unwrap();
    let source = source(&storage).await;
    let reading = tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; 256 << 10];
        let mut at = 0;
        while at < source.len() {
            at += source.read_at(at, &mut buffer).unwrap() as u64;
        }
        lengths(&source)
    });
    let mib = |n: u64| n << 20;
    let rest = (40 << 20) + 123 - mib(1 + 2 + 4 + 4 * 8);
    assert_eq!(
        reading.await.unwrap(),
        [mib(1), mib(2), mib(4), mib(8), mib(8), mib(8), mib(8), rest]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_or_deleted_object_is_not_read() {
    let store = ScratchStore::start().await.unwrap();
    let storage = Storage::connect(&store.config()).await.unwrap();
    let source = source(&storage).await;
    let read = |at: u64| {
        let source = Arc::clone(&source);
        tokio::task::spawn_blocking(move || source.read_at(at, &mut [0; 10]))
    };
    assert_eq!(read(5).await.unwrap().unwrap(), 10);
    storage.put(KEY, vec![0; 40 << 20].into()).await.unwrap();
    let changed = |error: io::Error| {
        let cause = error.into_inner().unwrap().downcast::<SourceError>().unwrap();
        matches!(*cause, SourceError::Changed)
    };
    assert!(changed(read(30 << 20).await.unwrap().unwrap_err()));
    storage.delete(&KEY.to_string()).await.unwrap();
    assert!(changed(read(20 << 20).await.unwrap().unwrap_err()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_read_is_tried_anew() {
    let store = ScratchStore::start().await.unwrap();
    let storage = Storage::connect(&store.config()).await.unwrap();
    let version = storage.put(KEY, vec![3; 100].into()).await.unwrap();
    storage.delete(&KEY.to_string()).await.unwrap();
    let source = ObjectSource::of(storage.clone(), Handle::current(), &KEY.to_string(), version, 100);
    let source = Arc::new(source);
    let read = || {
        let source = Arc::clone(&source);
        tokio::task::spawn_blocking(move || source.read_at(0, &mut [0; 100]))
    };
    assert!(read().await.unwrap().is_err());
    assert_eq!(lengths(&source), Vec::<u64>::new());
    // The same bytes are the same version.
    storage.put(KEY, vec![3; 100].into()).await.unwrap();
    let again = read().await.unwrap();
    assert!(again.is_ok_and(|read| read == 100) || lengths(&source).is_empty());
}
