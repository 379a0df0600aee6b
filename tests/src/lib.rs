//! What the system tests share. They drive the built program from outside, as a person or a script does: this has the
//! program, a folder to work in, small media to feed it, crafted files, and ffmpeg and Chromium as second opinions.
//!
//! Nothing here uses the project's own code: what the program does is judged by other means.

mod browser;
mod collector;
mod crafted;
mod matrix;
mod media;
mod minio;
mod program;
mod running;
mod script;
mod server;
mod tus;
mod world;

pub use browser::in_chromium;
pub use collector::{CALLER, Collector, Span, Traced};
pub use crafted::{black_png, gif_header, oversized_png, png_header, referring};
pub use matrix::{Row, own_container};
pub use media::{Frames, decoded, ffmpeg, film, film_of, photo, probe, shared};
pub use minio::Minio;
pub use program::{Call, is_root, program};
pub use running::{DEADLINE, Ended, Process, Running};
pub use rustix::process::Signal;
pub use server::{Answer, Client, Event, Events, Raw, Receiver, Reply, Server, Told, Upload, id_of};
pub use tus::TusClient;
pub use world::World;
