//! The name that a download gets: what the server proposes, made harmless.

use percent_encoding::percent_decode_str;

/// The longest file name in bytes that is taken over whole; file systems take 255.
const LONGEST: usize = 240;

/// The name in a `Content-Disposition` header, if it has one that can be used.
pub(super) fn proposed(disposition: &str) -> Option<String> {
    let (mut plain, mut extended) = (None, None);
    for parameter in parameters(disposition) {
        let (name, value) = parameter.split_once('=')?;
        match name.trim().to_ascii_lowercase().as_str() {
            "filename" => plain = Some(unquoted(value.trim())),
            "filename*" => extended = decoded(value.trim()),
            _ => {}
        }
    }
    extended.or(plain).and_then(|name| harmless(&name))
}

/// The parts behind the first semicolon, none of which is cut within quotes.
fn parameters(header: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, letter) in header.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => {
                parts.push(&header[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&header[start..]);
    parts.split_off(1)
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let (mut text, mut escaped) = (String::new(), false);
    for letter in inner.chars() {
        if letter == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            text.push(letter);
        }
    }
    text
}

/// `UTF-8'language'percent-encoded` (RFC 8187).
fn decoded(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, text) = (parts.next()?, parts.next()?, parts.next()?);
    let utf8 = charset.eq_ignore_ascii_case("utf-8");
    utf8.then(|| percent_decode_str(text).decode_utf8().ok().map(Into::into))?
}

/// A name that stands for a file within a folder and nothing else, and that shows as what it is.
pub(super) fn harmless(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    // Among control characters are those that turn the direction of writing, which make .exe look like .png.
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean: String = last.chars().filter(|c| !c.is_control() && !turns(*c)).collect();
    let clean = clean.trim();
    // A leading dot would hide the file, and "." and ".." are folders.
    let clean = clean.trim_start_matches('.');
    (!clean.is_empty()).then(|| short(clean))
}

/// The name, shortened before its extension where it is too long.
fn short(name: &str) -> String {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() < 16 => (stem, Some(extension)),
        _ => (name, None),
    };
    let room = LONGEST - extension.map_or(0, |extension| extension.len() + 1);
    let end = (0..=room.min(stem.len())).rev().find(|at| stem.is_char_boundary(*at));
    let stem = &stem[..end.unwrap_or(0)];
    extension.map_or_else(|| stem.to_owned(), |extension| format!("{stem}.{extension}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_in_all_their_forms() {
        let name = |header| proposed(header).unwrap_or_default();
        assert_eq!(name("attachment; filename=\"a b.png\""), "a b.png");
        assert_eq!(name("attachment; filename=a.png"), "a.png");
        assert_eq!(name("attachment; filename=\"a;\\\"b.png\"; size=3"), "a;\"b.png");
        assert_eq!(
            name("attachment; filename=\"x.png\"; filename*=UTF-8''%C3%A9t%C3%A9.png"),
            "été.png"
        );
        assert_eq!(name("attachment; filename*=utf-8'en'a.mkv; filename=\"x\""), "a.mkv");
        for nameless in [
            "attachment",
            "inline; filename=\"\"",
            "a; filename*=latin1''x",
            "a; filename*=UTF-8''%ff",
            "",
        ] {
            assert_eq!(proposed(nameless), None, "{nameless}");
        }
    }

    #[test]
    fn a_name_never_leads_out_of_its_folder() {
        for (name, expected) in [
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("/etc/shadow", "shadow"),
            (".bashrc", "bashrc"),
            ("a\r\nb\0.png", "ab.png"),
            ("gpj.\u{202e}exe", "gpj.exe"),
        ] {
            assert_eq!(harmless(name).as_deref(), Some(expected), "{name:?}");
        }
        for refused in ["", "..", ".", "a/", "/", "\\", "...", " \t"] {
            assert_eq!(harmless(refused), None, "{refused:?}");
        }
        assert_eq!(
            harmless("%2e%2e%2fx").as_deref(),
            Some("%2e%2e%2fx"),
            "decoded once only"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_proposed_is_one_file_in_the_folder(text in "\\PC*", long in "[é./]{0,300}\\.(png|mkv)") {
            for header in [text.clone(), format!("attachment; filename=\"{text}\""), format!("a; filename*=UTF-8''{text}")] {
                if let Some(name) = proposed(&header) {
                    let path = std::path::Path::new("folder").join(&name);
                    prop_assert_eq!(path.parent(), Some(std::path::Path::new("folder")));
                    prop_assert_eq!(path.file_name().and_then(|n| n.to_str()), Some(name.as_str()));
                }
            }
            if let Some(name) = harmless(&long) {
                prop_assert!(name.len() <= LONGEST && (name.ends_with("png") || name.ends_with("mkv")), "{}", name);
            }
        }
    }
}
