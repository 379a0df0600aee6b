//! Headers of fragmented MP4: what segments are made with and viewers need to know of them.

mod tracks;

use crate::job::{ContentLight, Hdr10, MasteringDisplay, PlannedVideo};

pub use tracks::{Track, header_of, tracks};

/// Boxes from the header down to the descriptions of samples.
const TO_DESCRIPTIONS: [&[u8; 4]; 6] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];

/// Boxes from the header down to that of the track.
const TO_TRACK: [&[u8; 4]; 3] = [b"moov", b"trak", b"tkhd"];

/// How a player shows pictures: nine numbers, of which the last of each three are in 1/2^30 and the others in 1/2^16.
type Matrix = [i32; 9];

/// Bytes of the header that `bytes` begins with: all boxes up to the end of `moov`. Nothing where they end before it does,
/// or are no such file.
pub fn header_len(bytes: &[u8]) -> Option<usize> {
    let moov = *path(bytes, &[b"moov"])?.last()?;
    Some(moov + size(bytes, moov)?)
}

/// What the header of a result's video says and its encoder does not know.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// Boxes at the end of the sample entry.
    sample_entry: Vec<u8>,
    /// In place of the track's.
    matrix: Option<Matrix>,
}

impl Additions {
    /// What `video` needs where ffmpeg reads it, which writes a turn by itself, but not one of a mirrored picture.
    pub fn of(video: &PlannedVideo) -> Self {
        Self {
            sample_entry: video.hdr10.as_ref().map(boxes).unwrap_or_default(),
            matrix: video.mirrored.then(|| matrix_of(video)),
        }
    }

    /// What `video` needs where a viewer reads it.
    pub fn of_shown(video: &PlannedVideo) -> Self {
        let turned = video.mirrored || video.rotation != 0;
        Self {
            matrix: turned.then(|| matrix_of(video)),
            ..Self::of(video)
        }
    }

    /// A header, which has one track, with what is added; nothing where it is no such header.
    pub fn add_to(&self, mut header: Vec<u8>) -> Option<Vec<u8>> {
        if let Some(matrix) = self.matrix {
            set_matrix(&mut header, matrix)?;
        }
        if self.sample_entry.is_empty() {
            return Some(header);
        }
        let mut path = path(&header, &TO_DESCRIPTIONS)?;
        // A version, flags and a count come before its entries, of which there is one.
        let entry = path[path.len() - 1] + 16;
        path.push(entry);
        let end = entry + size(&header, entry)?;
        header.splice(end..end, self.sample_entry.iter().copied());
        for at in path {
            let grown = u32::try_from(size(&header, at)? + self.sample_entry.len()).ok()?;
            header[at..at + 4].copy_from_slice(&grown.to_be_bytes());
        }
        Some(header)
    }
}

fn matrix_of(video: &PlannedVideo) -> Matrix {
    matrix(video.target_size, video.rotation, video.mirrored)
}

/// Turns pictures of this width and height clockwise by so many degrees, after flipping mirrored ones top to bottom, and moves
/// them back to where they were.
fn matrix((width, height): (u32, u32), rotation: u32, mirrored: bool) -> Matrix {
    let (cos, sin) = match rotation {
        90 => (0, 1),
        180 => (-1, 0),
        270 => (0, -1),
        _ => (1, 0),
    };
    // x' = ax + cy, y' = bx + dy; what of it is negative is moved.
    let flip = if mirrored { -1 } else { 1 };
    let (a, b, c, d) = (cos, sin, -flip * sin, flip * cos);
    let edge = |along: i32, edge: u32| if along < 0 { edge as i32 } else { 0 };
    let across = edge(a, width) + edge(c, height);
    let down = edge(b, width) + edge(d, height);
    let [a, b, c, d, across, down] = [a, b, c, d, across, down].map(|n: i32| n.saturating_mul(1 << 16));
    [a, b, 0, c, d, 0, across, down, 1 << 30]
}

