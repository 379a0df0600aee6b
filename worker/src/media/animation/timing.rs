//! What an animated picture says of its size, its times and its repeats, read without unpacking a pixel.

use clearfleet_common::{ErrorCode, Stop};

use crate::media::serve::SourceBytes;
use crate::media::sniff::{GifBlock, Picture, Walk};
use crate::{Error, Result};

/// Frames that are read at most: a bound for memory, far above any animated picture.
const MOST_FRAMES: usize = 1 << 20;

/// The longest edge that a PNG may state, in pixels: the bytes of a frame are a number of 64 bits then.
const LONGEST_EDGE: u32 = i32::MAX as u32;

const PROFILE: &str = "the colour profile";
const EXIF: &str = "the EXIF metadata";

/// What is known of an animated picture before it is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Its format.
    pub(crate) picture: Picture,
    /// Width and height in pixels.
    pub(crate) size: (u32, u32),
    /// How long each frame is shown, as the file says it.
    pub(crate) delays: Vec<Delay>,
    /// How often all is played; 0 is for ever.
    pub(crate) plays: u32,
    /// What else is in the file, and is not kept.
    pub(crate) lost: Vec<&'static str>,
}

/// How long a frame is shown, as its file says it, in seconds: a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) num: u32,
    pub(crate) den: u32,
}

impl Delay {
    /// A number of hundredths of a second, as GIF counts.
    pub(crate) const fn hundredths(num: u16) -> Self {
        Self {
            num: num as u32,
            den: 100,
        }
    }

    /// A number of milliseconds, as WebP counts.
    pub(crate) const fn milliseconds(num: u32) -> Self {
        Self { num, den: 1000 }
    }

    /// How long browsers show the frame: they take a hundredth of a second, or less, for a mistake, and wait a tenth.
    pub(crate) fn shown(self) -> Self {
        if u64::from(self.num) * 100 <= u64::from(self.den) {
            Self::hundredths(10)
        } else {
            self
        }
    }

