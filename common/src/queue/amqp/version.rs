//! What a server says of itself when it greets, and what follows from its version.
//!
//! The client library reads the greeting and keeps nothing of it, so it is read a second time here.

use std::fmt;

use lapin::types::AMQPValue;
use lapin::types::parsing::parse_field_table;

/// A greeting longer than this is not waited for. RabbitMQ's has about 500 bytes.
const LONGEST: usize = 64 << 10;
/// Kind, channel and length of a frame, then class, method and the protocol's version: the properties come after.
const FRAME_HEADER: usize = 7;
const BEFORE_PROPERTIES: usize = 6;

/// A version of RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// The oldest that is supported, Debian 12's; taken for what does not say what it is.
    pub(super) const OLDEST: Self = Self { major: 3, minor: 10 };

    #[cfg(test)]
    pub(super) const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Whether queues may have a consumer timeout of their own. Older ones take rabbitmq.conf's alone.
    pub(super) fn has_consumer_timeout(self) -> bool {
        self >= Self { major: 3, minor: 12 }
    }

    /// Whether a queue that names no delivery limit has one all the same.
    pub(super) fn limits_deliveries_by_default(self) -> bool {
        self.major >= 4
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        Some(Self {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The first frame of a server, `connection.start`, while it comes in and when it is there.
#[derive(Clone, Debug)]
pub(super) enum Greeting {
    Coming(Vec<u8>),
    /// What the server says it is, where it says so.
    Heard(Option<Version>),
}

impl Default for Greeting {
    fn default() -> Self {
        Self::Coming(Vec::new())
    }
}

impl Greeting {
    /// Takes what was read; what comes after the greeting is ignored.
    pub(super) fn hear(&mut self, read: &[u8]) {
        let Self::Coming(bytes) = self else { return };
        bytes.extend_from_slice(read);
        let Some(length) = bytes.get(3..FRAME_HEADER) else {
            return;
        };
        let end = length.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)) + FRAME_HEADER;
        if end > LONGEST {
            *self = Self::Heard(None);
        } else if bytes.len() >= end {
            *self = Self::Heard(bytes.get(FRAME_HEADER + BEFORE_PROPERTIES..end).and_then(version));
        }
    }

    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Self::Coming(_) => None,
            Self::Heard(version) => *version,
        }
    }
}

fn version(properties: &[u8]) -> Option<Version> {
    let (_, table) = parse_field_table(properties).ok()?;
    match table.inner().get("version")? {
        AMQPValue::LongString(text) => Version::parse(std::str::from_utf8(text.as_bytes()).ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `connection.start` with one property.
    fn greeting(version: &[u8]) -> Vec<u8> {
        let mut table = vec![7];
        table.extend(b"versionS");
        table.extend((version.len() as u32).to_be_bytes());
        table.extend(version);
        let mut payload = vec![0, 10, 0, 10, 0, 9];
        payload.extend((table.len() as u32).to_be_bytes());
        payload.extend(table);
        payload.extend(b"\0\0\0\x05PLAIN\0\0\0\x05en_US");
        let mut frame = vec![1, 0, 0];
        frame.extend((payload.len() as u32).to_be_bytes());
        frame.extend(payload);
        frame.push(0xCE);
        frame
    }

    #[test]
    fn versions_are_read_however_they_come() {
        for (text, expected) in [
            ("3.10.8", Some(Version::new(3, 10))),
            ("4.0.5+1", Some(Version::new(4, 0))),
            ("4.3-rc.1", Some(Version::new(4, 3))),
            ("next", None),
        ] {
            let frame = greeting(text.as_bytes());
            for piece in [1, 7, frame.len(), frame.len() + 8] {
                let mut heard = Greeting::default();
                assert_eq!(heard.version(), None);
                let mut all = frame.clone();
                all.extend([8, 0, 0, 0, 0, 0, 0, 0xCE]);
                all.chunks(piece).for_each(|bytes| heard.hear(bytes));
                assert!(matches!(heard, Greeting::Heard(_)));
                assert_eq!(heard.version(), expected, "{text} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_greeting_is_not_kept() {
        let mut heard = Greeting::default();
        heard.hear(b"HTTP/1.1 400 Bad Request\r\n");
        assert!(matches!(heard, Greeting::Heard(None)), "{heard:?}");
    }
}
