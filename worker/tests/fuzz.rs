//! The short run of what `make fuzz` does for as long as it is told: every input that is kept, and some that are made of them.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use clearfleet_worker::media::fuzzing::{Heap, TARGETS, Target};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngSeed, TestRunner};

/// Inputs that are made for each target.
const MADE: u32 = 3000;
/// From which they are made, so that they are the same every time.
const SEED: u64 = 0x00C1_EA2F_1EE7;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const HEAP: Heap = Heap {
    held: || ALLOCATOR.current_usage(),
    most: || ALLOCATOR.peak_usage(),
    restart: || ALLOCATOR.reset_peak_usage(),
};

/// Held while a target runs: what others allocate meanwhile would count, too.
static ALONE: Mutex<()> = Mutex::new(());

macro_rules! fuzzed {
    ($($name:ident)*) => {
        const FUZZED: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            fuzz(stringify!($name));
        })*
    };
}

fuzzed!(animation fragment log metadata nut packets plan probe slice sniff still);

#[test]
fn no_target_is_left_out() {
    assert_eq!(TARGETS.map(|target| target.name), FUZZED);
}

fn fuzz(name: &str) {
    let target = Target::named(name).expect("the target exists");
    let kept = kept(name);
    for (path, input) in &kept {
        println!("{path}");
        check(target, input);
    }
    let config = ProptestConfig {
        cases: MADE,
        rng_seed: RngSeed::Fixed(SEED),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let inputs = kept.into_iter().map(|(_, input)| input).collect();
    let ran = TestRunner::new(config).run(&made_of(inputs), |input| {
        check(target, &input.0);
        Ok(())
    });
    if let Err(failed) = ran {
        panic!("{failed}");
    }
}

fn check(target: &Target, input: &[u8]) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    target.check(input, &HEAP);
}

/// The inputs that are kept for a target, and their names.
fn kept(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/inputs").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the target has a folder")
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "nothing is kept in {}", folder.display());
    paths
        .iter()
        .map(|path| {
            (
                path.display().to_string(),
                std::fs::read(path).expect("the input can be read"),
            )
        })
        .collect()
}

/// An input that is shown as `printf` takes it.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.escape_ascii())
    }
}

/// A change to an input.
#[derive(Clone, Debug)]
enum Edit {
    Flip(Index, u8),
    Overwrite(Index, Vec<u8>),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// Something of another input goes where it would be there.
    Splice(Index, Index, usize),
    /// A number that is written in digits becomes another.
    Renumber(Index, &'static str),
    Cut(Index),
}

/// Numbers at which arithmetic ends.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "255",
    "65536",
    "2147483647",
    "4294967295",
    "4611686018427387904",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "1e308",
    "0.1",
];

/// The same in bytes, in either order.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let edges = prop_oneof![Just(0), Just(u64::MAX), Just(i64::MAX as u64), Just(1 << 31), 0..300u64];
    let numbers = (edges, prop::sample::select(vec![1, 2, 3, 4, 8]), any::<bool>());
    let numbers = numbers.prop_map(|(number, length, little)| {
        if little {
            number.to_le_bytes()[..length].to_vec()
        } else {
            number.to_be_bytes()[8 - length..].to_vec()
        }
    });
    prop_oneof![numbers, prop::collection::vec(any::<u8>(), 1..8)]
}

fn edits() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    prop_oneof![
        (place(), 0..8u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        (place(), bytes()).prop_map(|(at, bytes)| Edit::Overwrite(at, bytes)),
        (place(), bytes()).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (place(), 1..64usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (place(), place(), 1..256usize).prop_map(|(other, at, length)| Edit::Splice(other, at, length)),
        (place(), prop::sample::select(&NUMBERS[..])).prop_map(|(at, number)| Edit::Renumber(at, number)),
        place().prop_map(Edit::Cut),
    ]
}

/// One of the inputs with a few changes.
fn made_of(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Input> {
    (any::<Index>(), prop::collection::vec(edits(), 1..6)).prop_map(move |(first, edits)| {
        let mut input = first.get(&inputs).clone();
        for edit in edits {
            change(&mut input, edit, &inputs);
        }
        Input(input)
    })
}

fn change(input: &mut Vec<u8>, edit: Edit, others: &[Vec<u8>]) {
    let length = input.len();
    // Up to behind the last byte.
    let place = |at: Index| at.index(length + 1);
    let up_to = |at: usize, bytes: usize| at..(at + bytes).min(length);
    match edit {
        Edit::Flip(at, bit) => {
            if let Some(byte) = input.get_mut(place(at)) {
                *byte ^= 1 << bit;
            }
        }
        Edit::Overwrite(at, bytes) => {
            let range = up_to(place(at), bytes.len());
            input.splice(range, bytes);
        }
        Edit::Insert(at, bytes) => drop(input.splice(place(at)..place(at), bytes)),
        Edit::Remove(at, bytes) => drop(input.drain(up_to(place(at), bytes))),
        Edit::Splice(other, at, bytes) => {
            let (other, at) = (other.get(others), place(at));
            let taken = other.get(at..).unwrap_or_default();
            let taken = &taken[..bytes.min(taken.len())];
            input.splice(up_to(at, taken.len()), taken.iter().copied());
        }
        Edit::Renumber(at, number) => {
            let start = place(at);
            let Some(first) = input[start..].iter().position(u8::is_ascii_digit) else {
                return;
            };
            let digits = input[start + first..].iter().take_while(|byte| byte.is_ascii_digit());
            let range = up_to(start + first, digits.count());
            input.splice(range, number.bytes());
        }
        Edit::Cut(at) => input.truncate(place(at)),
    }
}
