//! Sizes in pixels, and by how much they may grow.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The largest enlargement of an axis.
pub const MAX_FACTOR: f64 = 8.0;

/// Width and height in pixels. Everything that takes a size refuses one with a side of zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Pixels from left to right, at least 1.
    pub width: u32,
    /// Pixels from top to bottom, at least 1.
    pub height: u32,
}

impl Size {
    /// A size with both sides at least 1.
    ///
    /// # Errors
    /// [`Error::EmptySize`] when a side is zero.
    pub fn new(width: u32, height: u32) -> Result<Self> {
        Self { width, height }.checked()
    }

    /// Width times height; saturates where a machine could not address as much.
    pub fn pixels(self) -> usize {
        usize::try_from(u64::from(self.width) * u64::from(self.height)).unwrap_or(usize::MAX)
    }

    /// The same size if no side is zero.
    pub(crate) fn checked(self) -> Result<Self> {
        if self.width == 0 || self.height == 0 {
            Err(Error::EmptySize { size: self })
        } else {
            Ok(self)
        }
    }

    /// Samples in a row.
    pub(crate) fn columns(self) -> usize {
        self.width as usize
    }

    /// Rows in a plane.
    pub(crate) fn rows(self) -> usize {
        self.height as usize
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = Error;

    /// Reads "1920x1080".
    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::BadSize { found: text.to_owned() };
        let side = |part: &str| part.parse::<u32>().map_err(|_| bad());
        let (width, height) = text.split_once('x').ok_or_else(bad)?;
        Self::new(side(width)?, side(height)?)
    }
}

/// A plane's size and what it becomes: 1 to 8 times as large on each axis, in any ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Geometry {
    /// The size at hand.
    pub source: Size,
    /// The size wanted.
    pub target: Size,
}

impl Geometry {
    /// A size and what a factor makes of it, each side rounded to the nearest pixel.
    ///
    /// # Errors
    /// [`Error::BadScale`] unless the factor is 1 to 8; those of [`Geometry::new`]; [`Error::TooLarge`] when a side would
    /// not fit 32 bits.
    pub fn scaled(source: Size, factor: f64) -> Result<Self> {
        if !(1.0..=MAX_FACTOR).contains(&factor) {
            return Err(Error::BadScale {
                found: factor.to_string(),
            });
        }
        let side = |pixels: u32| match (f64::from(pixels) * factor).round() {
            // In range and whole by the comparison and the rounding before it.
            scaled if scaled <= f64::from(u32::MAX) => Ok(scaled as u32),
            _ => Err(Error::TooLarge { size: source }),
        };
        let target = Size {
            width: side(source.width)?,
            height: side(source.height)?,
        };
        Self::new(source, target)
    }

    /// Pairs two sizes.
    ///
    /// # Errors
    /// [`Error::EmptySize`], or [`Error::FactorOutOfRange`] when an axis shrinks or grows more than eightfold.
    pub fn new(source: Size, target: Size) -> Result<Self> {
        let (source, target) = (source.checked()?, target.checked()?);
        let grows = |from: u32, to: u32| to >= from && f64::from(to) <= f64::from(from) * MAX_FACTOR;
        if grows(source.width, target.width) && grows(source.height, target.height) {
            Ok(Self { source, target })
        } else {
            Err(Error::FactorOutOfRange {
                from: source,
                to: target,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: Size = Size {
        width: 1280,
        height: 720,
    };

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn sides_are_scaled_to_the_nearest_pixel() {
        let target = |source, factor| Geometry::scaled(source, factor).unwrap().target;
        assert_eq!(target(HD, 2.0), size(2560, 1440));
        assert_eq!(target(size(5, 3), 1.5), size(8, 5));
        assert_eq!(target(size(3, 6), 4.0 / 3.0), size(4, 8));
        for factor in [0.99, 8.01, f64::NAN, f64::INFINITY, -2.0] {
            assert!(
                matches!(Geometry::scaled(HD, factor), Err(Error::BadScale { .. })),
                "{factor}"
            );
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_its_text() {
        assert_eq!("1920x1080".parse::<Size>().unwrap(), size(1920, 1080));
        for text in ["x", "1920x", "1920x-1", "1920x1080x2", "4294967296x1"] {
            assert!(
                matches!(text.parse::<Size>(), Err(Error::BadSize { found }) if found == text),
                "{text}"
            );
        }
        assert!(matches!("0x5".parse::<Size>(), Err(Error::EmptySize { .. })));
    }

    #[test]
    fn only_enlargement_up_to_eight_times_is_a_geometry() {
        let to = |width, height| Geometry::new(size(10, 10), size(width, height));
        assert!(to(10, 10).is_ok() && to(80, 10).is_ok() && to(13, 77).is_ok());
        for (width, height) in [(81, 10), (10, 81), (9, 10), (10, 9)] {
            let found = to(width, height);
            assert!(matches!(found, Err(Error::FactorOutOfRange { to, .. }) if to == size(width, height)));
        }
        assert!(matches!(to(0, 10), Err(Error::EmptySize { .. })));
        let huge = size(u32::MAX, 1);
        assert!(matches!(Geometry::scaled(huge, 2.0), Err(Error::TooLarge { size }) if size == huge));
    }
}
