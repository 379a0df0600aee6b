use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Which job. Ids made later sort later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// The only job of a command that works on local files.
    pub const LOCAL: Self = Self(Uuid::nil());

    /// A new id (UUID version 7).
    #[allow(clippy::new_without_default, reason = "two are never equal")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id with these bits: for tests and models, where ids must be small and repeatable.
    pub fn from_u128(bits: u128) -> Self {
        Self(Uuid::from_u128(bits))
    }

    /// Its bits.
    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = IdError;

    /// Takes the hyphenated form only: one job has one name in keys and addresses.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || IdError(text.chars().take(64).collect());
        let id = Uuid::try_parse(text).map_err(|_| refused())?;
        if id.to_string() == text {
            Ok(Self(id))
        } else {
            Err(refused())
        }
    }
}

/// A name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name of 1 to 32 of a to z, 0 to 9, - and _ that starts with a letter or a digit, nor an id")]
pub struct IdError(String);

/// The longest name in bytes.
const LONGEST: usize = 32;

/// A short name that can stand in object keys, queue names and metric labels as it is.
fn label(text: &str) -> Result<ArrayString<LONGEST>, IdError> {
    let fits = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    match ArrayString::from(text) {
        Ok(name) if fits => Ok(name),
        _ => Err(IdError(text.chars().take(64).collect())),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 32 of a to z, 0 to 9, `-` and `_`; the first is a letter or a digit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(ArrayString<LONGEST>);

        impl $name {
            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                label(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// Whose job: whom a key belongs to, and in whose turn work is given out.
    OwnerId
}

name! {
    /// Operators' name for a pool of workers that can stand in for each other.
    ClassName
}

impl Default for OwnerId {
    /// `local`: the owner of everything where keys are off.
    fn default() -> Self {
        Self(label("local").unwrap_or_default())
    }
}

impl Default for ClassName {
    /// `default`: the pool of an installation that names none.
    fn default() -> Self {
        Self(label("default").unwrap_or_default())
    }
}

/// Which worker: one engine of one process, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(String);

impl WorkerId {
    /// The worker called `name`; whoever starts it makes sure that no other ever had the name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_keys() {
        assert_eq!("alice-2".parse::<OwnerId>().unwrap().to_string(), "alice-2");
        assert_eq!(OwnerId::default().as_str(), "local");
        assert_eq!(ClassName::default().as_str(), "default");
        let long = "a".repeat(33);
        for refused in ["", "-a", "A", "a/b", "..", "a b", "é", &long] {
            assert!(refused.parse::<ClassName>().is_err(), "{refused:?}");
            assert!(
                serde_json::from_value::<OwnerId>(refused.into()).is_err(),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn an_id_is_read_in_its_one_form() {
        let id = JobId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        let written = id.to_string();
        for refused in [
            written.to_uppercase(),
            written.replace('-', ""),
            format!("{{{written}}}"),
            "1".to_owned(),
        ] {
            assert!(refused.parse::<JobId>().is_err(), "{refused}");
        }
    }

    #[test]
    fn later_ids_sort_later() {
        let ids: Vec<JobId> = (0..100).map(|_| JobId::new()).collect();
        assert!(ids.is_sorted());
    }
}
