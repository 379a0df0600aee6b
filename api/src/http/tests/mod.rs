//! The API from outside: real sockets, an embedded store, a queue in memory; every test in a world of its own.

mod commands;
mod create;
mod document;
mod events;
mod hostile;
mod objects;
mod owners;
mod page;
mod problems;
mod read;
mod session;
mod sound;
mod stream;
mod traces;
mod uploads;
mod world;

pub(super) use stream::film;

use world::{ALICE, Answer, BOB, NOBODY, ROOT, World, png};
