//! The head of a QuickTime file of raw frames, one after the other.

use super::timing::Timing;

/// 1 as a fixed-point number of 16 bits before and 16 after the point.
const ONE: u32 = 1 << 16;
/// Flags and version of an atom whose times have 64 bits.
const LONG_TIMES: u32 = 1 << 24;
/// Dots an inch, which nobody looks at.
const RESOLUTION: u32 = 72 * ONE;
/// Bits of a pixel.
const DEPTH: u16 = 32;

/// All that precedes the frames' bytes: RGBA of 8 bits, each for as long as it is shown.
pub(super) fn head(timing: &Timing) -> Vec<u8> {
    let length = with_frames_at(timing, 0).len() as u64;
    with_frames_at(timing, length)
}

fn with_frames_at(timing: &Timing, offset: u64) -> Vec<u8> {
    let frames = timing.delays.len() as u64;
    let ticks = timing.ticks();
    let times = times(timing.ticks_a_second(), ticks.iter().copied().map(u64::from).sum());
    let movie = atom(
        b"moov",
        &[&movie_header(&times), &track(timing, &ticks, &times, offset)],
    );
    let bytes = frames * u64::from(frame_bytes(timing));
    // A length of 1 says that the length follows, in 64 bits.
    let data = [&longs([1])[..], b"mdat", &(16 + bytes).to_be_bytes()].concat();
    [movie, data].concat()
}

fn frame_bytes(timing: &Timing) -> u32 {
    let (width, height) = timing.size;
    width.saturating_mul(height).saturating_mul(u32::from(DEPTH) / 8)
}

fn movie_header(times: &[u8]) -> Vec<u8> {
    // Rate, volume, ten bytes of nothing; then the matrix, 24 bytes of nothing, and the number of the next track.
    let rate = longs([ONE, u32::from(0x0100u16) << 16, 0, 0]);
    atom(b"mvhd", &[times, &rate, &matrix(), &[0; 24], &longs([2])])
}

/// When it was made and changed, which nobody knows; the clock, the length.
fn times(ticks_a_second: u32, duration: u64) -> Vec<u8> {
    let clock = longs([LONG_TIMES, 0, 0, 0, 0, ticks_a_second]);
    [clock, duration.to_be_bytes().to_vec()].concat()
}

fn matrix() -> Vec<u8> {
    longs([ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30])
}

fn track(timing: &Timing, ticks: &[u32], times: &[u8], offset: u64) -> Vec<u8> {
    let (width, height) = timing.size;
    let duration = &times[times.len() - 8..];
    // In use in the movie; no dates; number 1.
    let first = longs([LONG_TIMES | 3, 0, 0, 0, 0, 1, 0]);
    let size = longs([width << 16, height << 16]);
    let header = atom(b"tkhd", &[&first, duration, &[0; 16], &matrix(), &size]);
    let handler = atom(b"hdlr", &[&longs([0]), b"mhlrvide", &[0; 13]]);
    // The frames are in this file.
    let place = atom(b"dref", &[&longs([0, 1]), &atom(b"url ", &[&longs([1])])]);
    let information = atom(
        b"minf",
        &[
            &atom(b"vmhd", &[&longs([1, 0, 0])]),
            &atom(b"dinf", &[&place]),
            &samples(timing, ticks, offset),
        ],
    );
    // No language is stated.
    let clock = atom(b"mdhd", &[times, &longs([0x55c4 << 16])]);
    atom(b"trak", &[&header, &atom(b"mdia", &[&clock, &handler, &information])])
}

/// What the frames are, how long each lasts, and where they lie: all in one piece.
fn samples(timing: &Timing, ticks: &[u32], offset: u64) -> Vec<u8> {
    let frames = ticks.len() as u32;
    let runs: Vec<u8> = ticks
        .chunk_by(|a, b| a == b)
        .flat_map(|run| longs([run.len() as u32, run[0]]))
        .collect();
    let run_count = (runs.len() / 8) as u32;
    atom(
        b"stbl",
        &[
            &atom(b"stsd", &[&longs([0, 1]), &description(timing)]),
            &atom(b"stts", &[&longs([0, run_count]), &runs]),
            &atom(b"stsc", &[&longs([0, 1, 1, frames, 1])]),
            &atom(b"stsz", &[&longs([0, frame_bytes(timing), frames])]),
            &atom(b"co64", &[&longs([0, 1]), &offset.to_be_bytes()]),
        ],
    )
}

fn description(timing: &Timing) -> Vec<u8> {
    let (width, height) = timing.size;
    let short = |n: u16| n.to_be_bytes().to_vec();
    // Where an edge is too long, frames and samples differ in their bytes, and ffmpeg refuses them.
    let edge = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
    atom(
        b"RGBA",
        &[
            &[0; 6],
            &short(1),
            &[0; 16],
            &short(edge(width)),
            &short(edge(height)),
            &longs([RESOLUTION, RESOLUTION, 0]),
            // One frame in each sample, without a name, without a colour table.
            &short(1),
            &[0; 32],
            &short(DEPTH),
            &short(u16::MAX),
        ],
    )
}

fn atom(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = (content.len() + 8) as u32;
    [&length.to_be_bytes()[..], kind, &content].concat()
}

fn longs<const N: usize>(numbers: [u32; N]) -> Vec<u8> {
    numbers.into_iter().flat_map(u32::to_be_bytes).collect()
}
