//! What the first bytes of an upload surely are not, before the rest of it is taken.
//!
//! A worker that opens the source knows better and has the last word; here only what no worker could ever take is
//! refused, so that nobody uploads a gigabyte to hear it.

use std::path::Path;

use clearfleet_common::ErrorCode;
use clearfleet_common::job::SourceKind;
use infer::MatcherType;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Problem;
use crate::http::view::SourceKindName;

/// Bytes that are looked at.
pub(super) const HEAD: usize = 4096;

/// What a source looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) kind: SourceKind,
    /// Its media type, for whoever downloads it again; never one that a browser would run.
    pub(super) content_type: &'static str,
}

/// A file format of sources.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(in crate::http) struct SourceFormat {
    /// What names of its files end in, after the dot, the usual one first.
    extensions: &'static [&'static str],
    /// Media types that it has, the usual one first.
    content_types: &'static [&'static str],
    /// What it most likely holds.
    #[schema(inline, value_type = SourceKindName)]
    kind: SourceKind,
}

const fn picture(extensions: &'static [&'static str], content_types: &'static [&'static str]) -> SourceFormat {
    SourceFormat {
        extensions,
        content_types,
        kind: SourceKind::Picture,
    }
}

const fn film(extensions: &'static [&'static str], content_types: &'static [&'static str]) -> SourceFormat {
    SourceFormat {
        extensions,
        content_types,
        kind: SourceKind::Video,
    }
}

/// File formats whose names say what is in them.
pub(in crate::http) const SOURCES: [SourceFormat; 18] = [
    picture(&["png"], &["image/png"]),
    picture(&["jpg", "jpeg", "jpe", "jfif"], &["image/jpeg"]),
    picture(&["bmp", "dib"], &["image/bmp", "image/x-ms-bmp"]),
    picture(&["webp"], &["image/webp"]),
    picture(&["tif", "tiff"], &["image/tiff"]),
    film(&["gif"], &["image/gif"]),
    film(&["apng"], &["image/apng", "image/vnd.mozilla.apng"]),
    film(&["mp4", "m4v"], &["video/mp4", "video/x-m4v"]),
    film(&["mov", "qt"], &["video/quicktime"]),
    film(&["mkv"], &["video/matroska", "video/x-matroska"]),
    film(&["webm"], &["video/webm"]),
    film(&["avi"], &["video/x-msvideo", "video/avi"]),
    film(&["wmv", "asf"], &["video/x-ms-wmv", "video/x-ms-asf"]),
    film(&["ts", "mts", "m2ts"], &["video/mp2t"]),
    film(&["mpg", "mpeg", "vob"], &["video/mpeg"]),
    film(&["flv"], &["video/x-flv"]),
    film(&["ogv"], &["video/ogg"]),
    film(&["3gp", "3g2"], &["video/3gpp", "video/3gpp2"]),
];

/// Programs whose first bytes are long enough to be no accident; those of two bytes are left to the worker.
const PROGRAMS: [&str; 6] = ["wasm", "elf", "exe", "class", "dex", "mach"];

/// Says what a source looks like by its first bytes and its name.
///
/// # Errors
/// `input_empty`, `input_playlist`, `input_unsupported`, `input_mislabelled`, `input_no_video`.
pub(super) fn look(head: &[u8], name: &str) -> Result<Look, Problem> {
    if head.is_empty() {
        return Err(Problem::new(ErrorCode::InputEmpty, "the source has no bytes"));
    }
    let extension = extension(name);
    // Its header is text; what follows is not.
    if head.starts_with(b"YUV4MPEG2 ") {
        return Ok(video("video/x-yuv4mpeg"));
    }
    if let Some(playlist) = playlist(head) {
        let detail = format!("{playlist} names other files; Clearfleet reads only the file itself");
        return Err(Problem::new(ErrorCode::InputPlaylist, detail).with("found", playlist));
    }
    if head.starts_with(b"\x1a\x45\xdf\xa3") {
        // Which of the two it is stands somewhere in the header.
        let webm = head[..head.len().min(64)].windows(4).any(|window| window == b"webm");
        return Ok(video(if webm { "video/webm" } else { "video/matroska" }));
    }
    let Some(found) = infer::get(head) else {
        return match is_text(head) {
            true => Err(refused("text", &extension)),
            false => Ok(unknown(&extension)),
        };
    };
    match found.matcher_type() {
        MatcherType::Image => Ok(Look {
            kind: SourceKind::Picture,
            content_type: found.mime_type(),
        }),
        MatcherType::Video => Ok(video(found.mime_type())),
        // Ogg and MP4 may hold video whatever their first bytes say, and two bytes of MPEG audio may be anything.
        MatcherType::Audio if !matches!(found.extension(), "ogg" | "opus" | "m4a" | "mp3" | "aac") => {
            let detail = format!("{} holds no video", found.mime_type());
            Err(Problem::new(ErrorCode::InputNoVideo, detail).with("found", found.mime_type()))
        }
        MatcherType::App if !PROGRAMS.contains(&found.extension()) => Ok(unknown(&extension)),
        MatcherType::Audio | MatcherType::Custom => Ok(unknown(&extension)),
        MatcherType::App
        | MatcherType::Archive
        | MatcherType::Book
        | MatcherType::Doc
        | MatcherType::Font
        | MatcherType::Text => Err(refused(found.mime_type(), &extension)),
    }
}

