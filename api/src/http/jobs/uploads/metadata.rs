//! What a client says of an upload: its file's name, and what is wanted of it.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::headers::{self, METADATA};
use crate::http::Problem;
use crate::http::body::from_json;
use crate::http::jobs::request::NewJob;

/// What `Upload-Metadata` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Metadata {
    /// The header as it came.
    pub(super) raw: String,
    /// `settings`: what `POST /v1/jobs` takes as its JSON; by `filename` it has a name.
    pub(super) new: NewJob,
}

impl Metadata {
    /// Reads the header of a request; without one nothing is said.
    ///
    /// # Errors
    /// `body_invalid`, `field_unknown`.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        Self::read(headers::text(headers, METADATA)?.unwrap_or_default())
    }

    /// Reads keys and values: commas between the pairs, a space before a value, which is base64. Keys that say nothing here
    /// are passed over, since clients send what they have.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(super) fn read(raw: &str) -> Result<Self, Problem> {
        let pairs = pairs(raw)?;
        let mut new = match pairs.get("settings") {
            Some(settings) => from_json(settings)?,
            None => NewJob::default(),
        };
        if let Some(name) = pairs.get("filename").filter(|_| new.name.is_none()) {
            let name = String::from_utf8(name.clone());
            new.name = Some(name.map_err(|_| refused("the file's name is not UTF-8"))?);
        }
        Ok(Self {
            raw: raw.to_owned(),
            new,
        })
    }
}

fn pairs(raw: &str) -> Result<BTreeMap<&str, Vec<u8>>, Problem> {
    let mut pairs = BTreeMap::new();
    for pair in raw.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = BASE64_STANDARD.decode(value.trim());
        let value = value.map_err(|e| refused(&format!("the value of {key:?} is no base64: {e}")))?;
        if pairs.insert(key, value).is_some() {
            return Err(refused(&format!("it says {key:?} twice")));
        }
    }
    Ok(pairs)
}

fn refused(why: &str) -> Problem {
    headers::invalid(METADATA, why)
}

#[cfg(test)]
mod tests {
    use clearfleet_common::ErrorCode;
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &str) -> String {
        BASE64_STANDARD.encode(text)
    }

    #[test]
    fn a_name_and_what_is_wanted_are_read() {
        let raw = format!(
            "filename {},type aW1hZ2UvcG5n, settings {},empty",
            encoded("Übung 1.png"),
            encoded(r#"{"settings": {"target": 3}, "start": false}"#)
        );
        let metadata = Metadata::read(&raw).unwrap();
        let expected: NewJob =
            from_json(r#"{"name": "Übung 1.png", "settings": {"target": 3}, "start": false}"#.as_bytes()).unwrap();
        assert_eq!((metadata.new, metadata.raw), (expected, raw));
        assert_eq!(Metadata::read("").unwrap(), Metadata::default());
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (raw, code) in [
            ("filename Y".to_owned(), ErrorCode::BodyInvalid),
            ("filename YQ==,filename YQ==".to_owned(), ErrorCode::BodyInvalid),
            ("filename /w==".to_owned(), ErrorCode::BodyInvalid),
            (format!("settings {}", encoded("{")), ErrorCode::BodyInvalid),
            (
                format!("settings {}", encoded(r#"{"colour": 1}"#)),
                ErrorCode::FieldUnknown,
            ),
        ] {
            assert_eq!(Metadata::read(&raw).unwrap_err().code(), code, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_read_as_it_was_written(name in ".*") {
            let read = Metadata::read(&format!("filename {}", encoded(&name))).unwrap();
            prop_assert_eq!(read.new.name, Some(name));
        }
    }
}
