//! The alpha that lies beside VP8 and VP9 in Matroska: ffmpeg's own decoders pass over it, and ffprobe with them.

use clearfleet_common::{ErrorCode, Stop};
use serde_json::Value;

use super::parse::{list, text};
use super::{DEADLINE, StreamInfo, described};
use crate::media::input::source_arguments;
use crate::media::process::{Confinement, Launch, Program};
use crate::media::serve::ServedSource;
use crate::{Error, Result};

/// Names the decoder and the pixel format of a stream that has alpha.
///
/// # Errors
/// `InputUnsupported` if ffprobe cannot read the source, `DeadlineExceeded`, `Stopped`.
pub(super) fn look(source: &ServedSource, demuxer: &str, stream: &mut StreamInfo, stop: &Stop) -> Result<()> {
    let Some(decoder) = decoder(stream) else {
        return Ok(());
    };
    // Headers promise it of videos that have none.
    if is_there(source, demuxer, stream, stop)? {
        stream.decoder = Some(decoder);
        stream.pix_fmt = stream.pix_fmt.take().map(|format| format.replacen("yuv", "yuva", 1));
    }
    Ok(())
}

/// The decoder of a stream whose header says that it has alpha.
fn decoder(stream: &StreamInfo) -> Option<&'static str> {
    let mode = stream
        .tags
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("alpha_mode"));
    mode.filter(|(_, value)| *value == "1")?;
    match stream.codec.as_str() {
        "vp8" => Some("libvpx"),
        "vp9" => Some("libvpx-vp9"),
        _ => None,
    }
}

/// Whether its first packet has something beside it.
fn is_there(source: &ServedSource, demuxer: &str, stream: &StreamInfo, stop: &Stop) -> Result<bool> {
    let child = Launch::new(Program::Ffprobe, &Confinement::reading(source))?
        .args(["-print_format", "json", "-select_streams", &stream.index.to_string()])
        .args(["-show_entries", "packet_side_data", "-read_intervals", "%+#1"])
        .args(source_arguments(source, demuxer))
        .piped_stdout()
        .spawn(stop, DEADLINE)?;
    let no_json = |e| Error::new(ErrorCode::InputUnsupported, "ffprobe's answer is no JSON").because(e);
    let root: Value = serde_json::from_str(&described(child)?).map_err(no_json)?;
    let mut side_data = list(&root, "packets").iter().flat_map(|p| list(p, "side_data_list"));
    Ok(side_data.any(|s| text(s, "side_data_type").as_deref() == Some("Matroska BlockAdditional")))
}
