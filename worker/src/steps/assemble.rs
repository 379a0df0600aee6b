use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use clearfleet_common::ErrorCode;
use clearfleet_common::config::Deadlines;
use clearfleet_common::job::{LedgerSlice, Marker, Plan, TimeBase};
use clearfleet_common::storage::ObjectKey;

use super::JobContext;
use super::upscale::read_json;
use crate::media::cover::Cover;
use crate::media::input::VideoInput;
use crate::media::ledger;
use crate::media::probe::{self, Probe, StreamInfo, StreamKind};
use crate::media::remux::{RemuxOrder, Segments, remux};
use crate::media::serve::{FileSource, SourceBytes};
use crate::media::streams::{OtherStreams, other_streams};
use crate::{Error, Result};

/// Joins the finished batches, adds the source's other streams and writes the result to `scratch`, an absolute path;
/// then reads the result back and compares its frames' times with the ledger.
///
/// `scratch` is whole only if this returns without an error; removing it otherwise is the caller's.
///
/// # Errors
/// `EncodeFailed` if ffmpeg cannot put it together, `VerifyMismatch` if the result does not hold the ledger's frames,
/// `DiskFull`, `DeadlineExceeded`, `Stopped`; `Internal` if a batch has no marker.
pub fn assemble(job: &JobContext, plan: &Plan, probe: &Probe, scratch: &Path) -> Result<()> {
    let mut markers = Vec::new();
    for batch in 0..plan.batches.len() as u64 {
        let bytes = job.store.get(ObjectKey::Marker(job.key, batch))?;
        let missing = || Error::internal(format!("batch {batch} is not done"));
        markers.push(read_json::<Marker>(&bytes.ok_or_else(missing)?, "marker")?);
    }
    let store = Arc::clone(&job.store);
    let open = markers
        .into_iter()
        .map(move |marker| -> Result<Box<dyn Read + Send>> { store.read(&marker.segment) });
    let segments: Segments<'_> = Box::new(open);
    let others = other_streams(probe, plan.video.stream as usize, plan.container);
    let covers = covers(job, plan, probe, &others)?;
    let is_file = |s: &&StreamInfo| s.kind == StreamKind::Attachment && others.kept.contains(&s.index);
    let order = RemuxOrder {
        plan,
        source: &job.source,
        others: &others,
        covers: &covers,
        files: probe.streams.iter().filter(is_file).count(),
        scratch,
        stop: &job.stop,
        deadline: Deadlines::media(plan.source.bytes),
    };
    remux(&order, segments)?;
    check(job, plan, scratch)
}

/// The source's covers that are attached as files.
fn covers(job: &JobContext, plan: &Plan, probe: &Probe, others: &OtherStreams) -> Result<Vec<Cover>> {
    let deadline = Deadlines::media(plan.source.bytes);
    let attached = probe.streams.iter().filter(|s| others.attached.contains(&s.index));
    attached
        .map(|stream| Cover::take(&job.source, probe.demuxer, stream, &job.server, &job.stop, deadline))
        .collect()
}

/// Compares the times of the result's packets with the ledger.
fn check(job: &JobContext, plan: &Plan, scratch: &Path) -> Result<()> {
    let result = FileSource::open(scratch)?;
    let deadline = Deadlines::media(result.len());
    let served = job.server.register(Arc::new(result));
    let probe = probe::probe(&served, &job.limits, &job.stop)?;
    // The upscaled video is put first, whatever other videos are copied.
    let stream = probe.streams.iter().find(|s| s.kind == StreamKind::Video);
    let stream = stream.ok_or_else(|| mismatch("its video, which is not there"))?;
    if (stream.width, stream.height) != plan.video.target_size {
        return Err(
            mismatch("the size of its frames").with("found", format_args!("{}x{}", stream.width, stream.height))
        );
    }
    let video = VideoInput {
        source: &served,
        demuxer: probe.demuxer,
        stream,
    };
    let found = match ledger::predict(&video, &job.limits, &job.stop, deadline)?.ledger {
        Some(found) => found,
        None => ledger::decode_all(&video, &job.limits, &job.stop, deadline)?,
    };
    let mut times = found.pts().iter();
    let mut zero = (!plan.container.is_animation()).then_some(plan.zero);
    for (n, range) in plan.batches.iter().enumerate() {
        let bytes = job.store.get(ObjectKey::Ledger(job.key, n as u64))?;
        let missing = || Error::internal(format!("batch {n} has no ledger"));
        let slice: LedgerSlice = read_json(&bytes.ok_or_else(missing)?, "ledger")?;
        // An animated picture has no time before its first frame.
        let zero = *zero.get_or_insert(slice.pts()[0]);
        for (frame, pts) in (range.start()..).zip(slice.pts()) {
            let time = times
                .next()
                .ok_or_else(|| mismatch("the number of its frames").with("found", found.len()))?;
            if !same_time(*pts - zero, plan.video.time_base, *time, found.time_base()) {
                let found = found.time_base().seconds(*time);
                let expected = plan.video.time_base.seconds(*pts - zero);
                let error = mismatch("the time of a frame").with("frame", frame);
                return Err(error.with("expected_seconds", expected).with("found_seconds", found));
            }
        }
    }
    if times.next().is_some() {
        return Err(mismatch("the number of its frames").with("found", found.len()));
    }
    Ok(())
}

/// Whether two times are equal to one tick of the coarser clock.
pub(crate) fn same_time(a: i64, a_base: TimeBase, b: i64, b_base: TimeBase) -> bool {
    let tick = a_base.seconds(1).max(b_base.seconds(1));
    // Half a thousandth of a tick for what floating point adds.
    (a_base.seconds(a) - b_base.seconds(b)).abs() <= tick * 1.0005
}

fn mismatch(what: &str) -> Error {
    Error::new(
        ErrorCode::VerifyMismatch,
        format!("the result differs from the ledger in {what}"),
    )
}
