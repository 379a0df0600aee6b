//! What the first bytes of a file say it is, without ffmpeg.

mod animation;
mod signature;
#[cfg(test)]
mod tests;
mod text;
mod walk;

use std::fmt;
use std::path::Path;

use clearfleet_common::ErrorCode;

use crate::media::serve::SourceBytes;
use crate::{Error, Result};

pub(in crate::media) use walk::{GifBlock, Walk, vp8_size};

/// How many bytes are looked at.
const HEAD: usize = 4096;

/// What a file is by its content. Names are as a person says them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One picture, of a format that Clearfleet reads.
    Still(Picture),
    /// A picture that moves.
    Animation(Picture),
    /// A container or a stream that may hold video.
    Media(&'static str),
    /// A sound file.
    Audio(&'static str),
    /// Of a known kind that Clearfleet does not take.
    Other(&'static str),
    /// A list or a description of other files.
    Playlist(&'static str),
    /// Any other text.
    Text,
    /// No bytes.
    Empty,
    /// Nothing that is known: perhaps a format without a signature.
    Unknown,
}

/// The formats of pictures that Clearfleet reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// PNG or, moving, APNG.
    Png,
    /// JPEG.
    Jpeg,
    /// GIF.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// WebP.
    WebP,
    /// TIFF.
    Tiff,
}

/// What a name's extension promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    Picture,
    Video,
}

/// Says what a file is, and refuses what Clearfleet does not read and what its name lies about.
///
/// # Errors
/// The codes of refused inputs: empty, a playlist, mislabelled, of no kind that Clearfleet takes; and unreadable.
pub fn sniff(source: &dyn SourceBytes, name: Option<&Path>) -> Result<Kind> {
    let kind = look(source)?;
    check(kind, name)?;
    Ok(kind)
}

/// Says what a file is by its content. [`Kind::Unknown`] is not a refusal: some formats have no signature.
///
/// # Errors
/// If it cannot be read.
pub fn look(source: &dyn SourceBytes) -> Result<Kind> {
    let mut head = vec![0; HEAD];
    let read = read_fully(source, 0, &mut head)?;
    head.truncate(read);
    if head.is_empty() {
        return Ok(Kind::Empty);
    }
    if let Some(kind) = signature::kind(&head) {
        return match kind {
            Kind::Still(picture) if animation::moves(picture, source)? => Ok(Kind::Animation(picture)),
            other => Ok(other),
        };
    }
    let sound = || signature::mpeg_audio(&head).then_some(Kind::Audio("MPEG audio"));
    Ok(text::kind(&head).or_else(sound).unwrap_or(Kind::Unknown))
}

/// Refuses what Clearfleet does not read, and content that is not what the name's extension promises. A picture under
/// another picture's name is fine, and so is a video under another video's: the content decides.
fn check(kind: Kind, name: Option<&Path>) -> Result<()> {
    let refuse = |code, message: String| Err(Error::new(code, message).with("found", kind));
    let extension = name
        .and_then(|n| n.extension())
        .map(|e| e.to_string_lossy().to_ascii_lowercase());
    let promise = extension.as_deref().and_then(promised);
    let mislabelled = || {
        let (found, says) = (kind.to_string(), extension.as_deref().unwrap_or_default());
        Err(Error::new(
            ErrorCode::InputMislabelled,
            format!("the name ends in .{says}, and the content is {found}"),
        )
        .with("found", found)
        .with("expected", says))
    };
    match (kind, promise) {
        (Kind::Empty, _) => refuse(ErrorCode::InputEmpty, "the file is empty".to_owned()),
        (Kind::Playlist(_), _) => refuse(
            ErrorCode::InputPlaylist,
            format!("{kind} names other files; Clearfleet reads only the file itself"),
        ),
        (Kind::Text, Some(_)) => mislabelled(),
        (Kind::Still(_) | Kind::Animation(_), Some(Promise::Video)) => mislabelled(),
        (Kind::Media(_) | Kind::Audio(_), Some(Promise::Picture)) => mislabelled(),
        (Kind::Text, None) => refuse(
            ErrorCode::InputUnsupported,
            "the file is text, not a picture or a video".to_owned(),
        ),
        (Kind::Audio(_), _) => refuse(ErrorCode::InputNoVideo, format!("{kind} holds no video")),
        (Kind::Other(_), _) => refuse(ErrorCode::InputUnsupported, format!("Clearfleet does not read {kind}")),
        _ => Ok(()),
    }
}

fn promised(extension: &str) -> Option<Promise> {
    match extension {
        "png" | "apng" | "jpg" | "jpeg" | "jpe" | "jfif" | "gif" | "bmp" | "dib" | "webp" | "tif" | "tiff" => {
            Some(Promise::Picture)
        }
        "mp4" | "m4v" | "mov" | "qt" | "3gp" | "3g2" | "mkv" | "webm" | "avi" | "wmv" | "asf" | "ts" | "m2ts"
        | "mts" | "mpg" | "mpeg" | "mpe" | "vob" | "m2v" | "m1v" | "flv" | "f4v" | "ogv" | "ogm" | "wtv" | "mxf"
        | "gxf" | "dv" | "nut" | "rm" | "rmvb" | "ivf" | "y4m" | "h264" | "264" | "h265" | "265" | "hevc" | "obu"
        | "divx" | "xvid" => Some(Promise::Video),
        _ => None,
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Still(picture) => write!(f, "a {picture} picture"),
            Self::Animation(picture) => write!(f, "an animated {picture} picture"),
            Self::Media(name) => write!(f, "video ({name})"),
            Self::Audio(name) => write!(f, "sound ({name})"),
            Self::Other(name) | Self::Playlist(name) => f.write_str(name),
            Self::Text => f.write_str("text"),
            Self::Empty => f.write_str("nothing"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
        })
    }
}

/// Fills the buffer from `offset`, short only at the end of the source.
fn read_fully(source: &dyn SourceBytes, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = source
            .read_at(offset + filled as u64, &mut buffer[filled..])
            .map_err(|e| Error::new(ErrorCode::InputUnreadable, "the source cannot be read").because(e))?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    Ok(filled)
}
