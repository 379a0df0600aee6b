//! A frame in, a larger frame out: luma through the network, everything else bicubically.

use rayon::prelude::*;

use super::{
    filters::{Filters, Opacity, Samples},
    format::{Channel, FrameFormat, Layout, Range},
    infill::fill_unknown,
    samples::{Codes, Domain},
};
use crate::{
    colour::{STUDIO_SPAN, studio_luma},
    engine::{Engine, Session, Watch},
    error::{Error, Result},
    geometry::{Geometry, Size},
    plane::{Plane, expect_finite},
    resample::Resampler,
};

/// Enlarges frames of one format to one size, in order.
///
/// * Y runs through the session; full range is mapped to studio range around it.
/// * Chroma and alpha are enlarged bicubically, chroma in register with luma.
/// * RGB is enlarged bicubically, and each channel gets what the network adds to its Y.
/// * Colour is weighted by alpha while it is resampled, so that what lies under full transparency does not leak into
///   edges; a fully opaque frame comes out as if it had no alpha.
pub struct FrameUpscaler {
    planes: Planes,
    filters: Filters,
    session: Box<dyn Session>,
    source_luma: Plane<f32>,
    /// What the session made; then, where colour needs it, what the network added to the bicubic enlargement.
    target_luma: Plane<f32>,
}

/// What does not change from frame to frame.
struct Planes {
    source: FrameFormat,
    target: FrameFormat,
    luma: Resampler,
    chroma: Resampler,
}

/// Alpha at a plane's own size, in codes: what its colour is weighted by.
struct Weighting {
    source: Plane<f32>,
    target: Plane<f32>,
}

/// One plane's way through a resampler.
struct PlaneJob<'a> {
    resampler: &'a Resampler,
    from: Samples<'a>,
    to: &'a mut [u8],
    weighting: Option<&'a Weighting>,
    /// The network's part and how many codes one unit of it is.
    residual: Option<(&'a Plane<f32>, f32)>,
    /// The code where there is no colour at all.
    empty: f32,
}

impl FrameUpscaler {
    /// Opens a session for the frames' luma, and makes room for one frame: two planes of 32-bit floats, next to what
    /// the session needs.
    ///
    /// # Errors
    /// [`Error::EmptySize`], [`Error::BadBits`], [`Error::TooLarge`], [`Error::FactorOutOfRange`], and the engine's.
    pub fn open(engine: &dyn Engine, source: FrameFormat, target: Size) -> Result<Self> {
        let source = source.checked()?;
        let geometry = Geometry::new(source.size, target)?;
        let target = source.with_size(target).checked()?;
        let chroma = (source.plane_size(Channel::Chroma), target.plane_size(Channel::Chroma));
        Ok(Self {
            planes: Planes {
                source,
                target,
                luma: Resampler::new(geometry.source, geometry.target),
                chroma: Resampler::for_part_of(geometry, chroma.0, chroma.1, source.chroma_siting()),
            },
            filters: Filters::default(),
            session: engine.open(geometry)?,
            source_luma: Plane::new(geometry.source, 0.0),
            target_luma: Plane::new(geometry.target, 0.0),
        })
    }

    /// From now on, does this to frames before they are enlarged.
    pub fn set_filters(&mut self, filters: Filters) {
        self.filters = filters;
    }

    /// Format of the frames that come out.
    pub fn target_format(&self) -> FrameFormat {
        self.planes.target
    }

    /// Enlarges one frame. After an error the target's content has no meaning, and the next frame may follow.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] when a buffer does not hold exactly one frame, [`Error::NotFinite`],
    /// [`Error::Stopped`], and the session's.
    pub fn upscale(&mut self, source: &[u8], target: &mut [u8], watch: &dyn Watch) -> Result<()> {
        let Self {
            planes,
            filters,
            session,
            source_luma,
            target_luma,
        } = self;
        let planes = &*planes;
        expect_frame("source frame", &planes.source, source.len())?;
        expect_frame("target frame", &planes.target, target.len())?;
        let stored = planes.split(source);
        let alpha = planes.transparency(&stored);
        let chroma_alpha = alpha.as_ref().map(|alpha| planes.chroma_weighting(alpha));
        let (alpha, chroma_alpha) = (alpha.as_ref(), chroma_alpha.as_ref());
        let filtered = planes.filter(filters, &stored, alpha, chroma_alpha);
        let from: Vec<Samples<'_>> = stored
            .iter()
            .enumerate()
            .map(|(n, stored)| {
                let filtered = filtered.get(n).and_then(Option::as_ref);
                filtered.map_or(Samples::Stored(stored), Samples::Filtered)
            })
            .collect();
        planes.make_source_luma(&from, alpha, source_luma);
        let mut waiting = Vec::new();
        // What needs no network is made by other threads meanwhile: an engine on another device need not wait for it.
        rayon::in_place_scope(|scope| {
            for ((channel, from), to) in planes
                .target
                .layout
                .channels()
                .iter()
                .zip(from)
                .zip(planes.split_target(target))
            {
                match channel {
                    Channel::Luma | Channel::Colour => waiting.push((*channel, from, to)),
                    Channel::Chroma | Channel::Alpha => {
                        let opaque = alpha.is_none();
                        scope.spawn(move |_| planes.make_plain_plane(*channel, from, to, opaque, chroma_alpha));
                    }
                }
            }
            session.upscale(source_luma, target_luma, watch)
        })?;
        // Integers would turn NaN into black without a word.
        expect_finite(target_luma.data())?;
        if planes.source.layout.rgb_planes().is_some() || alpha.is_some() {
            planes.keep_residual(source_luma, target_luma);
        }
        for (channel, from, to) in waiting {
            planes.make_network_plane(channel, from, to, alpha, target_luma);
        }
        Ok(())
    }
}

