//! What the embedded store does besides the suite: it survives, it is copied, it says when it is full.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use clearfleet_common::job::JobId;
use clearfleet_common::storage::embedded::{EmbeddedError, EmbeddedServer, EmbeddedStore};
use clearfleet_common::storage::{KeyPrefix, Listed, ObjectKey, Storage, StorageError};
use futures::TryStreamExt as _;
use proptest::prelude::*;

use crate::backend::{Embedded, noise, property};
use crate::lists::{Question, answered, expected, fill};
use crate::writes::content;

/// Opens and serves a folder.
pub(crate) async fn open(folder: &Path) -> (Storage, EmbeddedServer) {
    let server = EmbeddedStore::open(folder).unwrap().serve().await.unwrap();
    (Storage::connect(&server.config()).await.unwrap(), server)
}

/// Files that hold contents.
pub(crate) fn blob_files(folder: &Path) -> usize {
    let mut files = 0;
    for period in std::fs::read_dir(folder.join("blobs")).unwrap() {
        files += std::fs::read_dir(period.unwrap().path()).unwrap().count();
    }
    files
}

async fn write(storage: &Storage, key: ObjectKey, data: Bytes) {
    let mut writer = storage.write(key, "video/mp4").await.unwrap();
    writer.write(data).await.unwrap();
    writer.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_any_characters_are_listed_in_order() {
    let store = Embedded::start().await;
    // The client takes no key of blanks alone.
    let odd = "[ab/é𝄞][ab/é𝄞 +%&<>\"'.-]{0,11}";
    let keys = prop::collection::btree_map(odd, 0..50_usize, 1..60);
    let question = (
        "[ab/é]{0,2}",
        prop::option::of("[/aé]{1,2}"),
        prop::option::of(odd),
        1..20_i32,
    );
    property(
        25,
        &(keys, question),
        async |(keys, (prefix, delimiter, start_after, page))| {
            let keys: BTreeMap<String, usize> = keys;
            fill(&store.storage, &keys).await;
            let question = Question {
                prefix,
                delimiter,
                start_after,
                page,
            };
            assert_eq!(
                answered(&store.storage, &keys, &question).await,
                expected(&keys, &question)
            );
            store.storage.delete_all(KeyPrefix::All).await.unwrap();
        },
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, server) = open(folder.path()).await;
    let client = storage.client();
    let begun = client
        .create_multipart_upload()
        .bucket(storage.bucket())
        .key("film")
        .content_type("video/mp4");
    let id = begun.send().await.unwrap().upload_id.unwrap();
    let data = noise(1, 11 << 20);
    let send = async |storage: &Storage, number: i32, body: Bytes| {
        let part = storage
            .client()
            .upload_part()
            .bucket(storage.bucket())
            .key("film")
            .upload_id(&id);
        let sent = part.part_number(number).body(body.into()).send().await.unwrap();
        sent.e_tag.unwrap()
    };
    send(&storage, 1, noise(9, 6 << 20)).await;
    // Sent again, it replaces the first.
    let first = send(&storage, 1, data.slice(..6 << 20)).await;
    server.shutdown().await;

    let (storage, _server) = open(folder.path()).await;
    let client = storage.client();
    let uploads = client
        .list_multipart_uploads()
        .bucket(storage.bucket())
        .send()
        .await
        .unwrap();
    assert_eq!(uploads.uploads()[0].upload_id(), Some(id.as_str()));
    let parts = client
        .list_parts()
        .bucket(storage.bucket())
        .key("film")
        .upload_id(&id)
        .send()
        .await
        .unwrap();
    let listed: Vec<_> = parts
        .parts()
        .iter()
        .map(|part| (part.part_number(), part.e_tag(), part.size()))
        .collect();
    assert_eq!(listed, [(Some(1), Some(first.as_str()), Some(6 << 20))]);

    let second = send(&storage, 2, data.slice(6 << 20..)).await;
    let complete = async |parts: &[(i32, &str)]| {
        let parts = parts
            .iter()
            .map(|(number, etag)| CompletedPart::builder().part_number(*number).e_tag(*etag).build());
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts.collect()))
            .build();
        let complete = client
            .complete_multipart_upload()
            .bucket(storage.bucket())
            .key("film")
            .upload_id(&id);
        complete.multipart_upload(parts).send().await.map_err(|error| {
            let error = error.into_service_error();
            error.meta().code().unwrap_or_default().to_owned()
        })
    };
    assert_eq!(
        complete(&[(1, &second), (2, &second)]).await.unwrap_err(),
        "InvalidPart"
    );
    assert_eq!(
        complete(&[(2, &second), (1, &first)]).await.unwrap_err(),
        "InvalidPartOrder"
    );
    complete(&[(1, &first), (2, &second)]).await.unwrap();
    assert_eq!(
        complete(&[(1, &first), (2, &second)]).await.unwrap_err(),
        "NoSuchUpload"
    );
    assert!(content(&storage, "film").await == data);
    assert_eq!(blob_files(folder.path()), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_being_read_stays_readable() {
    let store = Embedded::start().await;
    let storage = &store.storage;
    let key = ObjectKey::Source(JobId::new());
    let data = noise(1, 60 << 20);
    write(storage, key, data.clone()).await;
    let mut reader = storage.read(&key.to_string(), None, None).await.unwrap();
    let first = reader.try_next().await.unwrap().unwrap();
    storage.put(key, Bytes::from_static(b"other")).await.unwrap();
    let rest: Vec<Bytes> = reader.try_collect().await.unwrap();
    assert!([first, rest.concat().into()].concat() == data);

    storage.delete(&key.to_string()).await.unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while blob_files(store.scratch.folder()) > 0 {
        assert!(std::time::Instant::now() < deadline, "files of deleted objects stay");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_an_object_of_its_own() {
    let store = Embedded::start().await;
    let storage = &store.storage;
    for length in [5, 20 << 20] {
        let data = noise(2, length);
        let key = ObjectKey::Source(JobId::new());
        write(storage, key, data.clone()).await;
        let source = format!("{}/{key}", storage.bucket());
        let copy = storage
            .client()
            .copy_object()
            .bucket(storage.bucket())
            .key("copy")
            .copy_source(source);
        copy.send().await.unwrap();
        storage.delete(&key.to_string()).await.unwrap();
        assert!(content(storage, "copy").await == data);
        assert_eq!(storage.stat("copy").await.unwrap().unwrap().content_type, "video/mp4");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_so_and_deleting_helps() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, server) = open(folder.path()).await;
    let key = ObjectKey::CurrentModels;
    storage.put(key, Bytes::from_static(b"x")).await.unwrap();
    server.shutdown().await;

    // No disk has so much.
    let server = EmbeddedStore::open_with_reserve(folder.path(), 1 << 60)
        .unwrap()
        .serve()
        .await
        .unwrap();
    let storage = Storage::connect(&server.config()).await.unwrap();
    let full = storage.put(key, Bytes::from_static(b"y")).await.unwrap_err();
    assert!(matches!(full, StorageError::Full { .. }), "{full:?}");
    assert!(!full.is_transient());
    let mut writer = storage
        .write(ObjectKey::Source(JobId::new()), "video/mp4")
        .await
        .unwrap();
    let full = writer.write(noise(1, 9 << 20)).await.unwrap_err();
    assert!(matches!(full, StorageError::Full { .. }), "{full:?}");
    assert_eq!(&*storage.get(key).await.unwrap().unwrap().body, b"x");
    storage.delete(&key.to_string()).await.unwrap();
    assert_eq!(storage.get(key).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_for_one_process_and_one_version() {
    let folder = tempfile::tempdir().unwrap();
    let (_, server) = open(folder.path()).await;
    let second = EmbeddedStore::open(folder.path()).unwrap_err();
    assert!(matches!(&second, EmbeddedError::InUse { folder: named } if named == folder.path()));
    let config = server.config();
    server.shutdown().await;

    let (_, server) = open(folder.path()).await;
    assert_eq!(server.config().secret_key, config.secret_key);
    server.shutdown().await;

    let database = redb::Database::open(folder.path().join("index.redb")).unwrap();
    let change = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    change.open_table(meta).unwrap().insert("version", 2).unwrap();
    change.commit().unwrap();
    drop(database);
    let newer = EmbeddedStore::open(folder.path()).unwrap_err();
    assert!(
        matches!(newer, EmbeddedError::Newer { found: 2, known: 1, .. }),
        "{newer}"
    );
}

/// All objects and what they hold.
async fn everything(storage: &Storage) -> Vec<(Listed, Bytes)> {
    let listed: Vec<Listed> = storage.list(KeyPrefix::All).try_collect().await.unwrap();
    let mut all = Vec::new();
    for object in listed {
        let content = content(storage, &object.key).await;
        all.push((object, content));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_under_load_is_of_one_moment() {
    let scratch = tempfile::tempdir().unwrap();
    let (data, saved, restored) = (
        scratch.path().join("data"),
        scratch.path().join("a/saved"),
        scratch.path().join("b"),
    );
    let store = EmbeddedStore::open(&data).unwrap();
    let server = store.serve().await.unwrap();
    let storage = Storage::connect(&server.config()).await.unwrap();
    let film = ObjectKey::Source(JobId::LOCAL);
    write(&storage, film, noise(7, 20 << 20)).await;

    // Writes two objects one after the other, so that the second is never ahead of the first; deletes the film.
    let (first, second) = (
        ObjectKey::Active(JobId::from_u128(1)),
        ObjectKey::Active(JobId::from_u128(2)),
    );
    let done = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (storage, done) = (storage.clone(), Arc::clone(&done));
        async move {
            let mut count = 0_u64;
            while !done.load(Ordering::SeqCst) {
                for key in [first, second] {
                    storage.put(key, count.to_string().into()).await.unwrap();
                }
                count += 1;
            }
            storage.delete(&film.to_string()).await.unwrap();
            count
        }
    });
    while storage.get(second).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    let backup = tokio::task::spawn_blocking({
        let (store, saved, done) = (Arc::clone(&store), saved.clone(), Arc::clone(&done));
        move || {
            let saving = store.backup(&saved);
            done.store(true, Ordering::SeqCst);
            saving
        }
    });
    backup.await.unwrap().unwrap();
    assert!(load.await.unwrap() > 0);
    let occupied = store.backup(&saved).unwrap_err();
    assert!(matches!(occupied, EmbeddedError::Occupied { .. }), "{occupied}");
    let live = everything(&storage).await;
    server.shutdown().await;
    drop(store);

    EmbeddedStore::restore(&saved, &restored).unwrap();
    let occupied = EmbeddedStore::restore(&saved, &restored).unwrap_err();
    assert!(matches!(occupied, EmbeddedError::Occupied { .. }), "{occupied}");
    let (storage, server) = open(&restored).await;
    assert!(content(&storage, &film.to_string()).await == noise(7, 20 << 20));
    let count = async |key| {
        let stored = storage.get(key).await.unwrap().unwrap();
        std::str::from_utf8(&stored.body).unwrap().parse::<u64>().unwrap()
    };
    let (first, second) = (count(first).await, count(second).await);
    assert!(first == second || first == second + 1, "{first} {second}");
    server.shutdown().await;

    // The one it was made of is untouched by what happens to its copies.
    std::fs::remove_dir_all(&restored).unwrap();
    std::fs::remove_dir_all(&saved).unwrap();
    let (storage, _server) = open(&data).await;
    assert!(everything(&storage).await == live);
    assert_eq!(blob_files(&data), live.len());
}

#[test]
fn what_is_no_backup_is_not_restored() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("film.mp4"), "").unwrap();
    let refused = EmbeddedStore::restore(scratch.path(), &scratch.path().join("new")).unwrap_err();
    assert!(matches!(refused, EmbeddedError::NotADataFolder { .. }), "{refused}");
    assert!(!scratch.path().join("new").exists());
}
