//! The sound of a stream: which of the source's streams it has and how, and writing it.

use clearfleet_common::config::Deadlines;
use clearfleet_common::job::{FORMAT_VERSION, Plan, PlannedSound, SegmentKind, SoundEncoding, SoundTrack};
use clearfleet_common::storage::{ObjectKey, PlanKey};

use super::JobContext;
use super::plan::PlanRequest;
use super::upscale::{read_json, write_json};
use crate::media::probe::{Probe, StreamInfo, StreamKind};
use crate::media::sound::{self, SoundOrder, SoundSink};
use crate::{Error, Result};

/// Length of a part, in seconds: with a few, a player begins; of a film of two hours there are 720.
const PART_SECONDS: u32 = 10;
/// Streams that a stream has as sound at most: as many are decoded and encoded at once.
const MOST_TRACKS: usize = 16;
/// Sound that begins so much later than the video, in seconds, is encoded with silence before it: players wait for both.
const LATE: f64 = 0.25;
/// Sound that ends so much earlier than the video, in seconds, is encoded with silence behind it.
const EARLY: f64 = 0.5;
/// Rates, in samples a second, that stay as they are where sound is encoded; others become the first.
const RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Bits a second of encoded sound for each channel.
const BITS_A_CHANNEL: u32 = 80_000;

/// The sound of a plan's stream: nothing where the source has none, or where the plan's result is no video that is watched while
/// it is made.
///
/// # Errors
/// Those of the store.
pub(super) fn planned(
    job: &JobContext,
    request: &PlanRequest,
    probe: &Probe,
    plan: &Plan,
) -> Result<Option<PlannedSound>> {
    let is_streamed = plan.encoder.segment == SegmentKind::FragmentedMp4 && !plan.container.is_animation();
    let audible = |s: &&StreamInfo| s.kind == StreamKind::Audio && !matches!(s.codec.as_str(), "none" | "unknown");
    let streams = probe.streams.iter().filter(audible).take(MOST_TRACKS);
    let mut tracks: Vec<SoundTrack> = streams.map(|stream| track(stream, plan)).collect();
    if !is_streamed || tracks.is_empty() {
        return Ok(None);
    }
    let default = tracks.iter().position(|track| track.default).unwrap_or(0);
    (0..)
        .zip(&mut tracks)
        .for_each(|(n, track)| track.default = n == default);
    let own = PlannedSound {
        plan: job.key.plan,
        part_seconds: PART_SECONDS,
        tracks,
    };
    earlier(job, request, plan, own).map(Some)
}

/// The sound of an earlier plan where that is the same; else this one.
fn earlier(job: &JobContext, request: &PlanRequest, plan: &Plan, own: PlannedSound) -> Result<PlannedSound> {
    for number in &request.earlier {
        let key = PlanKey {
            job: job.key.job,
            plan: *number,
        };
        let Some(stored) = job.store.get(ObjectKey::Plan(key))? else {
            continue;
        };
        let earlier: Plan = read_json(&stored, "plan")?;
        let is_alike = earlier.source == plan.source && earlier.shown() == plan.shown();
        let is_same = |sound: &PlannedSound| {
            let renumbered = PlannedSound {
                plan: own.plan,
                ..sound.clone()
            };
            is_alike && renumbered == own
        };
        if let Some(sound) = earlier.sound.filter(is_same) {
            return Ok(sound);
        }
    }
    Ok(own)
}

fn track(stream: &StreamInfo, plan: &Plan) -> SoundTrack {
    let copied = copied(stream).filter(|_| is_beside(stream, plan));
    let channels = stream.channels.unwrap_or(2);
    let encoded = match channels {
        1 | 6 => channels,
        _ => 2,
    };
    let rate = RATES.into_iter().find(|rate| Some(*rate) == stream.sample_rate);
    let encoding = SoundEncoding {
        sample_rate: rate.unwrap_or(RATES[0]),
        bit_rate: encoded * BITS_A_CHANNEL,
    };
    let tag = |name: &str| stream.tags.get(name).filter(|text| !text.is_empty()).cloned();
    SoundTrack {
        stream: stream.index as u32,
        codec: copied.unwrap_or("mp4a.40.2").to_owned(),
        encoding: copied.is_none().then_some(encoding),
        channels: if copied.is_some() { channels } else { encoded },
        language: tag("language").filter(|language| language != "und"),
        title: tag("title"),
        default: stream.default,
    }
}

