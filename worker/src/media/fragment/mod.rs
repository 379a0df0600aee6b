//! Segments as fragmented MP4: what the encoder made, with the ledger's times in place of its own.
//!
//! The muxer's times are not to be had exactly: it starts every stream as if its first frame were decoded at its
//! presentation time, so a batch is late by whatever the encoder delayed that batch, which differs with frame
//! distances and batch lengths. Only the order of its samples is taken. Sample `n` of the film in decoding order gets
//! the presentation time that is its own in the ledger, and as decoding time the presentation time of film frame
//! `n - reorder`: strictly increasing over all joints, and never after the presentation time.

mod boxes;
mod join;
#[cfg(test)]
mod tests;

use std::io::{Read, Write};

use clearfleet_common::ErrorCode;
use clearfleet_common::job::LedgerSlice;
use mp4_atom::{Atom, Moof, TrunEntry};

pub(crate) use boxes::{Fragment, read_box};
pub(crate) use join::{Joined, read_init};

use boxes::write_box;

use crate::{Error, Result};

/// Times of a batch's frames on the clock of its segment.
pub(crate) struct SegmentClock<'a> {
    slice: &'a LedgerSlice,
    shift: i64,
    numerator: i64,
    reorder: i64,
    step: i64,
}

impl<'a> SegmentClock<'a> {
    /// The clock of a segment whose timescale is the denominator of the ledger's time base.
    ///
    /// `shift` is added to every time, in ticks; `numerator` is the time base's; `reorder` is how many frames decoding
    /// is ahead; `step` is the distance of decoding times before the film's first frame, in ticks.
    pub(crate) fn new(slice: &'a LedgerSlice, shift: i64, numerator: u32, reorder: u32, step: i64) -> Self {
        Self {
            slice,
            shift,
            numerator: i64::from(numerator),
            reorder: i64::from(reorder),
            step,
        }
    }

    /// Presentation time of the batch's frame `n`; of what follows it for `n` = number of frames; of frames before it
    /// for negative `n`.
    fn pts(&self, n: i64) -> i64 {
        let (lead, pts) = (self.slice.lead(), self.slice.pts());
        let ticks = if n >= pts.len() as i64 {
            self.slice.end()
        } else if n >= 0 {
            pts[n as usize]
        } else {
            let back = -n as usize;
            match lead.len().checked_sub(back) {
                Some(at) => lead[at],
                None => lead.first().unwrap_or(&pts[0]) - (back - lead.len()) as i64 * self.step,
            }
        };
        (ticks + self.shift) * self.numerator
    }

    /// Decoding time of the batch's sample `n`.
    fn dts(&self, n: i64) -> i64 {
        self.pts(n - self.reorder)
    }
}

/// Copies a fragmented MP4 of one video track from `input` to `output` and sets every sample's times from `clock`.
///
/// # Errors
/// `EncodeFailed` if `input` is no such stream, holds another number of frames than the batch, or reorders frames
/// across fragments or further than `clock` allows; the error of a failed write.
pub(crate) fn retime(mut input: impl Read, output: &mut dyn Write, clock: &SegmentClock<'_>) -> Result<()> {
    let expected = clock.slice.range().len();
    let mut done = Progress::default();
    let mut pending = None;
    while let Some((kind, bytes)) = read_box(&mut input)? {
        match &kind {
            b"ftyp" | b"moov" => write_box(output, &kind, &bytes)?,
            b"moof" => pending = Some(Moof::decode_body(&mut bytes.as_slice()).map_err(malformed)?),
            b"mdat" => {
                let moof = pending
                    .take()
                    .ok_or_else(|| encoder_said("media data without a fragment header"))?;
                let found = done.frames as u64 + sample_count(&moof);
                if found > expected {
                    return Err(another_number(expected, found));
                }
                let samples = Samples::of(&moof)?;
                write_fragment(output, &samples, &bytes, clock, &mut done)?;
            }
            _ => {}
        }
    }
    if done.frames as u64 != expected {
        return Err(another_number(expected, done.frames as u64));
    }
    Ok(())
}

/// Samples of a fragment as it states them: a few bytes may state any number.
fn sample_count(moof: &Moof) -> u64 {
    let runs = moof.traf.iter().flat_map(|traf| &traf.trun);
    runs.map(|run| run.samples.len() as u64).sum()
}

