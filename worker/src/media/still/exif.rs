//! The little of EXIF that a result must not take over as it is: the orientation, the size, the thumbnail.

use image::metadata::Orientation;

/// What precedes the block in a JPEG, and by mistake in some WebP files.
const PREFIX: &[u8] = b"Exif\0\0";
const EXIF_IFD: u16 = 0x8769;
/// Width and height, in the first directory and in the one of EXIF itself.
const SIZES: [[u16; 2]; 2] = [[0x0100, 0x0101], [0xa002, 0xa003]];
const SHORT: u16 = 3;
const LONG: u16 = 4;

/// Takes the orientation out of a block: what is left says that the picture stands upright. A thumbnail that lies on its
/// side as the picture did goes too, since nothing would turn it any more.
pub(in crate::media) fn take_orientation(exif: &mut Vec<u8>) -> Orientation {
    if exif.starts_with(PREFIX) {
        exif.drain(..PREFIX.len());
    }
    let orientation = Orientation::remove_from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms);
    if orientation != Orientation::NoTransforms {
        drop_thumbnail(exif);
    }
    orientation
}

/// Corrects the picture's size where the block names it.
pub(in crate::media) fn set_size(exif: &mut [u8], width: u32, height: u32) {
    let Some(order) = Order::of(exif) else { return };
    let Some(first) = order.long(exif, 4) else { return };
    let second = order
        .entries(exif, first)
        .find(|e| e.tag == EXIF_IFD)
        .and_then(|e| order.long(exif, e.value));
    for (directory, tags) in [Some(first), second].into_iter().zip(SIZES) {
        let Some(directory) = directory else { continue };
        let found: Vec<Entry> = order
            .entries(exif, directory)
            .filter(|e| tags.contains(&e.tag))
            .collect();
        for entry in found {
            let value = if entry.tag == tags[0] { width } else { height };
            order.set(exif, &entry, value);
        }
    }
}

fn drop_thumbnail(exif: &mut [u8]) {
    let Some(order) = Order::of(exif) else { return };
    let Some(first) = order.long(exif, 4) else { return };
    let Some(count) = order.short(exif, first as usize) else {
        return;
    };
    // After a directory's entries stands where the next one lies, which holds the thumbnail; 0 means none.
    let next = first as usize + 2 + usize::from(count) * 12;
    if let Some(offset) = exif.get_mut(next..next + 4) {
        offset.fill(0);
    }
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

struct Entry {
    tag: u16,
    kind: u16,
    /// Where the value lies.
    value: usize,
}

impl Order {
    fn of(exif: &[u8]) -> Option<Self> {
        match exif.get(..4)? {
            b"II*\0" => Some(Self::Little),
            b"MM\0*" => Some(Self::Big),
            _ => None,
        }
    }

    fn short(self, exif: &[u8], at: usize) -> Option<u16> {
        let bytes = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }

    fn long(self, exif: &[u8], at: usize) -> Option<u32> {
        let bytes = exif.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }

    fn entries(self, exif: &[u8], directory: u32) -> impl Iterator<Item = Entry> {
        let start = directory as usize + 2;
        let count = self.short(exif, directory as usize).unwrap_or(0);
        (0..usize::from(count)).map_while(move |n| {
            let at = start + 12 * n;
            Some(Entry {
                tag: self.short(exif, at)?,
                kind: self.short(exif, at + 2)?,
                value: at + 8,
            })
        })
    }

    /// Writes a number that its kind can hold.
    fn set(self, exif: &mut [u8], entry: &Entry, value: u32) {
        let (little, length) = match (entry.kind, u16::try_from(value)) {
            (SHORT, Ok(short)) => (u32::from(short), 2),
            (LONG, _) => (value, 4),
            _ => return,
        };
        let Some(place) = exif.get_mut(entry.value..entry.value + length) else {
            return;
        };
        place.copy_from_slice(&little.to_le_bytes()[..length]);
        if matches!(self, Self::Big) {
            place.reverse();
        }
    }
}
