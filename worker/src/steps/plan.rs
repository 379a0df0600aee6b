use std::sync::Arc;
use std::time::Duration;

use clearfleet_common::ErrorCode;
use clearfleet_common::config::{Deadlines, Limits};
use clearfleet_common::job::{
    Container, EncodeSettings, EncoderSpec, FORMAT_VERSION, Filters, FrameRange, Ledger, LedgerSlice, Plan,
    PlannedVideo, Rational, Retouch, SourceIdentity, Stretch, Target,
};
use clearfleet_common::storage::ObjectKey;
use sha2::{Digest, Sha256};

use super::draft::{Draft, draft};
use super::reuse::Earlier;
use super::store::Created;
use super::upscale::{read_json, write_json};
use super::{JobContext, hex, sound, stretch};
use crate::media::input::{self, VideoInput};
use crate::media::ledger;
use crate::media::probe::{Probe, StreamInfo, hdr};
use crate::media::streams::other_streams;
use crate::{Error, Result};

/// Seconds of work that a batch should hold.
const BATCH_SECONDS: f64 = 30.0;
/// Seconds of work that a batch of several frames may hold at most.
const LONGEST_BATCH_SECONDS: f64 = 300.0;
/// Frames that a batch holds at most.
const LARGEST_BATCH: u64 = 1000;
/// Frames that a batch should hold at least, as long as it is not too long: every batch costs a key frame.
const SMALLEST_BATCH: u64 = 12;

/// Ledgers that are written at a time: each waits for the store.
const WRITERS: usize = 8;

/// How long the frames of a preview may take to be found.
const PREVIEW_DEADLINE: Duration = Duration::from_secs(120);

/// What a person asked for, and what a plan must know of the engine.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// Size of the result.
    pub target: Target,
    /// Encoding of the result.
    pub encode: EncodeSettings,
    /// Which part of the video.
    pub stretch: Stretch,
    /// What is done to a frame before it is enlarged.
    pub filters: Filters,
    /// Parts of the video to which something else is done.
    pub retouches: Vec<Retouch>,
    /// Whether interlaced frames are made progressive.
    pub deinterlace: bool,
    /// What the source is.
    pub source: SourceIdentity,
    /// Fingerprint of the engine and digest of the model.
    pub engine: String,
    /// Pixels of the result that the engine makes in a second.
    pub pixels_per_second: f64,
    /// Frames in a batch, in place of what the engine's rate suggests.
    pub batch_frames: Option<u64>,
    /// Whether to decode the whole stream rather than trust its packets.
    pub exact: bool,
    /// Earlier plans of the same job whose segments are still there, the best to go on from first: where frames, source and
    /// pipeline are the same, their batches are not done again.
    pub earlier: Vec<u32>,
}

/// Plans a video: finds every frame's time, cuts the work into batches, fixes how they are encoded. Writes the ledger
/// of each batch, then the plan.
///
/// A plan is written once: where two workers make the same one at a time, or one goes on where another ended, both cut
/// the batches as whoever wrote the first ledger did, and both return the plan that was stored first.
///
/// # Errors
/// `InputDamaged`, `InputNoFrames`, `InputTooManyFrames`, `InputTooManyPixels`, `InputTooLong`; `StretchEmpty`;
/// `TargetInvalid`; `SettingsInvalid`; `FramesMismatch` where no ledger can be made; those of the store.
pub fn plan(job: &JobContext, probe: &Probe, request: &PlanRequest) -> Result<Arc<Plan>> {
    let stream = probe.video()?;
    let video = video_input(job, probe, stream);
    // What can be refused is refused before the packets are read.
    let mut draft = draft(stream, &hdr(&video, &job.stop)?, request, &job.limits)?;
    let whole = make_ledger(job, &video, request)?;
    let first = whole.pts()[0];
    let ledger = stretch::cut(whole, &request.stretch)?;
    draft.video.retouched = stretch::retouched(&request.retouches, first, &ledger);
    write(job, probe, request, draft, &ledger)
}

