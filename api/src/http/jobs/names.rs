//! Names of files: what clients call them, and what they are downloaded as.

use clearfleet_common::ErrorCode;
use clearfleet_common::job::{JobResult, OutputFormat, Record, Target};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::Problem;

/// The longest name in bytes: what file systems take.
const LONGEST: usize = 255;
/// The name of a source without one.
const NAMELESS: &str = "source";

/// A client's name for a file: the last part of a path, without what a person cannot see.
///
/// # Errors
/// `body_invalid` if it is longer than 255 bytes.
pub(super) fn clean_name(name: &str) -> Result<String, Problem> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let seen: String = last.chars().filter(|c| !c.is_control() && !is_invisible(*c)).collect();
    let seen = seen.trim();
    if seen.len() > LONGEST {
        let detail = format!("the name is longer than {LONGEST} bytes");
        return Err(Problem::new(ErrorCode::BodyInvalid, detail).with("limit", LONGEST));
    }
    match seen {
        "" | "." | ".." => Ok(NAMELESS.to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// Marks that turn the direction of writing or take no room: with them a name can look like another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The name of a result: `film-2x.mp4` of `film.mkv`, as `clearfleet upscale` names results in a folder.
pub(in crate::http) fn result_name(record: &Record, result: &JobResult) -> String {
    let name = &record.request.name;
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let stem = if stem.is_empty() { name } else { stem };
    let preview = if record.request.preview.is_some() {
        "-preview"
    } else {
        ""
    };
    let made_as_asked = record.plan.as_ref().is_none_or(|plan| plan.number == result.plan);
    let size = match record.request.settings.target {
        Target::Factor(scale) if made_as_asked => format!("{scale}x"),
        _ => format!("{}x{}", result.size.0, result.size.1),
    };
    // The source's own spelling where it names the same format: .jpeg stays .jpeg.
    let same_format = OutputFormat::from_extension(extension) == Some(result.format);
    let animated_png = result.format == OutputFormat::Apng && extension.eq_ignore_ascii_case("png");
    let extension = if same_format || animated_png {
        extension
    } else {
        result.format.extension()
    };
    format!("{stem}{preview}-{size}.{extension}")
}

/// What RFC 8187 leaves as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// `Content-Disposition` of a download under `name` (RFC 6266): the name as it is for whoever reads UTF-8, and one in
/// ASCII for whoever does not.
pub(super) fn disposition(name: &str) -> String {
    let plain = |c: char| match c {
        // A percent sign makes some browsers decode the plain name.
        '"' | '\\' | '%' | '/' => '_',
        c if c.is_ascii_graphic() || c == ' ' => c,
        _ => '_',
    };
    let plain: String = name.chars().map(plain).collect();
    if plain == name {
        return format!("attachment; filename=\"{name}\"");
    }
    let encoded = utf8_percent_encode(name, KEPT);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use clearfleet_common::job::{
        JobId, OwnerId, Priority, Request, Settings, Source, SourceKind, SourceLocation, Stretch,
    };
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn record(name: &str, target: &str) -> Record {
        let request = Request {
            name: name.to_owned(),
            kind: SourceKind::Video,
            settings: Settings {
                target: target.parse().unwrap(),
                ..Settings::default()
            },
            stretch: Stretch::default(),
            retouches: Vec::new(),
            class: Default::default(),
            priority: Priority::Normal,
            webhook: None,
            destination: None,
            preview: None,
        };
        let id = JobId::from_u128(1);
        let source = Source {
            location: SourceLocation::Job(id),
            bytes: 1,
            etag: "\"1\"".to_owned(),
            content_type: String::new(),
        };
        Record::new(id, OwnerId::default(), request, source, Timestamp::UNIX_EPOCH)
    }

    fn named(name: &str, target: &str, format: OutputFormat) -> String {
        let result = JobResult {
            key: String::new(),
            plan: 0,
            bytes: 1,
            sha256: String::new(),
            format,
            size: (640, 480),
            frames: 1,
            notes: Vec::new(),
            destination: None,
        };
        result_name(&record(name, target), &result)
    }

    #[test]
    fn results_are_named_as_the_command_names_them() {
        assert_eq!(named("film.mkv", "2", OutputFormat::Mkv), "film-2x.mkv");
        assert_eq!(named("a.b.JPEG", "1.5", OutputFormat::Jpg), "a.b-1.5x.JPEG");
        assert_eq!(named("film.avi", "640x480", OutputFormat::Mkv), "film-640x480.mkv");
        assert_eq!(named("moving.png", "3", OutputFormat::Apng), "moving-3x.png");
        assert_eq!(named(".hidden", "2", OutputFormat::Png), ".hidden-2x.png");
        assert_eq!(named("bare", "2", OutputFormat::Png), "bare-2x.png");
    }

    #[test]
    fn paths_and_tricks_are_taken_out_of_names() {
        let clean = |name: &str| clean_name(name).unwrap();
        assert_eq!(clean("../../etc/passwd"), "passwd");
        assert_eq!(clean("C:\\Users\\me\\a.mp4"), "a.mp4");
        assert_eq!(clean("a\r\nSet-Cookie: b\0.png"), "aSet-Cookie: b.png");
        assert_eq!(clean("gpj.\u{202e}exe"), "gpj.exe");
        for nameless in ["", ".", "..", "/", "a/..", "  ", "\u{feff}"] {
            assert_eq!(clean(nameless), NAMELESS, "{nameless:?}");
        }
        assert!(clean_name(&"é".repeat(128)).is_err());
    }

    #[test]
    fn dispositions_are_those_of_the_standard() {
        assert_eq!(disposition("a b.png"), "attachment; filename=\"a b.png\"");
        assert_eq!(
            disposition("naïve \"50%\".mp4"),
            "attachment; filename=\"na_ve _50__.mp4\"; filename*=UTF-8''na%C3%AFve%20%2250%25%22.mp4"
        );
    }

    proptest! {
        #[test]
        fn a_disposition_is_one_line_whose_quotes_close(name in "\\PC{0,40}") {
            let value = disposition(&name);
            prop_assert!(axum::http::HeaderValue::from_str(&value).is_ok());
            prop_assert_eq!(value.matches('"').count(), 2);
        }
    }
}
