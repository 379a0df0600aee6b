use clearfleet_common::job::{Filters, PlannedVideo, Rational, TimeBase};
use image::{Rgb, RgbImage};
use vdsr::{ChromaSiting, FrameFormat, Layout, Range, Size};

use super::rgb::{Colours, Part};
use super::{beside, within};

fn video(height: u32, colour: &[&str]) -> PlannedVideo {
    PlannedVideo {
        stream: 0,
        codec: "h264".to_owned(),
        decoder: None,
        time_base: TimeBase::new(1, 25).unwrap(),
        source_size: (16, height),
        target_size: (32, 2 * height),
        pixel_format: "yuv420p".to_owned(),
        encoded_format: "yuv420p".to_owned(),
        full_range: false,
        chroma_location: None,
        sample_aspect: None,
        rotation: 0,
        mirrored: false,
        deinterlace: false,
        colour: colour.iter().map(|tag| (*tag).to_owned()).collect(),
        hdr10: None,
        frame_rate: Rational::new(25, 1).unwrap(),
        last_duration: 1,
        shift: 0,
        filters: Filters::default(),
        retouched: Vec::new(),
    }
}

fn format(layout: Layout, bits: u8, range: Range) -> FrameFormat {
    FrameFormat {
        size: Size { width: 3, height: 3 },
        layout,
        bits,
        range,
        siting: ChromaSiting::Left,
    }
}

#[test]
fn studio_colours_are_those_of_the_standard() {
    // BT.601, as in the recommendation's own example: white, black, and full red.
    let small = Colours::of(&video(480, &[]));
    let pixel = |codes: [u8; 3]| {
        let frame = [vec![codes[0]; 9], vec![codes[1]; 4], vec![codes[2]; 4]].concat();
        let all = Part {
            x: 0,
            y: 0,
            width: 3,
            height: 3,
        };
        *small
            .part(&format(Layout::Yuv420, 8, Range::Limited), &frame, all)
            .get_pixel(2, 2)
    };
    assert_eq!(pixel([235, 128, 128]), Rgb([255; 3]));
    assert_eq!(pixel([16, 128, 128]), Rgb([0; 3]));
    let Rgb([red, green, blue]) = pixel([81, 90, 240]);
    assert!(red >= 253 && green <= 2 && blue <= 2, "{red} {green} {blue}");
    let Rgb([red, green, blue]) = pixel([145, 54, 34]);
    assert!(red <= 2 && green >= 253 && blue <= 2, "{red} {green} {blue}");
}

#[test]
fn ten_bits_and_full_range_have_the_same_white() {
    let colours = Colours::of(&video(1080, &[]));
    let all = Part {
        x: 0,
        y: 0,
        width: 3,
        height: 3,
    };
    let words = |code: u16, count: usize| code.to_le_bytes().repeat(count);
    let ten = [words(940, 9), words(512, 9), words(512, 9)].concat();
    let picture = colours.part(&format(Layout::Yuv444, 10, Range::Limited), &ten, all);
    assert_eq!(*picture.get_pixel(1, 1), Rgb([255; 3]));
    let full = [vec![255; 9], vec![128; 9], vec![128; 9]].concat();
    let picture = colours.part(&format(Layout::Yuv444, 8, Range::Full), &full, all);
    assert_eq!(*picture.get_pixel(1, 1), Rgb([255; 3]));
}

#[test]
fn tags_decide_over_height() {
    assert_eq!(
        Colours::of(&video(1080, &["-color_range", "tv", "-colorspace", "smpte170m"])),
        Colours::of(&video(480, &[]))
    );
    assert_ne!(Colours::of(&video(1080, &[])), Colours::of(&video(480, &[])));
}

#[test]
fn planar_rgb_keeps_its_order() {
    let colours = Colours::of(&video(480, &[]));
    let frame = [vec![2; 9], vec![3; 9], vec![1; 9]].concat();
    let all = Part {
        x: 1,
        y: 0,
        width: 1,
        height: 2,
    };
    let picture = colours.part(&format(Layout::Gbr, 8, Range::Full), &frame, all);
    assert_eq!(
        (picture.dimensions(), *picture.get_pixel(0, 0)),
        ((1, 2), Rgb([1, 2, 3]))
    );
}

#[test]
fn a_part_of_the_target_is_found_in_the_source() {
    let (source, target) = (
        Size {
            width: 1280,
            height: 720,
        },
        Size {
            width: 2560,
            height: 1440,
        },
    );
    let part = Part::middle(target, (960, 720));
    assert_eq!(
        part,
        Part {
            x: 800,
            y: 360,
            width: 960,
            height: 720
        }
    );
    assert_eq!(
        part.of_source(source, target),
        Part {
            x: 400,
            y: 180,
            width: 480,
            height: 360
        }
    );
    let tiny = Size { width: 1, height: 1 };
    let whole = Part::middle(Size { width: 8, height: 8 }, (960, 720));
    assert_eq!(
        whole.of_source(tiny, Size { width: 8, height: 8 }),
        Part {
            x: 0,
            y: 0,
            width: 1,
            height: 1
        }
    );
}

#[test]
fn before_is_left_of_after() {
    let both = beside(
        &RgbImage::from_pixel(2, 2, Rgb([9; 3])),
        &RgbImage::from_pixel(4, 4, Rgb([7; 3])),
    );
    assert_eq!(both.dimensions(), (8, 4));
    assert_eq!(
        (*both.get_pixel(0, 0), *both.get_pixel(4, 3)),
        (Rgb([9; 3]), Rgb([7; 3]))
    );
}

#[test]
fn thumbnails_keep_their_proportions() {
    assert_eq!(within(1920, 1080, (320, 320)), (320, 180));
    assert_eq!(within(1080, 1920, (320, 320)), (180, 320));
    assert_eq!(within(100, 50, (320, 320)), (100, 50));
    assert_eq!(within(10_000, 10, (320, 320)), (320, 1));
}