/// Writes the matrix of the track.
fn set_matrix(header: &mut [u8], matrix: Matrix) -> Option<()> {
    let track = *path(header, &TO_TRACK)?.last()?;
    // Times of 64 bits make version 1 longer.
    let at = track + if *header.get(track + 8)? == 0 { 48 } else { 60 };
    let bytes: Vec<u8> = matrix.into_iter().flat_map(i32::to_be_bytes).collect();
    header.get_mut(at..at + bytes.len())?.copy_from_slice(&bytes);
    Some(())
}

/// The boxes `mdcv` and `clli`.
fn boxes(hdr10: &Hdr10) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(display) = &hdr10.mastering {
        let MasteringDisplay {
            primaries: [red, green, blue],
            white,
            max_luminance,
            min_luminance,
        } = *display;
        bytes.extend(32u32.to_be_bytes());
        bytes.extend(b"mdcv");
        for (x, y) in [green, blue, red, white] {
            bytes.extend([x.to_be_bytes(), y.to_be_bytes()].concat());
        }
        bytes.extend([max_luminance.to_be_bytes(), min_luminance.to_be_bytes()].concat());
    }
    if let Some(light) = &hdr10.light {
        let ContentLight {
            max_content,
            max_average,
        } = light;
        bytes.extend(12u32.to_be_bytes());
        bytes.extend(b"clli");
        bytes.extend([max_content.to_be_bytes(), max_average.to_be_bytes()].concat());
    }
    bytes
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

/// A box of this content, which is shorter than 4 GiB.
fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = content.len() as u32 + 8;
    [&size.to_be_bytes(), name.as_slice(), content].concat()
}

/// Bytes of the box that begins at `at`, of those that state theirs in 32 bits and are whole.
fn size(bytes: &[u8], at: usize) -> Option<usize> {
    let size = bytes.get(at..at + 4)?.try_into().map(u32::from_be_bytes).ok()? as usize;
    (size >= 8 && size <= bytes.len() - at).then_some(size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    fn pictures_are_turned_clockwise_and_stay_where_they_were() {
        // Where the upper left and the upper right corner of 300×200 come to.
        for (rotation, mirrored, left, right) in [
            (0, false, (0, 0), (300, 0)),
            (90, false, (200, 0), (200, 300)),
            (180, false, (300, 200), (0, 200)),
            (270, false, (0, 300), (0, 0)),
            (0, true, (0, 200), (300, 200)),
            (90, true, (0, 0), (0, 300)),
            (180, true, (300, 0), (0, 0)),
            (270, true, (200, 300), (200, 0)),
        ] {
            let [a, b, _, c, d, _, across, down, _] = matrix((300, 200), rotation, mirrored).map(|n| n >> 16);
            let shown = |x, y| (a * x + c * y + across, b * x + d * y + down);
            assert_eq!((shown(0, 0), shown(300, 0)), (left, right), "{rotation} {mirrored}");
        }
    }

    #[test]
    fn a_header_ends_where_what_follows_begins() {
        let whole = header(&[1; 9], &[0; 84], &Default::default());
        for follows in [Vec::new(), boxed(b"moof", b"as it is")] {
            assert_eq!(header_len(&[whole.clone(), follows].concat()), Some(whole.len()));
        }
        for end in 0..whole.len() {
            assert_eq!(header_len(&whole[..end]), None, "{end}");
        }
        assert_eq!(header_len(&boxed(b"moof", b"as it is")), None);
    }

    #[test]
    fn a_header_that_is_cut_off_or_has_no_track_is_refused() {
        let additions = Additions {
            sample_entry: vec![1],
            matrix: Some([0; 9]),
        };
        let whole = header(&[0; 4], &[0; 84], &Default::default());
        for end in 0..whole.len() {
            assert!(additions.add_to(whole[..end].to_vec()).is_none(), "{end}");
        }
        assert!(additions.add_to(boxed(b"moov", b"as it is")).is_none());
    }
}