/// Plans a few frames alone, from the start of the request's stretch on, without looking at the rest of the video: as many
/// as `frames`, as the stretch has at the video's rate, and as the engine makes in `seconds`, but one at least.
///
/// # Errors
/// As [`plan`].
pub fn plan_preview(
    job: &JobContext,
    probe: &Probe,
    request: &PlanRequest,
    frames: u32,
    seconds: f64,
) -> Result<Arc<Plan>> {
    let stream = probe.video()?;
    let video = video_input(job, probe, stream);
    let mut draft = draft(stream, &hdr(&video, &job.stop)?, request, &job.limits)?;
    let from = request.stretch.start.unwrap_or(0.0);
    let rate = draft.video.frame_rate.as_f64();
    let frames_until = |end: f64| ((end - from) * rate).round().max(1.0) as u32;
    let frames = request.stretch.end.map_or(frames, |end| frames.min(frames_until(end)));
    let pixels = pixels(draft.video.target_size);
    let fit = ((seconds * request.pixels_per_second / pixels) as u32).max(1);
    if fit < frames {
        draft.notes.push(format!(
            "{fit} of {frames} frames are shown: more would take over {seconds:.0} s here"
        ));
    }
    let ledger = ledger::decode_some(&video, from, frames.min(fit), &job.stop, PREVIEW_DEADLINE)?;
    let first = stream.start_pts.unwrap_or(0);
    draft.video.retouched = stretch::retouched(&request.retouches, first, &ledger);
    write(job, probe, request, draft, &ledger)
}

fn video_input<'a>(job: &'a JobContext, probe: &'a Probe, stream: &'a StreamInfo) -> VideoInput<'a> {
    VideoInput {
        source: &job.source,
        demuxer: probe.demuxer,
        stream,
    }
}

fn pixels((width, height): (u32, u32)) -> f64 {
    f64::from(width) * f64::from(height)
}

/// Cuts the ledger into batches and writes all of it down, the plan last.
fn write(job: &JobContext, probe: &Probe, request: &PlanRequest, draft: Draft, ledger: &Ledger) -> Result<Arc<Plan>> {
    let Draft {
        video,
        encoder,
        mut notes,
    } = timed(draft, request, ledger, &job.limits)?;
    if probe.demuxer == input::FILM {
        let film = job.source.film(&job.stop)?;
        notes.extend(film.timing().lost.iter().map(|what| format!("{what} is not kept")));
    }
    let others = other_streams(probe, video.stream as usize, request.encode.container);
    notes.extend(others.left_out);
    let earlier = Earlier::find(job, request, (probe.demuxer, &video, &encoder))?;
    let per_batch = request
        .batch_frames
        .or(earlier.as_ref().map(Earlier::batch_frames))
        .unwrap_or_else(|| batch_frames(video.target_size, request.pixels_per_second));
    let lead = lead(&video, &encoder);
    let per_batch = agreed(job, ledger, per_batch.min(LedgerSlice::MOST_FRAMES), lead)?;
    let whole_video = request.stretch.is_whole();
    let batches: Vec<FrameRange> = ledger.range().batches(per_batch).collect();
    let mut plan = Plan {
        version: FORMAT_VERSION,
        source: request.source.clone(),
        demuxer: probe.demuxer.to_owned(),
        zero: if whole_video { 0 } else { ledger.pts()[0] },
        until: (!whole_video).then_some(ledger.end()),
        batch_seconds: per_batch as f64 * pixels(video.target_size) / request.pixels_per_second,
        pipeline: pipeline_digest(&request.engine, probe.demuxer, &video, &encoder),
        container: request.encode.container,
        times: times(ledger, &batches),
        batches,
        video,
        encoder,
        notes,
        sound: None,
    };
    plan.sound = sound::planned(job, request, probe, &plan)?;
    let slice = |range: FrameRange| ledger.slice(range, lead);
    write_ledgers(job, &plan.batches, &slice)?;
    // Before the plan, so that whoever follows it finds what need not be done again.
    if let Some(earlier) = earlier {
        let slices = plan.batches.iter().map(|range| slice(*range));
        let taken = earlier.hand_over(job, &plan.video, slices)?;
        tracing::info!(job = %job.key.job, taken, "batches of plan {} are taken over", earlier.number());
    }
    if job.store.create(ObjectKey::Plan(job.key), &write_json(&plan)?)? == Created::New {
        return Ok(Arc::new(plan));
    }
    let stored = job.store.get(ObjectKey::Plan(job.key))?;
    let gone = || Error::internal("a plan was deleted while it was made");
    Ok(Arc::new(read_json(&stored.ok_or_else(gone)?, "plan")?))
}

