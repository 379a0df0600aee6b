//! Text, and what kind of text: a file that names other files must not reach ffmpeg.

use super::Kind;

/// What the start of a text is; nothing for what is not text. A playlist with a few odd bytes in it is one all the same.
pub(super) fn kind(head: &[u8]) -> Option<Kind> {
    let text = decode(head);
    let start = text
        .trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
        .to_ascii_lowercase();
    script(&start)
        .or_else(|| markup(&start))
        .map(Kind::Playlist)
        .or_else(|| is_text(&text).then_some(Kind::Text))
}

/// UTF-16 where its mark says so, else UTF-8.
fn decode(head: &[u8]) -> String {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = head[2..].chunks_exact(2).map(|b| unit([b[0], b[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match head {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => String::from_utf8_lossy(head).into_owned(),
    }
}

/// No control characters, and few letters of an unknown kind: one cut in the middle, or a Latin text.
fn is_text(text: &str) -> bool {
    let control = |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r' | '\x0c' | '\x1b');
    let unknown = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count();
    !text.contains(control) && unknown * 4 <= text.chars().count()
}

/// Playlists and scripts that are lines.
fn script(text: &str) -> Option<&'static str> {
    let line = |start: &str| text.lines().take(64).any(|l| l.trim_start().starts_with(start));
    if text.starts_with("#extm3u") || text.starts_with("#ext-x-") || line("#ext-x-") {
        Some("a playlist (M3U or HLS)")
    } else if text.starts_with("ffconcat") || (text.starts_with("file ") && line("file ")) {
        Some("a script of ffmpeg's concat")
    } else if text.starts_with("[playlist]") {
        Some("a playlist (PLS)")
    } else if text.starts_with("[reference]") {
        Some("a playlist (ASX)")
    } else if text.starts_with("v=0") && (line("m=") || line("c=in")) {
        Some("a session description (SDP)")
    } else if text.starts_with(";ffmetadata") {
        Some("a file of ffmpeg's metadata")
    } else if [
        "rtsp://", "rtmp://", "http://", "https://", "mms://", "rtsptext", "file://",
    ]
    .iter()
    .any(|s| text.starts_with(s))
    {
        Some("a link")
    } else if line("#extinf") {
        Some("a playlist (M3U)")
    } else {
        None
    }
}

/// Playlists and descriptions that are XML, known by the elements they use.
fn markup(text: &str) -> Option<&'static str> {
    if !text.starts_with('<') {
        return None;
    }
    let elements: [(&str, &str); 12] = [
        ("mpd", "a playlist (DASH)"),
        ("smil", "a playlist (SMIL)"),
        ("asx", "a playlist (ASX)"),
        ("smoothstreamingmedia", "a playlist (Smooth Streaming)"),
        ("compositionplaylist", "a playlist (IMF)"),
        ("assetmap", "a list of assets (IMF)"),
        ("packinglist", "a list of assets (IMF)"),
        ("playlist", "a playlist (XSPF)"),
        ("svg", "an SVG drawing, which"),
        ("rss", "a feed"),
        ("feed", "a feed"),
        ("mlt", "a project of a video editor"),
    ];
    let opens = |name: &str| {
        text.split('<').skip(1).any(|tag| {
            let tag = tag
                .split(|c: char| c.is_whitespace() || c == '>' || c == '/')
                .next()
                .unwrap_or_default();
            tag.rsplit(':').next() == Some(name)
        })
    };
    elements
        .into_iter()
        .find(|(element, _)| opens(element))
        .map(|(_, said)| said)
}
