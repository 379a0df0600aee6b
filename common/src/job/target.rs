use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A factor from 1 to 8, whole or not.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Scale(f64);

/// How large a result shall be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// A factor for both axes; sizes are rounded to the nearest pixel.
    Factor(Scale),
    /// Width and height in pixels.
    Exact(u32, u32),
}

/// A target that Clearfleet does not offer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// Not a number or a size.
    #[error("{0:?} is neither a factor such as 2 or 1.5 nor a size such as 1920x1080")]
    Syntax(String),
    /// A factor outside 1 to 8.
    #[error("a factor of {0} is not between 1 and 8")]
    Factor(f64),
    /// A size that is smaller than the source, or more than eight times as large.
    #[error("{}x{} is not between 1 and 8 times the source's {}x{}", target.0, target.1, source_size.0, source_size.1)]
    Size {
        /// Width and height of the source.
        source_size: (u32, u32),
        /// Width and height asked for.
        target: (u32, u32),
    },
}

impl Scale {
    /// Twice as wide and high.
    pub const TWO: Self = Self(2.0);

    /// A checked factor.
    ///
    /// # Errors
    /// If it is not between 1 and 8.
    pub fn new(factor: f64) -> Result<Self, TargetError> {
        if (1.0..=8.0).contains(&factor) {
            Ok(Self(factor))
        } else {
            Err(TargetError::Factor(factor))
        }
    }

    /// The factor.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Scale {
    type Error = TargetError;

    fn try_from(factor: f64) -> Result<Self, Self::Error> {
        Self::new(factor)
    }
}

impl From<Scale> for f64 {
    fn from(scale: Scale) -> Self {
        scale.0
    }
}

impl FromStr for Scale {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| {
            part.trim()
                .parse::<f64>()
                .map_err(|_| TargetError::Syntax(text.to_owned()))
        };
        match text.split_once('/') {
            Some((over, under)) => Self::new(number(over)? / number(under)?),
            None => Self::new(number(text)?),
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Target {
    /// Width and height in pixels that a source of `width` × `height` gets.
    ///
    /// # Errors
    /// If an exact size is not between 1 and 8 times the source on both axes.
    pub fn size_for(self, width: u32, height: u32) -> Result<(u32, u32), TargetError> {
        match self {
            Self::Factor(scale) => {
                let enlarged = |edge: u32| (f64::from(edge) * scale.0).round() as u32;
                Ok((enlarged(width), enlarged(height)))
            }
            Self::Exact(w, h) => {
                let fits = |to: u32, from: u32| to >= from && u64::from(to) <= 8 * u64::from(from);
                if fits(w, width) && fits(h, height) {
                    Ok((w, h))
                } else {
                    Err(TargetError::Size {
                        source_size: (width, height),
                        target: (w, h),
                    })
                }
            }
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((width, height)) = text.trim().split_once(['x', 'X', '×']) else {
            return text.parse().map(Self::Factor);
        };
        match (width.parse(), height.parse()) {
            (Ok(w), Ok(h)) if w > 0 && h > 0 => Ok(Self::Exact(w, h)),
            _ => Err(TargetError::Syntax(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Factor(scale) => scale.fmt(f),
            Self::Exact(w, h) => write!(f, "{w}x{h}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_and_sizes_are_read() {
        assert_eq!("1.5".parse::<Target>().unwrap().size_for(161, 121).unwrap(), (242, 182));
        assert_eq!("4/3".parse::<Target>().unwrap().size_for(3, 6).unwrap(), (4, 8));
        assert_eq!("1920x1080".parse::<Target>().unwrap(), Target::Exact(1920, 1080));
        assert_eq!(serde_json::to_string(&Target::Exact(4, 2)).unwrap(), "\"4x2\"");
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        assert_eq!("9".parse::<Target>(), Err(TargetError::Factor(9.0)));
        assert!(matches!("NaN".parse::<Target>(), Err(TargetError::Factor(_))));
        assert!(matches!("0x5".parse::<Target>(), Err(TargetError::Syntax(_))));
        assert!(matches!("two".parse::<Target>(), Err(TargetError::Syntax(_))));
        let smaller = Target::Exact(100, 400).size_for(200, 200);
        assert_eq!(
            smaller,
            Err(TargetError::Size {
                source_size: (200, 200),
                target: (100, 400)
            })
        );
        assert!(Target::Exact(1601, 200).size_for(200, 200).is_err());
    }
}
