//! A RabbitMQ for the tests: one node that all tests of this binary share, each with a vhost of its own, or one for a test
//! alone.
//!
//! Every test runs in a process of its own. The first starts a keeper, which starts the node and ends it when no test has
//! held the lock of its users for a while. `CLEARFLEET_RABBITMQ_CHROOT` names the root of another Debian whose RabbitMQ is
//! taken in place of this system's.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use clearfleet_common::queue::conformance::TestBroker;
use clearfleet_common::queue::{AmqpConfig, AmqpQueue, AmqpTimeouts, Queue};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// The scripts themselves: those in `/usr/sbin` change the user.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";
const KEEPER: &str = "CLEARFLEET_TEST_KEEPER";
/// How long a node stays up without users: the next test may be about to start.
const GRACE: Duration = Duration::from_secs(4);
const START: Duration = Duration::from_secs(120);

fn chroot() -> Option<PathBuf> {
    std::env::var_os("CLEARFLEET_RABBITMQ_CHROOT").map(PathBuf::from)
}

fn is_installed() -> bool {
    let server = Path::new(SCRIPTS).join("rabbitmq-server");
    let found = match chroot() {
        Some(root) => root.join(server.strip_prefix("/").unwrap()),
        None => server,
    };
    let installed = found.is_file();
    if !installed {
        println!("skipped: there is no RabbitMQ, {} is missing", found.display());
    }
    installed
}

/// Where a node is, and how it is commanded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) amqp: u16,
    management: u16,
    distribution: u16,
    epmd: u16,
    /// As the node sees it, which may be in another root.
    folder: PathBuf,
    root: Option<PathBuf>,
}

impl Address {
    fn command(&self, program: &str) -> Command {
        let mut command = match &self.root {
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(program);
                command
            }
            None => Command::new(program),
        };
        let inside = |name: &str| self.folder.join(name);
        command
            .env("HOME", &self.folder)
            .env("LANG", "C.UTF-8")
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", format!("clearfleet-{}@localhost", self.amqp))
            .env("RABBITMQ_MNESIA_BASE", inside("data"))
            .env("RABBITMQ_LOG_BASE", inside("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", inside("plugins"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.amqp.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution.to_string())
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            )
            .env("ERL_EPMD_PORT", self.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Runs `rabbitmqctl`.
    pub(crate) fn control(&self, arguments: &[&str]) {
        let output = self
            .command(&format!("{SCRIPTS}/rabbitmqctl"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert!(output.status.success(), "rabbitmqctl {arguments:?}: {output:?}");
    }

    /// Calls the management API; the body of an answer that is none of success is an error.
    pub(crate) fn api(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.management))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            stream,
            "{method} /api/{path} HTTP/1.0\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status.starts_with('2') {
            Ok(body.to_owned())
        } else {
            Err(std::io::Error::other(answer))
        }
    }

    fn is_up(&self) -> bool {
        self.api("GET", "overview", "").is_ok() && TcpStream::connect(("127.0.0.1", self.amqp)).is_ok()
    }
}

/// A node that ends with this.
pub(crate) struct Node {
    pub(crate) address: Address,
    processes: Vec<Child>,
    folder: TempDir,
}

impl Node {
    /// One for a test alone; nothing, and why is printed, where there is no RabbitMQ.
    pub(crate) fn alone() -> Option<Self> {
        is_installed().then(Self::start)
    }

    fn start() -> Self {
        let root = chroot();
        let base = root.as_ref().map_or_else(std::env::temp_dir, |root| root.join("tmp"));
        let folder = tempfile::Builder::new().prefix("clearfleet-rabbitmq-").tempdir_in(base);
        let folder = folder.unwrap();
        let inside = match &root {
            Some(root) => Path::new("/").join(folder.path().strip_prefix(root).unwrap()),
            None => folder.path().to_owned(),
        };
        // Several at once, so that they differ.
        let ports: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let port = |n: usize| ports[n].local_addr().unwrap().port();
        let address = Address {
            amqp: port(0),
            management: port(1),
            distribution: port(2),
            epmd: port(3),
            folder: inside,
            root,
        };
        drop(ports);
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("plugins", "[rabbitmq_management].\n".to_owned());
        let management = address.management;
        write(
            "rabbitmq.conf",
            format!(
                "management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\ndisk_free_limit.absolute = 1MB\n"
            ),
        );
        let mut node = Self {
            address,
            processes: Vec::new(),
            folder,
        };
        node.revive();
        node
    }