/// When each batch starts, and when the last ends.
fn times(ledger: &Ledger, batches: &[FrameRange]) -> Vec<i64> {
    let first = ledger.range().start();
    let starts = batches
        .iter()
        .map(|batch| ledger.pts()[(batch.start() - first) as usize]);
    starts.chain([ledger.end()]).collect()
}

/// Frames before a batch whose times it needs: those that an encoder reorders, and the one that a deinterlacer looks back
/// to.
fn lead(video: &PlannedVideo, encoder: &EncoderSpec) -> usize {
    (encoder.reorder as usize).max(usize::from(video.deinterlace))
}

/// Refuses frames that come faster than viewers show those of the container.
fn check_pace(container: Container, ledger: &Ledger) -> Result<()> {
    let steps = ledger.pts().windows(2).map(|pair| pair[1] - pair[0]);
    let shortest = ledger.time_base().seconds(steps.min().unwrap_or(i64::MAX));
    // Half a thousandth of a millisecond for what floating point adds.
    if shortest + 5e-7 >= container.shortest_frame() {
        return Ok(());
    }
    let (least, found) = (1000.0 * container.shortest_frame(), 1000.0 * shortest);
    let message =
        format!("viewers show no frame of a {container} for less than {least:.0} ms, and one lasts {found:.1} ms");
    Err(Error::new(ErrorCode::SettingsInvalid, message)
        .with("limit", least)
        .with("found", found))
}

/// Writes the ledger of each batch but the first, which is there already.
fn write_ledgers(
    job: &JobContext,
    batches: &[FrameRange],
    slice: &(dyn Fn(FrameRange) -> LedgerSlice + Sync),
) -> Result<()> {
    let write = |first: usize| {
        for n in (first..batches.len()).step_by(WRITERS) {
            let ledger = write_json(&slice(batches[n]))?;
            job.store.put(ObjectKey::Ledger(job.key, n as u64), &ledger)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let cannot = |e| Error::internal("a thread cannot be started").because(e);
        let start = |first| {
            let thread = std::thread::Builder::new().name("ledgers".to_owned());
            thread.spawn_scoped(scope, move || write(first)).map_err(cannot)
        };
        let writers = (1..batches.len()).take(WRITERS).map(start);
        let writers = writers.collect::<Result<Vec<_>>>()?;
        let panicked = |_| Err(Error::internal("a thread that wrote ledgers panicked"));
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().unwrap_or_else(panicked))
    })
}

/// Frames in a batch, as whoever writes the first batch's ledger has it: engines' rates are measured, so two workers
/// would cut at different frames, and the ledgers of one plan must not be of two minds.
fn agreed(job: &JobContext, ledger: &Ledger, per_batch: u64, lead: usize) -> Result<u64> {
    let mut batches = ledger.range().batches(per_batch);
    let first = batches.next().unwrap_or(ledger.range());
    let key = ObjectKey::Ledger(job.key, 0);
    if job.store.create(key, &write_json(&ledger.slice(first, lead))?)? == Created::New {
        return Ok(per_batch);
    }
    let stored = job.store.get(key)?;
    let gone = || Error::internal("a ledger was deleted while its plan was made");
    let slice: LedgerSlice = read_json(&stored.ok_or_else(gone)?, "ledger")?;
    let found = slice.range().len();
    // A whole video in one batch may be shorter than what a batch may hold.
    Ok(if found == ledger.len() {
        per_batch.max(found)
    } else {
        found
    })
}

fn make_ledger(job: &JobContext, video: &VideoInput<'_>, request: &PlanRequest) -> Result<Ledger> {
    let deadline = Deadlines::media(request.source.bytes);
    let predicted = ledger::predict(video, &job.limits, &job.stop, deadline)?;
    match predicted.ledger {
        Some(ledger) if !request.exact => Ok(ledger),
        _ => {
            let decoded = ledger::decode_all(video, &job.limits, &job.stop, deadline)?;
            Ok(decoded.with_keys(predicted.keys))
        }
    }
}

