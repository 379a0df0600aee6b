//! `clearfleet serve` from outside: what goes in and comes out over HTTP, and the commands that talk to it.

mod commands;
mod events;
mod list;
mod objects;
mod operate;
mod order;
mod preview;
mod restart;
mod results;
mod retention;
mod stream;
mod submit;
mod traces;
mod uploads;
mod webhooks;

use std::path::{Path, PathBuf};

use clearfleet_tests::{Call, Frames, Server, World, decoded, film, photo};
use serde_json::{Value, json};

/// A folder with a server in it, `photo.png` of 24×16 pixels and `film.mp4` of 64×48 pixels and 50 frames, 2 s.
struct Setting {
    world: World,
    server: Server,
}

impl Setting {
    /// With a server that upscales at once, in batches of ten frames.
    fn new() -> Self {
        Self::with("--engine bicubic --batch-frames 10")
    }

    /// With a server that takes this long for a frame, in batches of five.
    fn slow(milliseconds: u32) -> Self {
        Self::with(&format!("--engine wait --wait {milliseconds} --batch-frames 5"))
    }

    fn with(args: &str) -> Self {
        let world = World::new();
        photo(&world.path("photo.png"));
        film(&world.path("film.mp4"), 50, &["-preset", "ultrafast"]);
        let server = Server::with(&world.path("data"), args);
        Self { world, server }
    }

    fn photo(&self) -> PathBuf {
        self.world.path("photo.png")
    }

    fn film(&self) -> PathBuf {
        self.world.path("film.mp4")
    }

    /// Submits the film for a lossless result; the job's id.
    fn submit_film(&self) -> String {
        self.server.client().submit_with(&self.film(), &lossless())
    }

    /// Submits the photo; the job's id.
    fn submit_photo(&self) -> String {
        self.server.client().submit_with(&self.photo(), &json!({}))
    }

    /// The frames of a job's result.
    fn result(&self, job: &str) -> Frames {
        let file = self.world.path(format!("result-{job}.mkv"));
        self.server.client().download(&format!("/v1/jobs/{job}/result"), &file);
        decoded(&file, 0)
    }

    /// The frames that `clearfleet upscale` makes of the film.
    fn expected(&self, args: &[&str]) -> Frames {
        let out = self.world.path("expected.mkv");
        let call = Call::upscale().args(["--codec", "ffv1", "--overwrite"]).args(args);
        call.arg(self.film()).arg(&out).succeed();
        decoded(&out, 0)
    }

    /// A job's film is the one that `clearfleet upscale` makes, to the bit, and it holds what its source does.
    fn assert_film(&self, job: &str) {
        assert_same(&self.result(job), &self.expected(&[]));
        self.server.client().assert_verified(job);
    }
}

/// The settings of a film whose frames can be compared to the bit.
fn lossless() -> Value {
    json!({ "format": "mkv", "codec": "ffv1" })
}

fn assert_same(found: &Frames, expected: &Frames) {
    assert_eq!(found.pts.len(), expected.pts.len());
    assert_eq!(found.pts, expected.pts);
    assert_eq!(found.sums, expected.sums);
}

/// What `clearfleet upscale` makes of a photo.
fn upscaled(world: &World, photo: &Path) -> Vec<u8> {
    let out = world.path("expected.png");
    Call::upscale().arg("--overwrite").arg(photo).arg(&out).succeed();
    std::fs::read(out).expect("made just now")
}
