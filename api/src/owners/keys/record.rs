//! What is stored of a key, under the digest of its secret.

use std::fmt;
use std::str::FromStr;

use clearfleet_common::job::{FORMAT_VERSION, OwnerId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::http::Role;
use crate::owners::Quota;

/// Which key: what people name it by who must not see its secret. Ids made later sort later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(Uuid);

impl KeyId {
    /// A new id.
    #[allow(clippy::new_without_default, reason = "two are never equal")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeyId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

/// What a person calls a key: 1 to 64 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(String);

/// A text that cannot name a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key's name has 1 to 64 characters, none of them a control character")]
pub struct KeyNameError;

impl FromStr for KeyName {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let fits = (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned())).ok_or(KeyNameError)
    }
}

impl TryFrom<String> for KeyName {
    type Error = KeyNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What people call it.
    pub name: KeyName,
    /// Whose jobs it opens.
    pub owner: OwnerId,
    /// What else it may do.
    pub role: Role,
    /// Limits in place of the installation's.
    pub quota: Quota,
}

/// A key as it is stored; its secret is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// [`FORMAT_VERSION`] of the build that wrote it last.
    pub version: u32,
    /// Which key.
    pub id: KeyId,
    /// What people call it.
    pub name: KeyName,
    /// Whose jobs it opens.
    pub owner: OwnerId,
    /// What else it may do.
    pub role: Role,
    /// When it was made.
    pub created: Timestamp,
    /// Since when it opens nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
    /// Limits in place of the installation's.
    #[serde(default, skip_serializing_if = "Quota::is_empty")]
    pub quota: Quota,
    /// Fields of newer builds, kept as they are.
    #[serde(flatten)]
    pub unknown: serde_json::Map<String, serde_json::Value>,
}

impl KeyRecord {
    pub(super) fn new(key: NewKey, now: Timestamp) -> Self {
        Self {
            version: FORMAT_VERSION,
            id: KeyId::new(),
            name: key.name,
            owner: key.owner,
            role: key.role,
            created: now,
            revoked: None,
            quota: key.quota,
            unknown: serde_json::Map::new(),
        }
    }

    /// Whether it opens anything.
    pub fn counts(&self) -> bool {
        self.revoked.is_none()
    }

    /// The key that `body` holds, or what is wrong with it.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Envelope {
            version: u32,
        }
        // First, since the rest of a newer one may be anything.
        let Envelope { version } = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        if version > FORMAT_VERSION {
            return Err(format!(
                "it is of version {version}, and this build knows up to {FORMAT_VERSION}"
            ));
        }
        serde_json::from_slice(body).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_for_people() {
        assert_eq!(
            " Anna's laptop ".parse::<KeyName>().unwrap().to_string(),
            "Anna's laptop"
        );
        for refused in ["", "  ", "a\nb", "a\u{1b}[31m", &"x".repeat(65)] {
            assert_eq!(refused.parse::<KeyName>(), Err(KeyNameError), "{refused:?}");
        }
    }

    #[test]
    fn fields_of_newer_builds_are_kept_and_newer_versions_refused() {
        let key = NewKey {
            name: "a".parse().unwrap(),
            owner: OwnerId::default(),
            role: Role::User,
            quota: Quota::default(),
        };
        let mut written = serde_json::to_value(KeyRecord::new(key, Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(written["role"], "user");
        written["colour_of_tomorrow"] = "blue".into();
        let read = KeyRecord::parse(written.to_string().as_bytes()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), written);
        written["version"] = (FORMAT_VERSION + 1).into();
        let refused = KeyRecord::parse(written.to_string().as_bytes()).unwrap_err();
        assert_eq!(refused, "it is of version 2, and this build knows up to 1");
    }
}
