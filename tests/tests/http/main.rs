//! What comes over HTTP that should not: bad input, bad clients, and what belongs to others.

mod clients;
mod inputs;
mod owners;
mod problems;
mod slow;

use std::path::{Path, PathBuf};

use clearfleet_tests::{Answer, Client, Server, World, photo};

/// A server with a photo beside it.
fn world(args: &str) -> (World, Server) {
    let world = World::new();
    photo(&world.path("photo.png"));
    let server = Server::with(&world.path("data"), args);
    (world, server)
}

/// Sends a file as the whole body under its own name, or another.
fn send(client: &Client, file: &Path, name: &str, query: &str) -> Answer {
    let content = std::fs::read(file).expect("a file of the test's own");
    client.send("POST", &format!("/v1/jobs?name={name}{query}"), &[], &content)
}

/// Everything beside the data folder.
fn outside(world: &World) -> Vec<PathBuf> {
    let names = world.names().into_iter().filter(|name| !name.starts_with("data/"));
    names.map(PathBuf::from).collect()
}
