//! The stores that the suite runs on.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearfleet_common::storage::embedded::ScratchStore;
use clearfleet_common::storage::{Secret, Storage, StorageConfig, StorageTimeouts};
use tempfile::TempDir;

pub(crate) struct Embedded {
    pub(crate) storage: Storage,
    pub(crate) config: StorageConfig,
    pub(crate) scratch: ScratchStore,
}

impl Embedded {
    pub(crate) async fn start() -> Self {
        let scratch = ScratchStore::start().await.unwrap();
        let config = scratch.config();
        let storage = Storage::connect(&config).await.unwrap();
        Self {
            storage,
            config,
            scratch,
        }
    }
}

/// A MinIO of its own.
pub(crate) struct Minio {
    pub(crate) storage: Storage,
    pub(crate) config: StorageConfig,
    process: Child,
    _data: TempDir,
}

impl Minio {
    /// Nothing, and why is printed, where no `minio` is found.
    pub(crate) async fn start() -> Option<Self> {
        let Some(program) = program() else {
            println!("skipped: no minio in CLEARFLEET_MINIO, on the PATH or in ~/.cache/clearfleet/tools/bin");
            return None;
        };
        // MinIO takes a port only by number.
        for _ in 0..5 {
            let data = tempfile::tempdir().unwrap();
            let port = std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let mut process = Command::new(&program)
                .args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")])
                .arg(data.path())
                .env("MINIO_ROOT_USER", "suite")
                .env("MINIO_ROOT_PASSWORD", "suite-secret")
                .env("MINIO_BROWSER", "off")
                .env("MINIO_UPDATE", "off")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let config = StorageConfig {
                endpoint: format!("http://127.0.0.1:{port}"),
                region: "us-east-1".to_owned(),
                bucket: "suite".to_owned(),
                access_key: "suite".to_owned(),
                secret_key: Secret::from("suite-secret".to_owned()),
                path_style: true,
                signed_bodies: true,
                timeouts: StorageTimeouts::default(),
            };
            let deadline = Instant::now() + Duration::from_secs(60);
            // It ends where somebody else took the port.
            while process.try_wait().unwrap().is_none() && Instant::now() < deadline {
                if let Ok(storage) = Storage::connect(&config).await {
                    return Some(Self {
                        storage,
                        config,
                        process,
                        _data: data,
                    });
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            process.kill().unwrap();
            process.wait().unwrap();
        }
        panic!("{} does not answer", program.display());
    }
}

impl Drop for Minio {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("CLEARFLEET_MINIO").map(PathBuf::from);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&paths).map(|folder| folder.join("minio"));
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let tools = home.map(|home| home.join(".cache/clearfleet/tools/bin/minio"));
    named
        .into_iter()
        .chain(on_path)
        .chain(tools)
        .find(|path| path.is_file())
}

/// `length` bytes that are others for each seed.
pub(crate) fn noise(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Runs a property of what is awaited. Needs a runtime of several threads.
pub(crate) fn property<S: proptest::strategy::Strategy>(cases: u32, strategy: &S, test: impl AsyncFn(S::Value)) {
    use proptest::test_runner::{Config, TestRunner};
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let outcome = runner.run(strategy, |value| {
            runtime.block_on(test(value));
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
    });
}
