use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clearfleet_common::job::JobId;
use clearfleet_common::storage::{ObjectKey, Storage};
use tar::{Builder, EntryType, Header};

use super::pack::pack;
use super::*;
use crate::http::NoKeys;
use crate::testing::Site;

/// A data folder as a server has it, with a large object and a small one; and a backup of it.
async fn backed_up(data_dir: &Path) -> Vec<u8> {
    fs::create_dir_all(data_dir).unwrap();
    let store = EmbeddedStore::open(&data_dir.join(STORE_FOLDER)).unwrap();
    let served = store.serve().await.unwrap();
    let storage = Storage::connect(&served.config()).await.unwrap();
    storage
        .put(ObjectKey::Active(JobId::from_u128(1)), "local".into())
        .await
        .unwrap();
    let mut writer = storage
        .write(ObjectKey::Source(JobId::from_u128(1)), "video/mp4")
        .await
        .unwrap();
    writer.write(vec![7; 20 << 20].into()).await.unwrap();
    writer.finish().await.unwrap();
    fs::write(data_dir.join(WEBHOOK_SECRET_FILE), "secret").unwrap();
    let backup = Backup::new(store, data_dir.to_owned());
    let snapshot = backup.snapshot().unwrap();
    let mut tar = Vec::new();
    pack(&snapshot.0, data_dir, &mut tar).unwrap();
    drop(snapshot);
    assert!(!data_dir.join(SNAPSHOT).exists());
    served.shutdown().await;
    tar
}

/// What the store of a data folder holds.
async fn content(data_dir: &Path) -> Vec<(String, u64)> {
    let store = EmbeddedStore::open(&data_dir.join(STORE_FOLDER)).unwrap();
    let served = store.serve().await.unwrap();
    let storage = Storage::connect(&served.config()).await.unwrap();
    let listed = storage.list(clearfleet_common::storage::KeyPrefix::All);
    let listed: Vec<_> = futures::TryStreamExt::try_collect(listed).await.unwrap();
    let source = storage
        .get(ObjectKey::Source(JobId::from_u128(1)))
        .await
        .unwrap()
        .unwrap();
    assert!(source.body.len() == 20 << 20 && source.body.iter().all(|byte| *byte == 7));
    served.shutdown().await;
    listed.into_iter().map(|listed| (listed.key, listed.bytes)).collect()
}

