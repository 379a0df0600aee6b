//! How densely a picture's pixels lie when it is printed.

/// Metres in an inch.
const INCH: f64 = 0.0254;
/// An error of a density in inches, below which it is a whole number: PNG has whole numbers of pixels in a metre, so half of
/// one may be missing.
const ROUNDING: f64 = 0.51 * INCH;

/// Pixels on a length, across and down. It says nothing of the pixels themselves, and is kept as it is whatever the factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Density {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) unit: Unit,
}

/// The length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A metre.
    Metre,
    /// None: both numbers only say how wide a pixel is for its height.
    None,
}

impl Density {
    /// Pixels in a metre.
    pub(super) fn metres(x: f64, y: f64) -> Option<Self> {
        Self::of(x, y, Unit::Metre)
    }

    /// Pixels in an inch.
    pub(super) fn inches(x: f64, y: f64) -> Option<Self> {
        Self::of(x / INCH, y / INCH, Unit::Metre)
    }

    /// A ratio; one of 1 is what pixels have anyway.
    pub(super) fn ratio(x: f64, y: f64) -> Option<Self> {
        Self::of(x, y, Unit::None).filter(|density| density.x != density.y)
    }

    fn of(x: f64, y: f64, unit: Unit) -> Option<Self> {
        let possible = |n: f64| n.is_finite() && n > 0.0;
        (possible(x) && possible(y)).then_some(Self { x, y, unit })
    }

    /// That of the picture turned by a quarter.
    pub(super) fn turned(self) -> Self {
        Self {
            x: self.y,
            y: self.x,
            unit: self.unit,
        }
    }

    /// In inches, where there is a length.
    pub(super) fn in_inches(self) -> (f64, f64) {
        let inches = |n: f64| {
            let exact = n * INCH;
            if (exact - exact.round()).abs() < ROUNDING {
                exact.round()
            } else {
                exact
            }
        };
        match self.unit {
            Unit::Metre => (inches(self.x), inches(self.y)),
            Unit::None => (self.x, self.y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_an_inch_come_back_from_whole_pixels_a_metre() {
        for dpi in [72.0, 96.0, 150.0, 300.0, 600.0, 1200.0] {
            let exact = Density::inches(dpi, dpi).unwrap();
            assert_eq!(
                Density::metres(exact.x.round(), exact.y.round()).unwrap().in_inches(),
                (dpi, dpi)
            );
        }
        assert_eq!(Density::metres(10_000.0, 5000.0).unwrap().in_inches(), (254.0, 127.0));
    }

    #[test]
    fn what_says_nothing_is_nothing() {
        assert_eq!(Density::ratio(1.0, 1.0), None);
        assert_eq!(Density::metres(0.0, 300.0), None);
        assert_eq!(Density::inches(f64::NAN, 1.0), None);
    }
}
