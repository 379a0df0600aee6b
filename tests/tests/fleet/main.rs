//! A fleet: several servers and workers on one RabbitMQ and one MinIO, all of them real, some of them killed.
//!
//! Where RabbitMQ or MinIO is missing, the tests say so and are skipped.

mod audits;
mod chaos;
mod faults;
mod kills;
mod odds;
mod rolls;
mod stores;
mod traces;
mod work;

#[path = "../../../common/tests/queue/node.rs"]
#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "as in the queue's own tests, which use all of it"
)]
mod node;

#[path = "../../../common/tests/queue/proxy.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "as in the queue's own tests")]
mod proxy;

use std::time::{Duration, Instant};

use clearfleet_tests::{Call, DEADLINE, Frames, Minio, Running, Server, World, decoded, film, photo};
use node::{Node, Vhost};
use proxy::Proxy;
use serde_json::{Value, json};

/// A broker, a store, and who works on them.
struct Fleet {
    world: World,
    store: Minio,
    vhost: Vhost,
    /// The broker, where it is this fleet's alone.
    node: Option<Node>,
    network: Option<Network>,
    runtime: tokio::runtime::Runtime,
    servers: usize,
}

/// What lies between the processes of a fleet and its broker and store.
struct Network {
    broker: Proxy,
    store: Proxy,
}

impl Network {
    fn both(&self) -> [&Proxy; 2] {
        [&self.broker, &self.store]
    }

    /// Ends all connections.
    fn cut(&self) {
        self.both().into_iter().for_each(Proxy::cut);
    }

    /// Lets everything through, later.
    fn delay(&self, by: Duration) {
        self.both().into_iter().for_each(|proxy| proxy.delay(by));
    }

    /// Lets nothing through any more, and closes nothing.
    fn swallow(&self) {
        self.both().into_iter().for_each(Proxy::swallow);
    }

    /// Lets everything through at once, as at the start.
    fn pass(&self) {
        self.both().into_iter().for_each(Proxy::pass);
    }
}

/// A worker of the fleet.
struct Worker {
    running: Running,
    monitor: String,
}

impl Fleet {
    /// One that nobody works in yet, with `photo.png` of 24×16 pixels and `film.mp4` of 64×48 pixels and 50 frames.
    fn start() -> Option<Self> {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let vhost = runtime.block_on(Vhost::fresh())?;
        Self::on(runtime, vhost, None)
    }

    /// The same with a broker that can be killed.
    fn with_a_broker_of_its_own() -> Option<Self> {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let node = Node::alone()?;
        let vhost = runtime.block_on(Vhost::on(&node.address));
        Self::on(runtime, vhost, Some(node))
    }

    fn on(runtime: tokio::runtime::Runtime, vhost: Vhost, node: Option<Node>) -> Option<Self> {
        let store = Minio::start()?;
        let world = World::new();
        photo(&world.path("photo.png"));
        film(&world.path("film.mp4"), FRAMES, &["-preset", "ultrafast"]);
        Some(Self {
            world,
            store,
            vhost,
            node,
            network: None,
            runtime,
            servers: 0,
        })
    }

    /// Puts a network between its broker and store and those who start from now on.
    fn network(&mut self) {
        let (broker, store) = (self.vhost.address.amqp, self.store.port());
        let network = self.runtime.block_on(async {
            Network {
                broker: Proxy::to(broker).await,
                store: Proxy::to(store).await,
            }
        });
        self.network = Some(network);
    }

    /// What lies between, once it does.
    fn between(&self) -> &Network {
        self.network.as_ref().expect("it lies between")
    }

    /// Kills the broker, which is its own.
    fn kill_broker(&mut self) {
        self.node.as_mut().expect("a broker of its own").kill();
    }

    /// Starts the broker again, with what it had or with nothing.
    fn revive_broker(&mut self, is_empty: bool) {
        let node = self.node.as_mut().expect("a broker of its own");
        if is_empty {
            node.wipe();
        }
        node.revive();
        if is_empty {
            self.runtime.block_on(self.vhost.make());
        }
    }

    /// What every process of it is told.
    fn options(&self) -> String {
        let (broker, store) = match &self.network {
            Some(network) => (network.broker.port, network.store.port),
            None => (self.vhost.address.amqp, self.store.port()),
        };
        format!(
            "{} --amqp-url amqp://guest:guest@127.0.0.1:{broker}/{}",
            Minio::options_at(&format!("http://127.0.0.1:{store}")),
            self.vhost.name
        )
    }

    /// One more server.
    fn server(&mut self) -> Server {
        self.servers += 1;
        let data = self.world.path(format!("server-{}", self.servers));
        Server::with(&data, &self.options())
    }

    /// One more worker, once it takes work.
    fn worker(&self, args: &str) -> Worker {
        self.worker_of(Call::worker().args(["run", "--scratch"]).arg(self.world.folder()), args)
    }

    /// The same of a call that says `run` already, and where scratch files go.
    fn worker_of(&self, call: Call, args: &str) -> Worker {
        let options = self.options();
        let mut running = call
            .args(["--json", "--monitor", "127.0.0.1:0"])
            .args(options.split_whitespace())
            .args(args.split_whitespace())
            .start();
        let ready = running.until(|event| event["event"] == "ready");
        let monitor = ready["monitor"].as_str().expect("an address").to_owned();
        Worker { running, monitor }
    }

    /// Looks again and again until there is what is waited for.
    fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(since.elapsed() < DEADLINE, "nothing of it in {DEADLINE:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The frames of a job's result.
    fn result(&self, server: &Server, job: &str) -> Frames {
        let file = self.world.path(format!("result-{job}.mkv"));
        server.client().download(&format!("/v1/jobs/{job}/result"), &file);
        decoded(&file, 0)
    }

    /// A job's film is the one that `clearfleet upscale` makes, to the bit, and it holds what its source does.
    fn assert_film(&self, server: &Server, job: &str) {
        let expected = self.world.path("expected.mkv");
        let call = Call::upscale().args(["--codec", "ffv1", "--overwrite"]);
        call.arg(self.world.path("film.mp4")).arg(&expected).succeed();
        let (found, expected) = (self.result(server, job), decoded(&expected, 0));
        assert_eq!((found.pts, found.sums), (expected.pts, expected.sums));
        server.client().assert_verified(job);
    }
}

impl Worker {
    /// What it answers at its monitor.
    fn ask(&self, path: &str) -> (u16, String) {
        let answer = clearfleet_tests::Client::new(&self.monitor).get(path);
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Frames that it has done.
    fn frames(&self) -> f64 {
        self.metric("clearfleet_worker_frames_total")
    }

    /// Waits until one of its metrics has a value.
    fn until(&self, name: &str, wanted: impl Fn(f64) -> bool) {
        let since = Instant::now();
        while !wanted(self.metric(name)) {
            assert!(since.elapsed() < DEADLINE, "{name} stays {}", self.metric(name));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The value of one of its metrics, of all labels together.
    fn metric(&self, name: &str) -> f64 {
        let monitor = clearfleet_tests::Client::new(&self.monitor);
        monitor.metric(name).unwrap_or(0.0)
    }
}

/// How many frames the film has.
const FRAMES: u64 = 50;

/// The settings of a film whose frames can be compared to the bit.
fn lossless() -> Value {
    json!({ "format": "mkv", "codec": "ffv1" })
}

fn batches_done(job: &Value) -> u64 {
    job["progress"]["batches_done"].as_u64().expect("a number of batches")
}
