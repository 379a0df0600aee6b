//! The forms that files are kept in.

use axum::http::{HeaderMap, header};

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Brotli.
    Brotli,
    /// gzip.
    Gzip,
    /// Not at all.
    Identity,
}

impl Encoding {
    /// What a client takes, the smallest first. All take what is not compressed.
    pub(super) fn accepted(headers: &HeaderMap) -> impl Iterator<Item = Self> {
        let all = [Self::Brotli, Self::Gzip, Self::Identity];
        all.into_iter()
            .filter(|encoding| encoding.name().is_none_or(|name| accepts(headers, name)))
    }

    /// Its name in HTTP.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }

    /// What the name of a file in this form ends with.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
            Self::Identity => "",
        }
    }
}

fn accepts(headers: &HeaderMap, name: &str) -> bool {
    let sent = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut choices = sent
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','));
    choices.any(|choice| {
        let (coding, weight) = choice.split_once(';').unwrap_or((choice, ""));
        let refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0);
        coding.trim().eq_ignore_ascii_case(name) && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_form_that_is_taken_comes_first() {
        use Encoding::{Brotli, Gzip, Identity};
        for (sent, expected) in [
            (&["gzip, deflate, br, zstd"][..], &[Brotli, Gzip, Identity][..]),
            (&["gzip", "BR;q=0.5"], &[Brotli, Gzip, Identity]),
            (&["gzip;q=1.0, br;q=0"], &[Gzip, Identity]),
            (&["br; q=0.000, brotli"], &[Identity]),
            (&[], &[Identity]),
        ] {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(header::ACCEPT_ENCODING, value.parse().unwrap());
            }
            assert_eq!(Encoding::accepted(&headers).collect::<Vec<_>>(), expected, "{sent:?}");
        }
    }
}