/// Names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_folder_is_a_data_folder_again() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    let tar = backed_up(&before).await;
    restore(&*tar, &after).unwrap();
    assert_eq!(names(&after), ["store", "webhook.secret"]);
    assert_eq!(fs::read_to_string(after.join(WEBHOOK_SECRET_FILE)).unwrap(), "secret");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!((mode(&after), mode(&after.join(WEBHOOK_SECRET_FILE))), (0, 0));
    let expected = content(&before).await;
    assert_eq!(content(&after).await, expected);
    assert_eq!(expected.len(), 2);
    assert_eq!(names(folder.path()), ["after", "before"]);
    // An empty folder that is there is as good as none; one that is not empty is not touched.
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    restore(&*tar, &empty).unwrap();
    let refused = restore(&*tar, &empty).unwrap_err();
    assert!(matches!(refused, UnpackError::Occupied(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_cut_off_anywhere_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let tar = backed_up(&folder.path().join("before")).await;
    let target = folder.path().join("target");
    // At each block near the ends, where entries begin, and at some places in between.
    let near_end = (0..40).map(|n| tar.len() - 512 * n);
    let cuts = (0..20).map(|n| 512 * n).chain(near_end).chain([700, tar.len() / 2 + 3]);
    // Two empty blocks follow the last file; it is whole without them.
    let end_of_last = tar.len() - 1024;
    for cut in cuts.filter(|cut| *cut < end_of_last) {
        let refused = restore(&tar[..cut], &target).unwrap_err();
        assert!(
            matches!(refused, UnpackError::Incomplete(_) | UnpackError::Read(_)),
            "{cut}: {refused}"
        );
        assert_eq!(names(folder.path()), ["before"], "{cut}");
    }
}

fn tar_of(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o777);
        if *kind == EntryType::Symlink || *kind == EntryType::Link {
            header.set_link_name("/etc").unwrap();
        }
        // As somebody with bad intentions writes it: the crate's own way refuses such names.
        let bytes = name.as_bytes();
        header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn nothing_is_written_outside_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    for (name, kind) in [
        ("../outside", EntryType::Regular),
        ("store/../../outside", EntryType::Regular),
        ("/tmp/clearfleet-outside", EntryType::Regular),
        ("store", EntryType::Symlink),
        ("store/link", EntryType::Symlink),
        ("store/link", EntryType::Link),
        ("store/pipe", EntryType::Fifo),
        ("store/device", EntryType::Char),
        ("other", EntryType::Regular),
        ("admin.key/x", EntryType::Regular),
    ] {
        let content: &[u8] = if kind == EntryType::Regular { b"x" } else { b"" };
        let refused = restore(&*tar_of(&[(name, kind, content)]), &target).unwrap_err();
        assert!(matches!(refused, UnpackError::Foreign { .. }), "{name}: {refused}");
        assert_eq!(names(folder.path()), Vec::<String>::new(), "{name}");
    }
    assert!(!Path::new("/tmp/clearfleet-outside").exists());
    let twice = [
        ("admin.key", EntryType::Regular, &b"a"[..]),
        ("admin.key", EntryType::Regular, b"b"),
    ];
    let refused = restore(&*tar_of(&twice), &target).unwrap_err();
    assert!(matches!(refused, UnpackError::Write { .. }), "{refused}");
}

#[test]
fn what_is_no_backup_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let refused = |tar: &[u8]| {
        let refused = restore(tar, &target).unwrap_err();
        assert_eq!(names(folder.path()), Vec::<String>::new());
        refused
    };
    assert!(matches!(refused(b""), UnpackError::Incomplete(_)));
    assert!(matches!(refused(&[b'x'; 4096]), UnpackError::Read(_)));
    let manifest = |text: &'static str| tar_of(&[(MANIFEST, EntryType::Regular, text.as_bytes())]);
    assert!(matches!(refused(&manifest("{}")), UnpackError::Incomplete(_)));
    assert!(matches!(
        refused(&manifest(r#"{"version":2}"#)),
        UnpackError::Newer { found: 2 }
    ));
    let more = r#"{"version":1,"created":"2026-01-01T00:00:00Z","files":1,"bytes":5}"#;
    assert!(matches!(refused(&manifest(more)), UnpackError::Incomplete(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_streams_a_backup_while_it_is_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let store = EmbeddedStore::open(&data_dir.join(STORE_FOLDER)).unwrap();
    let served = store.serve().await.unwrap();
    let storage = Storage::connect(&served.config()).await.unwrap();
    let mut writer = storage
        .write(ObjectKey::Source(JobId::from_u128(1)), "video/mp4")
        .await
        .unwrap();
    writer.write(vec![7; 20 << 20].into()).await.unwrap();
    writer.finish().await.unwrap();
    // The API itself runs on another store; only the backup is of this one.
    let site = Site::new().await;
    let backup = Backup::new(store, data_dir.clone());
    let address = site
        .serve(site.records().await, std::sync::Arc::new(NoKeys), |state| {
            state.with_backup(backup)
        })
        .await;
    let mut response = reqwest::get(format!("{address}/v1/backup")).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/x-tar".parse().unwrap())
    );
    let second = reqwest::get(format!("{address}/v1/backup")).await.unwrap();
    assert_eq!(second.status().as_u16(), 429, "one at a time");
    // What is deleted and written after its beginning does not matter.
    storage
        .delete(&ObjectKey::Source(JobId::from_u128(1)).to_string())
        .await
        .unwrap();
    storage
        .put(ObjectKey::Active(JobId::from_u128(2)), "local".into())
        .await
        .unwrap();
    let mut tar = Vec::new();
    while let Some(piece) = response.chunk().await.unwrap() {
        tar.write_all(&piece).unwrap();
    }
    let restored = folder.path().join("restored");
    restore(&*tar, &restored).unwrap();
    let expected = [(ObjectKey::Source(JobId::from_u128(1)).to_string(), 20 << 20)];
    assert_eq!(content(&restored).await, expected);
    crate::testing::until("the copy is removed", async || names(&data_dir) == ["store"]).await;

    let without = site
        .serve(site.records().await, std::sync::Arc::new(NoKeys), |state| state)
        .await;
    let response = reqwest::get(format!("{without}/v1/backup")).await.unwrap();
    assert_eq!(response.status().as_u16(), 501);
}
