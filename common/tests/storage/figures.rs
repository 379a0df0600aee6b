//! Speed, for people: `cargo nextest run -p clearfleet-common --all-features --run-ignored only --no-capture figures`.

use std::process::Command;
use std::time::Instant;

use clearfleet_common::job::JobId;
use clearfleet_common::storage::ObjectKey;

use crate::backend::{Embedded, noise};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn small_writes_a_second() {
    const EACH: u64 = 500;
    let store = Embedded::start().await;
    for writers in [1, 8, 32] {
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for seed in 0..writers {
            let storage = store.storage.clone();
            tasks.spawn(async move {
                for _ in 0..EACH {
                    storage
                        .put(ObjectKey::Active(JobId::new()), noise(seed, 1024))
                        .await
                        .unwrap();
                }
            });
        }
        tasks.join_all().await;
        let rate = (writers * EACH) as f64 / begun.elapsed().as_secs_f64();
        println!("{writers} writers: {rate:.0} puts of 1 KiB a second");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_gibibyte_next_to_cp() {
    const MIB: usize = 1024;
    let store = Embedded::start().await;
    let data = noise(1, 1 << 20);
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a"), folder.path().join("b"));
    {
        let mut file = std::fs::File::create(&from).unwrap();
        for _ in 0..MIB {
            std::io::Write::write_all(&mut file, &data).unwrap();
        }
        file.sync_all().unwrap();
    }
    for _ in 0..3 {
        let begun = Instant::now();
        assert!(Command::new("cp").arg(&from).arg(&to).status().unwrap().success());
        std::fs::File::open(&to).unwrap().sync_all().unwrap();
        let copied = MIB as f64 / begun.elapsed().as_secs_f64();
        std::fs::remove_file(&to).unwrap();

        let key = ObjectKey::Source(JobId::new());
        let begun = Instant::now();
        let mut writer = store.storage.write(key, "video/mp4").await.unwrap();
        for _ in 0..MIB {
            writer.write(data.clone()).await.unwrap();
        }
        writer.finish().await.unwrap();
        let written = MIB as f64 / begun.elapsed().as_secs_f64();

        let begun = Instant::now();
        let mut reader = store.storage.read(&key.to_string(), None, None).await.unwrap();
        while futures::TryStreamExt::try_next(&mut reader).await.unwrap().is_some() {}
        let read = MIB as f64 / begun.elapsed().as_secs_f64();
        println!(
            "cp and fsync {copied:.0} MiB/s; written {written:.0} MiB/s ({:.2}); read {read:.0} MiB/s",
            written / copied
        );
        store.storage.delete(&key.to_string()).await.unwrap();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}
