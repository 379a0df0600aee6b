//! Uploads that go on in another request: broken off anywhere, two at once, and put in place by several.

use std::time::Duration;

use bytes::Bytes;
use clearfleet_common::job::{JobId, OwnerId};
use clearfleet_common::storage::{
    Appender, Arrival, KeyPrefix, ObjectKey, Received, ResumableUpload, Storage, StorageError,
};
use futures::TryStreamExt as _;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::backend::{noise, property};
use crate::writes::content;

const MIB: u64 = 1 << 20;

/// How a request ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Its connection is lost: what has come is kept.
    Cut,
    /// Its server dies.
    Crash,
}

/// A request that brings this many bytes.
fn request() -> impl Strategy<Value = (u64, End)> {
    let bytes = prop_oneof![0_u64..100, 0..9 * MIB];
    (bytes, prop_oneof![Just(End::Cut), Just(End::Crash)])
}

async fn begun(storage: &Storage, bytes: u64) -> ResumableUpload {
    let of = (OwnerId::default(), JobId::new());
    storage.begin_upload(of, bytes, "filename YQ==").await.unwrap()
}

async fn partial(storage: &Storage, upload: &ResumableUpload) -> Received {
    match storage.received(upload).await.unwrap() {
        Arrival::Partial(received) => received,
        Arrival::Whole(_) => panic!("the upload is in place"),
    }
}

/// Brings bytes up to `end`, in pieces that fit neither parts nor pages.
async fn bring(appender: &mut Appender, data: &Bytes, end: u64) {
    let start = appender.bytes() as usize;
    let mut rest = data.slice(start..(end as usize).max(start));
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(777_777));
        appender.write(piece).await.unwrap();
    }
}

pub(crate) async fn go_on_wherever_they_broke_off(storage: &Storage) {
    let uploads = (1_u64..20 * MIB, any::<u64>(), vec(request(), 0..8));
    property(6, &uploads, async |(bytes, seed, requests)| {
        let data = noise(seed, bytes as usize);
        let upload = begun(storage, bytes).await;
        let mut kept = 0;
        for (more, end) in requests {
            // As another process would, from the store alone.
            let upload = storage.upload(upload.job).await.unwrap().unwrap();
            let received = partial(storage, &upload).await;
            let from = received.bytes();
            assert!(from >= kept, "{from} bytes are left of {kept}");
            let to = bytes.min(from + more);
            let mut appender = storage.append(upload, &received);
            bring(&mut appender, &data, to).await;
            kept = from;
            if let End::Cut = end {
                kept = appender.keep().await.unwrap();
                assert_eq!(kept, to);
            }
        }
        let received = partial(storage, &upload).await;
        assert!(received.bytes() >= kept);
        let mut appender = storage.append(upload.clone(), &received);
        bring(&mut appender, &data, bytes).await;
        assert_eq!(appender.keep().await.unwrap(), bytes);
        let version = storage.complete_upload(&upload).await.unwrap().unwrap();
        let source = ObjectKey::Source(upload.job).to_string();
        assert_eq!(storage.stat(&source).await.unwrap().unwrap().version, version);
        assert!(content(storage, &source).await == data, "{bytes} bytes");
    });
}

pub(crate) async fn two_requests_at_once_lose_nothing(storage: &Storage) {
    let ends = (0_u64..9 * MIB, 0_u64..18 * MIB, 0_u64..18 * MIB);
    property(6, &ends, async |(before, one, other)| {
        let data = noise(before, 18 * MIB as usize);
        let upload = begun(storage, 18 * MIB).await;
        let mut appender = storage.append(upload.clone(), &partial(storage, &upload).await);
        bring(&mut appender, &data, before).await;
        appender.keep().await.unwrap();
        let seen = partial(storage, &upload).await;
        let both = [one, other].map(async |end| {
            let mut appender = storage.append(upload.clone(), &seen);
            bring(&mut appender, &data, end).await;
            assert_eq!(appender.keep().await.unwrap(), end.max(before));
        });
        futures::future::join_all(both).await;
        let received = partial(storage, &upload).await;
        assert_eq!(received.bytes(), one.max(other).max(before));
        let mut appender = storage.append(upload.clone(), &received);
        bring(&mut appender, &data, upload.bytes).await;
        appender.keep().await.unwrap();
        storage.complete_upload(&upload).await.unwrap().unwrap();
        assert!(content(storage, &ObjectKey::Source(upload.job).to_string()).await == data);
    });
}

/// All of an upload, not in place yet.
async fn brought(storage: &Storage, data: &Bytes) -> ResumableUpload {
    let upload = begun(storage, data.len() as u64).await;
    let mut appender = storage.append(upload.clone(), &partial(storage, &upload).await);
    assert_eq!(storage.complete_upload(&upload).await.unwrap(), None);
    bring(&mut appender, data, upload.bytes).await;
    appender.keep().await.unwrap();
    upload
}

pub(crate) async fn are_put_in_place_once(storage: &Storage) {
    let data = noise(5, (8 * MIB) as usize + 100);
    let upload = brought(storage, &data).await;
    let late = storage.append(upload.clone(), &partial(storage, &upload).await);
    assert_eq!(late.bytes(), upload.bytes);
    let eight = (0..8).map(|_| storage.complete_upload(&upload));
    let versions = futures::future::try_join_all(eight).await.unwrap();
    assert!(versions.iter().all(|version| *version == versions[0]), "{versions:?}");
    // Whoever died before it said so finds it in place.
    let Arrival::Whole(version) = storage.received(&upload).await.unwrap() else {
        panic!("it is in place");
    };
    assert_eq!(Some(&version), versions[0].as_ref());
    storage.delete_upload(upload.job).await.unwrap();
    assert_eq!(storage.upload(upload.job).await.unwrap(), None);
    assert!(content(storage, &ObjectKey::Source(upload.job).to_string()).await == data);
}

pub(crate) async fn that_were_deleted_take_nothing(storage: &Storage) {
    let data = noise(6, (20 * MIB) as usize);
    let upload = begun(storage, data.len() as u64).await;
    // Begun again by a request that comes twice.
    let of = (upload.owner, upload.job);
    assert_eq!(storage.begin_upload(of, upload.bytes, "").await.unwrap(), upload);
    let mut appender = storage.append(upload.clone(), &partial(storage, &upload).await);
    bring(&mut appender, &data, 9 * MIB).await;
    appender.keep().await.unwrap();
    storage.delete_upload(upload.job).await.unwrap();
    storage.delete_upload(upload.job).await.unwrap();
    appender.write(data.slice(9 << 20..17 << 20)).await.unwrap();
    let refused = appender.keep().await.unwrap_err();
    assert!(matches!(refused, StorageError::Missing { .. }), "{refused:?}");
    let refused = storage.received(&upload).await.unwrap_err();
    assert!(matches!(refused, StorageError::Missing { .. }), "{refused:?}");
    let left: Vec<_> = storage.list(KeyPrefix::Uploads).try_collect().await.unwrap();
    assert!(
        left.iter()
            .all(|listed| ObjectKey::uploading_job(&listed.key) != Some(upload.job))
    );
}

pub(crate) async fn are_no_stale_writes(storage: &Storage) {
    let data = noise(7, (9 * MIB) as usize);
    let upload = brought(storage, &data).await;
    storage.abort_stale_writes(Duration::ZERO).await.unwrap();
    assert_eq!(partial(storage, &upload).await.bytes(), upload.bytes);
    storage.delete_upload(upload.job).await.unwrap();
}
