//! Packets of a file's streams, listed without decoding them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use clearfleet_common::config::Deadlines;
use clearfleet_common::job::TimeBase;
use clearfleet_common::{ErrorCode, Stop};
use sha2::{Digest, Sha256};

use super::video::Side;
use crate::media::input;
use crate::media::probe::{StreamInfo, StreamKind};
use crate::media::process::{Confinement, Launch, Program};
use crate::{Error, Result};

/// A line of a listing is never longer, in bytes: packets come with digests of their side data.
const LONGEST_LINE: u64 = 1 << 16;
/// Demuxers whose AAC packets may begin with an ADTS header, which a container that says the same elsewhere drops.
const WITH_ADTS: [&str; 4] = ["mpegts", "mpeg", "wtv", "avi"];
/// A packet of timed text of this size, in bytes, is a pause; muxers add and drop pauses.
const PAUSE: u64 = 2;

/// The packets of a stream.
#[derive(Clone, Debug)]
pub(super) struct Packets {
    pub(super) time_base: TimeBase,
    /// Time and duration of each in ticks, in the order of the file.
    pub(super) times: Vec<(i64, i64)>,
    pub(super) bytes: u64,
    digest: Sha256,
}

impl Packets {
    /// Whether both are the same packets, cut alike.
    pub(super) fn equal(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.digest.clone().finalize() == other.digest.clone().finalize()
    }

    /// Time of packet `n`.
    pub(super) fn seconds(&self, n: usize) -> f64 {
        self.time_base.seconds(self.times[n].0)
    }

    /// When the first packet comes; packets are not always in the order of their times.
    pub(super) fn earliest(&self) -> Option<f64> {
        self.times
            .iter()
            .map(|(pts, _)| *pts)
            .min()
            .map(|pts| self.time_base.seconds(pts))
    }

    /// How long the packet at `pts` lasts, in seconds, where it says so.
    pub(super) fn lasts(&self, pts: i64) -> Option<f64> {
        let found = self.times.iter().rev().find(|(at, _)| *at == pts);
        found
            .map(|(_, duration)| *duration)
            .filter(|d| *d > 0)
            .map(|d| self.time_base.seconds(d))
    }
}

/// The packets of every stream of `side` that has packets to compare, by the stream's index.
///
/// # Errors
/// `InputDamaged` if they cannot be listed, `DeadlineExceeded`, `Stopped`.
pub(super) fn packets(side: &Side<'_>, stop: &Stop) -> Result<BTreeMap<usize, Packets>> {
    let listed: Vec<&StreamInfo> = side
        .probe
        .streams
        .iter()
        .filter(|s| matches!(s.kind, StreamKind::Video | StreamKind::Audio | StreamKind::Subtitle))
        .collect();
    let mut found: Vec<Packets> = listed
        .iter()
        .map(|s| Packets {
            time_base: s.time_base,
            times: Vec::new(),
            bytes: 0,
            digest: Sha256::new(),
        })
        .collect();
    hashes(side, &listed, "framehash", stop, |line| {
        if let Some(base) = line.strip_prefix("#tb ").and_then(time_base) {
            if let Some(packets) = found.get_mut(base.0) {
                packets.time_base = base.1;
            }
            return;
        }
        // stream, dts, pts, duration, size, digest, then side data
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [number, dts, pts, duration, size, digest, ..] = fields.as_slice() else {
            return;
        };
        let time = pts.parse().ok().filter(|t| *t != i64::MIN).or_else(|| dts.parse().ok());
        let (Ok(number), Some(time), Ok(size)) = (number.parse::<usize>(), time, size.parse::<u64>()) else {
            return;
        };
        let Some(packets) = found.get_mut(number) else { return };
        if listed[number].codec == "mov_text" && size <= PAUSE {
            return;
        }
        packets.times.push((time, duration.parse().unwrap_or(0)));
        packets.bytes += size;
        packets.digest.update(digest.as_bytes());
    })?;
    Ok(listed.iter().map(|s| s.index).zip(found).collect())
}

/// One digest over the payload of a whole stream, however it is cut into packets.
pub(super) fn whole(side: &Side<'_>, stream: &StreamInfo, stop: &Stop) -> Result<String> {
    let mut digest = String::new();
    hashes(side, &[stream], "streamhash", stop, |line| line.clone_into(&mut digest))?;
    Ok(digest)
}

/// `#tb 0: 1/1000`
fn time_base(text: &str) -> Option<(usize, TimeBase)> {
    let (number, base) = text.split_once(':')?;
    let (num, den) = base.trim().split_once('/')?;
    Some((
        number.trim().parse().ok()?,
        TimeBase::new(num.parse().ok()?, den.parse().ok()?).ok()?,
    ))
}

/// Copies streams into one of ffmpeg's muxers that write digests, line by line.
fn hashes(
    side: &Side<'_>,
    streams: &[&StreamInfo],
    muxer: &str,
    stop: &Stop,
    mut each: impl FnMut(&str),
) -> Result<()> {
    let mut launch = Launch::new(Program::Ffmpeg, &Confinement::reading(&side.served))?
        .arg("-copyts")
        .args(input::source_arguments(&side.served, side.probe.demuxer));
    for (n, stream) in streams.iter().enumerate() {
        launch = launch.args(["-map", &format!("0:{}", stream.index)]);
        if stream.codec == "aac" && WITH_ADTS.contains(&side.probe.demuxer) {
            launch = launch.args([&format!("-bsf:{n}"), "aac_adtstoasc"]);
        }
    }
    let launch = launch.args([
        "-c",
        "copy",
        "-max_muxing_queue_size",
        "65536",
        "-hash",
        "md5",
        "-f",
        muxer,
        "pipe:1",
    ]);
    let mut child = launch.piped_stdout().spawn(stop, Deadlines::longest())?;
    let stdout = child
        .take_stdout()
        .ok_or_else(|| Error::internal("a child without its pipe"))?;
    let broke = |e| Error::new(ErrorCode::InputDamaged, "a listing of ffmpeg's broke off").because(e);
    let mut lines = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .map_err(broke)?
            == 0
        {
            break;
        }
        each(String::from_utf8_lossy(&line).trim_end());
    }
    child.finish(ErrorCode::InputDamaged, "reading the packets").map(|_| ())
}
