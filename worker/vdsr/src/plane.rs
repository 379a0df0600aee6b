//! One plane of samples.

use crate::{
    error::{Error, Result},
    geometry::Size,
};

/// Samples of one plane, row after row from the top, without padding.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane<T> {
    size: Size,
    data: Vec<T>,
}

impl<T: Clone> Plane<T> {
    /// A plane with the same value everywhere.
    pub fn new(size: Size, fill: T) -> Self {
        Self {
            size,
            data: vec![fill; size.pixels()],
        }
    }
}

impl<T> Plane<T> {
    /// A plane of samples that exist already.
    ///
    /// # Errors
    /// [`Error::EmptySize`], or [`Error::LengthMismatch`] unless there are width × height samples.
    pub fn from_vec(size: Size, data: Vec<T>) -> Result<Self> {
        let expected = size.checked()?.pixels();
        if data.len() == expected {
            Ok(Self { size, data })
        } else {
            Err(Error::LengthMismatch {
                what: "plane",
                expected,
                found: data.len(),
            })
        }
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        self.size
    }

    /// All samples, row-major.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// All samples, row-major.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The samples, row-major.
    pub fn into_vec(self) -> Vec<T> {
        self.data
    }

    /// Row `y` from the top.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, y: usize) -> &[T] {
        let width = self.size.columns();
        &self.data[y * width..][..width]
    }

    /// Row `y` from the top.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row_mut(&mut self, y: usize) -> &mut [T] {
        let width = self.size.columns();
        &mut self.data[y * width..][..width]
    }

    /// Refuses a plane of another size than the one agreed on; `what` names it in the message.
    pub(crate) fn expect_size(&self, what: &'static str, expected: Size) -> Result<()> {
        if self.size == expected {
            Ok(())
        } else {
            Err(Error::SizeMismatch {
                what,
                expected,
                found: self.size,
            })
        }
    }
}

/// Refuses samples that are infinite or not a number.
pub(crate) fn expect_finite(samples: &[f32]) -> Result<()> {
    // All exponent bits are set in exactly these values. A fold over the bits, without an early end, is vectorised.
    const EXPONENT: u32 = 0x7f80_0000;
    let row_is_bad = |row: &[f32]| {
        row.iter()
            .fold(false, |bad, v| bad | (v.to_bits() & EXPONENT == EXPONENT))
    };
    if samples.chunks(4096).any(row_is_bad) {
        Err(Error::NotFinite)
    } else {
        Ok(())
    }
}
