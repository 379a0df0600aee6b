//! The source's sound for whoever watches its film while it is made: packets from ffmpeg, put together as parts of fixed length
//! on the clock of the film's segments.
//!
//! ffmpeg writes every packet as a fragment of its own (`frag_discont` keeps its time as it is, with a sign; an edit list would
//! not), since where it would cut fragments by itself differs from packet to packet.

mod rendition;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::time::Duration;

use clearfleet_common::job::{Plan, PlannedSound, SoundEncoding, SoundTrack};
use clearfleet_common::mp4::{self, Track};
use clearfleet_common::{ErrorCode, Stop};
use mp4_atom::{Atom, Moof};

use super::fragment::{encoder_said, malformed, read_box, read_init};
use super::process::{Confinement, Launch, ProcessLimits, Program};
use super::serve::ServedSource;
use super::{input, widened};
use crate::{Error, Result};

use rendition::{Packet, Rendition};

/// What is read of the source before a stretch, in seconds: packets around a key frame lie before it.
const AHEAD: f64 = 0.5;

/// What writing a stream's sound needs to know.
pub(crate) struct SoundOrder<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) sound: &'a PlannedSound,
    pub(crate) source: &'a ServedSource,
    pub(crate) stop: &'a Stop,
    pub(crate) deadline: Duration,
}

/// Where renditions go. All of a part, or of a header, comes at once.
pub(crate) trait SoundSink {
    /// Takes what the parts of rendition `track` are read with.
    fn header(&mut self, track: u32, bytes: &[u8]) -> Result<()>;
    /// Takes a part of rendition `track`.
    fn part(&mut self, track: u32, part: u64, bytes: &[u8]) -> Result<()>;
}

/// Writes all renditions, side by side, and each from its beginning to its end. A part in which the source has no sound is
/// there and holds none.
///
/// # Errors
/// `EncodeFailed` with ffmpeg's own words, `DeadlineExceeded`, `Stopped`; those of the sink.
pub(crate) fn write(order: &SoundOrder<'_>, sink: &mut dyn SoundSink) -> Result<()> {
    let (start, end) = shown(order.plan)?;
    let mut child = launch(order, (start, end))?
        .piped_stdout()
        .spawn(order.stop, order.deadline)?;
    let stdout = child
        .take_stdout()
        .ok_or_else(|| Error::internal("a child without its pipe"))?;
    let left = match take(order, start, widened(stdout), sink) {
        // What follows the end of the film is not waited for: dropped, the child is killed.
        Ok(renditions) if renditions.iter().all(Rendition::is_over) => return Ok(()),
        // ffmpeg's own failure tells more than that its output was cut off.
        Err(e) if e.code() != ErrorCode::EncodeFailed => return Err(e),
        taken => {
            child.finish(ErrorCode::EncodeFailed, "taking the sound out of the source")?;
            taken?
        }
    };
    // To ffmpeg a source that cannot be read any more has ended, and players keep parts that they got.
    if let Some(failure) = order.source.take_failure() {
        return Err(Error::unreadable(failure));
    }
    left.into_iter().try_for_each(|rendition| rendition.finish(sink))
}

fn shown(plan: &Plan) -> Result<(f64, f64)> {
    plan.shown()
        .ok_or_else(|| Error::internal("a plan with sound says when its video is shown"))
}

/// Takes packets until there are no more, or every rendition has come to its end; gives back the renditions.
fn take(order: &SoundOrder<'_>, start: f64, mut output: impl Read, sink: &mut dyn SoundSink) -> Result<Vec<Rendition>> {
    let header = read_init(&mut output)?;
    let mut renditions = begin(order, start, &header, sink)?;
    let mut pending = None;
    while !renditions.iter().all(Rendition::is_over)
        && let Some((kind, bytes)) = read_box(&mut output)?
    {
        match &kind {
            b"moof" => {
                let moof = Moof::decode_body(&mut bytes.as_slice()).map_err(malformed)?;
                pending = Some((moof, bytes.len() + 8));
            }
            b"mdat" => {
                let (moof, length) = pending
                    .take()
                    .ok_or_else(|| encoder_said("media data without a fragment header"))?;
                add(&moof, length, &bytes, &mut renditions, sink)?;
            }
            _ => {}
        }
    }
    Ok(renditions)
}

/// Hands on the headers.
fn begin(order: &SoundOrder<'_>, start: f64, header: &[u8], sink: &mut dyn SoundSink) -> Result<Vec<Rendition>> {
    let unexpected = || encoder_said("a header of other tracks than those of the sound");
    let tracks = mp4::tracks(header).filter(|tracks| tracks.len() == order.sound.tracks.len());
    let (_, end) = shown(order.plan)?;
    let bounds = order.sound.parts(end - start);
    let begin = |(number, track): (u32, Track)| {
        let alone = mp4::header_of(header, track.id).ok_or_else(unexpected)?;
        sink.header(number, &alone)?;
        Ok(Rendition::new(number, track, start, &bounds))
    };
    (0..).zip(tracks.ok_or_else(unexpected)?).map(begin).collect()
}

