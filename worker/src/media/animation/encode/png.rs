//! APNG: of each frame the part that changed, without loss.

use std::io::{self, Write};

use clearfleet_common::job::Plan;
use png::{BitDepth, BlendOp, ColorType, DisposeOp, Encoder, EncodingError, Writer};

use super::{FrameWriter, Shown, changed, rows};
use crate::media::animation::canvas::Area;
use crate::media::animation::timing::Delay;
use crate::media::pixel::{Planes, Working};
use crate::{Error, Result};

/// How close a fraction has to come to a time, in seconds.
const CLOSE: f64 = 1e-9;

/// What the samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Samples {
    colours: ColorType,
    depth: BitDepth,
    /// ffmpeg's name.
    name: &'static str,
}

/// Writes frames, each on the one before.
pub(super) struct PngWriter<W: Write> {
    writer: Writer<W>,
    width: u32,
    samples: Samples,
    before: Option<Vec<u8>>,
    /// How much later or earlier than it should the next frame begins, in seconds, since delays are fractions of small
    /// numbers.
    late: f64,
}

impl Samples {
    /// What keeps all that the segments hold.
    pub(super) fn of(plan: &Plan) -> Self {
        let working = Working::named(&plan.video.pixel_format).map(|working| working.samples);
        let (colours, depth, name) = match working {
            Some(s) if s.planes == Planes::Gray && s.bits == 8 => (ColorType::Grayscale, BitDepth::Eight, "gray"),
            Some(s) if s.planes == Planes::Gray => (ColorType::Grayscale, BitDepth::Sixteen, "gray16be"),
            Some(s) if s.bits > 8 => (ColorType::Rgb, BitDepth::Sixteen, "rgb48be"),
            Some(s) if s.alpha => (ColorType::Rgba, BitDepth::Eight, "rgba"),
            _ => (ColorType::Rgb, BitDepth::Eight, "rgb24"),
        };
        Self { colours, depth, name }
    }

    /// ffmpeg's options.
    pub(super) fn arguments(self) -> [&'static str; 4] {
        ["-c:v", "rawvideo", "-pix_fmt", self.name]
    }

    fn bytes_a_pixel(self) -> usize {
        self.colours.samples() * if self.depth == BitDepth::Sixteen { 2 } else { 1 }
    }
}

impl<W: Write> PngWriter<W> {
    pub(super) fn new(file: W, samples: Samples, plan: &Plan, plays: u32) -> Result<Self> {
        let (width, height) = plan.video.target_size;
        let frames: u64 = plan.batches.iter().map(|range| range.len()).sum();
        let frames = u32::try_from(frames).map_err(|_| Error::internal("an APNG with too many frames"))?;
        let mut encoder = Encoder::new(file, width, height);
        encoder.set_color(samples.colours);
        encoder.set_depth(samples.depth);
        encoder.set_animated(frames, plays).map_err(failed)?;
        encoder.set_blend_op(BlendOp::Source).map_err(failed)?;
        encoder.set_dispose_op(DisposeOp::None).map_err(failed)?;
        Ok(Self {
            writer: encoder.write_header().map_err(failed)?,
            width,
            samples,
            before: None,
            late: 0.0,
        })
    }

    /// The part that changed; of the first frame all.
    fn part(&self, frame: &[u8]) -> (Area, Vec<u8>) {
        fn part<const N: usize>(before: &[u8], after: &[u8], width: u32) -> (Area, Vec<u8>) {
            let (before, after) = (before.as_chunks::<N>().0, after.as_chunks::<N>().0);
            let area = changed(before, after, width);
            (area, rows(after, width, area).flatten().flatten().copied().collect())
        }
        let pixel = self.samples.bytes_a_pixel();
        let Some(before) = &self.before else {
            let height = frame.len() / pixel / self.width as usize;
            return (Area::whole(self.width, height as u32), frame.to_vec());
        };
        match pixel {
            1 => part::<1>(before, frame, self.width),
            2 => part::<2>(before, frame, self.width),
            3 => part::<3>(before, frame, self.width),
            4 => part::<4>(before, frame, self.width),
            _ => part::<6>(before, frame, self.width),
        }
    }

    /// The delay of a frame, as a fraction of two numbers of 16 bits.
    fn delay(&mut self, shown: Shown) -> (u16, u16) {
        if let Some(Delay { num, den }) = shown.stated {
            // So they are stored in the source, which is an APNG.
            return (num as u16, den as u16);
        }
        let exact = shown.time_base.seconds(shown.end - shown.start) - self.late;
        let (num, den) = fraction(exact.max(0.0));
        self.late = f64::from(num) / f64::from(den) - exact;
        (num, den)
    }
}

impl<W: Write> FrameWriter for PngWriter<W> {
    type Frame = Vec<u8>;

    fn read(&self, bytes: Vec<u8>) -> Self::Frame {
        bytes
    }

    fn write(&mut self, frame: Self::Frame, _next: Option<&Self::Frame>, shown: Shown) -> Result<()> {
        let (num, den) = self.delay(shown);
        let (area, samples) = self.part(&frame);
        let writer = &mut self.writer;
        writer.set_frame_delay(num, den).map_err(failed)?;
        // The position first goes back to where every size fits.
        writer.reset_frame_position().map_err(failed)?;
        writer.set_frame_dimension(area.width, area.height).map_err(failed)?;
        writer.set_frame_position(area.x, area.y).map_err(failed)?;
        writer.write_image_data(&samples).map_err(failed)?;
        self.before = Some(frame);
        Ok(())
    }

    fn finish(self) -> Result<()> {
        self.writer.finish().map_err(failed)
    }
}

/// The fraction of two numbers of 16 bits that comes close to a time, by continued fractions.
fn fraction(seconds: f64) -> (u16, u16) {
    let (mut before, mut best) = ((1, 0), (seconds.floor().min(65_535.0) as u16, 1));
    let mut rest = seconds.fract();
    while (f64::from(best.0) / f64::from(best.1) - seconds).abs() > CLOSE && rest > 0.0 {
        let inverse = 1.0 / rest;
        let times = |a: u16, b: u16| {
            let sum = inverse.floor() * f64::from(a) + f64::from(b);
            (sum <= f64::from(u16::MAX)).then_some(sum as u16)
        };
        let (Some(num), Some(den)) = (times(best.0, before.0), times(best.1, before.1)) else {
            break;
        };
        (before, best) = (best, (num, den));
        rest = inverse.fract();
    }
    best
}

fn failed(error: EncodingError) -> Error {
    match error {
        EncodingError::IoError(e) if e.kind() != io::ErrorKind::Other => Error::write("the result", e),
        other => Error::internal("a frame of an APNG cannot be written").because(other),
    }
}
