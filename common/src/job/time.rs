use std::fmt;

use serde::{Deserialize, Serialize};

/// A positive fraction, such as a frame rate or a sample aspect ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rational {
    /// Numerator, at least 1.
    pub num: u32,
    /// Denominator, at least 1.
    pub den: u32,
}

impl Rational {
    /// The fraction, or nothing where a side is 0.
    pub fn new(num: u32, den: u32) -> Option<Self> {
        (num > 0 && den > 0).then_some(Self { num, den })
    }

    /// As a floating-point number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

/// The length of one tick in seconds: timestamps are whole numbers of ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Rational", into = "Rational")]
pub struct TimeBase(Rational);

/// A tick of no length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time base of {num}/{den} is not a length of time")]
pub struct TimeBaseError {
    /// Numerator.
    pub num: u32,
    /// Denominator.
    pub den: u32,
}

impl TimeBase {
    /// A tick of `num / den` seconds.
    ///
    /// # Errors
    /// If either is 0.
    pub fn new(num: u32, den: u32) -> Result<Self, TimeBaseError> {
        Rational::new(num, den).map(Self).ok_or(TimeBaseError { num, den })
    }

    /// Numerator, in seconds.
    pub fn num(self) -> u32 {
        self.0.num
    }

    /// Denominator.
    pub fn den(self) -> u32 {
        self.0.den
    }

    /// `ticks` in seconds.
    pub fn seconds(self, ticks: i64) -> f64 {
        ticks as f64 * self.0.as_f64()
    }

    /// `ticks` of this time base in ticks of `other`, to the nearest, halves away from zero.
    pub fn rescale(self, ticks: i64, other: Self) -> i64 {
        let num = i128::from(self.0.num) * i128::from(other.0.den);
        let den = i128::from(self.0.den) * i128::from(other.0.num);
        let product = i128::from(ticks) * num;
        let half = if product < 0 { -den / 2 } else { den / 2 };
        ((product + half) / den) as i64
    }
}

impl TryFrom<Rational> for TimeBase {
    type Error = TimeBaseError;

    fn try_from(r: Rational) -> Result<Self, Self::Error> {
        Self::new(r.num, r.den)
    }
}

impl From<TimeBase> for Rational {
    fn from(base: TimeBase) -> Self {
        base.0
    }
}

impl fmt::Display for TimeBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescaling_rounds_to_the_nearest_tick() {
        let ms = TimeBase::new(1, 1000).unwrap();
        let film = TimeBase::new(1, 24).unwrap();
        assert_eq!(film.rescale(1, ms), 42);
        assert_eq!(film.rescale(-1, ms), -42);
        assert_eq!(ms.rescale(500, TimeBase::new(1, 1).unwrap()), 1);
        assert_eq!(ms.rescale(-500, TimeBase::new(1, 1).unwrap()), -1);
        assert_eq!(
            TimeBase::new(1001, 30000)
                .unwrap()
                .rescale(30, TimeBase::new(1, 30000).unwrap()),
            30030
        );
    }

    #[test]
    fn a_tick_of_no_length_is_refused() {
        assert_eq!(TimeBase::new(0, 5), Err(TimeBaseError { num: 0, den: 5 }));
        assert!(serde_json::from_str::<TimeBase>(r#"{"num":1,"den":0}"#).is_err());
    }
}