    /// Starts it again on what is on its disk.
    pub(crate) fn revive(&mut self) {
        let address = &self.address;
        let mut epmd = address.command("epmd");
        epmd.args(["-address", "127.0.0.1", "-port", &address.epmd.to_string()]);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log.txt"))
            .unwrap();
        let mut server = address.command(&format!("{SCRIPTS}/rabbitmq-server"));
        server.stdout(log.try_clone().unwrap()).stderr(log);
        for mut command in [epmd, server] {
            self.processes.push(command.process_group(0).spawn().unwrap());
        }
        let deadline = Instant::now() + START;
        while !self.address.is_up() {
            let ended = self.processes.last_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "RabbitMQ does not start ({ended:?}): {}",
                std::fs::read_to_string(self.folder.path().join("log.txt")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        for mut process in self.processes.drain(..).rev() {
            let group = rustix::process::Pid::from_child(&process);
            // Some of the group may be gone already.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            process.wait().unwrap();
        }
    }
}

impl Node {
    /// Takes everything from its disk. It must not run.
    pub(crate) fn wipe(&self) {
        assert!(self.processes.is_empty(), "it runs");
        std::fs::remove_dir_all(self.folder.path().join("data")).unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The node that tests share, while this is held.
struct Shared {
    address: Address,
    _users: File,
}

fn lock_file(folder: &Path, name: &str) -> File {
    let options = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .read(true)
        .clone();
    options.open(folder.join(name)).unwrap()
}

impl Shared {
    /// Once a process: it goes with it.
    fn get() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| is_installed().then(Self::join));
        shared.as_ref()
    }

    fn join() -> Self {
        let tag = chroot().map_or_else(String::new, |root| root.display().to_string().replace('/', "-"));
        let user = rustix::process::getuid().as_raw();
        let folder = std::env::temp_dir().join(format!("clearfleet-test-node-{user}{tag}"));
        std::fs::create_dir_all(&folder).unwrap();
        let users = lock_file(&folder, "users");
        users.lock_shared().unwrap();
        let one = lock_file(&folder, "start");
        one.lock().unwrap();
        let path = folder.join("address.json");
        let read = || -> Option<Address> { serde_json::from_slice(&std::fs::read(&path).ok()?).ok() };
        let address = read().filter(Address::is_up).unwrap_or_else(|| {
            let _ = std::fs::remove_file(&path);
            // Not this process's child for long: nextest must not wait for it.
            let keeper = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "node::keeper", "--ignored"])
                .env(KEEPER, &folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(folder.join("keeper.log")).unwrap())
                .process_group(0)
                .spawn();
            let mut keeper = keeper.unwrap();
            loop {
                if let Some(address) = read() {
                    break address;
                }
                let ended = keeper.try_wait().unwrap();
                assert!(ended.is_none(), "no RabbitMQ, see {}/keeper.log", folder.display());
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { address, _users: users }
    }
}

/// No test, but what keeps the node for the tests.
#[test]
#[ignore = "tests start it"]
fn keeper() {
    let Some(folder) = std::env::var_os(KEEPER).map(PathBuf::from) else {
        return;
    };
    let node = Node::start();
    let (made, address) = (folder.join("address.new"), folder.join("address.json"));
    std::fs::write(&made, serde_json::to_vec(&node.address).unwrap()).unwrap();
    std::fs::rename(&made, &address).unwrap();
    let users = lock_file(&folder, "users");
    loop {
        users.lock().unwrap();
        users.unlock().unwrap();
        std::thread::sleep(GRACE);
        if users.try_lock().is_ok() {
            // Who comes now waits for the lock, and then finds no address.
            std::fs::remove_file(&address).unwrap();
            return;
        }
    }
}

/// A vhost of a test alone.
pub(crate) struct Vhost {
    pub(crate) address: Address,
    pub(crate) name: String,
}

impl Vhost {
    /// On the node that tests share; nothing where there is no RabbitMQ.
    pub(crate) async fn fresh() -> Option<Self> {
        let shared = tokio::task::spawn_blocking(Shared::get).await.unwrap()?;
        Some(Self::on(&shared.address).await)
    }

    pub(crate) async fn on(address: &Address) -> Self {
        let vhost = Self {
            address: address.clone(),
            name: uuid::Uuid::new_v4().to_string(),
        };
        vhost.make().await;
        vhost
    }

    /// Makes it, also anew on a node that was wiped.
    pub(crate) async fn make(&self) {
        self.api("PUT", &format!("vhosts/{}", self.name), "").await;
        let rights = r#"{"configure":".*","write":".*","read":".*"}"#;
        self.api("PUT", &format!("permissions/{}/guest", self.name), rights)
            .await;
    }

    /// Calls the management API.
    pub(crate) async fn api(&self, method: &'static str, path: &str, body: &str) -> String {
        let (address, path, body) = (self.address.clone(), path.to_owned(), body.to_owned());
        let call = move || address.api(method, &path, &body).unwrap();
        tokio::task::spawn_blocking(call).await.unwrap()
    }

    /// Reached at a port, which may be a proxy's.
    pub(crate) fn config(&self, port: u16) -> AmqpConfig {
        AmqpConfig {
            url: format!("amqp://guest:guest@127.0.0.1:{port}/{}", self.name)
                .parse()
                .unwrap(),
            name: "test".to_owned(),
            timeouts: AmqpTimeouts::default(),
        }
    }

    pub(crate) fn queue(&self) -> AmqpQueue {
        AmqpQueue::new(self.config(self.address.amqp))
    }
}

#[async_trait]
impl TestBroker for Vhost {
    async fn connect(&self) -> Arc<dyn Queue> {
        Arc::new(self.queue())
    }

    async fn disconnect_all(&self) {
        let (address, name) = (self.address.clone(), self.name.clone());
        let close = move || address.control(&["close_all_connections", "--vhost", &name, "for a test"]);
        tokio::task::spawn_blocking(close).await.unwrap();
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        // A node that is gone took it along.
        let _ = self.address.api("DELETE", &format!("vhosts/{}", self.name), "");
    }
}
