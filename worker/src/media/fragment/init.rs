//! What the header of a result's video says and its encoder does not know.

use clearfleet_common::job::PlannedVideo;

use super::encoder_said;
use crate::Result;
use crate::media::hdr10;

/// Boxes from the header down to the descriptions of samples.
const TO_DESCRIPTIONS: [&[u8; 4]; 6] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];

/// Boxes from the header down to that of the track.
const TO_TRACK: [&[u8; 4]; 3] = [b"moov", b"trak", b"tkhd"];

/// How a player shows pictures: nine numbers, of which the last of each three are in 1/2^30 and the others in 1/2^16.
type Matrix = [i32; 9];

/// What is added to the header of joined segments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Additions {
    /// Boxes at the end of the sample entry.
    sample_entry: Vec<u8>,
    /// In place of the track's.
    matrix: Option<Matrix>,
}

impl Additions {
    /// What `video` needs.
    pub(crate) fn of(video: &PlannedVideo) -> Self {
        Self {
            sample_entry: video.hdr10.as_ref().map(hdr10::boxes).unwrap_or_default(),
            // A turn alone ffmpeg writes itself.
            matrix: video.mirrored.then(|| mirroring(video)),
        }
    }

    /// The boxes up to the end of `moov`, which has one track, with what is added.
    pub(super) fn add_to(&self, mut init: Vec<u8>) -> Result<Vec<u8>> {
        if let Some(matrix) = self.matrix {
            set_matrix(&mut init, matrix).ok_or_else(unexpected)?;
        }
        if self.sample_entry.is_empty() {
            return Ok(init);
        }
        let mut path = path(&init, &TO_DESCRIPTIONS).ok_or_else(unexpected)?;
        // A version, flags and a count come before its entries, of which there is one.
        let entry = path[path.len() - 1] + 16;
        path.push(entry);
        let end = entry + size(&init, entry).ok_or_else(unexpected)?;
        init.splice(end..end, self.sample_entry.iter().copied());
        for at in path {
            let grown = size(&init, at).ok_or_else(unexpected)? + self.sample_entry.len();
            let grown = u32::try_from(grown).map_err(|_| unexpected())?;
            init[at..at + 4].copy_from_slice(&grown.to_be_bytes());
        }
        Ok(init)
    }
}

/// Flips pictures top to bottom, turns them, and moves them back to where they were.
fn mirroring(video: &PlannedVideo) -> Matrix {
    let (width, height) = video.target_size;
    let (cos, sin) = match video.rotation {
        90 => (0, 1),
        180 => (-1, 0),
        270 => (0, -1),
        _ => (1, 0),
    };
    // x' = ax + cy, y' = bx + dy; what of it is negative is moved.
    let (a, b, c, d) = (cos, sin, sin, -cos);
    let edge = |along: i32, edge: u32| if along < 0 { edge as i32 } else { 0 };
    let across = edge(a, width) + edge(c, height);
    let down = edge(b, width) + edge(d, height);
    let [a, b, c, d, across, down] = [a, b, c, d, across, down].map(|n: i32| n.saturating_mul(1 << 16));
    [a, b, 0, c, d, 0, across, down, 1 << 30]
}

/// Writes the matrix of the track.
fn set_matrix(init: &mut [u8], matrix: Matrix) -> Option<()> {
    let track = *path(init, &TO_TRACK)?.last()?;
    // Times of 64 bits make version 1 longer.
    let at = track + if *init.get(track + 8)? == 0 { 48 } else { 60 };
    let bytes: Vec<u8> = matrix.into_iter().flat_map(i32::to_be_bytes).collect();
    init.get_mut(at..at + bytes.len())?.copy_from_slice(&bytes);
    Some(())
}

/// Where each box of a path begins, from the outermost on.
fn path(bytes: &[u8], names: &[&[u8; 4]]) -> Option<Vec<usize>> {
    let (mut at, mut end) = (0, bytes.len());
    let mut found = Vec::new();
    for name in names {
        while at < end && bytes.get(at + 4..at + 8)? != *name {
            at += size(bytes, at)?;
        }
        if at >= end {
            return None;
        }
        found.push(at);
        end = at + size(bytes, at)?;
        at += 8;
    }
    Some(found)
}

/// Bytes of the box that begins at `at`, of those that state theirs in 32 bits and are whole.
fn size(bytes: &[u8], at: usize) -> Option<usize> {
    let size = bytes.get(at..at + 4)?.try_into().map(u32::from_be_bytes).ok()? as usize;
    (size >= 8 && size <= bytes.len() - at).then_some(size)
}

fn unexpected() -> crate::Error {
    encoder_said("a header without the boxes of a video track")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = content.len() as u32 + 8;
        [&size.to_be_bytes(), name.as_slice(), content].concat()
    }

    /// A header with this sample entry and this track header, and boxes of other kinds before those that count.
    fn header(entry: &[u8], track: &[u8], others: &[Vec<u8>; 3]) -> Vec<u8> {
        let other = |n: usize| boxed(b"free", &others[n]);
        let entries = [&[0; 7], &[1][..], &boxed(b"avc1", entry)].concat();
        let table = boxed(b"stbl", &[boxed(b"stsd", &entries), other(0)].concat());
        let media = boxed(b"mdia", &[other(1), boxed(b"minf", &table)].concat());
        let track = boxed(b"trak", &[boxed(b"tkhd", track), media].concat());
        [boxed(b"ftyp", b"iso5"), boxed(b"moov", &[other(2), track].concat())].concat()
    }

    fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..most)
    }

    proptest! {
        #[test]
        fn what_is_added_is_part_of_every_box_around_it(
            entry in bytes(90),
            added in bytes(50),
            others in [bytes(30), bytes(30), bytes(30)],
        ) {
            let additions = Additions { sample_entry: added.clone(), matrix: None };
            let found = additions.add_to(header(&entry, &[0; 84], &others)).unwrap();
            prop_assert_eq!(found, header(&[entry, added].concat(), &[0; 84], &others));
        }
    }

    #[test]
    fn the_matrix_is_found_in_both_versions() {
        let matrix = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let additions = Additions {
            sample_entry: Vec::new(),
            matrix: Some(matrix),
        };
        for (version, at, length) in [(0, 40, 84), (1, 52, 96)] {
            let mut track = vec![0xEE; length];
            track[0] = version;
            let found = additions.add_to(header(&[], &track, &Default::default())).unwrap();
            track[at..at + 36].copy_from_slice(&matrix.map(i32::to_be_bytes).concat());
            assert_eq!(found, header(&[], &track, &Default::default()));
        }
    }

    #[test]
    fn a_header_that_is_cut_off_or_has_no_track_is_refused() {
        let additions = Additions {
            sample_entry: vec![1],
            matrix: Some([0; 9]),
        };
        let whole = header(&[0; 4], &[0; 84], &Default::default());
        for end in 0..whole.len() {
            assert!(additions.add_to(whole[..end].to_vec()).is_err(), "{end}");
        }
        assert!(additions.add_to(boxed(b"moov", b"as it is")).is_err());
    }
}