/// Adds the packets of a fragment, whose header is so many bytes long, to the renditions.
fn add(moof: &Moof, length: usize, data: &[u8], renditions: &mut [Rendition], sink: &mut dyn SoundSink) -> Result<()> {
    let outside = || encoder_said("samples outside of their data");
    for traf in &moof.traf {
        let rendition = renditions.iter_mut().find(|r| r.track() == traf.tfhd.track_id);
        let rendition = rendition.ok_or_else(|| encoder_said("a fragment of a track that its header lacks"))?;
        // Before 0 it is written as a number of 64 bits with a sign.
        let mut time = traf.tfdt.as_ref().map_or(0, |t| t.base_media_decode_time) as i64;
        for run in &traf.trun {
            let offset = usize::try_from(run.data_offset.unwrap_or(0)).map_err(|_| outside())?;
            let mut at = offset.checked_sub(length + 8).ok_or_else(outside)?;
            for sample in run.samples.iter() {
                let size = sample.size.or(traf.tfhd.default_sample_size).unwrap_or(0) as usize;
                let duration = sample.duration.or(traf.tfhd.default_sample_duration).unwrap_or(0);
                let packet = Packet {
                    time,
                    duration,
                    flags: sample.flags.or(traf.tfhd.default_sample_flags),
                    bytes: data.get(at..at + size).ok_or_else(outside)?,
                };
                rendition.add(&packet, sink)?;
                at += size;
                time += i64::from(duration);
            }
        }
    }
    Ok(())
}

fn launch(order: &SoundOrder<'_>, span: (f64, f64)) -> Result<Launch> {
    let plan = order.plan;
    let seconds = |ticks: i64| plan.video.time_base.seconds(ticks);
    // Batches, and with them the picture, go first.
    let limits = ProcessLimits::default().in_background();
    let confinement = Confinement::reading(order.source).with_limits(limits);
    let mut launch = Launch::new(Program::Ffmpeg, &confinement)?.args([
        "-copyts",
        "-itsoffset",
        &format!("{:.6}", seconds(plan.video.shift)),
    ]);
    let from = seconds(plan.zero) - AHEAD;
    if plan.until.is_some() && from > 0.0 {
        // Accurately, ffmpeg would seek on the clock that the offset makes, and leave the beginning out.
        launch = launch.args(["-seek_timestamp", "1", "-noaccurate_seek", "-ss", &format!("{from:.6}")]);
    }
    launch = launch.args(input::source_arguments(order.source, &plan.demuxer));
    for (n, track) in order.sound.tracks.iter().enumerate() {
        launch = launch
            .args(["-map", &format!("0:{}", track.stream)])
            .args(codec(n, track, span));
    }
    Ok(launch
        .args([
            "-map_metadata",
            "-1",
            "-map_chapters",
            "-1",
            "-max_muxing_queue_size",
            "65536",
        ])
        .args([
            "-avoid_negative_ts",
            "disabled",
            "-use_editlist",
            "0",
            "-strict",
            "experimental",
        ])
        .args([
            "-movflags",
            "delay_moov+default_base_moof+frag_discont",
            "-frag_duration",
            "1",
        ])
        .args(["-f", "mp4", "pipe:1"]))
}

/// The options that say what becomes of the `n`th stream. What is encoded begins and ends with the video, with silence where
/// the source has none.
fn codec(n: usize, track: &SoundTrack, (start, end): (f64, f64)) -> Vec<String> {
    let Some(SoundEncoding { sample_rate, bit_rate }) = track.encoding else {
        // What broadcasts put before every packet is said once in MP4.
        let filter = if track.codec.starts_with("mp4a") {
            "aac_adtstoasc"
        } else {
            "null"
        };
        return [
            format!("-c:{n}"),
            "copy".to_owned(),
            format!("-bsf:{n}"),
            filter.to_owned(),
        ]
        .to_vec();
    };
    let layout = match track.channels {
        1 => "mono",
        6 => "5.1",
        _ => "stereo",
    };
    let first = (start * f64::from(sample_rate)).round();
    let filter = format!(
        "aresample={sample_rate}:async=1:first_pts={first:.0},aformat=channel_layouts={layout},apad,atrim=end={end:.6}"
    );
    [
        (format!("-c:{n}"), "aac".to_owned()),
        (format!("-b:{n}"), bit_rate.to_string()),
        (format!("-filter:{n}"), filter),
    ]
    .into_iter()
    .flat_map(<[String; 2]>::from)
    .collect()
}