impl Planes {
    /// The planes of a source frame.
    fn split<'a>(&self, frame: &'a [u8]) -> Vec<&'a [u8]> {
        let mut rest = frame;
        let lengths = self
            .source
            .planes()
            .map(|plane| plane.pixels() * self.source.sample_bytes());
        lengths.map_while(|length| rest.split_off(..length)).collect()
    }

    /// The planes of a target frame.
    fn split_target<'a>(&self, frame: &'a mut [u8]) -> Vec<&'a mut [u8]> {
        let mut rest = frame;
        let lengths = self
            .target
            .planes()
            .map(|plane| plane.pixels() * self.target.sample_bytes());
        lengths.map_while(|length| rest.split_off_mut(..length)).collect()
    }

    /// Alpha before and after, unless the frame has none or is opaque throughout.
    fn transparency(&self, planes: &[&[u8]]) -> Option<Weighting> {
        let codes = Codes::of(&self.source);
        let at = self
            .source
            .layout
            .channels()
            .iter()
            .position(|channel| *channel == Channel::Alpha)?;
        let stored = planes[at];
        if codes.all_max(stored) {
            return None;
        }
        let mut source = Plane::new(self.source.size, 0.0);
        let width = self.source.size.columns();
        source
            .data_mut()
            .chunks_exact_mut(width)
            .enumerate()
            .for_each(|(y, row)| codes.load(stored, y, row));
        Some(Weighting::new(&self.luma, source, self.target.size))
    }

    /// Alpha at chroma's size: the mean over the luma pixels that share a chroma sample.
    fn chroma_weighting(&self, alpha: &Weighting) -> Weighting {
        let (columns, rows) = self.source.layout.subsampling();
        let mut source = Plane::new(self.source.plane_size(Channel::Chroma), 0.0);
        let full = alpha.source.size();
        let share = 1.0 / (columns * rows) as f32;
        for y in 0..source.size().rows() {
            for (x, mean) in source.row_mut(y).iter_mut().enumerate() {
                for step in 0..(columns * rows) as usize {
                    let (dx, dy) = (step % columns as usize, step / columns as usize);
                    let from = alpha.source.row((y * rows as usize + dy).min(full.rows() - 1));
                    *mean += from[(x * columns as usize + dx).min(full.columns() - 1)] * share;
                }
            }
        }
        Weighting::new(&self.chroma, source, self.target.plane_size(Channel::Chroma))
    }

    /// The filtered planes, or nothing where nothing is to be done.
    fn filter(
        &self,
        filters: &Filters,
        stored: &[&[u8]],
        alpha: Option<&Weighting>,
        chroma_alpha: Option<&Weighting>,
    ) -> Vec<Option<Plane<f32>>> {
        if filters.is_none() {
            return Vec::new();
        }
        let opacity = Opacity {
            luma: alpha.map(|alpha| &alpha.source),
            chroma: chroma_alpha.map(|alpha| &alpha.source),
        };
        filters.run(&self.source, stored, opacity)
    }

    /// Fills `source_luma` in the network's domain.
    fn make_source_luma(&self, planes: &[Samples<'_>], alpha: Option<&Weighting>, source_luma: &mut Plane<f32>) {
        let (codes, domain) = (Codes::of(&self.source), Domain::of(&self.source));
        let width = self.source.size.columns();
        let rows = source_luma.data_mut().par_chunks_exact_mut(width).enumerate();
        if let Some(rgb) = self.source.layout.rgb_planes() {
            let [red, green, blue] = rgb.map(|plane| planes[plane]);
            let black = black(&self.source);
            // From codes to 0 (black) to 1 (white).
            let unit = domain.scale / STUDIO_SPAN;
            rows.for_each_init(
                || vec![0.0; 2 * width],
                |others, (y, row)| {
                    let (green_row, blue_row) = others.split_at_mut(width);
                    red.load(codes, y, row);
                    green.load(codes, y, green_row);
                    blue.load(codes, y, blue_row);
                    for ((luma, g), b) in row.iter_mut().zip(green_row).zip(blue_row) {
                        *luma = studio_luma([*luma, *g, *b].map(|code| (code - black) * unit));
                    }
                },
            );
        } else {
            rows.for_each(|(y, row)| {
                planes[0].load(codes, y, row);
                row.iter_mut().for_each(|luma| *luma = domain.luma(*luma));
            });
        }
        if let Some(alpha) = alpha {
            let known: Vec<bool> = alpha.source.data().iter().map(|alpha| *alpha > 0.0).collect();
            fill_unknown(self.source.size, source_luma.data_mut(), &known);
        }
    }

    /// Turns `target_luma` into what the network added to the bicubic enlargement: exactly 0 without a network.
    fn keep_residual(&self, source_luma: &Plane<f32>, target_luma: &mut Plane<f32>) {
        let width = self.target.size.columns();
        self.luma.run_rows(
            target_luma.data_mut(),
            width,
            |y, row| row.copy_from_slice(source_luma.row(y)),
            |_, bicubic, luma| {
                for (luma, bicubic) in luma.iter_mut().zip(bicubic) {
                    *luma -= bicubic;
                }
            },
        );
    }

    /// Makes a plane that the network has a part in: luma as it came out, colour with what was added to its luma.
    fn make_network_plane(
        &self,
        channel: Channel,
        from: Samples<'_>,
        to: &mut [u8],
        alpha: Option<&Weighting>,
        target_luma: &Plane<f32>,
    ) {
        let (codes, domain) = (Codes::of(&self.target), Domain::of(&self.target));
        let width = self.target.size.columns();
        let gain = 1.0 / domain.scale;
        if channel == Channel::Luma && alpha.is_none() {
            let rows = to.par_chunks_exact_mut(width * codes.bytes);
            let rows = rows.zip(target_luma.data().par_chunks_exact(width));
            return rows.for_each(|(to, luma)| codes.store(to, |x| (luma[x] - domain.offset) * gain));
        }
        PlaneJob {
            resampler: &self.luma,
            from,
            to,
            weighting: alpha,
            residual: Some((target_luma, gain)),
            empty: black(&self.target),
        }
        .run(codes);
    }

    /// Makes a plane that the network has no part in: chroma, and alpha unless it is opaque throughout.
    fn make_plain_plane(
        &self,
        channel: Channel,
        from: Samples<'_>,
        to: &mut [u8],
        opaque: bool,
        chroma_alpha: Option<&Weighting>,
    ) {
        let codes = Codes::of(&self.target);
        if channel == Channel::Alpha && opaque {
            let rows = to.par_chunks_exact_mut(self.target.size.columns() * codes.bytes);
            return rows.for_each(|to| codes.store(to, |_| f32::from(codes.max)));
        }
        let chroma = channel == Channel::Chroma;
        PlaneJob {
            resampler: if chroma { &self.chroma } else { &self.luma },
            from,
            to,
            weighting: chroma_alpha.filter(|_| chroma),
            residual: None,
            empty: f32::from(self.target.max() / 2 + 1),
        }
        .run(codes);
    }
}

