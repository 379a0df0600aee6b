//! What is fuzzed: the parsers of bytes that others wrote, and what must hold of whatever they make of them.
//!
//! No part of what this crate offers. `worker/fuzz` hands [`TARGETS`] to libFuzzer, and `worker/tests/fuzz.rs` runs them over
//! the inputs that are kept there.

mod pictures;
mod said;
mod stored;
mod streams;

use std::io;

use clearfleet_common::config::Limits;

use super::serve::SourceBytes;

/// A parser and what must hold.
pub struct Target {
    /// Its name, and that of the folder of its inputs.
    pub name: &'static str,
    run: fn(&[u8]),
    /// Heap that it may hold at once whatever the input, in bytes.
    least: usize,
    /// Heap that it may hold more for each byte of the input, in bytes.
    each: usize,
}

/// All of them, each under the heap that it may need: what its decoders are allowed, and what is made of a byte at most.
pub const TARGETS: [Target; 11] = [
    target("animation", pictures::animation, 2 * PICTURE_HEAP, 64),
    target("fragment", streams::fragment, MIB, 512),
    target("log", said::log, 8 * MIB, 16),
    target("metadata", pictures::metadata, MIB, 16),
    target("nut", streams::nut, MIB, 1024),
    target("packets", said::packets, MIB, 512),
    target("plan", stored::plan, MIB, 256),
    target("probe", said::probe, MIB, 256),
    target("slice", stored::slice, 64 * MIB, 64),
    target("sniff", pictures::sniff, MIB, 16),
    target("still", pictures::still, 4 * PICTURE_HEAP, 64),
];

const MIB: usize = 1 << 20;

/// Heap for a decoder of pictures: what it may take beside pixels.
const PICTURE_HEAP: usize = 64 * MIB;

/// Limits under which every input is quick.
const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    edge: 4096,
    pixels: 1 << 14,
    frames: 1 << 16,
    seconds: 86_400,
};

const fn target(name: &'static str, run: fn(&[u8]), least: usize, each: usize) -> Target {
    Target { name, run, least, each }
}

impl Target {
    /// The target of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Runs it on an input.
    ///
    /// # Panics
    /// If something does not hold, or if it held more heap than it may.
    pub fn check(&self, input: &[u8], heap: &Heap) {
        let before = (heap.held)();
        (heap.restart)();
        (self.run)(input);
        let held = (heap.most)().saturating_sub(before);
        let may = self.least + self.each * input.len();
        let (name, length) = (self.name, input.len());
        assert!(
            held <= may,
            "{name} held {held} bytes for an input of {length}, and may hold {may}"
        );
    }
}

/// What an allocator that counts knows of the heap, in bytes.
pub struct Heap {
    /// What is held now.
    pub held: fn() -> usize,
    /// The most that was held at once since the last `restart`.
    pub most: fn() -> usize,
    /// Starts to look for the most afresh.
    pub restart: fn(),
}

/// A source in memory, of which every read gives a few bytes at most.
struct Memory {
    bytes: Vec<u8>,
    at_once: usize,
}

impl Memory {
    fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            at_once: usize::MAX,
        }
    }
}

impl SourceBytes for Memory {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..));
        let from = from.unwrap_or_default();
        let read = from.len().min(buffer.len()).min(self.at_once);
        buffer[..read].copy_from_slice(&from[..read]);
        Ok(read)
    }
}
