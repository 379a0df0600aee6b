use std::str::FromStr;
use std::time::Duration;

use clearfleet_common::config::Limits;
use clearfleet_common::job::ClassName;

use crate::retention::Retention;
use crate::webhooks::Reach;

/// What operators may change of the HTTP API.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// What a source may be at most; here its bytes count, workers look at the rest.
    pub limits: Limits,
    /// Bytes of a JSON document that a request may send.
    pub json_bytes: usize,
    /// Uploads at once: each holds two parts of 8 MiB in memory, more of files beyond 11 GiB.
    pub uploads: usize,
    /// How long an upload waits for its turn.
    pub upload_turn: Duration,
    /// An upload that goes on in other requests ends when nothing of it has come for this long.
    pub upload_ttl: Duration,
    /// Event streams at once.
    pub streams: usize,
    /// How long an answer may take, uploads, downloads and streams of events aside.
    pub answer: Duration,
    /// A body must bring [`body_rate`](Self::body_rate) bytes a second, looked at over this long.
    pub body_idle: Duration,
    /// The slowest that a body may come, in bytes a second.
    pub body_rate: u64,
    /// How long a request waits for a verification that is under way before it is told to ask again.
    pub verification_wait: Duration,
    /// How long a request for a part of a stream waits for it to be made before it is told to ask again.
    pub segment_wait: Duration,
    /// The pools of workers that jobs may ask for; the first is that of jobs that name none.
    pub classes: Vec<ClassName>,
    /// Whom webhooks may be sent to.
    pub webhooks: Reach,
    /// Where sources may be used in place, and results written to.
    pub places: Vec<AllowedPlace>,
}

/// Objects that an operator lets jobs use in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedPlace {
    /// The bucket.
    pub bucket: String,
    /// What keys begin with; empty for the whole bucket.
    pub prefix: String,
}

/// A text that names no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a place is s3://bucket, or s3://bucket/prefix for what keys begin with")]
pub struct ParsePlaceError;

impl FromStr for AllowedPlace {
    type Err = ParsePlaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("s3://").ok_or(ParsePlaceError)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let of_names = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
        // No key that is asked for has such parts: a prefix with them allows nothing, and hides a mistake.
        let is_odd = |part: &str| matches!(part, "." | "..") || part.contains(char::is_control);
        if bucket.is_empty()
            || !bucket.chars().all(of_names)
            || prefix.starts_with('/')
            || prefix.split('/').any(is_odd)
        {
            return Err(ParsePlaceError);
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            json_bytes: 256 << 10,
            uploads: 32,
            upload_turn: Duration::from_secs(10),
            upload_ttl: Retention::default().uploads,
            streams: 512,
            answer: Duration::from_secs(60),
            body_idle: Duration::from_secs(30),
            body_rate: 1024,
            verification_wait: Duration::from_secs(25),
            segment_wait: Duration::from_secs(20),
            classes: vec![ClassName::default()],
            webhooks: Reach::Public,
            places: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, bucket, prefix) in [
            ("s3://films", "films", ""),
            ("s3://films/", "films", ""),
            ("s3://films.of-2024/in/a b", "films.of-2024", "in/a b"),
        ] {
            let place: AllowedPlace = text.parse().unwrap();
            assert_eq!((&*place.bucket, &*place.prefix), (bucket, prefix), "{text}");
        }
        for refused in [
            "",
            "films",
            "s3://",
            "s3:///in",
            "s3://Films",
            "s3://a/../b",
            "s3://a//b",
            "https://a/b",
        ] {
            assert_eq!(refused.parse::<AllowedPlace>(), Err(ParsePlaceError), "{refused}");
        }
    }
}
