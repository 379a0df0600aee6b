//! A fleet: several servers and workers on one RabbitMQ and one MinIO, all of them real, some of them killed.
//!
//! Where RabbitMQ or MinIO is missing, the tests say so and are skipped.

mod kills;
mod work;

#[path = "../../../common/tests/queue/node.rs"]
#[allow(
    clippy::unwrap_used,
    dead_code,
    reason = "as in the queue's own tests, which use all of it"
)]
mod node;

use clearfleet_tests::{Call, Frames, Minio, Running, Server, World, decoded, film, photo};
use node::Vhost;
use serde_json::{Value, json};

/// A broker, a store, and who works on them.
struct Fleet {
    world: World,
    store: Minio,
    vhost: Vhost,
    servers: usize,
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
        let store = Minio::start()?;
        let world = World::new();
        photo(&world.path("photo.png"));
        film(&world.path("film.mp4"), 50, &["-preset", "ultrafast"]);
        Some(Self {
            world,
            store,
            vhost,
            servers: 0,
        })
    }

    /// What every process of it is told.
    fn options(&self) -> String {
        let (port, vhost) = (self.vhost.address.amqp, &self.vhost.name);
        format!(
            "{} --amqp-url amqp://guest:guest@127.0.0.1:{port}/{vhost}",
            self.store.options()
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
        let options = self.options();
        let mut running = Call::worker()
            .args(["run", "--json", "--monitor", "127.0.0.1:0", "--scratch"])
            .arg(self.world.folder())
            .args(options.split_whitespace())
            .args(args.split_whitespace())
            .start();
        let ready = running.until(|event| event["event"] == "ready");
        let monitor = ready["monitor"].as_str().expect("an address").to_owned();
        Worker { running, monitor }
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

    /// The value of one of its metrics, of all labels together.
    fn metric(&self, name: &str) -> f64 {
        let monitor = clearfleet_tests::Client::new(&self.monitor);
        monitor.metric(name).unwrap_or(0.0)
    }
}

/// The settings of a film whose frames can be compared to the bit.
fn lossless() -> Value {
    json!({ "format": "mkv", "codec": "ffv1" })
}
