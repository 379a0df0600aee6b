//! Runs the parser that `CLEARFLEET_FUZZ_TARGET` names on what libFuzzer makes up.
#![no_main]

use std::sync::LazyLock;

use clearfleet_worker::media::fuzzing::{Heap, Target};
use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const HEAP: Heap = Heap {
    held: || ALLOCATOR.current_usage(),
    most: || ALLOCATOR.peak_usage(),
    restart: || ALLOCATOR.reset_peak_usage(),
};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("CLEARFLEET_FUZZ_TARGET").expect("CLEARFLEET_FUZZ_TARGET names a target");
    Target::named(&name).unwrap_or_else(|| panic!("there is no target {name}"))
});

fuzz_target!(|input: &[u8]| TARGET.check(input, &HEAP));
