//! Files that are cut off, damaged or read in any order.

use clearfleet_common::ErrorCode;
use proptest::prelude::*;

use super::super::film::Film;
use super::super::timing::Timing;
use super::*;
use crate::media::sniff::Picture;

fn timing(picture: Picture, bytes: Vec<u8>) -> Result<Timing> {
    Timing::read(picture, &Memory(bytes), &Stop::new())
}

#[test]
fn what_a_file_states_is_read() {
    let delays = |steps: &[Step]| steps.iter().map(|step| step.4).collect::<Vec<_>>();
    let known = timing(Picture::Gif, gif(&STEPS, Some(9))).unwrap();
    assert_eq!((known.size, known.delays, known.plays), ((8, 4), delays(&STEPS), 10));
    let known = timing(Picture::Png, apng(&STEPS, 9, true)).unwrap();
    assert_eq!((known.size, known.delays, known.plays), ((8, 4), delays(&STEPS), 9));
    let known = timing(Picture::WebP, webp(&STEPS, 9)).unwrap();
    assert_eq!((known.size, known.plays), ((8, 4), 9));
    assert_eq!(known.delays[4], Delay::milliseconds(300));
}

#[test]
fn what_is_not_kept_is_named() {
    let mut with_text = apng(&STEPS, 0, false);
    // Its checksum is nobody's business here.
    with_text.splice(33..33, *b"\0\0\0\0iTXt\0\0\0\0\0\0\0\0tEXt\0\0\0\0");
    assert_eq!(
        timing(Picture::Png, with_text).unwrap().lost,
        ["the text that it carries"]
    );
    let mut with_both = webp(&STEPS, 0);
    with_both.extend(b"EXIF\x02\0\0\0abXMP \x01\0\0\0a\0");
    let job = Job::planned(with_both, Container::Webp, 1.0).unwrap();
    assert_eq!(
        job.plan.notes,
        ["the EXIF metadata is not kept", "the XMP metadata is not kept"]
    );
    assert_eq!(
        Job::planned(gif(&STEPS, None), Container::Gif, 1.0).unwrap().plan.notes,
        [""; 0]
    );
}

#[test]
fn a_file_that_is_cut_off_is_damaged() {
    for (picture, whole, missing) in [
        (Picture::Gif, gif(&STEPS, None), 3),
        (Picture::Png, apng(&STEPS, 0, false), 80),
        (Picture::WebP, webp(&STEPS, 0), 1),
    ] {
        let cut = whole[..whole.len() - missing].to_vec();
        assert_eq!(
            timing(picture, cut).unwrap_err().code(),
            ErrorCode::InputDamaged,
            "{picture}"
        );
    }
    // A GIF may lack its last byte.
    let mut lazy = gif(&STEPS, None);
    assert_eq!(lazy.pop(), Some(0x3b));
    assert_eq!(timing(Picture::Gif, lazy).unwrap().delays.len(), 7);
}

/// ffmpeg only sees that its source breaks off; what is wrong with it has to be said all the same.
#[test]
fn a_frame_that_cannot_be_decoded_is_named() {
    // In the last frame: the width of its codes, the head of its stream, the name of its coding.
    let last = |bytes: &[u8], name: &[u8]| bytes.windows(name.len()).rposition(|window| window == name).unwrap();
    let (mut gif, mut apng, mut webp) = (gif(&STEPS, None), apng(&STEPS, 0, false), webp(&STEPS, 0));
    let at = last(&gif, b"\x2c") + 10;
    gif[at] = 13;
    let at = last(&apng, b"fdAT") + 8;
    apng[at] = 0xff;
    let at = last(&webp, b"VP8L");
    webp[at] = b'X';
    for (picture, source) in [(Picture::Gif, gif), (Picture::Png, apng), (Picture::WebP, webp)] {
        let planned = Job::planned(source, Container::Apng, 1.0);
        let failed = planned.err().unwrap_or_else(|| panic!("{picture} is planned"));
        assert_eq!(failed.code(), ErrorCode::InputDamaged, "{failed:?}");
        let expected = format!("a frame of the animated {picture} cannot be decoded");
        assert_eq!(failed.message(), expected, "{failed:?}");
    }
}

#[test]
fn delays_add_up_without_error() {
    let thirds = Timing {
        picture: Picture::Png,
        size: (1, 1),
        delays: vec![Delay { num: 1, den: 7 }; 7000],
        plays: 0,
        lost: Vec::new(),
    };
    let ticks = thirds.ticks();
    assert_eq!(ticks.iter().copied().map(u64::from).sum::<u64>(), 90_000_000);
    assert!(ticks.iter().all(|ticks| matches!(ticks, 12_857 | 12_858)));
}

proptest! {
    /// Whatever is read where, by however many, is what reading from beginning to end gives.
    #[test]
    fn a_film_is_the_same_wherever_it_is_read(reads in prop::collection::vec((0..2000u64, 1..300usize), 1..40)) {
        let film = Film::open(Arc::new(Memory(gif(&STEPS, None))), &Stop::new()).unwrap();
        let whole = read(&film, 0, usize::MAX);
        prop_assert_eq!(whole.len() as u64, film.len());
        for (offset, length) in reads {
            let start = (offset as usize).min(whole.len());
            let end = start.saturating_add(length).min(whole.len());
            prop_assert_eq!(&read(&film, offset, length)[..], &whole[start..end]);
        }
    }
}

fn read(film: &Film, offset: u64, length: usize) -> Vec<u8> {
    let mut all = vec![0; length.min(film.len() as usize)];
    let mut filled = 0;
    while filled < all.len() {
        match film.read_at(offset + filled as u64, &mut all[filled..]).unwrap() {
            0 => break,
            read => filled += read,
        }
    }
    all.truncate(filled);
    all
}