/// Fills in what depends on the frames' times.
///
/// # Errors
/// `SettingsInvalid` where frames come faster than the container shows them; `InputTooLong`; `InputDamaged` where times are
/// too far from 0 to be written.
pub(crate) fn timed(mut draft: Draft, request: &PlanRequest, ledger: &Ledger, limits: &Limits) -> Result<Draft> {
    check_pace(request.encode.container, ledger)?;
    let pts = ledger.pts();
    let seconds = ledger.time_base().seconds(ledger.end() - pts[0]);
    if seconds > limits.seconds as f64 {
        let message = format!("a video of {seconds:.0} s is over the limit of {} s", limits.seconds);
        return Err(Error::new(ErrorCode::InputTooLong, message).with("limit", limits.seconds));
    }
    let video = &mut draft.video;
    if let Some(rate) = rational_rate(ledger.average_rate()) {
        video.frame_rate = if variable(ledger) { rate } else { video.frame_rate };
    }
    let ticks = 1.0 / (video.frame_rate.as_f64() * video.time_base.seconds(1));
    let ahead = i64::from(draft.encoder.reorder).saturating_mul((ticks.round() as i64).max(1));
    // Whole videos keep their own clock; a stretch starts at zero.
    let first = if request.stretch.is_whole() {
        pts[0].min(0)
    } else {
        pts[0]
    };
    video.shift = ahead.saturating_sub(first);
    video.last_duration = ledger.end() - pts[pts.len() - 1];
    // The latest time in a segment, in whose clock the numerator is multiplied out.
    let latest = (i128::from(ledger.end()) + i128::from(video.shift)) * i128::from(video.time_base.num());
    if i64::try_from(latest).is_err() {
        let message = "the video's times are too far from zero to be written";
        return Err(Error::new(ErrorCode::InputDamaged, message).with("found", ledger.end()));
    }
    Ok(draft)
}

/// Whether frames come at distances that differ by more than rounding.
fn variable(ledger: &Ledger) -> bool {
    let steps = ledger.pts().windows(2).map(|w| w[1] - w[0]);
    let (least, most) = steps.fold((i64::MAX, i64::MIN), |(a, b), step| (a.min(step), b.max(step)));
    most.saturating_sub(least) > 1
}

/// A frame rate as a fraction of thousandths, between 1/1000 and 1000.
fn rational_rate(rate: f64) -> Option<Rational> {
    Rational::new((rate.clamp(0.001, 1000.0) * 1000.0).round() as u32, 1000)
}

fn batch_frames(target: (u32, u32), pixels_per_second: f64) -> u64 {
    let pixels = pixels(target);
    let frames_in = |seconds: f64| (seconds * pixels_per_second / pixels) as u64;
    let least = SMALLEST_BATCH.min(frames_in(LONGEST_BATCH_SECONDS)).max(1);
    frames_in(BATCH_SECONDS).clamp(least, LARGEST_BATCH)
}

/// Equal for equal bits: engine and model, samples and sizes, encoder; and whether frames are composed here, which workers
/// of the version before do not do.
pub(crate) fn pipeline_digest(engine: &str, demuxer: &str, video: &PlannedVideo, encoder: &EncoderSpec) -> String {
    let mut digest = Sha256::new();
    let mut parts = vec![
        engine.to_owned(),
        format!("{:?} {:?}", video.source_size, video.target_size),
        format!("{} {} {}", video.pixel_format, video.encoded_format, video.full_range),
        video.colour.join(" "),
        encoder.arguments.join(" "),
    ];
    if !(video.filters.is_none() && video.retouched.is_empty()) {
        parts.push(format!("{:?} {:?}", video.filters, video.retouched));
    }
    parts.extend(video.decoder.clone());
    parts.extend(video.deinterlace.then(|| "deinterlaced".to_owned()));
    parts.extend((demuxer == input::FILM).then(|| demuxer.to_owned()));
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    hex(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_half_a_minute_of_work() {
        assert_eq!(batch_frames((1280, 720), 1e9), 1000);
        assert_eq!(batch_frames((1000, 1000), 1e6), 30);
        // 30 s a frame: several frames as long as they are under five minutes.
        assert_eq!(batch_frames((1000, 1000), 1e6 / 30.0), 10);
        assert_eq!(batch_frames((8000, 6000), 1e5), 1);
    }

    #[test]
    fn rates_are_fractions() {
        assert_eq!(rational_rate(29.97), Rational::new(29_970, 1000));
        assert_eq!(rational_rate(0.0), Rational::new(1, 1000));
    }
}