    pub(crate) fn seconds(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

impl Timing {
    /// ffmpeg's name of the format.
    pub(crate) fn codec(&self) -> &'static str {
        match self.picture {
            Picture::Gif => "gif",
            Picture::WebP => "webp",
            _ => "apng",
        }
    }

    /// Ticks of a second: what the format counts in, or for PNG, which has fractions, what the usual rates fit into.
    pub(crate) fn ticks_a_second(&self) -> u32 {
        match self.picture {
            Picture::Gif => 100,
            Picture::WebP => 1000,
            _ => 90_000,
        }
    }

    /// For how many ticks each frame is shown. The end of each is rounded, so that errors do not add up.
    pub(crate) fn ticks(&self) -> Vec<u32> {
        let (mut seconds, mut before) = (0.0, 0);
        let shown = self.delays.iter().map(|delay| {
            seconds += delay.shown().seconds();
            let end = (seconds * f64::from(self.ticks_a_second())).round() as u64;
            let ticks = end - std::mem::replace(&mut before, end);
            u32::try_from(ticks).unwrap_or(u32::MAX)
        });
        shown.collect()
    }

    /// Walks over the file.
    ///
    /// # Errors
    /// `InputDamaged` if it ends too early, `InputDimensions` if it states no size or an impossible one, `InputTooManyFrames`,
    /// `InputUnreadable`, `Stopped`.
    pub(crate) fn read(picture: Picture, source: &dyn SourceBytes, stop: &Stop) -> Result<Self> {
        let mut timing = Self {
            picture,
            size: (0, 0),
            delays: Vec::new(),
            plays: 0,
            lost: Vec::new(),
        };
        let mut walk = Walk::new(source);
        let whole = match picture {
            Picture::Gif => timing.read_gif(&mut walk, stop)?,
            Picture::Png => timing.read_png(&mut walk, stop)?,
            Picture::WebP => timing.read_webp(&mut walk, stop)?,
            Picture::Jpeg | Picture::Bmp | Picture::Tiff => {
                return Err(Error::internal(format!("{picture} does not move")));
            }
        };
        let (width, height) = timing.size;
        if whole && (width.min(height) == 0 || width.max(height) > LONGEST_EDGE) {
            let message = format!("the animated {picture} says that it has {width}x{height} pixels");
            return Err(Error::new(ErrorCode::InputDimensions, message));
        }
        if whole && !timing.delays.is_empty() {
            return Ok(timing);
        }
        let message = format!("the animated {picture} ends too early");
        let frames = timing.delays.len();
        Err(Error::new(ErrorCode::InputDamaged, message).with("frames", frames))
    }

    /// Where a GIF says nothing of repeats it is played once; what it says counts what comes after that.
    fn read_gif(&mut self, walk: &mut Walk<'_>, stop: &Stop) -> Result<bool> {
        let Some(size) = walk.gif_header()? else {
            return Ok(false);
        };
        (self.size, self.plays) = (size, 1);
        let mut delay = Delay::hundredths(0);
        while let Some(block) = walk.gif_block()? {
            match block {
                GifBlock::Control { delay: stated } => delay = Delay::hundredths(stated),
                GifBlock::Repeats(0) => self.plays = 0,
                GifBlock::Repeats(n) => self.plays = u32::from(n) + 1,
                GifBlock::Picture if walk.is_beyond_the_end() => return Ok(false),
                GifBlock::Picture => {
                    self.add(delay, stop)?;
                    delay = Delay::hundredths(0);
                }
                GifBlock::Other => {}
            }
        }
        // Many files lack their last byte.
        Ok(true)
    }

    /// Only the first `n` control chunks count, as the animation's own chunk says.
    fn read_png(&mut self, walk: &mut Walk<'_>, stop: &Stop) -> Result<bool> {
        walk.skip(8);
        let mut frames = 0;
        while let Some(chunk) = walk.png_chunk()? {
            match &chunk.kind {
                b"IHDR" => self.size = pair(walk.take()?, u32::from_be_bytes),
                b"acTL" => (frames, self.plays) = pair(walk.take()?, u32::from_be_bytes),
                b"fcTL" => {
                    walk.skip(20);
                    if let Some([a, b, c, d]) = walk.take()? {
                        let (num, den) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                        let den = if den == 0 { 100 } else { den };
                        self.add(
                            Delay {
                                num: num.into(),
                                den: den.into(),
                            },
                            stop,
                        )?;
                    }
                }
                b"iCCP" => self.loses(PROFILE),
                b"eXIf" => self.loses(EXIF),
                b"tEXt" | b"zTXt" | b"iTXt" => self.loses("the text that it carries"),
                b"IEND" => break,
                _ => {}
            }
            walk.go_to(chunk.next);
        }
        self.delays.truncate(frames as usize);
        Ok(frames as usize == self.delays.len())
    }

    fn read_webp(&mut self, walk: &mut Walk<'_>, stop: &Stop) -> Result<bool> {
        walk.skip(12);
        let mut cut_off = false;
        while let Some(chunk) = walk.riff_chunk()? {
            match &chunk.kind {
                b"VP8X" => {
                    walk.skip(4);
                    let edge = |bytes: [u8; 3]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) + 1;
                    if let Some([a, b, c, d, e, f]) = walk.take()? {
                        self.size = (edge([a, b, c]), edge([d, e, f]));
                    }
                }
                b"ANIM" => {
                    walk.skip(4);
                    self.plays = walk.take()?.map_or(0, |plays| u16::from_le_bytes(plays).into());
                }
                b"ANMF" => {
                    walk.skip(12);
                    if let Some([a, b, c]) = walk.take()? {
                        self.add(Delay::milliseconds(u32::from_le_bytes([a, b, c, 0])), stop)?;
                    }
                }
                b"ICCP" => self.loses(PROFILE),
                b"EXIF" => self.loses(EXIF),
                b"XMP " => self.loses("the XMP metadata"),
                _ => {}
            }
            walk.go_to(chunk.next);
            cut_off = walk.is_beyond_the_end();
        }
        Ok(!cut_off)
    }

    fn loses(&mut self, what: &'static str) {
        if !self.lost.contains(&what) {
            self.lost.push(what);
        }
    }

    fn add(&mut self, delay: Delay, stop: &Stop) -> Result<()> {
        if stop.is_stopped() {
            return Err(Error::stopped());
        }
        if self.delays.len() == MOST_FRAMES {
            let message = format!("the animated {} has more than {MOST_FRAMES} frames", self.picture);
            return Err(Error::new(ErrorCode::InputTooManyFrames, message).with("limit", MOST_FRAMES));
        }
        self.delays.push(delay);
        Ok(())
    }
}

/// Two numbers after each other; zeros where the file ends before.
fn pair(bytes: Option<[u8; 8]>, number: fn([u8; 4]) -> u32) -> (u32, u32) {
    bytes.map_or((0, 0), |[a, b, c, d, e, f, g, h]| {
        (number([a, b, c, d]), number([e, f, g, h]))
    })
}
