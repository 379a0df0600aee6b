//! What is stored between a job's steps, perhaps by a worker of another version.

use std::fmt::Debug;

use clearfleet_common::job::{FORMAT_VERSION, LedgerSlice, Plan};
use clearfleet_common::mp4::Additions;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::media::{alpha_is_beside, frame_format};
use crate::steps::{pipeline_digest, read_json, write_json};

/// A plan: its batches hold every frame once.
pub(super) fn plan(input: &[u8]) {
    let Ok(plan) = read_json::<Plan>(input, "plan") else {
        return;
    };
    assert!(plan.version <= FORMAT_VERSION);
    read_as_written(&plan);
    let frames: u64 = plan.batches.iter().map(|range| range.len()).sum();
    assert_eq!(plan.batches.last().map(|range| range.end()), Some(frames));
    // Whatever these say of it.
    let _ = (frame_format(&plan.video).is_ok(), alpha_is_beside(&plan));
    let _ = (Additions::of(&plan.video), Additions::of_shown(&plan.video));
    for batch in 0..=plan.batches.len() {
        plan.shown_seconds(batch);
    }
    pipeline_digest("engine", &plan.demuxer, &plan.video, &plan.encoder);
}

/// The ledger of a batch: it has all of its frames, and their times increase.
pub(super) fn slice(input: &[u8]) {
    let Ok(slice) = read_json::<LedgerSlice>(input, "ledger") else {
        return;
    };
    read_as_written(&slice);
    assert_eq!(slice.pts().len() as u64, slice.range().len());
    let times = [slice.lead(), slice.pts(), &[slice.end()]].concat();
    assert!(times.is_sorted_by(|one, next| one < next));
}

/// What is written of a value is that value when it is read.
pub(super) fn read_as_written<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let written = write_json(value).expect("a value that was read can be written");
    let read: T = read_json(&written, "value").expect("a value that was written can be read");
    assert_eq!(&read, value, "{}", String::from_utf8_lossy(&written));
}
