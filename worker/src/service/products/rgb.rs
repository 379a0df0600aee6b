//! Decoded frames as RGB of 8 bits, for people to look at: nearest chroma, no tone mapping.

use clearfleet_common::job::PlannedVideo;
use image::{Rgb, RgbImage};
use vdsr::{FrameFormat, Layout, Range, Size};

/// How Y, Cb and Cr mix, as the video's tags say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::service) struct Colours {
    red: f32,
    blue: f32,
}

/// A rectangle of a frame, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Part {
    /// The middle of a frame, `most` pixels wide and high at most.
    pub(super) fn middle(size: Size, most: (u32, u32)) -> Self {
        let (width, height) = (size.width.min(most.0), size.height.min(most.1));
        Self {
            x: (size.width - width) / 2,
            y: (size.height - height) / 2,
            width,
            height,
        }
    }

    /// The part of the source that became this part of the target, to the nearest pixel.
    pub(super) fn of_source(self, source: Size, target: Size) -> Self {
        let scaled = |at: u32, from: u32, to: u32| (f64::from(at) * f64::from(from) / f64::from(to)).round() as u32;
        let across = |at: u32| scaled(at, source.width, target.width).min(source.width);
        let down = |at: u32| scaled(at, source.height, target.height).min(source.height);
        let (x, y) = (
            across(self.x).min(source.width - 1),
            down(self.y).min(source.height - 1),
        );
        Self {
            x,
            y,
            width: across(self.x + self.width).saturating_sub(x).max(1),
            height: down(self.y + self.height).saturating_sub(y).max(1),
        }
    }
}

impl Colours {
    /// Those of a planned video; where it says nothing, BT.709 for 720 lines and more, else BT.601.
    pub(in crate::service) fn of(video: &PlannedVideo) -> Self {
        let mut tags = video.colour.iter();
        let space = tags.find(|tag| *tag == "-colorspace").and_then(|_| tags.next());
        let (red, blue) = match space.map(String::as_str) {
            Some("bt2020nc" | "bt2020c") => (0.2627, 0.0593),
            Some("smpte240m") => (0.212, 0.087),
            Some("fcc") => (0.3, 0.11),
            Some("bt470bg" | "smpte170m") => (0.299, 0.114),
            Some("bt709") => (0.2126, 0.0722),
            _ if video.source_size.1 >= 720 => (0.2126, 0.0722),
            _ => (0.299, 0.114),
        };
        Self { red, blue }
    }

    /// All of a frame as RGB.
    pub(in crate::service) fn whole(&self, format: &FrameFormat, frame: &[u8]) -> RgbImage {
        let Size { width, height } = format.size;
        let all = Part {
            x: 0,
            y: 0,
            width,
            height,
        };
        self.part(format, frame, all)
    }

    /// A part of a frame as RGB.
    pub(super) fn part(&self, format: &FrameFormat, frame: &[u8], part: Part) -> RgbImage {
        let planes = planes(format, frame);
        let bytes = if format.bits <= 8 { 1 } else { 2 };
        let highest = f32::from(u16::MAX >> (16 - format.bits.clamp(1, 16)));
        let code = |plane: usize, x: u32, y: u32| {
            let (size, samples) = planes[plane];
            // Chroma planes are as large as they are whatever the subsampling, rounded up.
            let x = u64::from(x) * u64::from(size.width) / u64::from(format.size.width);
            let y = u64::from(y) * u64::from(size.height) / u64::from(format.size.height);
            let at = (y as usize * size.width as usize + x as usize) * bytes;
            match bytes {
                1 => f32::from(samples[at]) / highest,
                _ => f32::from(u16::from_le_bytes([samples[at], samples[at + 1]])) / highest,
            }
        };
        RgbImage::from_fn(part.width, part.height, |x, y| {
            let (x, y) = (part.x + x, part.y + y);
            let colour = match format.layout {
                Layout::Gray | Layout::GrayAlpha => [code(0, x, y); 3],
                Layout::Rgb | Layout::Rgba => [code(0, x, y), code(1, x, y), code(2, x, y)],
                Layout::Gbr | Layout::Gbra => [code(2, x, y), code(0, x, y), code(1, x, y)],
                Layout::Yuv420
                | Layout::Yuv422
                | Layout::Yuv444
                | Layout::Yuva420
                | Layout::Yuva422
                | Layout::Yuva444 => self.mixed(format, highest, [code(0, x, y), code(1, x, y), code(2, x, y)]),
            };
            Rgb(colour.map(|value| (value * 255.0).round().clamp(0.0, 255.0) as u8))
        })
    }

    /// Y, Cb and Cr as shares of the highest code, to RGB from 0 to 1.
    fn mixed(&self, format: &FrameFormat, highest: f32, [y, cb, cr]: [f32; 3]) -> [f32; 3] {
        let step = f32::from(1u16 << (format.bits - 8)) / highest;
        let (y, cb, cr) = match format.range {
            Range::Full => (y, cb - 128.0 * step, cr - 128.0 * step),
            Range::Limited => (
                (y - 16.0 * step) / (219.0 * step),
                (cb - 128.0 * step) / (224.0 * step),
                (cr - 128.0 * step) / (224.0 * step),
            ),
        };
        let green = 1.0 - self.red - self.blue;
        let (red, blue) = (y + 2.0 * (1.0 - self.red) * cr, y + 2.0 * (1.0 - self.blue) * cb);
        [red, (y - self.red * red - self.blue * blue) / green, blue]
    }
}

/// The planes of a frame and their sizes.
fn planes<'a>(format: &FrameFormat, frame: &'a [u8]) -> Vec<(Size, &'a [u8])> {
    let bytes = if format.bits <= 8 { 1 } else { 2 };
    let mut rest = frame;
    let sizes = format.planes();
    sizes
        .map_while(|size| Some((size, rest.split_off(..size.pixels() * bytes)?)))
        .collect()
}
