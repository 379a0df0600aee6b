//! How the samples of a frame lie in memory and what their codes mean.

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    geometry::Size,
    resample::Siting,
};

/// Which planes a frame has, in this order, one after the other. Chroma planes round up where a side is odd. Alpha
/// has luma's size and always runs over the full range; colour is not premultiplied by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Y.
    Gray,
    /// Y, alpha.
    GrayAlpha,
    /// Y, Cb, Cr; chroma of half the width and height.
    Yuv420,
    /// Y, Cb, Cr; chroma of half the width.
    Yuv422,
    /// Y, Cb, Cr of one size.
    Yuv444,
    /// Y, Cb, Cr, alpha; chroma of half the width and height.
    Yuva420,
    /// Y, Cb, Cr, alpha; chroma of half the width.
    Yuva422,
    /// Y, Cb, Cr, alpha of one size.
    Yuva444,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, alpha.
    Rgba,
    /// Green, blue, red: planar RGB as ffmpeg keeps it.
    Gbr,
    /// Green, blue, red, alpha.
    Gbra,
}

/// What a plane holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Luma,
    Chroma,
    Colour,
    Alpha,
}

impl Layout {
    pub(crate) fn channels(self) -> &'static [Channel] {
        use Channel::{Alpha, Chroma, Colour, Luma};
        match self {
            Self::Gray => &[Luma],
            Self::GrayAlpha => &[Luma, Alpha],
            Self::Yuv420 | Self::Yuv422 | Self::Yuv444 => &[Luma, Chroma, Chroma],
            Self::Yuva420 | Self::Yuva422 | Self::Yuva444 => &[Luma, Chroma, Chroma, Alpha],
            Self::Rgb | Self::Gbr => &[Colour, Colour, Colour],
            Self::Rgba | Self::Gbra => &[Colour, Colour, Colour, Alpha],
        }
    }

    /// Which planes are red, green and blue; nothing where luma is a plane of its own.
    pub(crate) fn rgb_planes(self) -> Option<[usize; 3]> {
        match self {
            Self::Rgb | Self::Rgba => Some([0, 1, 2]),
            Self::Gbr | Self::Gbra => Some([2, 0, 1]),
            _ => None,
        }
    }

    /// Columns and rows of luma for each sample of chroma.
    pub(crate) fn subsampling(self) -> (u32, u32) {
        match self {
            Self::Yuv420 | Self::Yuva420 => (2, 2),
            Self::Yuv422 | Self::Yuva422 => (2, 1),
            _ => (1, 1),
        }
    }
}

/// Which codes are black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Range {
    /// Studio range: 16 to 235 of luma and RGB at 8 bits, and times 2^(bits-8) above.
    Limited,
    /// 0 to 2^bits - 1.
    Full,
}

/// Where chroma samples lie relative to luma's. Without meaning on an axis that is not subsampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChromaSiting {
    /// In the middle of their luma samples: JPEG, MPEG-1.
    Centre,
    /// In line with every second luma column, between luma rows: MPEG-2, H.264, HEVC, VP9 unless they say otherwise.
    Left,
    /// On every second luma sample of both axes: BT.2020.
    TopLeft,
}

/// Size, planes and codes of a frame. Samples take one byte at 8 bits, otherwise two, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FrameFormat {
    /// Size of luma or RGB.
    pub size: Size,
    /// Which planes.
    pub layout: Layout,
    /// Bits a sample, 8 to 16, in the low bits.
    pub bits: u8,
    /// Which codes are black and white. A single channel is taken as stored, whatever the range.
    pub range: Range,
    /// Where chroma lies.
    pub siting: ChromaSiting,
}

impl FrameFormat {
    /// Width and height of each plane, in order.
    pub fn planes(&self) -> impl Iterator<Item = Size> + use<> {
        let format = *self;
        format
            .layout
            .channels()
            .iter()
            .map(move |channel| format.plane_size(*channel))
    }

    /// Bytes of a whole frame.
    pub fn bytes(&self) -> usize {
        self.planes().fold(0, |sum: usize, plane| {
            sum.saturating_add(plane.pixels().saturating_mul(self.sample_bytes()))
        })
    }

    /// The same format at another size.
    pub fn with_size(self, size: Size) -> Self {
        Self { size, ..self }
    }

    /// The same format if its size and bits are possible.
    pub(crate) fn checked(self) -> Result<Self> {
        self.size.checked()?;
        if !(8..=16).contains(&self.bits) {
            return Err(Error::BadBits { found: self.bits });
        }
        // No machine addresses more than isize::MAX bytes; four planes of two bytes must fit.
        if self.size.pixels() > isize::MAX as usize / 8 {
            return Err(Error::TooLarge { size: self.size });
        }
        Ok(self)
    }

    /// The highest code.
    pub(crate) fn max(&self) -> u16 {
        u16::MAX >> (16 - self.bits.clamp(1, 16))
    }

    /// Bytes of one sample.
    pub(crate) fn sample_bytes(&self) -> usize {
        if self.bits <= 8 { 1 } else { 2 }
    }

    pub(crate) fn plane_size(&self, channel: Channel) -> Size {
        match channel {
            Channel::Chroma => {
                let (x, y) = self.layout.subsampling();
                Size {
                    width: self.size.width.div_ceil(x),
                    height: self.size.height.div_ceil(y),
                }
            }
            _ => self.size,
        }
    }

    /// Where this format's chroma samples lie within their pixels.
    pub(crate) fn chroma_siting(&self) -> Siting {
        let Siting { horizontal, vertical } = match self.siting {
            ChromaSiting::Centre => Siting::CENTRED,
            ChromaSiting::Left => Siting::LEFT,
            ChromaSiting::TopLeft => Siting::TOP_LEFT,
        };
        // An axis that is not subsampled has its samples where luma has them.
        let (x, y) = self.layout.subsampling();
        let middle = Siting::CENTRED;
        Siting {
            horizontal: if x == 1 { middle.horizontal } else { horizontal },
            vertical: if y == 1 { middle.vertical } else { vertical },
        }
    }
}
