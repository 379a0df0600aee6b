//! The little of XMP that a result must not take over as it is: the orientation.

/// What precedes the orientation, as an attribute and as an element.
const BEFORE: [&[u8]; 3] = [b"tiff:Orientation=\"", b"tiff:Orientation='", b"<tiff:Orientation>"];

/// Makes a packet say that the picture stands upright, where it says how it stands.
pub(in crate::media) fn set_upright(xmp: &mut [u8]) {
    for before in BEFORE {
        let places: Vec<usize> = xmp
            .windows(before.len())
            .enumerate()
            .filter(|(_, window)| *window == before)
            .map(|(at, window)| at + window.len())
            .collect();
        for at in places {
            if let Some(digit @ b'1'..=b'8') = xmp.get_mut(at) {
                *digit = b'1';
            }
        }
    }
}
