//! Clearfleet's front: the command line; the HTTP API and the page come on top of the same crates.

pub mod cli;
