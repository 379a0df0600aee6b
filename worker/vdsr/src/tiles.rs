//! Tiles of a plane: cores that cover it without overlap, each read with a halo around it.

use crate::{
    error::{Error, Result},
    geometry::Size,
};

/// The smallest core edge: below it nearly all work would be halo.
const LEAST_CORE: u32 = 8;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// What a tile writes, and what it must read for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// The part of the plane that the tile makes.
    pub core: Rect,
    /// The core and its halo, cut off at the plane's edges.
    pub input: Rect,
}

/// A grid of tiles, fixed to the plane's top left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles {
    size: Size,
    core: u32,
    halo: u32,
}

impl Tiles {
    /// Cores of `core` × `core` pixels, those at the right and lower edge smaller; `halo` pixels around each.
    ///
    /// # Errors
    /// [`Error::EmptySize`], or [`Error::BadTile`] below 8 pixels.
    pub fn new(size: Size, core: u32, halo: u32) -> Result<Self> {
        if core < LEAST_CORE {
            return Err(Error::BadTile {
                least: LEAST_CORE,
                found: core,
            });
        }
        Ok(Self {
            size: size.checked()?,
            core,
            halo,
        })
    }

    /// How many tiles there are.
    pub fn count(&self) -> usize {
        self.columns() * self.rows()
    }

    /// The tiles, row after row.
    pub fn iter(&self) -> impl Iterator<Item = Tile> + use<> {
        let (tiles, columns) = (*self, self.columns());
        (0..self.count()).map(move |n| tiles.tile(n % columns, n / columns))
    }

    fn columns(&self) -> usize {
        self.size.width.div_ceil(self.core) as usize
    }

    fn rows(&self) -> usize {
        self.size.height.div_ceil(self.core) as usize
    }

    fn tile(&self, column: usize, row: usize) -> Tile {
        let (core, halo) = (self.core as usize, self.halo as usize);
        // Start and length of the core, start and length of the input.
        let axis = |n: usize, length: usize| {
            let (start, end) = (n * core, (n * core + core).min(length));
            let (from, to) = (start.saturating_sub(halo), (end + halo).min(length));
            (start, end - start, from, to - from)
        };
        let (x, width, from_x, input_width) = axis(column, self.size.columns());
        let (y, height, from_y, input_height) = axis(row, self.size.rows());
        Tile {
            core: Rect { x, y, width, height },
            input: Rect {
                x: from_x,
                y: from_y,
                width: input_width,
                height: input_height,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_cover_every_pixel_once_and_inputs_reach_the_halo() {
        let size = Size { width: 37, height: 21 };
        let tiles = Tiles::new(size, 16, 5).unwrap();
        assert_eq!((tiles.count(), tiles.iter().count()), (6, 6));
        let mut covered = [0u8; 37 * 21];
        for Tile { core, input } in tiles.iter() {
            for y in core.y..core.y + core.height {
                covered[y * 37 + core.x..][..core.width]
                    .iter_mut()
                    .for_each(|n| *n += 1);
            }
            assert_eq!(input.x, core.x.saturating_sub(5));
            assert_eq!(input.x + input.width, (core.x + core.width + 5).min(37));
            assert_eq!(input.y + input.height, (core.y + core.height + 5).min(21));
        }
        assert!(covered.iter().all(|n| *n == 1));
        let last = tiles.iter().last().unwrap();
        assert_eq!(
            last.core,
            Rect {
                x: 32,
                y: 16,
                width: 5,
                height: 5
            }
        );
        assert_eq!(
            last.input,
            Rect {
                x: 27,
                y: 11,
                width: 10,
                height: 10
            }
        );
    }

    #[test]
    fn a_core_of_seven_pixels_is_refused() {
        let size = Size { width: 9, height: 9 };
        assert!(matches!(
            Tiles::new(size, 7, 1),
            Err(Error::BadTile { least: 8, found: 7 })
        ));
    }
}
