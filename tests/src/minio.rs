//! A MinIO of a test's own, as an operator's store, and objects in it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Who may use it.
const USER: &str = "operator";
/// And what proves it.
const PASSWORD: &str = "operators-secret";
/// How long it may take to start.
const STARTS_IN: Duration = Duration::from_secs(60);

/// A store. Dropped, it is killed.
#[derive(Debug)]
pub struct Minio {
    url: String,
    process: Child,
    _data: TempDir,
}

impl Minio {
    /// Nothing, and why is printed, where no `minio` is found.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            println!("skipped: no minio in CLEARFLEET_MINIO, on the PATH or in ~/.cache/clearfleet/tools/bin");
            return None;
        };
        // It takes a port only by number, and ends where somebody else has it meanwhile.
        let started = (0..5).find_map(|_| Self::try_start(&program));
        Some(started.unwrap_or_else(|| panic!("{} does not answer", program.display())))
    }

    fn try_start(program: &PathBuf) -> Option<Self> {
        let data = tempfile::tempdir().expect("a temporary folder");
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr();
        let address = port.expect("its address").to_string();
        let process = Command::new(program)
            .args(["server", "--quiet", "--address", &address])
            .arg(data.path())
            .env("MINIO_ROOT_USER", USER)
            .env("MINIO_ROOT_PASSWORD", PASSWORD)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut minio = Self {
            url: format!("http://{address}"),
            process: process.expect("minio can be started"),
            _data: data,
        };
        let since = Instant::now();
        while matches!(minio.process.try_wait(), Ok(None)) && since.elapsed() < STARTS_IN {
            let ready = ureq::get(format!("{}/minio/health/ready", minio.url)).call();
            if ready.is_ok_and(|answer| answer.status() == 200) {
                return Some(minio);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }

    /// The options that make a server keep everything in it.
    pub fn options(&self) -> String {
        format!(
            "--s3-endpoint {} --s3-access-key {USER} --s3-secret-key {PASSWORD}",
            self.url
        )
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Who may use it, and what proves that.
    pub fn credentials(&self) -> (&str, &str) {
        (USER, PASSWORD)
    }
}

impl Drop for Minio {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("CLEARFLEET_MINIO").map(PathBuf::from);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&paths).map(|folder| folder.join("minio"));
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let tools = home.map(|home| home.join(".cache/clearfleet/tools/bin/minio"));
    let places = named.into_iter().chain(on_path).chain(tools);
    places.into_iter().find(|path| path.is_file())
}
