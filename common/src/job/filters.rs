use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{FrameRange, Stretch};

/// What is done to a picture, or to each frame of a video by itself, before it is enlarged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filters {
    /// How much noise is taken away.
    #[serde(skip_serializing_if = "Denoise::is_off")]
    pub denoise: Denoise,
    /// How much finer detail is raised afterwards.
    #[serde(skip_serializing_if = "Sharpen::is_off")]
    pub sharpen: Sharpen,
}

impl Filters {
    /// Whether nothing is done.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// How much noise is taken away.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Denoise {
    /// None.
    #[default]
    Off,
    /// What a camera adds in good light, and most codecs.
    Light,
    /// What a camera adds in the dark; the finest texture goes with it.
    Strong,
}

impl Denoise {
    /// Whether none is taken away.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// How much finer detail is raised: from 0, not at all, to 1, to twice its height.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Sharpen(f64);

/// An amount that is not offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sharpening is a number from 0 to 1, not {0}")]
pub struct SharpenError(String);

impl Sharpen {
    /// The amount.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether it is 0.
    pub fn is_off(&self) -> bool {
        self.0 == 0.0
    }
}

impl TryFrom<f64> for Sharpen {
    type Error = SharpenError;

    fn try_from(amount: f64) -> Result<Self, Self::Error> {
        match amount {
            // Of two zeros, one is kept: equal settings shall be told alike.
            0.0 => Ok(Self(0.0)),
            amount if (0.0..=1.0).contains(&amount) => Ok(Self(amount)),
            amount => Err(SharpenError(amount.to_string())),
        }
    }
}

impl From<Sharpen> for f64 {
    fn from(sharpen: Sharpen) -> Self {
        sharpen.0
    }
}

impl FromStr for Sharpen {
    type Err = SharpenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let amount: f64 = text.parse().map_err(|_| SharpenError(format!("{text:?}")))?;
        amount.try_into()
    }
}

impl fmt::Display for Sharpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A part of a video that was asked for again, with other filters than the rest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retouch {
    /// The moments whose frames they are for.
    pub stretch: Stretch,
    /// Their filters.
    pub filters: Filters,
}

impl Retouch {
    /// Retouches of a job at most.
    pub const MOST: usize = 100;
}

/// [`Retouch`] in a plan: its frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retouched {
    /// The frames.
    pub frames: FrameRange,
    /// Their filters.
    pub filters: Filters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_from_nothing_to_all() {
        assert_eq!("0.5".parse::<Sharpen>().map(Sharpen::get), Ok(0.5));
        assert!(Sharpen::try_from(-0.0).unwrap().get().is_sign_positive());
        for refused in ["-0.1", "1.01", "NaN", "inf", "much", ""] {
            let error = refused.parse::<Sharpen>().unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("sharpening is a number from 0 to 1, not ")
            );
        }
    }

    #[test]
    fn what_is_off_is_not_written() {
        assert_eq!(serde_json::to_string(&Filters::default()).unwrap(), "{}");
        let text = r#"{"denoise":"strong","sharpen":0.25}"#;
        let filters: Filters = serde_json::from_str(text).unwrap();
        assert_eq!((filters.denoise, filters.sharpen.get()), (Denoise::Strong, 0.25));
        assert_eq!(serde_json::to_string(&filters).unwrap(), text);
        assert!(serde_json::from_str::<Filters>(r#"{"sharpen":2.0}"#).is_err());
    }
}