/// What a source may be of which nothing has come, by its name.
pub(super) fn guess(name: &str) -> Look {
    unknown(&extension(name))
}

fn extension(name: &str) -> String {
    let extension = Path::new(name).extension().map(|extension| extension.to_string_lossy());
    extension.unwrap_or_default().to_ascii_lowercase()
}

fn video(content_type: &'static str) -> Look {
    Look {
        kind: SourceKind::Video,
        content_type,
    }
}

/// Some formats have no signature; then the name says what it is, until a worker looks.
fn unknown(extension: &str) -> Look {
    let kind = if is_picture_name(extension) {
        SourceKind::Picture
    } else {
        SourceKind::Video
    };
    Look {
        kind,
        content_type: "application/octet-stream",
    }
}

fn is_picture_name(extension: &str) -> bool {
    promised(extension) == Some(SourceKind::Picture)
}

/// What a file with this extension promises to be.
fn promised(extension: &str) -> Option<SourceKind> {
    let of = SOURCES.iter().find(|format| format.extensions.contains(&extension));
    of.map(|format| format.kind)
}

fn refused(found: &str, extension: &str) -> Problem {
    let promises = promised(extension).is_some();
    let problem = if promises {
        let detail = format!("the name ends in .{extension}, and the content is {found}");
        Problem::new(ErrorCode::InputMislabelled, detail).with("expected", extension)
    } else {
        Problem::new(ErrorCode::InputUnsupported, format!("Clearfleet does not read {found}"))
    };
    problem.with("found", found)
}

/// The lists of other files that players know.
fn playlist(head: &[u8]) -> Option<&'static str> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let starts = |text: &[u8]| head.len() >= text.len() && head[..text.len()].eq_ignore_ascii_case(text);
    let holds = |text: &[u8]| head.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text));
    match () {
        () if starts(b"#EXTM3U") || starts(b"#EXTINF") => Some("an M3U playlist"),
        () if starts(b"ffconcat") => Some("a concat list"),
        () if starts(b"[playlist]") => Some("a PLS playlist"),
        () if starts(b"[Reference]") => Some("a list of references"),
        () if starts(b"v=0") && holds(b"\nm=") => Some("an SDP description"),
        () if starts(b"<") && (holds(b"<MPD") || holds(b"<SmoothStreamingMedia")) => Some("a DASH manifest"),
        () if starts(b"<asx") || (starts(b"<?xml") && holds(b"<playlist")) => Some("a playlist"),
        () => None,
    }
}

/// Whether it is text, as far as it goes.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A letter may be cut where the head ends.
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default(),
        Err(_) => return false,
    };
    !text.is_empty()
        && !text
            .chars()
            .any(|c| c.is_control() && !c.is_whitespace() && c != '\u{1b}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(head: &[u8], name: &str) -> Option<ErrorCode> {
        look(head, name).err().map(|problem| problem.code())
    }

    #[test]
    fn what_is_surely_no_picture_or_video_is_refused() {
        use ErrorCode as E;
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(64, 0);
        for (head, name, expected) in [
            (&b""[..], "a.mp4", E::InputEmpty),
            (b"<!DOCTYPE html><html><body>", "page.html", E::InputUnsupported),
            (b"<!DOCTYPE html><html><body>", "film.mp4", E::InputMislabelled),
            (b"PK\x03\x04\x14\0\0\0", "photos.zip", E::InputUnsupported),
            (b"MZ\x90\0\x03\0", "setup.exe", E::InputUnsupported),
            (b"%PDF-1.7\n", "paper.pdf", E::InputUnsupported),
            (&elf, "program", E::InputUnsupported),
            (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "a.mp4", E::InputPlaylist),
            (b"\xef\xbb\xbf#extm3u\n", "a.m3u8", E::InputPlaylist),
            (b"ffconcat version 1.0\nfile x\n", "a.txt", E::InputPlaylist),
            (b"<?xml version=\"1.0\"?>\n<MPD xmlns=\"\">", "a.mpd", E::InputPlaylist),
            (
                b"v=0\r\no=- 0 0 IN IP4 1\r\nm=video 1 RTP/AVP 96\r\n",
                "a.sdp",
                E::InputPlaylist,
            ),
            (b"hello", "letter", E::InputUnsupported),
            ("schön".as_bytes(), "letter.png", E::InputMislabelled),
            (b"fLaC\0\0\0\x22", "song.flac", E::InputNoVideo),
        ] {
            assert_eq!(code(head, name), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_may_be_one_is_taken() {
        let picture = look(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.mp4").unwrap();
        assert_eq!((picture.kind, picture.content_type), (SourceKind::Picture, "image/png"));
        let film = look(b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "a").unwrap();
        assert_eq!((film.kind, film.content_type), (SourceKind::Video, "video/webm"));
        // An Ogg film, a transport stream, raw video, MPEG audio's sync word, a program's two bytes.
        for head in [
            &b"OggS\0\x02"[..],
            b"\x47\x40\0\x10",
            b"\0\0\0\x01\x67\x64",
            b"\xff\xfb\x90",
            b"\x64\x86\0\0",
            b"YUV4MPEG2 W2 H2\nFRAME\n",
        ] {
            assert_eq!(look(head, "film.bin").unwrap().kind, SourceKind::Video, "{head:?}");
        }
    }
}
