//! What ffmpeg and ffprobe say of a stranger's file.

use clearfleet_common::config::Limits;
use clearfleet_common::job::{Container, EncodeSettings, Filters, Ledger, Scale, SourceIdentity, Stretch, Target};

use super::stored::read_as_written;
use crate::media::ledger::{Listing, Times};
use crate::media::probe::{Hdr, StreamInfo, hdr, parse};
use crate::media::process::log::{LAST_LINES, LINE_BYTES, REPORTED_LINES, read};
use crate::steps::{PlanRequest, draft, timed};

/// Frames of a batch, and of those before it whose times it has.
const BATCH: u64 = 5;
const LEAD: usize = 2;

/// Where ffmpeg reads the source.
const URL: &str = "http://127.0.0.1:9/t";

/// ffprobe's answer: what is drafted for its video.
pub(super) fn probe(input: &[u8]) {
    let said = String::from_utf8_lossy(input);
    let limits = Limits::default();
    let Ok(probe) = parse::probe(&said, limits) else {
        return;
    };
    for stream in &probe.streams {
        let turn = stream.orientation.rotation;
        assert!(matches!(turn, 0 | 90 | 180 | 270), "a turn of {turn} degrees");
    }
    let hdr = hdr::said(&serde_json::from_str(&said).expect("what was JSON is JSON"));
    let Ok(stream) = probe.video() else { return };
    for container in [Container::Mp4, Container::Mkv, Container::Webm, Container::Gif] {
        let Ok(draft) = draft(stream, &hdr, &request(container), &limits) else {
            continue;
        };
        let (width, height) = draft.video.target_size;
        assert!((1..=limits.edge).contains(&width) && (1..=limits.edge).contains(&height));
    }
}

/// ffprobe's answer in one line, then a listing of the video's packets or its frames: the ledger of what is listed.
pub(super) fn packets(input: &[u8]) {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (answer, listing) = input.split_at(end + 1);
    let limits = Limits::default();
    let Ok(probe) = parse::probe(&String::from_utf8_lossy(answer), limits) else {
        return;
    };
    let Ok(stream) = probe.video() else { return };
    let predicted = Listing::read(listing, &limits).and_then(|listing| listing.predicted(stream));
    let decoded = Times::read(listing, limits.frames).map(|times| times.ledger(stream).ok());
    for ledger in [predicted.map(|found| found.ledger), decoded]
        .into_iter()
        .flatten()
        .flatten()
    {
        for range in ledger.range().batches(BATCH) {
            read_as_written(&ledger.slice(range, LEAD));
        }
        on_the_clock(stream, &ledger);
    }
}

/// Every time is one that a segment can hold.
fn on_the_clock(stream: &StreamInfo, ledger: &Ledger) {
    let (request, limits) = (request(Container::Mkv), Limits::default());
    let drafted = draft(stream, &Hdr::default(), &request, &limits);
    let Ok(draft) = drafted.and_then(|draft| timed(draft, &request, ledger, &limits)) else {
        return;
    };
    let video = draft.video;
    for tick in ledger.pts().iter().chain([&ledger.end()]) {
        let moved = tick.checked_add(video.shift).filter(|moved| *moved >= 0);
        let held = moved.and_then(|moved| moved.checked_mul(video.time_base.num().into()));
        assert!(held.is_some(), "{tick} ticks, moved by {}", video.shift);
    }
}

/// What ffmpeg says while it works: as much of it as may be kept, and not where it reads.
pub(super) fn log(input: &[u8]) {
    let log = read(input, Some(URL));
    assert!(log.last.len() <= LAST_LINES);
    assert!(log.warnings.len().max(log.errors.len()) <= REPORTED_LINES);
    for line in log.last.iter().chain(&log.warnings).chain(&log.errors) {
        // What is no UTF-8 becomes a mark of three bytes.
        assert!(line.len() <= 3 * LINE_BYTES && !line.contains(URL), "{line}");
    }
}

fn request(container: Container) -> PlanRequest {
    PlanRequest {
        target: Target::Factor(Scale::TWO),
        encode: EncodeSettings {
            codec: container.default_codec(),
            crf: None,
            preset: None,
            container,
        },
        stretch: Stretch::default(),
        filters: Filters::default(),
        retouches: Vec::new(),
        deinterlace: false,
        source: SourceIdentity {
            bytes: 0,
            tag: String::new(),
        },
        engine: String::new(),
        pixels_per_second: 1e6,
        batch_frames: None,
        exact: false,
        earlier: Vec::new(),
    }
}