fn another_number(expected: u64, found: u64) -> Error {
    encoder_said("another number of frames than it was given")
        .with("expected", expected)
        .with("found", found)
}

#[derive(Default)]
struct Progress {
    frames: i64,
    latest: Option<i128>,
}

/// What the encoder's fragment says of its samples, in decoding order.
struct Samples {
    track: u32,
    entries: Vec<TrunEntry>,
    /// Frame of the fragment in presentation order that each sample is.
    ranks: Vec<i64>,
    /// First and last presentation time on the encoder's own clock.
    span: (i128, i128),
}

impl Samples {
    fn of(moof: &Moof) -> Result<Self> {
        let [traf] = moof.traf.as_slice() else {
            return Err(encoder_said("a fragment that is not of one track").with("tracks", moof.traf.len()));
        };
        // Before 0 it is written as a number of 64 bits with a sign; in more bits, what is added cannot overflow.
        let mut dts = i128::from(traf.tfdt.as_ref().map_or(0, |t| t.base_media_decode_time) as i64);
        let (mut entries, mut pts) = (Vec::new(), Vec::new());
        for entry in traf.trun.iter().flat_map(|run| run.samples.iter()) {
            pts.push(dts + i128::from(entry.cts.unwrap_or(0)));
            dts += i128::from(entry.duration.or(traf.tfhd.default_sample_duration).unwrap_or(0));
            entries.push(TrunEntry {
                duration: None,
                size: entry.size.or(traf.tfhd.default_sample_size),
                flags: entry.flags.or(traf.tfhd.default_sample_flags),
                cts: None,
            });
        }
        let mut order: Vec<usize> = (0..pts.len()).collect();
        order.sort_by_key(|&n| pts[n]);
        if order.is_empty() || order.windows(2).any(|w| pts[w[0]] == pts[w[1]]) {
            return Err(encoder_said("an empty fragment, or two frames at one time"));
        }
        let mut ranks = vec![0; pts.len()];
        for (rank, &sample) in order.iter().enumerate() {
            ranks[sample] = rank as i64;
        }
        let span = (pts[order[0]], pts[order[order.len() - 1]]);
        Ok(Self {
            track: traf.tfhd.track_id,
            entries,
            ranks,
            span,
        })
    }

    /// The samples with the clock's times; `first` is the fragment's first frame in the batch.
    fn timed(&self, clock: &SegmentClock<'_>, first: i64) -> Result<Vec<TrunEntry>> {
        let timed = self
            .entries
            .iter()
            .zip(&self.ranks)
            .zip(first..)
            .map(|((entry, rank), n)| {
                let dts = clock.dts(n);
                let cts = clock.pts(first + rank) - dts;
                let duration = u32::try_from(clock.dts(n + 1) - dts);
                match duration {
                    Ok(duration) if cts >= 0 => Ok(TrunEntry {
                        duration: Some(duration),
                        cts: Some(cts),
                        ..*entry
                    }),
                    _ => Err(encoder_said("frames further out of order than the plan allows").with("sample", n)),
                }
            });
        timed.collect()
    }
}

fn write_fragment(
    output: &mut dyn Write,
    samples: &Samples,
    data: &[u8],
    clock: &SegmentClock<'_>,
    done: &mut Progress,
) -> Result<()> {
    let sizes: u64 = samples.entries.iter().map(|e| u64::from(e.size.unwrap_or(0))).sum();
    if sizes != data.len() as u64 {
        return Err(encoder_said("samples of other sizes than their data").with("expected", sizes));
    }
    if done.latest.is_some_and(|latest| latest >= samples.span.0) {
        return Err(encoder_said("frames out of order across fragments"));
    }
    let first = done.frames;
    let fragment = Fragment {
        sequence: (clock.slice.range().start() as i64 + first + 1) as u32,
        track: samples.track,
        time: clock.dts(first).max(0) as u64,
        samples: samples.timed(clock, first)?,
        data,
    };
    fragment.write(output)?;
    done.frames += samples.entries.len() as i64;
    done.latest = Some(samples.span.1);
    Ok(())
}

pub(crate) fn encoder_said(what: &str) -> Error {
    Error::new(ErrorCode::EncodeFailed, format!("the encoder gave {what}"))
}

pub(crate) fn malformed(e: mp4_atom::Error) -> Error {
    encoder_said("a malformed MP4").because(e)
}
