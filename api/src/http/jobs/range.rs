//! Which bytes of an object a request asks for, and whether it asks for them at all (RFC 9110, 13 and 14).

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// None of it: the client has it.
    NotModified,
    /// None of it: it is not the version that the client means.
    OtherVersion,
    /// None of it: it has no such bytes.
    NoSuchBytes,
}

/// An object as far as conditions look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'a> {
    /// Its ETag, quotes included; a strong one.
    pub(super) etag: &'a str,
    pub(super) modified: Timestamp,
    pub(super) bytes: u64,
}

/// A time as headers say it.
pub(super) fn http_date(time: Timestamp) -> Option<String> {
    rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()
}

/// What a request with these headers asks of the object.
pub(super) fn wanted(headers: &HeaderMap, object: Validators<'_>) -> Wanted {
    if text(headers, header::IF_MATCH).is_some_and(|tags| !lists(&tags, object.etag, false)) {
        return Wanted::OtherVersion;
    }
    let unchanged = match text(headers, header::IF_NONE_MATCH) {
        Some(tags) => lists(&tags, object.etag, true),
        None => text(headers, header::IF_MODIFIED_SINCE).is_some_and(|since| is_since(&since, object.modified)),
    };
    if unchanged {
        return Wanted::NotModified;
    }
    let counts = text(headers, header::IF_RANGE).is_none_or(|condition| {
        let condition = condition.trim();
        condition == object.etag || http_date(object.modified).is_some_and(|modified| modified == condition)
    });
    match text(headers, header::RANGE).filter(|_| counts) {
        Some(range) => bytes(&range, object.bytes),
        None => Wanted::Whole,
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let values: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Whether a list of ETags has this one; with weak ones or without.
fn lists(tags: &str, etag: &str, weak: bool) -> bool {
    tags.split(',').map(str::trim).any(|tag| {
        let strong = tag.strip_prefix("W/").filter(|_| weak).unwrap_or(tag);
        tag == "*" || strong == etag
    })
}

/// Whether nothing changed after a date; one that cannot be read says nothing.
fn is_since(date: &str, modified: Timestamp) -> bool {
    let date = rfc2822::DateTimeParser::new().parse_timestamp(date.trim());
    date.is_ok_and(|date| modified.as_second() <= date.as_second())
}

/// The bytes of `Range` in an object of `length`. What is no range of bytes, or several, asks for the whole.
fn bytes(range: &str, length: u64) -> Wanted {
    let Some((unit, spec)) = range.split_once('=') else {
        return Wanted::Whole;
    };
    let Some((first, last)) = spec
        .trim()
        .split_once('-')
        .filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))
    else {
        return Wanted::Whole;
    };
    let (Some(first), Some(last)) = (number(first), number(last)) else {
        return Wanted::Whole;
    };
    let part = match (first, last) {
        (None, None) => return Wanted::Whole,
        (Some(first), Some(last)) if last < first => return Wanted::Whole,
        (Some(first), last) => first..last.map_or(length, |last| last.saturating_add(1).min(length)),
        (None, Some(suffix)) => length.saturating_sub(suffix)..length,
    };
    if part.is_empty() {
        Wanted::NoSuchBytes
    } else {
        Wanted::Part(part)
    }
}

/// A number, or nothing where there is none; no answer for what is something else. Larger than any object is as large as
/// any.
fn number(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OBJECT: Validators<'_> = Validators {
        etag: "\"a\"",
        modified: Timestamp::constant(1_000_000_000, 500),
        bytes: 100,
    };
    const DATE: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
    const BEFORE: &str = "Sun, 09 Sep 2001 01:46:39 GMT";

    fn asked(headers: &[(HeaderName, &str)]) -> Wanted {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()));
        wanted(&headers.collect(), OBJECT)
    }

    fn part(range: &str) -> Wanted {
        asked(&[(header::RANGE, range)])
    }

    #[test]
    fn ranges_are_those_of_the_standard() {
        assert_eq!(part("bytes=0-0"), Wanted::Part(0..1));
        assert_eq!(part("bytes=10-19"), Wanted::Part(10..20));
        assert_eq!(part("Bytes= 90-1000"), Wanted::Part(90..100));
        assert_eq!(part("bytes=99-"), Wanted::Part(99..100));
        assert_eq!(part("bytes=-1"), Wanted::Part(99..100));
        assert_eq!(part("bytes=-1000"), Wanted::Part(0..100));
        assert_eq!(part("bytes=0-99999999999999999999999"), Wanted::Part(0..100));
        for none in [
            "bytes=100-",
            "bytes=100-200",
            "bytes=-0",
            "bytes=99999999999999999999999-",
        ] {
            assert_eq!(part(none), Wanted::NoSuchBytes, "{none}");
        }
        for whole in [
            "bytes=-",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "pages=1-2",
            "bytes",
            "bytes=+1-2",
            "bytes=a-b",
        ] {
            assert_eq!(part(whole), Wanted::Whole, "{whole}");
        }
    }

    #[test]
    fn conditions_come_before_ranges() {
        let range = (header::RANGE, "bytes=0-9");
        assert_eq!(
            asked(&[(header::IF_NONE_MATCH, "\"b\", W/\"a\""), range.clone()]),
            Wanted::NotModified
        );
        assert_eq!(asked(&[(header::IF_NONE_MATCH, "*")]), Wanted::NotModified);
        assert_eq!(asked(&[(header::IF_NONE_MATCH, "\"b\"")]), Wanted::Whole);
        assert_eq!(asked(&[(header::IF_MODIFIED_SINCE, DATE)]), Wanted::NotModified);
        assert_eq!(asked(&[(header::IF_MODIFIED_SINCE, BEFORE)]), Wanted::Whole);
        assert_eq!(
            asked(&[(header::IF_NONE_MATCH, "\"b\""), (header::IF_MODIFIED_SINCE, DATE)]),
            Wanted::Whole
        );
        assert_eq!(
            asked(&[(header::IF_MATCH, "\"b\""), range.clone()]),
            Wanted::OtherVersion
        );
        assert_eq!(asked(&[(header::IF_MATCH, "W/\"a\"")]), Wanted::OtherVersion);
        assert_eq!(
            asked(&[(header::IF_MATCH, "\"a\""), range.clone()]),
            Wanted::Part(0..10)
        );
        assert_eq!(
            asked(&[(header::IF_RANGE, "\"a\""), range.clone()]),
            Wanted::Part(0..10)
        );
        assert_eq!(asked(&[(header::IF_RANGE, DATE), range.clone()]), Wanted::Part(0..10));
        for other in ["\"b\"", "W/\"a\"", BEFORE] {
            assert_eq!(
                asked(&[(header::IF_RANGE, other), range.clone()]),
                Wanted::Whole,
                "{other}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_beyond_the_end(range in "(bytes=)?[0-9,+ -]{0,12}", length in 0u64..1000) {
            if let Wanted::Part(part) = bytes(&range, length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }
    }
}
