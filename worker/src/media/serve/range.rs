use axum::http::HeaderValue;

/// What a request wants of a source; ranges are `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Everything,
    Part(u64, u64),
    /// A range that lies beyond the end.
    Nothing,
}

/// Reads a `Range` header: `bytes=a-b`, `bytes=a-`, `bytes=-n`. As RFC 9110 says, one that is not understood (several
/// ranges, another unit, an end before the start) counts as none.
pub(super) fn wanted(header: Option<&HeaderValue>, len: u64) -> Wanted {
    let text = header.and_then(|h| h.to_str().ok()).unwrap_or_default();
    let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|r| r.split_once('-')) else {
        return Wanted::Everything;
    };
    match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Some(0) => Wanted::Nothing,
            Some(_) if len == 0 => Wanted::Nothing,
            Some(n) => Wanted::Part(len - n.min(len), len),
            None => Wanted::Everything,
        },
        (first, "") => match number(first) {
            Some(start) if start < len => Wanted::Part(start, len),
            Some(_) => Wanted::Nothing,
            None => Wanted::Everything,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(start), Some(last)) if start > last => Wanted::Everything,
            (Some(start), Some(last)) if start < len => Wanted::Part(start, last.saturating_add(1).min(len)),
            (Some(_), Some(_)) => Wanted::Nothing,
            _ => Wanted::Everything,
        },
    }
}

/// A number of digits only; one too large for 64 bits lies beyond any end.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::Wanted::{Everything, Nothing, Part};
    use super::*;

    #[test]
    fn ranges_are_read() {
        let wanted = |text: &'static str| wanted(Some(&HeaderValue::from_static(text)), 100);
        assert_eq!(wanted("bytes=0-"), Part(0, 100));
        assert_eq!(wanted("bytes=10-19"), Part(10, 20));
        assert_eq!(wanted("bytes=99-1000"), Part(99, 100));
        assert_eq!(wanted("bytes=-30"), Part(70, 100));
        assert_eq!(wanted("bytes=-300"), Part(0, 100));
        assert_eq!(wanted("bytes=0-18446744073709551615"), Part(0, 100));
        assert_eq!(wanted("bytes=100-"), Nothing);
        assert_eq!(wanted("bytes=99999999999999999999-"), Nothing);
        assert_eq!(wanted("bytes=-0"), Nothing);
        for odd in [
            "",
            "bytes=",
            "bytes=-",
            "bytes=5-3",
            "bytes=+1-2",
            "bytes=0-1,4-5",
            "lines=0-1",
            "bytes=a-b",
        ] {
            assert_eq!(wanted(odd), Everything, "{odd}");
        }
        assert_eq!(super::wanted(Some(&HeaderValue::from_static("bytes=0-")), 0), Nothing);
        assert_eq!(super::wanted(Some(&HeaderValue::from_static("bytes=-5")), 0), Nothing);
        assert_eq!(super::wanted(None, 0), Everything);
    }
}
