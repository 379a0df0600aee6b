//! Pictures, still and moving, as strangers hand them in.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::Arc;

use clearfleet_common::Stop;
use image::DynamicImage;
use image::metadata::Orientation;

use super::{LIMITS, Memory};
use crate::media::animation::Film;
use crate::media::animation::frames::compose;
use crate::media::sniff::{self, Kind, look};
use crate::media::still::{Metadata, StillFormat, StillReader, encode, exif, xmp};
use crate::media::within;

/// Frames of an animation that are looked at.
const SHOWN: usize = 32;

/// The first bytes of any file: what it is does not depend on how many bytes come at once.
pub(super) fn sniff(input: &[u8]) {
    let mut source = Memory::new(input);
    let kind = look(&source).expect("memory can be read");
    source.at_once = 7;
    assert_eq!(look(&source).expect("memory can be read"), kind);
    for name in ["a.png", "a.mp4", "a"] {
        if let Ok(found) = sniff::sniff(&source, Some(name.as_ref())) {
            assert_eq!(found, kind);
        }
    }
}

/// A still picture: it has the size that was checked, and is written without loss where a format has none.
pub(super) fn still(input: &[u8]) {
    let Some(pixels) = decoded(input) else { return };
    if matches!(pixels, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) {
        // No format that is written has such samples.
        return;
    }
    for format in [StillFormat::Png, StillFormat::Tiff] {
        let mut file = Cursor::new(Vec::new());
        let written = encode(
            pixels.clone(),
            Metadata::default(),
            format,
            100,
            &mut file,
            &mut Vec::new(),
        );
        written.expect("memory takes everything");
        let read = decoded(file.get_ref()).expect("what was written is read");
        assert_eq!(read.into_rgba16(), pixels.to_rgba16(), "{format}");
    }
}

fn decoded(bytes: &[u8]) -> Option<DynamicImage> {
    let (source, stop) = (Memory::new(bytes), Stop::new());
    let reader = StillReader::open(&source, &LIMITS, &stop).ok()?;
    let size = reader.size();
    within("it", size, &LIMITS).expect("a picture over the limits is refused");
    let still = reader.decode().ok()?;
    assert_eq!((still.pixels.width(), still.pixels.height()), size);
    Some(still.pixels)
}

/// EXIF or XMP: what is left says that the picture stands upright.
pub(super) fn metadata(input: &[u8]) {
    let mut block = input.to_vec();
    exif::take_orientation(&mut block);
    let left = Orientation::from_exif_chunk(&block);
    assert!(matches!(left, None | Some(Orientation::NoTransforms)), "{left:?}");
    let length = block.len();
    exif::set_size(&mut block, 640, 480);
    assert_eq!(block.len(), length);

    let mut packet = input.to_vec();
    xmp::set_upright(&mut packet);
    let upright = packet.clone();
    xmp::set_upright(&mut packet);
    assert_eq!(packet, upright);
    assert_eq!(packet.len(), input.len());
}

/// A moving picture: each frame has the size that was checked, and there are no more than are timed.
pub(super) fn animation(input: &[u8]) {
    let source = Arc::new(Memory::new(input));
    let Ok(Kind::Still(_) | Kind::Animation(_)) = look(&*source) else {
        return;
    };
    let Ok(film) = Film::open(source.clone(), &Stop::new()) else {
        return;
    };
    let timing = film.timing();
    assert_eq!(timing.ticks().len(), timing.delays.len());
    if within("it", timing.size, &LIMITS).is_err() {
        return;
    }
    let (width, height) = timing.size;
    let mut shown = 0;
    // Damage ends it.
    let _ = compose(timing, &*source, &mut |frame| {
        assert_eq!(frame.len() as u64, u64::from(width) * u64::from(height) * 4);
        shown += 1;
        if shown == SHOWN {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(shown <= timing.delays.len());
}
