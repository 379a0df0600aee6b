use clearfleet_common::mp4::Track;
use mp4_atom::TrunEntry;

use super::SoundSink;
use crate::Result;
use crate::media::fragment::Fragment;

/// How much earlier than the video sound may begin, in seconds: what decoders need before the first sample that is heard.
const LEAD: f64 = 0.1;

/// A part in which there is no sound.
const NOTHING: &[u8] = b"\0\0\0\x10stypmsdh\0\0\0\0";

/// A packet of sound.
pub(super) struct Packet<'a> {
    /// When it is heard, in ticks of its track.
    pub(super) time: i64,
    /// How long, in ticks.
    pub(super) duration: u32,
    /// What the muxer says of it.
    pub(super) flags: Option<u32>,
    pub(super) bytes: &'a [u8],
}

/// A rendition in the making: the part that packets are added to now.
pub(super) struct Rendition {
    number: u32,
    track: Track,
    /// Earlier packets are left out, in ticks.
    earliest: i64,
    /// Where parts end, in ticks; a packet belongs to the part in which it begins.
    ends: Vec<i64>,
    part: usize,
    times: Vec<i64>,
    samples: Vec<TrunEntry>,
    data: Vec<u8>,
}

impl Rendition {
    /// A rendition of parts with these bounds, in seconds from `start`.
    pub(super) fn new(number: u32, track: Track, start: f64, bounds: &[f64]) -> Self {
        let ticks = |seconds: f64| (seconds * f64::from(track.timescale)).round() as i64;
        Self {
            number,
            track,
            earliest: ticks((start - LEAD).max(0.0)),
            ends: bounds.iter().skip(1).map(|bound| ticks(start + bound)).collect(),
            part: 0,
            times: Vec::new(),
            samples: Vec::new(),
            data: Vec::new(),
        }
    }

    /// The number by which fragments name it.
    pub(super) fn track(&self) -> u32 {
        self.track.id
    }

    /// Whether its last part is handed on.
    pub(super) fn is_over(&self) -> bool {
        self.part == self.ends.len()
    }

    /// Adds a packet to the part in which it begins. Of those before the video's first frame only the last are taken, and none
    /// that begins after its end.
    pub(super) fn add(&mut self, packet: &Packet<'_>, sink: &mut dyn SoundSink) -> Result<()> {
        while self.ends.get(self.part).is_some_and(|end| *end <= packet.time) {
            self.end_part(sink)?;
        }
        if packet.time < self.earliest || self.is_over() {
            return Ok(());
        }
        self.times.push(packet.time);
        self.samples.push(TrunEntry {
            duration: Some(packet.duration),
            size: Some(packet.bytes.len() as u32),
            flags: packet.flags,
            cts: None,
        });
        self.data.extend_from_slice(packet.bytes);
        Ok(())
    }

    /// Hands on the parts that are left.
    pub(super) fn finish(mut self, sink: &mut dyn SoundSink) -> Result<()> {
        while !self.is_over() {
            self.end_part(sink)?;
        }
        Ok(())
    }

    fn end_part(&mut self, sink: &mut dyn SoundSink) -> Result<()> {
        // As long as the next one is off: what containers round, and what they leave out, does not add up.
        for (sample, times) in self.samples.iter_mut().zip(self.times.windows(2)) {
            sample.duration = u32::try_from(times[1] - times[0]).ok().or(sample.duration);
        }
        let mut bytes = Vec::new();
        match self.times.first() {
            None => bytes.extend_from_slice(NOTHING),
            Some(first) => Fragment {
                sequence: self.part as u32 + 1,
                track: self.track.id,
                time: *first as u64,
                samples: std::mem::take(&mut self.samples),
                data: &self.data,
            }
            .write(&mut bytes)?,
        }
        self.times.clear();
        self.data.clear();
        let part = self.part as u64;
        self.part += 1;
        sink.part(self.number, part, &bytes)
    }
}
