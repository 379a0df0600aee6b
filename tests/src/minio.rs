//! A MinIO of a test's own, as an operator's store, and objects in it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
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
    program: PathBuf,
    address: String,
    process: Child,
    data: PathBuf,
    /// Where that is the store's own.
    _own: Option<TempDir>,
}

impl Minio {
    /// Nothing, and why is printed, where no `minio` is found.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start() -> Option<Self> {
        let own = tempfile::tempdir().expect("a temporary folder");
        let mut minio = Self::start_in(own.path())?;
        minio._own = Some(own);
        Some(minio)
    }

    /// The same with everything in this folder, which is there.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_in(data: &Path) -> Option<Self> {
        let Some(program) = program() else {
            println!("skipped: no minio in CLEARFLEET_MINIO, on the PATH or in ~/.cache/clearfleet/tools/bin");
            return None;
        };
        // It takes a port only by number, and ends where somebody else has it meanwhile.
        let started = (0..5).find_map(|_| Self::try_start(&program, data));
        Some(started.unwrap_or_else(|| panic!("{} does not answer", program.display())))
    }

    fn try_start(program: &Path, data: &Path) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr();
        let address = port.expect("its address").to_string();
        let mut minio = Self {
            process: spawn(program, &address, data),
            program: program.to_owned(),
            address,
            data: data.to_owned(),
            _own: None,
        };
        minio.answers().then_some(minio)
    }

    /// Whether it is up, or comes up in time.
    fn answers(&mut self) -> bool {
        let since = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && since.elapsed() < STARTS_IN {
            let ready = ureq::get(format!("{}/minio/health/ready", self.url())).call();
            if ready.is_ok_and(|answer| answer.status() == 200) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// Kills it, as a crash would.
    ///
    /// # Panics
    /// If it had ended before.
    pub fn kill(&mut self) {
        let ended = self.process.try_wait().expect("a process of this one's own");
        assert!(ended.is_none(), "MinIO had ended: {ended:?}");
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it can be waited for");
    }

    /// Starts it again where it was, on what it had stored.
    ///
    /// # Panics
    /// If it does not start.
    pub fn revive(&mut self) {
        self.process = spawn(&self.program, &self.address, &self.data);
        assert!(self.answers(), "MinIO does not come back");
    }

    /// The options that make a server keep everything in it.
    pub fn options(&self) -> String {
        Self::options_at(&self.url())
    }

    /// The same where it is reached at another URL, as through a proxy.
    pub fn options_at(url: &str) -> String {
        format!("--s3-endpoint {url} --s3-access-key {USER} --s3-secret-key {PASSWORD}")
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port of that.
    ///
    /// # Panics
    /// Never.
    pub fn port(&self) -> u16 {
        let port = self.address.rsplit(':').next().and_then(|port| port.parse().ok());
        port.expect("an address of its own")
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

fn spawn(program: &Path, address: &str, data: &Path) -> Child {
    Command::new(program)
        .args(["server", "--quiet", "--address", address])
        .arg(data)
        .env("MINIO_ROOT_USER", USER)
        .env("MINIO_ROOT_PASSWORD", PASSWORD)
        .env("MINIO_BROWSER", "off")
        .env("MINIO_UPDATE", "off")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("minio can be started")
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
