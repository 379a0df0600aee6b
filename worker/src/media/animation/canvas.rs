//! How the frames of an animated picture lie on each other.

use std::ops::Range;

/// What an animated picture shows, frame after frame: RGBA of 8 bits, transparent at first, whatever background colour the
/// file names; so browsers do it.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    /// What happens to the frame that is shown, before the next is drawn.
    leaving: Option<Leaving>,
}

/// One frame as a file stores it.
pub(super) struct Patch<'a> {
    /// Where it lies; what is outside the canvas is not seen.
    pub(super) area: Area,
    /// RGBA of 8 bits, row by row.
    pub(super) pixels: &'a [u8],
    /// Whether the canvas shows through where it is transparent.
    pub(super) blended: bool,
    /// What happens to it before the next frame.
    pub(super) disposal: Disposal,
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// What happens to a frame before the next one is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposal {
    /// It stays.
    Keep,
    /// Its area becomes transparent.
    Clear,
    /// Its area becomes what it was before the frame.
    Restore,
}

enum Leaving {
    Cleared(Area),
    Restored(Area, Vec<u8>),
}

impl Area {
    /// All of a picture of this size.
    pub(super) fn whole(width: u32, height: u32) -> Self {
        Self {
            x: 0,
            y: 0,
            width,
            height,
        }
    }
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self {
            width,
            height,
            pixels: vec![0; width * height * 4],
            leaving: None,
        }
    }

    /// Bytes of all that is shown.
    pub(super) fn bytes(&self) -> usize {
        self.pixels.len()
    }

    /// Draws a frame; returns all that is shown then, RGBA row by row.
    pub(super) fn draw(&mut self, patch: &Patch<'_>) -> &[u8] {
        self.dispose();
        let area = patch.area;
        self.leaving = match patch.disposal {
            Disposal::Keep => None,
            Disposal::Clear => Some(Leaving::Cleared(area)),
            Disposal::Restore => Some(Leaving::Restored(area, self.copy_of(area))),
        };
        let row_bytes = area.width as usize * 4;
        for (row, place) in self.rows(area) {
            let from = &patch.pixels[row * row_bytes..][..place.len()];
            let to = &mut self.pixels[place];
            if patch.blended {
                let (to, _) = to.as_chunks_mut::<4>();
                let (from, _) = from.as_chunks::<4>();
                to.iter_mut().zip(from).for_each(|(to, from)| *to = over(*from, *to));
            } else {
                to.copy_from_slice(from);
            }
        }
        &self.pixels
    }

    fn dispose(&mut self) {
        match self.leaving.take() {
            None => {}
            Some(Leaving::Cleared(area)) => {
                for (_, place) in self.rows(area) {
                    self.pixels[place].fill(0);
                }
            }
            Some(Leaving::Restored(area, before)) => {
                let mut before = before.as_slice();
                for (_, place) in self.rows(area) {
                    let (row, rest) = before.split_at(place.len());
                    self.pixels[place].copy_from_slice(row);
                    before = rest;
                }
            }
        }
    }

    fn copy_of(&self, area: Area) -> Vec<u8> {
        let rows = self.rows(area);
        rows.flat_map(|(_, place)| &self.pixels[place]).copied().collect()
    }

    /// The rows of an area that are on the canvas: their numbers within the area, and where their bytes lie.
    fn rows(&self, area: Area) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let (canvas_width, left) = (self.width, (area.x as usize).min(self.width));
        let columns = (area.width as usize).min(canvas_width - left);
        let rows = (area.height as usize).min(self.height.saturating_sub(area.y as usize));
        let top = area.y as usize;
        (0..rows).map(move |row| {
            let start = ((top + row) * canvas_width + left) * 4;
            (row, start..start + columns * 4)
        })
    }
}

/// One colour over another; neither is multiplied by its alpha.
fn over(from: [u8; 4], to: [u8; 4]) -> [u8; 4] {
    match from[3] {
        0 => to,
        u8::MAX => from,
        alpha => {
            let covers = u32::from(alpha) * 255;
            let shows = u32::from(to[3]) * (255 - u32::from(alpha));
            // At most 255 · 255, and not 0, since `covers` is not.
            let sum = covers + shows;
            let mix = |n: usize| ((u32::from(from[n]) * covers + u32::from(to[n]) * shows + sum / 2) / sum) as u8;
            [mix(0), mix(1), mix(2), ((sum + 127) / 255) as u8]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: [u8; 4] = [255, 0, 0, 255];
    const BLUE: [u8; 4] = [0, 0, 255, 255];
    const NONE: [u8; 4] = [0; 4];

    fn draw(
        canvas: &mut Canvas,
        (x, width): (u32, u32),
        colour: [u8; 4],
        blended: bool,
        disposal: Disposal,
    ) -> Vec<[u8; 4]> {
        let pixels = colour.repeat(width as usize);
        let area = Area {
            x,
            y: 0,
            width,
            height: 1,
        };
        let patch = Patch {
            area,
            pixels: &pixels,
            blended,
            disposal,
        };
        canvas.draw(&patch).as_chunks::<4>().0.to_vec()
    }

    #[test]
    fn frames_stay_go_or_give_back_what_was_there() {
        let mut canvas = Canvas::new(3, 1);
        assert_eq!(draw(&mut canvas, (0, 2), RED, true, Disposal::Keep), [RED, RED, NONE]);
        assert_eq!(
            draw(&mut canvas, (1, 2), BLUE, true, Disposal::Restore),
            [RED, BLUE, BLUE]
        );
        assert_eq!(
            draw(&mut canvas, (0, 1), BLUE, true, Disposal::Clear),
            [BLUE, RED, NONE]
        );
        // Twice restored: to what was there before both.
        assert_eq!(
            draw(&mut canvas, (0, 1), RED, true, Disposal::Restore),
            [RED, RED, NONE]
        );
        assert_eq!(
            draw(&mut canvas, (1, 1), BLUE, true, Disposal::Restore),
            [NONE, BLUE, NONE]
        );
        assert_eq!(draw(&mut canvas, (2, 1), BLUE, true, Disposal::Keep), [NONE, RED, BLUE]);
        // Not blended, what is transparent makes a hole.
        assert_eq!(draw(&mut canvas, (1, 1), NONE, true, Disposal::Keep), [NONE, RED, BLUE]);
        assert_eq!(
            draw(&mut canvas, (1, 1), NONE, false, Disposal::Keep),
            [NONE, NONE, BLUE]
        );
    }

    #[test]
    fn what_is_outside_the_canvas_is_not_seen() {
        let mut canvas = Canvas::new(2, 1);
        assert_eq!(draw(&mut canvas, (1, 5), RED, true, Disposal::Restore), [NONE, RED]);
        assert_eq!(draw(&mut canvas, (7, 5), RED, true, Disposal::Clear), [NONE, NONE]);
        assert_eq!(draw(&mut canvas, (0, 1), BLUE, true, Disposal::Keep), [BLUE, NONE]);
    }

    #[test]
    fn half_transparent_colours_mix_by_what_each_lets_through() {
        assert_eq!(over([200, 0, 0, 128], BLUE), [100, 0, 127, 255]);
        // On nothing, a colour stays as it is.
        assert_eq!(over([200, 10, 0, 128], NONE), [200, 10, 0, 128]);
        // 128/255 over 128/255 hides 1 - (127/255)²; two thirds of what is seen is the upper.
        assert_eq!(over([255, 0, 0, 128], [0, 0, 255, 128]), [170, 0, 85, 192]);
    }
}
