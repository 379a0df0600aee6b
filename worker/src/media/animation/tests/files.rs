//! Animated pictures made and read without the code under test.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::{WebPDecoder, WebPEncoder};
use image::{AnimationDecoder, Frames, ImageEncoder};

use super::super::canvas::Disposal;
use super::super::timing::Delay;

/// Width and height of all pictures here.
pub(super) const SIZE: (u32, u32) = (8, 4);

/// A frame: its left and upper edge, its rows, what happens to it, and how long it is shown.
pub(super) type Step = (u32, u32, &'static [&'static str], Disposal, Delay);

/// A picture as it is read: each frame's rows, the delays, how often it is played.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    pub(super) frames: Vec<Vec<String>>,
    /// Milliseconds, as a fraction.
    pub(super) delays: Vec<(u32, u32)>,
    pub(super) plays: u32,
}

/// The colours by which pixels go, and no colour.
const COLOURS: [(char, [u8; 4]); 6] = [
    ('.', [0; 4]),
    ('R', [255, 0, 0, 255]),
    ('G', [0, 200, 0, 255]),
    ('B', [0, 0, 255, 255]),
    ('W', [255, 255, 255, 255]),
    ('K', [0, 0, 0, 255]),
];

fn colour(name: char) -> (usize, [u8; 4]) {
    let at = COLOURS.iter().position(|(known, _)| *known == name).unwrap();
    (at, COLOURS[at].1)
}

fn rgba(rows: &[&str]) -> Vec<u8> {
    rows.iter()
        .flat_map(|row| row.chars())
        .flat_map(|name| colour(name).1)
        .collect()
}

fn size(rows: &[&str]) -> (u32, u32) {
    (rows[0].len() as u32, rows.len() as u32)
}

/// A GIF; without `repeats` it says nothing of them.
pub(super) fn gif(steps: &[Step], repeats: Option<u16>) -> Vec<u8> {
    let palette: Vec<u8> = COLOURS.iter().flat_map(|(_, [r, g, b, _])| [*r, *g, *b]).collect();
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, SIZE.0 as u16, SIZE.1 as u16, &palette).unwrap();
    match repeats {
        Some(0) => encoder.set_repeat(gif::Repeat::Infinite).unwrap(),
        Some(n) => encoder.set_repeat(gif::Repeat::Finite(n)).unwrap(),
        None => {}
    }
    for (x, y, rows, disposal, delay) in steps {
        let (width, height) = size(rows);
        let frame = gif::Frame {
            delay: delay.num as u16,
            dispose: match disposal {
                Disposal::Keep => gif::DisposalMethod::Keep,
                Disposal::Clear => gif::DisposalMethod::Background,
                Disposal::Restore => gif::DisposalMethod::Previous,
            },
            transparent: Some(0),
            left: *x as u16,
            top: *y as u16,
            width: width as u16,
            height: height as u16,
            buffer: rows
                .iter()
                .flat_map(|row| row.chars())
                .map(|c| colour(c).0 as u8)
                .collect(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

/// An APNG whose frames are blended; with `poster`, its first picture is none of the animation.
pub(super) fn apng(steps: &[Step], plays: u32, poster: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(steps.len() as u32, plays).unwrap();
    encoder.set_sep_def_img(poster).unwrap();
    let mut writer = encoder.write_header().unwrap();
    if poster {
        writer.write_image_data(&rgba(&["WKWKWKWK"; 4])).unwrap();
    }
    for (x, y, rows, disposal, delay) in steps {
        writer.reset_frame_position().unwrap();
        writer.set_frame_dimension(size(rows).0, size(rows).1).unwrap();
        writer.set_frame_position(*x, *y).unwrap();
        writer.set_blend_op(png::BlendOp::Over).unwrap();
        writer
            .set_dispose_op(match disposal {
                Disposal::Keep => png::DisposeOp::None,
                Disposal::Clear => png::DisposeOp::Background,
                Disposal::Restore => png::DisposeOp::Previous,
            })
            .unwrap();
        writer.set_frame_delay(delay.num as u16, delay.den as u16).unwrap();
        writer.write_image_data(&rgba(rows)).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

/// A WebP whose frames are blended; it restores nothing.
pub(super) fn webp(steps: &[Step], plays: u16) -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| [kind, &(data.len() as u32).to_le_bytes(), data].concat();
    let short = |n: u32| n.to_le_bytes()[..3].to_vec();
    let mut chunks = vec![
        chunk(
            b"VP8X",
            &[vec![0x12, 0, 0, 0], short(SIZE.0 - 1), short(SIZE.1 - 1)].concat(),
        ),
        chunk(b"ANIM", &[&[9, 9, 9, 255], &plays.to_le_bytes()[..]].concat()),
    ];
    for (x, y, rows, disposal, delay) in steps {
        let (width, height) = size(rows);
        let mut still = Vec::new();
        let encoder = WebPEncoder::new_lossless(&mut still);
        encoder
            .write_image(&rgba(rows), width, height, image::ExtendedColorType::Rgba8)
            .unwrap();
        let place = [x / 2, y / 2, width - 1, height - 1, delay.num].map(short).concat();
        let flags = u8::from(*disposal == Disposal::Clear);
        chunks.push(chunk(b"ANMF", &[&place, &[flags][..], &still[12..]].concat()));
    }
    let body = [b"WEBP".to_vec(), chunks.concat()].concat();
    chunk(b"RIFF", &body)
}

/// The name of a colour.
pub(super) fn named(pixel: [u8; 4]) -> char {
    let known = COLOURS.iter().find(|(_, colour)| *colour == pixel || pixel[3] == 0);
    known.map_or('?', |(name, _)| *name)
}

/// Reads a result.
pub(super) fn found(bytes: &[u8]) -> Found {
    let source = || Cursor::new(bytes);
    let (frames, plays): (Frames<'_>, u32) = match &bytes[..4] {
        b"GIF8" => {
            let decoder = gif::Decoder::new(source()).unwrap();
            let plays = match decoder.repeat() {
                gif::Repeat::Infinite => 0,
                gif::Repeat::Finite(n) => u32::from(n) + 1,
            };
            (GifDecoder::new(source()).unwrap().into_frames(), plays)
        }
        b"RIFF" => {
            let decoder = image_webp::WebPDecoder::new(source()).unwrap();
            let plays = match decoder.loop_count() {
                image_webp::LoopCount::Forever => 0,
                image_webp::LoopCount::Times(n) => n.get().into(),
            };
            (WebPDecoder::new(source()).unwrap().into_frames(), plays)
        }
        _ => {
            let info = png::Decoder::new(source())
                .read_info()
                .unwrap()
                .info()
                .animation_control;
            let frames = PngDecoder::new(source()).unwrap().apng().unwrap().into_frames();
            (frames, info.unwrap().num_plays)
        }
    };
    let frames = frames.collect_frames().unwrap();
    Found {
        delays: frames.iter().map(|frame| frame.delay().numer_denom_ms()).collect(),
        frames: frames
            .iter()
            .map(|frame| {
                frame
                    .buffer()
                    .rows()
                    .map(|row| row.map(|p| named(p.0)).collect())
                    .collect()
            })
            .collect(),
        plays,
    }
}
