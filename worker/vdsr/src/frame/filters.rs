//! What is done to a frame before it is enlarged. Every frame is taken by itself, so that it comes out the same wherever
//! a video is cut.

mod denoise;
mod sharpen;

use super::format::{Channel, FrameFormat};
use super::infill::fill_unknown;
use super::samples::Codes;
use crate::plane::Plane;

/// How a frame is cleaned and sharpened before it is enlarged; in that order.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Filters {
    /// Standard deviation of the noise to take away, in codes of 8 bits; 0 takes none.
    pub noise: f32,
    /// How much of what is finer than about two pixels is added once more, from 0 to 1.
    pub sharpen: f32,
}

/// The planes of a frame as an enlargement reads them.
#[derive(Clone, Copy)]
pub(super) enum Samples<'a> {
    /// As the frame holds them.
    Stored(&'a [u8]),
    /// Filtered, in codes.
    Filtered(&'a Plane<f32>),
}

impl Samples<'_> {
    /// Row `y` in codes.
    pub(super) fn load(self, codes: Codes, y: usize, row: &mut [f32]) {
        match self {
            Self::Stored(plane) => codes.load(plane, y, row),
            Self::Filtered(plane) => row.copy_from_slice(plane.row(y)),
        }
    }
}

/// Which pixels of luma and of chroma belong to the picture: the others lie under full transparency.
#[derive(Clone, Copy)]
pub(super) struct Opacity<'a> {
    pub(super) luma: Option<&'a Plane<f32>>,
    pub(super) chroma: Option<&'a Plane<f32>>,
}

impl Filters {
    /// Whether they change anything.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The filtered planes of a frame, in codes; nothing in place of alpha, which stays as it is.
    pub(super) fn run(&self, format: &FrameFormat, stored: &[&[u8]], opacity: Opacity<'_>) -> Vec<Option<Plane<f32>>> {
        let mut planes: Vec<Option<Plane<f32>>> = Vec::new();
        for (channel, stored) in format.layout.channels().iter().zip(stored) {
            planes.push((*channel != Channel::Alpha).then(|| load(format, *channel, stored, opacity)));
        }
        let unit = f32::from(1u16 << (format.bits - 8));
        if self.noise > 0.0 {
            for group in groups(format, &mut planes) {
                denoise::denoise(group, self.noise, unit);
            }
        }
        if self.sharpen > 0.0 {
            self.raise_detail(format, &mut planes);
        }
        planes
    }

    /// Sharpens luma, and RGB by its luma, so that no hue changes.
    fn raise_detail(&self, format: &FrameFormat, planes: &mut [Option<Plane<f32>>]) {
        match format.layout.rgb_planes() {
            None => {
                let luma = planes[0].as_mut().expect("the first plane is luma");
                let added = sharpen::detail(luma, self.sharpen);
                sharpen::add(luma, &added);
            }
            Some(rgb) => {
                let colours = rgb.map(|plane| planes[plane].as_ref().expect("colour is filtered"));
                let added = sharpen::detail(&sharpen::luma_of(colours), self.sharpen);
                planes
                    .iter_mut()
                    .flatten()
                    .for_each(|plane| sharpen::add(plane, &added));
            }
        }
    }
}

/// A plane in codes; where it is not part of the picture, what lies around it.
fn load(format: &FrameFormat, channel: Channel, stored: &[u8], opacity: Opacity<'_>) -> Plane<f32> {
    let codes = Codes::of(format);
    let mut plane = Plane::new(format.plane_size(channel), 0.0);
    let size = plane.size();
    let rows = plane.data_mut().chunks_exact_mut(size.columns()).enumerate();
    rows.for_each(|(y, row)| codes.load(stored, y, row));
    let alpha = if channel == Channel::Chroma {
        opacity.chroma
    } else {
        opacity.luma
    };
    if let Some(alpha) = alpha {
        let known: Vec<bool> = alpha.data().iter().map(|alpha| *alpha > 0.0).collect();
        fill_unknown(size, plane.data_mut(), &known);
    }
    plane
}

/// Planes that are cleaned together: luma by itself, both of chroma, all of RGB.
fn groups<'a>(format: &FrameFormat, planes: &'a mut [Option<Plane<f32>>]) -> Vec<Vec<&'a mut Plane<f32>>> {
    let mut groups: Vec<(Channel, Vec<&mut Plane<f32>>)> = Vec::new();
    for (channel, plane) in format.layout.channels().iter().zip(planes) {
        let Some(plane) = plane else { continue };
        match groups.last_mut().filter(|(of, _)| of == channel) {
            Some((_, group)) => group.push(plane),
            None => groups.push((*channel, vec![plane])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

#[cfg(test)]
mod tests;
