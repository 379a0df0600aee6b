//! How long things are kept.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

/// How long something is kept: a time such as `24h`, `90d` or `never`, for what is not deleted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(Option<Duration>);

/// A text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time such as 90s, 15m, 24h or 90d, nor never")]
pub struct ParseTtlError(String);

impl Ttl {
    /// It is not deleted by itself.
    pub const NEVER: Self = Self(None);

    /// A number of hours.
    pub const fn hours(hours: u64) -> Self {
        Self(Some(Duration::from_secs(hours * 3600)))
    }

    /// A number of days of 24 hours.
    pub const fn days(days: u64) -> Self {
        Self::hours(days * 24)
    }

    /// How long that is; nothing for what is not deleted by itself.
    pub fn duration(self) -> Option<Duration> {
        self.0
    }

    /// Whether what began at `since` is over at `now`. Never where the clock went back.
    pub fn is_over(self, since: Timestamp, now: Timestamp) -> bool {
        let age = Duration::try_from(now.duration_since(since));
        matches!((self.0, age), (Some(ttl), Ok(age)) if age >= ttl)
    }
}

impl From<Duration> for Ttl {
    fn from(duration: Duration) -> Self {
        Self(Some(duration))
    }
}

impl FromStr for Ttl {
    type Err = ParseTtlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "never" {
            return Ok(Self::NEVER);
        }
        let refused = || ParseTtlError(text.chars().take(64).collect());
        let unit = text.chars().next_back().ok_or_else(refused)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(refused()),
        };
        let number = &text[..text.len() - unit.len_utf8()];
        // A plus sign is a number's, and not a time's.
        let number: u64 = number
            .parse()
            .ok()
            .filter(|_| !number.starts_with('+'))
            .ok_or_else(refused)?;
        let seconds = number.checked_mul(seconds).ok_or_else(refused)?;
        Ok(Self(Some(Duration::from_secs(seconds))))
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ttl) = self.0 else {
            return f.write_str("never");
        };
        let seconds = ttl.as_secs();
        let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
        let whole = units
            .into_iter()
            .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
        let (unit, letter) = whole.unwrap_or((1, 's'));
        write!(f, "{}{letter}", seconds / unit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, ttl) in [
            ("24h", Ttl::days(1)),
            ("90d", Ttl::days(90)),
            ("36h", Ttl::hours(36)),
            ("0s", Ttl(Some(Duration::ZERO))),
            ("15m", Ttl(Some(Duration::from_secs(900)))),
            ("never", Ttl::NEVER),
        ] {
            assert_eq!(text.parse(), Ok(ttl), "{text}");
        }
        for refused in [
            "",
            "h",
            "24",
            "-1h",
            "+1h",
            "1.5h",
            "1 h",
            "24H",
            "5é",
            "99999999999999999d",
        ] {
            assert!(refused.parse::<Ttl>().is_err(), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0_u64..10_000_000) {
            let ttl = Ttl(Some(Duration::from_secs(seconds)));
            prop_assert_eq!(ttl.to_string().parse(), Ok(ttl));
        }
    }

    #[test]
    fn it_is_over_at_its_time() {
        let at = |seconds| Timestamp::new(seconds, 0).unwrap();
        let hour = Ttl::hours(1);
        assert!(!hour.is_over(at(0), at(3599)) && hour.is_over(at(0), at(3600)));
        assert!(!hour.is_over(at(10_000), at(0)), "a clock that went back ends nothing");
        assert!(!Ttl::NEVER.is_over(at(0), at(10_000_000_000)));
    }
}