/// What RFC 6381 calls sound that browsers play as it is.
fn copied(stream: &StreamInfo) -> Option<&'static str> {
    match (stream.codec.as_str(), stream.profile.as_deref()) {
        ("aac", Some("LC")) => Some("mp4a.40.2"),
        ("aac", Some("HE-AAC")) => Some("mp4a.40.5"),
        ("aac", Some("HE-AACv2")) => Some("mp4a.40.29"),
        ("opus", _) => Some("opus"),
        ("flac", _) => Some("fLaC"),
        _ => None,
    }
}

/// Whether there is sound beside all of the video, as far as the source says.
fn is_beside(stream: &StreamInfo, plan: &Plan) -> bool {
    let (Some(first), Some(last)) = (plan.times.first(), plan.times.last()) else {
        return false;
    };
    let seconds = |ticks: &i64| plan.video.time_base.seconds(*ticks);
    let start = stream.time_base.seconds(stream.start_pts.unwrap_or(0));
    let own = stream
        .duration_ticks
        .map(|ticks| start + stream.time_base.seconds(ticks));
    let end = own.or_else(|| tagged_end(stream));
    start <= seconds(first) + LATE && end.is_some_and(|end| end >= seconds(last) - EARLY)
}

/// When a stream ends by what Matroska's writers note, in seconds.
fn tagged_end(stream: &StreamInfo) -> Option<f64> {
    let mut tags = stream.tags.iter();
    let (_, text) = tags.find(|(name, _)| *name == "DURATION" || name.starts_with("DURATION-"))?;
    text.split(':').try_fold(0.0, |seconds, part| {
        let part: f64 = part.parse().ok()?;
        Some(60.0 * seconds + part)
    })
}

/// Writes the sound of a plan's stream. Done twice, it writes the same once more; what is written already is left as it is.
///
/// # Errors
/// `EncodeFailed`, `InputUnreadable`, `DeadlineExceeded`, `Stopped`; those of the store.
pub fn sound(job: &JobContext, plan: &Plan) -> Result<()> {
    let sound = plan.sound.as_ref();
    let sound = sound.ok_or_else(|| Error::internal("the plan has no sound"))?;
    let key = PlanKey {
        job: job.key.job,
        plan: sound.plan,
    };
    if job.store.get(ObjectKey::SoundMarker(key))?.is_none() {
        let order = SoundOrder {
            plan,
            sound,
            source: &job.source,
            stop: &job.stop,
            deadline: Deadlines::media(plan.source.bytes),
        };
        sound::write(&order, &mut Shelf { job, key })?;
        job.store
            .put(ObjectKey::SoundMarker(key), &write_json(&SoundMarker::of(job))?)?;
    }
    job.store.delete(ObjectKey::SoundFailure(job.key))
}

/// What says that all of the sound is there.
#[derive(serde::Serialize)]
struct SoundMarker<'a> {
    version: u32,
    worker: &'a str,
}

impl<'a> SoundMarker<'a> {
    fn of(job: &'a JobContext) -> Self {
        Self {
            version: FORMAT_VERSION,
            worker: &job.worker,
        }
    }
}

/// Where parts are stored.
struct Shelf<'a> {
    job: &'a JobContext,
    key: PlanKey,
}

impl SoundSink for Shelf<'_> {
    fn header(&mut self, track: u32, bytes: &[u8]) -> Result<()> {
        self.job.store.put(ObjectKey::SoundHeader(self.key, track), bytes)
    }

    fn part(&mut self, track: u32, part: u64, bytes: &[u8]) -> Result<()> {
        self.job.store.put(ObjectKey::SoundPart(self.key, track, part), bytes)
    }
}
