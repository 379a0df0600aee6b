//! The tracks of a header.

use std::ops::Range;

use super::{boxed, path, size};

/// A track of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its number, by which fragments name it.
    pub id: u32,
    /// Ticks of its clock in a second.
    pub timescale: u32,
}

/// The tracks of a header, in its order; nothing where it is no whole header.
pub fn tracks(header: &[u8]) -> Option<Vec<Track>> {
    let boxes = children(header, movie(header)?)?;
    let tracks = boxes.into_iter().filter(|(name, _)| name == b"trak");
    tracks.map(|(_, at)| track(&header[at])).collect()
}

/// The header of one of its tracks alone; nothing where it has no such track.
pub fn header_of(header: &[u8], id: u32) -> Option<Vec<u8>> {
    let movie = movie(header)?;
    let (mut content, mut found) = (Vec::new(), false);
    for (name, at) in children(header, movie.clone())? {
        let bytes = &header[at.clone()];
        match &name {
            b"trak" if track(bytes)?.id != id => {}
            b"mvex" => content.extend(extends_of(bytes, id)?),
            _ => {
                found |= &name == b"trak";
                content.extend_from_slice(bytes);
            }
        }
    }
    let before = &header[..movie.start - 8];
    found.then(|| [before, &boxed(b"moov", &content)].concat())
}

/// Where the content of `moov` lies.
fn movie(header: &[u8]) -> Option<Range<usize>> {
    let at = *path(header, &[b"moov"])?.last()?;
    Some(at + 8..at + size(header, at)?)
}

/// `mvex` without what it says of other tracks.
fn extends_of(bytes: &[u8], id: u32) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    for (name, at) in children(bytes, 8..bytes.len())? {
        if &name != b"trex" || number(bytes, at.start + 12)? == id {
            content.extend_from_slice(&bytes[at]);
        }
    }
    Some(boxed(b"mvex", &content))
}

fn track(bytes: &[u8]) -> Option<Track> {
    let header = *path(bytes, &[b"trak", b"tkhd"])?.last()?;
    let media = *path(bytes, &[b"trak", b"mdia", b"mdhd"])?.last()?;
    // Two times come before it, of 64 bits each in version 1.
    let after_times = |at: usize| Some(at + if *bytes.get(at + 8)? == 0 { 20 } else { 28 });
    Some(Track {
        id: number(bytes, after_times(header)?)?,
        timescale: number(bytes, after_times(media)?)?,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().map(u32::from_be_bytes).ok()
}

/// The boxes in a range, with their headers.
pub(super) fn children(bytes: &[u8], within: Range<usize>) -> Option<Vec<([u8; 4], Range<usize>)>> {
    let (mut at, mut found) = (within.start, Vec::new());
    while at < within.end {
        let end = at + size(bytes, at)?;
        found.push((bytes.get(at + 4..at + 8)?.try_into().ok()?, at..end));
        at = end;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A track whose boxes have this version.
    fn trak(version: u8, id: u32, timescale: u32) -> Vec<u8> {
        let times = vec![0xEE; if version == 0 { 8 } else { 16 }];
        let versioned = |number: u32| [&[version, 0, 0, 0][..], &times, &number.to_be_bytes(), &[9; 7]].concat();
        let media = boxed(b"mdia", &boxed(b"mdhd", &versioned(timescale)));
        boxed(b"trak", &[boxed(b"tkhd", &versioned(id)), media].concat())
    }

    fn trex(id: u32) -> Vec<u8> {
        boxed(b"trex", &[&[0; 4], &id.to_be_bytes()[..], &[1; 16]].concat())
    }

    fn header(tracks: &[(u8, u32, u32)]) -> Vec<u8> {
        let mut content = boxed(b"mvhd", &[3; 100]);
        let mut extends = Vec::new();
        for (version, id, timescale) in tracks {
            content.extend(trak(*version, *id, *timescale));
            extends.extend(trex(*id));
        }
        content.extend(boxed(b"mvex", &extends));
        [boxed(b"ftyp", b"iso5"), boxed(b"moov", &content)].concat()
    }

    #[test]
    fn a_header_of_one_track_is_as_if_there_were_no_others() {
        let all = [(0, 1, 44_100), (1, 2, 48_000), (0, 7, 8000)];
        let whole = header(&all);
        let expected = all.map(|(_, id, timescale)| Track { id, timescale });
        assert_eq!(tracks(&whole).unwrap(), expected);
        for track in all {
            assert_eq!(header_of(&whole, track.1).unwrap(), header(&[track]));
        }
        assert_eq!(header_of(&whole, 3), None);
        for end in 0..whole.len() {
            assert_eq!(
                (tracks(&whole[..end]), header_of(&whole[..end], 1)),
                (None, None),
                "{end}"
            );
        }
    }
}