impl Weighting {
    fn new(resampler: &Resampler, source: Plane<f32>, target: Size) -> Self {
        let mut enlarged = Plane::new(target, 0.0);
        let load = |y: usize, row: &mut [f32]| row.copy_from_slice(source.row(y));
        resampler.run_rows(
            enlarged.data_mut(),
            target.columns(),
            load,
            |_, row, out: &mut [f32]| {
                out.copy_from_slice(row);
            },
        );
        Self {
            source,
            target: enlarged,
        }
    }
}

impl PlaneJob<'_> {
    fn run(self, codes: Codes) {
        let Self {
            resampler,
            from,
            to,
            weighting,
            residual,
            empty,
            ..
        } = self;
        let load = |y: usize, row: &mut [f32]| {
            from.load(codes, y, row);
            if let Some(weighting) = weighting {
                row.iter_mut()
                    .zip(weighting.source.row(y))
                    .for_each(|(code, alpha)| *code *= alpha);
            }
        };
        let store = |y: usize, row: &[f32], out: &mut [u8]| match (weighting, residual) {
            (None, None) => codes.store(out, |x| row[x]),
            (None, Some((residual, gain))) => {
                let residual = residual.row(y);
                codes.store(out, |x| row[x] + residual[x] * gain);
            }
            (Some(weighting), residual) => {
                let alpha = weighting.target.row(y);
                let residual = residual.map(|(residual, gain)| (residual.row(y), gain));
                let added = |x: usize| residual.map_or(0.0, |(residual, gain)| residual[x] * gain);
                // Below half a code alpha is stored as 0, and there is no colour to be told.
                codes.store(out, |x| {
                    if alpha[x] < 0.5 {
                        empty
                    } else {
                        row[x] / alpha[x] + added(x)
                    }
                });
            }
        };
        let row_bytes = resampler.target_columns() * codes.bytes;
        resampler.run_rows(to, row_bytes, load, store);
    }
}

/// The code of black in Y and RGB.
fn black(format: &FrameFormat) -> f32 {
    match (format.layout, format.range) {
        (Layout::Gray | Layout::GrayAlpha, _) | (_, Range::Full) => 0.0,
        (_, Range::Limited) => 16.0 * f32::from(1u16 << (format.bits - 8)),
    }
}

fn expect_frame(what: &'static str, format: &FrameFormat, found: usize) -> Result<()> {
    let expected = format.bytes();
    if found == expected {
        Ok(())
    } else {
        Err(Error::LengthMismatch { what, expected, found })
    }
}
