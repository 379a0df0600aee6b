//! How ffmpeg is told to read a source: through the range server, with the probed demuxer, and nothing else.

use super::formats;
use super::probe::StreamInfo;
use super::serve::ServedSource;

/// In place of a demuxer: an animated picture is composed here and read as a film of raw frames.
pub(crate) const FILM: &str = "film";
/// The demuxer of that film.
const FILM_DEMUXER: &str = "mov";

/// A source and its video stream.
#[derive(Clone, Copy)]
pub(crate) struct VideoInput<'a> {
    /// Where ffmpeg reads it.
    pub(crate) source: &'a ServedSource,
    /// The demuxer that probing found.
    pub(crate) demuxer: &'a str,
    /// The stream.
    pub(crate) stream: &'a StreamInfo,
}

/// ffmpeg's input options that name the decoder of a stream, where ffmpeg would not take that by itself.
pub(crate) fn decoder_arguments(stream: usize, decoder: Option<&str>) -> Vec<String> {
    decoder.map_or_else(Vec::new, |decoder| vec![format!("-c:{stream}"), decoder.to_owned()])
}

/// ffmpeg's and ffprobe's input options and the input itself.
pub(crate) fn source_arguments(source: &ServedSource, demuxer: &str) -> Vec<String> {
    let formats = formats::whitelist();
    let (demuxer, url) = match demuxer {
        FILM => (FILM_DEMUXER, source.film_url()),
        demuxer => (demuxer, source.url().to_owned()),
    };
    let confined = [
        "-protocol_whitelist",
        "http,tcp",
        "-format_whitelist",
        &formats,
        "-f",
        demuxer,
    ];
    let read = formats::demuxer_arguments(demuxer).iter().copied().chain(["-i", &url]);
    confined.into_iter().chain(read).map(str::to_owned).collect()
}
